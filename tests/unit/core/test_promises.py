"""Of two who let go the same thing, each relying on the other, none may; and what was promised stays for a while."""

from __future__ import annotations

from gsync.core.names import RelPath
from gsync.core.promises import PROMISE_S, PROMISES_MAX, Promises

A, B = RelPath("a"), RelPath("b")


def test_what_was_promised_is_not_let_go_before_its_time() -> None:
    promises = Promises()
    assert promises.promise(A, now=10.0)
    assert not promises.leave(A, now=9.0 + PROMISE_S)
    assert promises.leave(B, now=11.0)
    assert promises.leave(A, now=10.0 + PROMISE_S)


def test_what_is_being_let_go_is_promised_to_nobody_and_left_once_at_a_time() -> None:
    promises = Promises()
    assert promises.leave(A, now=0.0)
    assert not promises.promise(A, now=0.0)
    assert not promises.leave(A, now=0.0)
    promises.stay(A)
    assert promises.promise(A, now=0.0)


def test_of_two_who_ask_each_other_at_once_none_is_promised_anything() -> None:
    one, other = Promises(), Promises()
    assert one.leave(A, now=0.0)
    assert other.leave(A, now=0.0)
    assert not other.promise(A, now=0.1)
    assert not one.promise(A, now=0.1)


def test_a_promise_is_renewed_by_whoever_asks_again() -> None:
    promises = Promises()
    promises.promise(A, now=0.0)
    promises.promise(A, now=50.0)
    assert not promises.leave(A, now=PROMISE_S + 1)


def test_promises_without_end_are_refused_and_none_is_forgotten() -> None:
    promises = Promises()
    for number in range(PROMISES_MAX):
        assert promises.promise(RelPath(f"n{number}"), now=0.0)
    assert not promises.promise(A, now=1.0)
    assert promises.promise(RelPath("n0"), now=1.0)
    assert not promises.leave(RelPath("n5"), now=1.0)
    assert promises.promise(A, now=PROMISE_S)
