"""One timer a path, whatever is set, set again and cancelled."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.names import RelPath
from gsync.core.timers import FIRED_MAX, SLOT_S, Timers

A, B, C = (RelPath.parse(name) for name in "abc")


def test_timers_fire_in_order_and_once() -> None:
    timers = Timers()
    for path, at in ((A, 3.0), (B, 1.0), (C, 2.0)):
        timers.set(path, at)
    assert timers.next_at() == 1.0
    assert timers.fired(2.0) == [B, C]
    assert timers.fired(2.0) == []
    assert (len(timers), timers.next_at()) == (1, 3.0)


def test_a_timer_that_is_set_again_replaces_the_one_before() -> None:
    timers = Timers()
    timers.set(A, 1.0)
    timers.set(A, 5.0)
    assert (timers.fired(4.0), len(timers), timers.next_at()) == ([], 1, 5.0)
    timers.set(A, 2.0)
    assert timers.fired(9.0) == [A]


def test_a_cancelled_timer_does_not_fire() -> None:
    timers = Timers()
    timers.set(A, 1.0)
    timers.cancel(A)
    timers.cancel(B)
    assert (timers.fired(9.0), timers.next_at(), A in timers) == ([], None, False)
    timers.set(A, 1.0)
    timers.clear()
    assert timers.fired(9.0) == []


def test_a_path_that_fired_is_as_one_that_was_never_set() -> None:
    timers = Timers()
    timers.set(A, 1.0)
    assert timers.fired(1.0) == [A]
    assert (len(timers), A in timers, timers.at(A), timers.next_at()) == (0, False, math.inf, None)
    timers.set(A, 3.0)
    assert (len(timers), A in timers, timers.at(A), timers.next_at()) == (1, True, 3.0, 3.0)
    assert timers.fired(3.0) == [A]
    timers.cancel(A)
    assert (len(timers), timers.fired(9.0), timers.next_at()) == (0, [], None)


def test_nothing_fires_before_its_exact_time_though_it_lies_together_with_what_does() -> None:
    timers = Timers()
    early, late = 5 * SLOT_S, 5.5 * SLOT_S
    timers.set(A, late)
    timers.set(B, early)
    assert timers.fired(early) == [B]
    assert timers.next_at() == late
    assert timers.fired(late) == [A]


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 9) | st.none())), st.integers(0, 9))
def test_what_fires_is_what_was_said_last(said: list[tuple[RelPath, int | None]], now: int) -> None:
    timers, last = Timers(), dict[RelPath, int]()
    for path, at in said:
        if at is None:
            timers.cancel(path)
            last.pop(path, None)
        else:
            timers.set(path, float(at))
            last[path] = at
    assert len(timers) == len(last)
    due = {path for path, at in last.items() if at <= now}
    fired = timers.fired(float(now))
    assert set(fired) == due
    assert len(fired) == len(due)
    assert fired == sorted(fired, key=lambda path: last[path])
    assert timers.next_at() == min((at for at in last.values() if at > now), default=None)


def test_replaced_timers_do_not_pile_up() -> None:
    timers = Timers()
    for number in range(10_000):
        timers.set(A, float(number))
    assert timers.kept <= 2 + 64
    timers.set(B, 1.0)
    for _ in range(1000):
        timers.set(A, 5.0)
        timers.cancel(A)
    assert timers.kept <= 4 + 64


def test_of_very_many_that_are_due_some_fire_at_a_time_and_the_rest_at_once() -> None:
    timers = Timers()
    paths = [RelPath(f"n{number}") for number in range(FIRED_MAX + 1)]
    for path in paths:
        timers.set(path, 1.0)
    assert (timers.fired(2.0), timers.next_at(), timers.fired(2.0)) == (paths[:-1], 1.0, paths[-1:])
