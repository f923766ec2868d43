"""How far apart real sockets and the twin are, in figures."""

from __future__ import annotations

import pytest

from gsync.lab.comparison import Pair, pairs_of, summary
from gsync.lab.grid import Row
from tests.unit.lab.test_plots import row


def measured(middle: float, reach: float, **changes: object) -> Row:
    return row(stale_pct=middle, stale_pct_low=middle - reach, stale_pct_high=middle + reach, **changes)


@pytest.mark.parametrize(
    ("real", "twin", "is_near"),
    [
        (measured(21, 1), measured(21, 1), True),
        (measured(23, 0), measured(21, 0), True),  # two points
        (measured(23.1, 0), measured(21, 0), False),
        (measured(18.9, 0), measured(21, 0), False),
        (measured(26, 3), measured(21, 4), True),  # their intervals together allow for 5
        (measured(26.1, 3), measured(21, 4), False),
    ],
)
def test_two_are_near_within_two_points_or_the_interval_of_their_difference(
    real: Row, twin: Row, is_near: bool
) -> None:
    assert Pair(real=real, twin=twin).is_near is is_near


def test_an_interval_that_is_cut_off_at_0_reaches_as_far_as_its_other_side() -> None:
    cut = row(stale_pct=1, stale_pct_low=0, stale_pct_high=6)
    assert Pair(real=cut, twin=measured(5.5, 0)).is_near


def test_all_of_them_are_told_in_a_line_with_the_furthest() -> None:
    real = [measured(21, 0), measured(50, 1, mode="lazy", ttr_s=120.0)]
    twin = [measured(20, 0), measured(57, 1, mode="lazy", ttr_s=120.0)]
    assert summary(pairs_of(real, twin)) == (
        "1 of 2 within 2 points of it or the 95 % interval; the furthest, lazy at TTR 120 s, by -7.0 points"
    )
