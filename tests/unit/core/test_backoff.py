"""How long to wait before the next try."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.backoff import backoff_s


class Dice:
    """Always rolls the same."""

    def __init__(self, roll: float) -> None:
        self._roll = roll

    def random(self) -> float:
        return self._roll


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(-1, 1.0), (0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 16.0), (6, 16.0), (10**6, 16.0)],
)
def test_the_wait_doubles_up_to_the_cap(failures: int, seconds: float) -> None:
    assert backoff_s(failures, base_s=1.0, cap_s=16.0, rng=Dice(0.0)) == seconds


@given(st.integers(0, 100), st.floats(0.001, 10), st.floats(1, 3600), st.floats(0, 1, exclude_max=True))
def test_chance_takes_away_a_quarter_at_most(failures: int, base_s: float, factor: float, roll: float) -> None:
    cap_s = base_s * factor
    whole = backoff_s(failures, base_s=base_s, cap_s=cap_s, rng=Dice(0.0))
    assert 0.75 * whole <= backoff_s(failures, base_s=base_s, cap_s=cap_s, rng=Dice(roll)) <= whole <= cap_s


def test_many_that_failed_together_do_not_come_back_together() -> None:
    rng = random.Random(1)
    waits = {backoff_s(1, base_s=1.0, cap_s=16.0, rng=rng) for _ in range(100)}
    assert len(waits) == 100
