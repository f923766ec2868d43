"""A jump in the count of an origin, or a new life of it, says that something may have been missed."""

from __future__ import annotations

from gsync.core.gaps import ORIGINS_MAX, Gaps
from gsync.core.names import PeerName

ANNA = PeerName.parse("anna")


def test_numbers_in_order_miss_nothing_and_a_jump_does() -> None:
    gaps = Gaps()
    assert [gaps.saw(ANNA, "l", seq) for seq in (7, 8, 9, 11, 12)] == [False, False, False, True, False]


def test_what_comes_again_or_late_is_no_gap() -> None:
    gaps = Gaps()
    assert [gaps.saw(ANNA, "l", seq) for seq in (7, 8, 8, 7, 9)] == [False] * 5


def test_a_new_life_may_have_been_preceded_by_changes_that_nobody_told() -> None:
    gaps = Gaps()
    assert [gaps.saw(ANNA, life, 1) for life in ("l", "m", "m")] == [False, True, False]


def test_what_others_told_while_comparing_counts_nothing() -> None:
    gaps = Gaps()
    assert [gaps.saw(ANNA, life, seq) for life, seq in (("", 0), ("l", 5), ("", 0), ("l", 6))] == [False] * 4


def test_who_says_how_far_it_is_misses_nothing_from_there_on() -> None:
    gaps = Gaps()
    gaps.met(ANNA, "l", 0)
    assert gaps.saw(ANNA, "l", 2)
    gaps.met(ANNA, "m", 7)
    assert [gaps.saw(ANNA, "m", seq) for seq in (7, 8, 10)] == [False, False, True]


def test_origins_without_end_are_not_all_remembered() -> None:
    gaps = Gaps()
    gaps.saw(ANNA, "l", 1)
    for number in range(ORIGINS_MAX):
        gaps.saw(PeerName(f"p{number}"), "l", 1)
    assert gaps.saw(ANNA, "l", 9) is False
