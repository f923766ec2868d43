"""When a hinted path is looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.names import RelPath
from gsync.core.settle import (
    AGAIN_S,
    CAP_S,
    KNOWN_S,
    MANY_GONE,
    OTHER_S,
    PACES_MAX,
    PENDING_MAX,
    RECENT_S,
    Due,
    Hint,
    Settling,
    What,
)

A, B = RelPath.parse("a"), RelPath.parse("b")


def hinted(
    what: What, *, is_known: bool = True, path: RelPath = A, now: float = 0.0, into: Settling | None = None
) -> Settling:
    settling = Settling() if into is None else into
    settling.hint(Hint(path=path, what=what), is_known=is_known, now=now)
    return settling


def when(settling: Settling) -> float:
    """When the next look is due; it is taken."""
    now = settling.next_s()
    assert now is not None
    while not settling.take(now):
        now = settling.next_s()
        assert now is not None
    return now


@pytest.mark.parametrize(
    ("what", "is_known", "after_s"),
    [
        (What.CLOSED, True, KNOWN_S),
        (What.MOVED_IN, True, KNOWN_S),
        (What.CLOSED, False, OTHER_S),
        (What.MOVED_IN, False, OTHER_S),
        (What.APPEARED, True, OTHER_S),
        (What.WRITTEN, True, OTHER_S),
        (What.VANISHED, True, OTHER_S),
        (What.DIRECTORY, False, OTHER_S),
    ],
)
def test_how_long_a_path_settles_depends_on_what_happened(what: What, is_known: bool, after_s: float) -> None:
    settling = hinted(what, is_known=is_known)
    assert settling.next_s() == after_s
    assert not settling.take(after_s - 1e-9)
    assert settling.take(after_s) == Due(paths=frozenset({A}))
    assert settling.next_s() is None
    assert not settling.take(99)


def test_a_further_hint_pushes_the_time() -> None:
    settling = hinted(What.CLOSED)
    hinted(What.CLOSED, now=0.008, into=settling)
    assert not settling.take(KNOWN_S)
    assert when(settling) == pytest.approx(0.008 + KNOWN_S)


def test_a_close_after_writing_brings_the_time_nearer() -> None:
    settling = hinted(What.WRITTEN)
    hinted(What.CLOSED, now=0.001, into=settling)
    assert when(settling) == pytest.approx(0.001 + KNOWN_S)


def test_a_file_that_is_written_for_ever_is_looked_at_now_and_then() -> None:
    settling = Settling()
    looks = []
    for tick in range(500):
        now = tick * 0.01
        hinted(What.WRITTEN, now=now, into=settling)
        if settling.take(now):
            looks.append(now)
    assert looks == pytest.approx([CAP_S, 2 * CAP_S + 0.01])


def test_what_was_announced_lately_settles_twice_as_long_each_time() -> None:
    settling = Settling()
    now, took = 0.0, []
    for _ in range(10):
        hinted(What.CLOSED, now=now, into=settling)
        due = when(settling)
        took.append(round(due - now, 6))
        settling.announced([A], now=due)
        now = due + 0.5
    doubled = [KNOWN_S * 2**times for times in range(8)]
    assert took == pytest.approx([*doubled, CAP_S, CAP_S])


@pytest.mark.parametrize(("after_s", "settle_s"), [(RECENT_S, 2 * KNOWN_S), (RECENT_S + 0.001, KNOWN_S)])
def test_a_second_of_quiet_makes_a_path_quick_again(after_s: float, settle_s: float) -> None:
    settling = hinted(What.CLOSED)
    when(settling)
    settling.announced([A], now=10)
    hinted(What.CLOSED, now=10 + after_s, into=settling)
    assert when(settling) == pytest.approx(10 + after_s + settle_s)


def test_what_is_gone_does_not_take_longer_because_it_was_announced() -> None:
    settling = hinted(What.CLOSED)
    when(settling)
    settling.announced([A], now=1)
    hinted(What.VANISHED, now=1.1, into=settling)
    assert settling.vanished == {A}
    assert when(settling) == pytest.approx(1.1 + OTHER_S)
    assert settling.vanished == frozenset()


def test_a_busy_path_does_not_slow_the_others() -> None:
    settling = hinted(What.CLOSED)
    when(settling)
    settling.announced([A], now=1)
    hinted(What.CLOSED, path=B, now=1.1, into=settling)
    assert when(settling) == pytest.approx(1.1 + KNOWN_S)


def test_what_was_looked_at_without_being_announced_is_not_slowed() -> None:
    settling = hinted(What.CLOSED)
    when(settling)
    hinted(What.CLOSED, now=0.1, into=settling)
    assert when(settling) == pytest.approx(0.1 + KNOWN_S)


def test_what_was_announced_without_a_hint_is_slowed_too() -> None:
    settling = Settling()
    settling.announced([A], now=1)
    hinted(What.CLOSED, now=1.5, into=settling)
    assert when(settling) == pytest.approx(1.5 + 2 * KNOWN_S)


# What moves while it is looked at


def test_what_moves_while_it_is_looked_at_is_looked_at_again_less_and_less_often() -> None:
    settling = hinted(What.CLOSED)
    now, waits = when(settling), []
    for _ in range(12):
        settling.looked([A], moving=[A], now=now)
        then = when(settling)
        waits.append(round(then - now, 6))
        now = then
    assert waits == pytest.approx([AGAIN_S * 2**times for times in range(11)] + [CAP_S])
    settling.looked([A], moving=[], now=now)
    settling.looked([A], moving=[A], now=now)
    assert when(settling) == pytest.approx(now + AGAIN_S)


def test_what_had_to_be_looked_at_again_keeps_its_pace() -> None:
    settling = hinted(What.CLOSED)
    for _ in range(3):
        now = when(settling)
        settling.looked([A], moving=[A], now=now)
        now = when(settling)
        settling.looked([A], moving=[], now=now)
        settling.announced([A], now=now)
        hinted(What.CLOSED, now=now, into=settling)
    assert when(settling) == pytest.approx(now + 8 * KNOWN_S)


def test_a_hint_that_came_during_the_look_says_when() -> None:
    settling = hinted(What.CLOSED)
    now = when(settling)
    hinted(What.WRITTEN, now=now, into=settling)
    settling.looked([A], moving=[A], now=now)
    assert when(settling) == pytest.approx(now + OTHER_S)


# Renames


def test_both_names_of_a_rename_are_looked_at_together() -> None:
    settling = hinted(What.VANISHED)
    settling.hint(Hint(path=B, what=What.MOVED_IN, came_from=A), is_known=False, now=0.0)
    hinted(What.CLOSED, is_known=False, path=B, now=0.03, into=settling)  # somebody writes to it under its new name
    assert not settling.take(OTHER_S)
    assert settling.take(0.03 + OTHER_S) == Due(paths=frozenset({A, B}))


def test_the_old_name_does_not_wait_for_ever() -> None:
    settling = hinted(What.VANISHED)
    settling.hint(Hint(path=B, what=What.MOVED_IN, came_from=A), is_known=False, now=0.0)
    for tick in range(1, 201):
        hinted(What.WRITTEN, path=B, now=tick * 0.01, into=settling)
    assert settling.take(CAP_S) == Due(paths=frozenset({A, B}))


def test_the_old_name_goes_alone_when_the_new_one_was_looked_at_already() -> None:
    settling = hinted(What.VANISHED)
    settling.hint(Hint(path=B, what=What.MOVED_IN, came_from=A), is_known=True, now=0.0)
    assert settling.take(KNOWN_S) == Due(paths=frozenset({B}))
    assert settling.take(OTHER_S) == Due(paths=frozenset({A}))


def test_two_names_that_changed_places_do_not_wait_for_each_other() -> None:
    settling = hinted(What.VANISHED)
    hinted(What.VANISHED, path=B, into=settling)
    settling.hint(Hint(path=B, what=What.MOVED_IN, came_from=A), is_known=True, now=0.0)
    settling.hint(Hint(path=A, what=What.MOVED_IN, came_from=B), is_known=True, now=0.001)
    assert settling.take(0.001 + KNOWN_S) == Due(paths=frozenset({A, B}))


def test_a_name_that_came_from_where_nothing_waits_waits_for_nothing() -> None:
    settling = Settling()
    settling.hint(Hint(path=B, what=What.MOVED_IN, came_from=A), is_known=True, now=0.0)
    assert settling.take(KNOWN_S) == Due(paths=frozenset({B}))


@pytest.mark.parametrize(("count", "at_once"), [(MANY_GONE, 0), (MANY_GONE + 1, MANY_GONE + 1)])
def test_when_many_names_vanish_they_are_looked_at_together(count: int, at_once: int) -> None:
    settling = Settling()
    for number in range(count):
        hinted(What.VANISHED, path=RelPath(str(number)), now=number * 0.0001, into=settling)
    now = settling.next_s()
    assert now is not None
    assert len(settling.take(now).paths) == (1 if not at_once else 0)
    last = (count - 1) * 0.0001 + OTHER_S
    assert len(settling.take(last).paths) == (at_once or count - 1)


def test_names_that_vanish_without_end_are_looked_at_now_and_then() -> None:
    settling = Settling()
    for number in range(9000):
        now = number * 0.0004
        hinted(What.VANISHED, path=RelPath(str(number)), now=now, into=settling)
        if settling.take(now):
            break
    assert now == pytest.approx(CAP_S)


# Everything


def test_lost_hints_mean_a_look_at_everything() -> None:
    settling = Settling()
    settling.hint(Hint(path=None), is_known=False, now=1.0)
    settling.hint(Hint(path=None), is_known=False, now=1.04)
    assert settling.next_s() == 1.0 + OTHER_S
    assert settling.take(1.0 + OTHER_S) == Due(everything=True)
    assert settling.next_s() is None


def test_paths_go_on_settling_while_everything_is_looked_at() -> None:
    settling = Settling()
    settling.hint(Hint(path=None), is_known=False, now=0.0)
    hinted(What.CLOSED, now=0.045, into=settling)
    assert settling.take(OTHER_S) == Due(everything=True)
    assert settling.pending == {A}
    assert settling.take(0.045 + KNOWN_S) == Due(paths=frozenset({A}))


@pytest.mark.parametrize(("count", "everything"), [(PENDING_MAX, False), (PENDING_MAX + 1, True)])
def test_of_too_many_paths_everything_is_looked_at(count: int, everything: bool) -> None:
    settling = Settling()
    for number in range(count):
        hinted(What.VANISHED, path=RelPath(str(number)), into=settling)
    due = settling.take(OTHER_S)
    assert due.everything == everything
    assert len(due.paths) == (0 if everything else count)
    assert settling.next_s() is None


def test_how_often_a_path_was_announced_is_forgotten_in_the_end() -> None:
    settling = Settling()
    settling.announced([A], now=0.0)
    settling.announced((RelPath(str(number)) for number in range(PACES_MAX)), now=0.0)
    hinted(What.CLOSED, now=0.1, into=settling)
    assert when(settling) == pytest.approx(0.1 + KNOWN_S)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([A, B, RelPath("c")]),
            st.sampled_from(What),
            st.booleans(),
            st.sampled_from([None, A, B]),
            st.sampled_from([0.0, 0.001, 0.02, 0.3, 3.0]),
        ),
        max_size=30,
    )
)
def test_whatever_happens_every_hinted_path_is_looked_at_within_the_cap(
    steps: list[tuple[RelPath, What, bool, RelPath | None, float]],
) -> None:
    settling = Settling()
    first: dict[RelPath, float] = {}
    now = 0.0

    def advance(until: float) -> None:
        nonlocal now
        while (next_s := settling.next_s()) is not None and next_s <= until:
            now = max(now, next_s)
            for path in settling.take(now).paths:
                assert now <= first.pop(path) + CAP_S + 1e-9
        now = until

    for path, what, is_known, came_from, pause in steps:
        settling.hint(Hint(path=path, what=what, came_from=came_from), is_known=is_known, now=now)
        first.setdefault(path, now)
        advance(now + pause)
    advance(now + CAP_S + 1)
    assert not first
