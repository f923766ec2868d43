"""A whole new directory, compared with the one before bit by bit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gsync.core.model import Offer, Tombstone
from gsync.core.names import RelPath
from gsync.core.records import record_of
from gsync.peer.sweep import COMPARED_AT_A_TIME
from gsync.peer.trees import Trees
from gsync.storage.offer_rows import offer_tree
from tests.unit.peer.sweeping import swept
from tests.unit.peer.world import meta, offer, path, v

A, B, C = path("a"), path("b"), path("c")


def recorded(name: RelPath, *, mtime_s: int = 5, moved_from: RelPath | None = None) -> Offer:
    entry = replace(meta(mtime_s=mtime_s), moved_from=moved_from)
    return Offer(version=entry.version, sources=offer().sources, record=record_of(name, entry))


names = st.sampled_from([path(f"n{number}") for number in range(12)])
directories = st.lists(st.dictionaries(names, st.integers(1, 3).map(offer)), min_size=1, max_size=4)


@given(directories)
def test_each_path_whose_offer_is_new_changed_or_gone_comes_once(several: list[dict[RelPath, Offer]]) -> None:
    trees = Trees({}, {}, new_tree=lambda: offer_tree(hot_max=3))
    before: dict[RelPath, Offer] = {}
    for now in several:
        found = swept(trees.note_remote(now))
        assert len(found) == len(set(found))
        assert set(found) == {p for p in {*before, *now} if before.get(p) != now.get(p)}
        before = now


def test_much_that_is_known_already_takes_no_more_than_its_turn() -> None:
    trees = Trees({}, {})
    known = {path(f"n{number:05}"): offer(5) for number in range(3 * COMPARED_AT_A_TIME)}
    swept(trees.note_remote(known))
    sweep = trees.note_remote({**known, path("zz"): offer(5)})
    turns = 0
    while not (found := sweep.take()):
        turns += 1
        assert not sweep.is_over
        assert sweep.left > 0
    assert (turns, found) == (3, [path("zz")])


def test_what_stands_here_and_was_agreed_needs_no_plan() -> None:
    here = meta()
    trees = Trees({A: here, B: here, C: here}, {A: here.version, C: v(4)})
    assert swept(trees.note_remote({A: recorded(A), B: recorded(B), C: recorded(C)})) == [B, C]
    assert trees.note_offers({A: replace(recorded(A), sources=offer().sources)}) == set()


def test_unless_something_else_was_offered_before() -> None:
    trees = Trees({A: meta()}, {A: meta().version})
    assert trees.note_offers({A: recorded(A, mtime_s=6)}) == {A}
    assert trees.note_offers({A: recorded(A)}) == {A}


@pytest.mark.parametrize("other", [recorded(A, mtime_s=6), recorded(A, moved_from=C), offer(5)])
def test_anything_else_does(other: Offer) -> None:
    trees = Trees({A: meta()}, {A: meta().version})
    assert A in swept(trees.note_remote({A: other}))


def test_what_was_renamed_comes_first_with_its_old_name() -> None:
    trees = Trees({}, {})
    sweep = trees.note_remote({A: recorded(A), B: recorded(B, moved_from=C), C: recorded(C)})
    assert sweep.moved() == {B, C}
    assert sweep.take() == [A]


def test_a_rename_that_was_known_already_does_not() -> None:
    trees = Trees({}, {})
    swept(trees.note_remote({B: recorded(B, moved_from=C)}))
    assert swept(trees.note_remote({B: recorded(B, moved_from=C)})) == []


def test_a_rename_that_came_here_and_was_agreed_does_not_either() -> None:
    moved = replace(meta(), moved_from=C)
    trees = Trees({B: moved}, {B: moved.version}, {C: Tombstone(version=v(6))})
    gone = Offer(version=v(6), sources=(), record=record_of(C, Tombstone(version=v(6))))
    sweep = trees.note_remote({B: recorded(B, moved_from=C), C: gone})
    assert sweep.moved() == frozenset()
    assert swept(sweep) == []


def test_one_that_is_extended_compares_with_the_last() -> None:
    trees = Trees({}, {})
    swept(trees.note_remote({A: offer(5), B: offer(5)}))
    waiting = trees.note_remote({A: offer(6), B: offer(5)})
    further = trees.note_remote({A: offer(5), B: offer(7)})
    assert swept(waiting.extended(further)) == [B]
    assert trees.remote == {A: offer(5), B: offer(7)}


def test_the_new_tree_may_change_meanwhile() -> None:
    trees = Trees({}, {}, new_tree=lambda: offer_tree(hot_max=3))
    sweep = trees.note_remote({path(f"n{number}"): offer(5) for number in range(9)})
    trees.note_offers({path("n3"): None, path("n5"): offer(6)})
    assert set(swept(sweep)) == {path(f"n{number}") for number in range(9) if number != 3}
