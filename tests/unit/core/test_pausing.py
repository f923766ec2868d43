"""A long loop pauses now and then, and gives everything all the same."""

from __future__ import annotations

from gsync.core.pausing import PAUSE_EVERY, no_pause, paused


def test_a_pause_comes_after_each_so_many_things() -> None:
    pauses: list[int] = []
    given: list[int] = []
    for thing in paused(range(2 * PAUSE_EVERY + 1), lambda: pauses.append(len(given))):
        given.append(thing)
    assert given == list(range(2 * PAUSE_EVERY + 1))
    assert pauses == [PAUSE_EVERY, 2 * PAUSE_EVERY]


def test_no_pause_is_one_too() -> None:
    assert list(paused("abc", no_pause)) == ["a", "b", "c"]
