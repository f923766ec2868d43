"""The three trees: what a change moves, and what it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gsync.core.model import FileMeta, Kind, Offer, Record, Source, Tombstone
from gsync.core.names import Endpoint, RelPath
from gsync.core.records import record_of
from gsync.core.versions import Version
from gsync.peer.trees import Trees
from tests.unit.peer.sweeping import swept
from tests.unit.peer.world import meta, offer, path, v

A, B, C = path("a"), path("b"), path("c")
SOURCES = (Source(endpoint=Endpoint("192.0.2.1", 2001), speaks_gsync=True, speaks_native=True),)


def test_the_trees_begin_with_what_the_index_remembers() -> None:
    trees = Trees({A: meta()}, {A: v(5)})
    assert trees.local == {A: meta()}
    assert trees.synced == {A: v(5)}
    assert trees.remote == {}
    assert A in trees.names
    assert trees.announced() == {A: 5}


@pytest.mark.parametrize(
    ("here", "agreed", "offered", "is_settled"),
    [
        pytest.param(meta(), v(5), record_of(A, meta()), True, id="all agree"),
        pytest.param(meta(), v(4), record_of(A, meta()), False, id="something else was agreed"),
        pytest.param(meta(), v(5), record_of(A, meta(mtime_s=6)), False, id="another version is offered"),
        pytest.param(meta(), v(5), None, False, id="nothing is offered"),
        pytest.param(None, None, record_of(A, meta()), False, id="nothing is here"),
        pytest.param(meta(), v(5), replace(record_of(A, meta()), moved_from=B), False, id="a rename hangs on it"),
        pytest.param(meta(), v(5), replace(record_of(A, meta()), executable=True), False, id="it can be run elsewhere"),
    ],
)
def test_a_path_is_settled_where_a_plan_would_find_nothing_to_do(
    here: FileMeta | None, agreed: Version | None, offered: Record | None, is_settled: bool
) -> None:
    trees = Trees({A: here} if here else {}, {A: agreed} if agreed else {})
    if offered is not None:
        trees.note_offers({A: Offer(version=offered.version, sources=SOURCES, record=offered)})
    if offered is not None and offered.moved_from is not None:
        unknown = record_of(B, Tombstone(version=v(6)))
        trees.note_offers({B: Offer(version=v(6), sources=(), record=unknown)})
    assert trees.is_settled(A) is is_settled


def test_it_is_settled_as_well_where_nobody_else_has_it_yet() -> None:
    trees = Trees({A: meta()}, {})
    offer = Offer(version=v(5), sources=(), record=record_of(A, meta()))
    assert trees.note_offers({A: offer}) == set()
    assert trees.note_offers({A: replace(offer, sources=SOURCES)}) == {A}


def test_what_was_renamed_is_settled_when_its_old_name_is() -> None:
    moved = replace(meta(), moved_from=B)
    trees = Trees({A: moved}, {A: v(5)}, {B: Tombstone(version=v(6))})
    trees.note_offers({A: Offer(version=v(5), sources=SOURCES, record=record_of(A, moved))})
    assert trees.is_settled(A)
    for stone, is_settled in ((v(6), True), (v(7), False)):
        record = record_of(B, Tombstone(version=stone))
        trees.note_offers({B: Offer(version=stone, sources=(), record=record)})
        assert trees.is_settled(A) is is_settled


X, XX, XY = (
    Version.from_vector(vector) for vector in ({"x": 1, "mtime": 5}, {"x": 2, "mtime": 6}, {"y": 1, "mtime": 5})
)


@pytest.mark.parametrize(
    ("here", "offered", "is_ahead"),
    [
        pytest.param(replace(meta(), version=XX), record_of(A, replace(meta(), version=X)), True, id="a further edit"),
        pytest.param(Tombstone(version=XX), record_of(A, replace(meta(), version=X)), True, id="a deletion"),
        pytest.param(replace(meta(), version=X), record_of(A, replace(meta(), version=X)), False, id="the same"),
        pytest.param(replace(meta(), version=XY), record_of(A, replace(meta(), version=X)), False, id="concurrent"),
        pytest.param(replace(meta(), version=X), record_of(A, Tombstone(version=XX)), False, id="older"),
        pytest.param(meta(), None, True, id="nobody offers anything"),
        pytest.param(None, record_of(A, meta()), False, id="nothing is here"),
    ],
)
def test_what_is_newer_here_than_elsewhere_is_ahead(
    here: FileMeta | Tombstone | None, offered: Record | None, is_ahead: bool
) -> None:
    trees = Trees({}, {})
    trees.note_local({A: here} if here else {})
    if offered is not None:
        trees.note_offers({A: Offer(version=offered.version, sources=SOURCES, record=offered)})
    assert trees.is_ahead(A) is is_ahead


def test_what_was_renamed_is_ahead_only_if_its_old_name_is() -> None:
    trees = Trees({A: replace(meta(), version=X, moved_from=B)}, {}, {B: Tombstone(version=XX)})
    assert trees.is_ahead(A)
    edited = record_of(B, replace(meta(), version=XY))
    trees.note_offers({B: Offer(version=XY, sources=SOURCES, record=edited)})
    assert not trees.is_ahead(A)


def test_what_was_offered_to_classic_peers_is_for_the_planner_to_judge() -> None:
    trees = Trees({A: replace(meta(), version=XX)}, {})
    trees.note_offers({A: Offer(version=v(1), sources=SOURCES)})
    assert not trees.is_ahead(A)


def test_what_was_given_is_not_changed() -> None:
    given_local, given_synced = {A: meta()}, {A: v(5)}
    trees = Trees(given_local, given_synced)
    trees.note_local({B: meta()}, [A])
    trees.synced[B] = v(6)
    assert (given_local, given_synced) == ({A: meta()}, {A: v(5)})


@pytest.mark.parametrize(
    ("changed", "gone", "moves"),
    [
        pytest.param({B: meta()}, [], True, id="a new name"),
        pytest.param({A: meta(mtime_s=6)}, [], True, id="another mtime"),
        pytest.param({}, [A], True, id="a name that is gone"),
        pytest.param({A: meta(mtime_s=5, size=9)}, [], False, id="another size under the same mtime"),
        pytest.param({A: meta()}, [], False, id="the same again"),
        pytest.param({}, [B], False, id="a name that was never there"),
        pytest.param({}, [], False, id="nothing"),
        pytest.param({A: meta()}, [A], True, id="gone and there again"),
    ],
)
def test_the_generation_moves_if_an_announcement_would_differ(
    changed: dict[RelPath, FileMeta], gone: list[RelPath], moves: bool
) -> None:
    trees = Trees({A: meta()}, {})
    before = trees.generation
    trees.note_local(changed, gone)
    assert (trees.generation != before) == moves


def test_a_changed_entry_is_taken_over_even_if_nobody_is_told() -> None:
    trees = Trees({A: meta()}, {})
    trees.note_local({A: meta(size=9)})
    assert trees.local[A].fingerprint.size == 9


def test_paths_whose_offer_is_new_changed_or_gone_are_to_be_planned() -> None:
    trees = Trees({}, {})
    assert set(swept(trees.note_remote({A: offer(5), B: offer(5)}))) == {A, B}
    assert set(swept(trees.note_remote({A: offer(5), B: offer(6)}))) == {B}
    assert set(swept(trees.note_remote({A: offer(5, Endpoint("192.0.2.9", 2000)), B: offer(6)}))) == {A}
    assert set(swept(trees.note_remote({A: offer(5, Endpoint("192.0.2.9", 2000)), C: offer(1)}))) == {B, C}
    assert set(swept(trees.note_remote({A: offer(5, Endpoint("192.0.2.9", 2000)), C: offer(1)}))) == set()
    assert set(swept(trees.note_remote({}))) == {A, C}


names = st.sampled_from([path(name) for name in ("a", "ab", "abc", "b", "Grüße")])
entries = st.builds(lambda mtime_s: meta(mtime_s=mtime_s), st.integers(0, 3))


def test_an_old_name_that_nothing_names_any_more_is_to_be_planned_once() -> None:
    renamed = replace(meta(), moved_from=C)
    for changed, gone in [({A: meta()}, []), ({A: Tombstone(version=v(6))}, []), ({}, [A])]:
        trees = Trees({A: renamed}, {})
        trees.note_local(changed, gone)
        assert (trees.take_unnamed(), trees.take_unnamed()) == ({C}, set())


def test_so_is_one_that_no_offer_names_any_more() -> None:
    renamed = Offer(version=v(5), sources=(), record=record_of(A, replace(meta(), moved_from=C)))
    trees = Trees({}, {})
    trees.note_offers({A: renamed})
    assert not trees.take_unnamed()
    trees.note_offers({A: None})
    assert trees.take_unnamed() == {C}
    swept(trees.note_remote({A: renamed}))
    swept(trees.note_remote({A: renamed}))
    assert not trees.take_unnamed()
    swept(trees.note_remote({}))
    assert trees.take_unnamed() == {C}


def test_the_folder_agrees_with_the_others_where_all_that_they_offer_stands_here() -> None:
    trees = Trees({A: meta()}, {})
    trees.note_remote({A: offer(5)})
    assert trees.agrees_with_remote(lambda path, kind: False)
    trees.note_remote({A: offer(5), B: offer(5)})
    assert not trees.agrees_with_remote(lambda path, kind: False)
    assert trees.agrees_with_remote(lambda path, kind: path == B)


def test_a_deletion_agrees_with_classic_peers_who_have_nothing_later() -> None:
    trees = Trees({}, {}, {A: Tombstone(version=v(6))})
    for mtime_s, agrees in [(5, True), (6, True), (7, False)]:
        trees.note_remote({A: offer(mtime_s)})
        assert trees.agrees_with_remote(lambda path, kind: False) == agrees
        assert trees.holds_what_is_offered(lambda path, kind: False) == agrees


def test_through_a_classic_tracker_only_what_is_offered_can_be_compared() -> None:
    trees = Trees({A: meta(), B: meta()}, {})
    trees.note_remote({A: offer(5)})
    assert trees.holds_what_is_offered(lambda path, kind: False)
    for mtime_s in (4, 6):
        trees.note_remote({A: offer(mtime_s)})
        assert not trees.holds_what_is_offered(lambda path, kind: False)
        assert trees.holds_what_is_offered(lambda path, kind: path == A)


def test_what_no_classic_tracker_can_be_told_is_counted() -> None:
    inner, directory = path("d/a"), replace(meta(), fingerprint=replace(meta().fingerprint, kind=Kind.DIRECTORY))
    trees = Trees({A: meta(), path("d"): directory, inner: meta()}, {}, {B: Tombstone(version=v(6))})
    assert trees.untold_by_classic() == 2
    trees.note_remote({B: offer(5)})
    assert trees.untold_by_classic() == 3


@given(st.lists(st.tuples(st.dictionaries(names, entries), st.frozensets(names)), max_size=10))
def test_names_and_announcement_always_show_the_local_tree(
    steps: list[tuple[dict[RelPath, FileMeta], frozenset[RelPath]]],
) -> None:
    trees = Trees({}, {})
    for changed, gone in steps:
        told, generation = trees.announced(), trees.generation
        trees.note_local(changed, gone)
        assert len(trees.names) == len(trees.local)
        assert all(name in trees.names for name in trees.local)
        assert trees.announced() == {name: entry.version.mtime_s for name, entry in trees.local.items()}
        assert trees.announced() == told or trees.generation > generation


contents = st.sampled_from(["", "b3:1", "b3:2"])


@given(st.lists(st.tuples(names, st.none() | contents)))
def test_who_has_a_content_is_known_whatever_changes(changes: list[tuple[RelPath, str | None]]) -> None:
    trees = Trees({}, {})
    for name, digest in changes:
        if digest is None:
            trees.note_local({}, [name])
        else:
            trees.note_local({name: replace(meta(), digest=digest)})
        for asked in ("b3:1", "b3:2"):
            holders = list(trees.holders_of(asked))
            assert sorted(holders) == sorted(p for p, entry in trees.local.items() if entry.digest == asked)


def test_the_stamp_is_the_same_only_while_no_record_changes() -> None:
    trees = Trees({path("a"): meta(content=b"a")}, {})
    stamps = [trees.stamp()]
    assert trees.stamp() == stamps[0]
    steps: list[Callable[[], object]] = [
        lambda: trees.note_local({path("b"): meta(content=b"b")}),
        lambda: trees.note_local({}, gone=[path("b")]),
        lambda: trees.note_offers({path("a"): offer(7)}),
        lambda: trees.note_offers({path("a"): None}),
        lambda: trees.note_remote({path("a"): offer(8)}),
    ]
    for step in steps:
        step()
        stamps.append(trees.stamp())
    assert len(set(stamps)) == len(stamps)
    quiet = trees.stamp()
    trees.note_offers({path("a"): offer(8)})
    assert trees.stamp() == quiet


def test_the_stamp_of_a_folder_that_only_receives_is_never_the_same() -> None:
    """What it may tell hangs on what was agreed with others, which is noted elsewhere."""
    trees = Trees({path("a"): meta()}, {}, tells_edits=False)
    assert trees.stamp() != trees.stamp()
