"""When deletions wait for a person."""

from __future__ import annotations

import pytest

from gsync.core.deletions import HOLD_MIN, HOLD_SHARE, held_back
from gsync.core.names import RelPath


def paths(count: int) -> list[RelPath]:
    return [RelPath.parse(str(n)) for n in range(count)]


@pytest.mark.parametrize(
    ("gone", "known", "held"),
    [
        (HOLD_MIN - 1, HOLD_MIN - 1, False),
        (HOLD_MIN, HOLD_MIN, False),
        (HOLD_MIN + 1, HOLD_MIN + 1, True),
        (HOLD_MIN + 1, 4 * HOLD_MIN, True),
        (249, 1000, False),
        (250, 1000, False),
        (251, 1000, True),
    ],
)
def test_more_than_a_hundred_and_more_than_a_quarter_is_held(gone: int, known: int, *, held: bool) -> None:
    assert HOLD_SHARE == 0.25
    assert held_back(paths(gone), known_files=known) is held


def test_another_share_can_be_chosen() -> None:
    assert held_back(paths(200), known_files=1000, share=0.1)
    assert not held_back(paths(1000), known_files=1000, share=1.0)
