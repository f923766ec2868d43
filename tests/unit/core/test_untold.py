"""What is to be told, and what waits for the rest of an announcement."""

from __future__ import annotations

from gsync.core.holders import PeerId
from gsync.core.names import RelPath
from gsync.core.untold import Untold

ANNA, BERT = PeerId(1), PeerId(2)
A, B, C = (RelPath.parse(name) for name in "abc")


def test_what_waits_for_nobody_may_be_told_in_the_order_in_which_it_came() -> None:
    untold = Untold()
    for path in (B, A, B):
        untold.add(path)
    assert list(untold.ready) == [B, A]


def test_what_waits_is_told_behind_what_did_not_once_its_announcement_is_complete() -> None:
    untold = Untold()
    untold.add(A, ANNA)
    untold.add(B)
    untold.add(C, ANNA)
    assert list(untold.ready) == [B]
    assert [path in untold for path in (A, B, C)] == [True, True, True]
    assert untold
    assert untold.complete(ANNA)
    assert list(untold.ready) == [B, A, C]
    assert not untold.complete(ANNA)


def test_each_announcement_is_completed_by_itself() -> None:
    untold = Untold()
    untold.add(A, ANNA)
    untold.add(B, BERT)
    assert untold.complete(BERT)
    assert list(untold.ready) == [B]
    assert A in untold


def test_what_somebody_else_changes_meanwhile_is_told_at_once_and_only_then() -> None:
    untold = Untold()
    untold.add(A, ANNA)
    untold.add(A)
    assert list(untold.ready) == [A]
    assert untold.complete(ANNA)
    assert list(untold.ready) == [A]


def test_what_was_to_be_told_waits_when_an_announcement_that_goes_on_changes_it() -> None:
    untold = Untold()
    untold.add(A)
    untold.add(B)
    untold.add(A, ANNA)
    assert list(untold.ready) == [B]
    untold.complete(ANNA)
    assert list(untold.ready) == [B, A]


def test_nothing_is_left_once_all_of_it_was_taken() -> None:
    untold = Untold()
    untold.add(A)
    untold.ready.popitem()
    assert not untold
    assert A not in untold
