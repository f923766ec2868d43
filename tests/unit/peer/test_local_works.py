"""What a plan asks for that needs nobody else: carried out once, tried again after trouble, directories last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import gevent
import pytest

from gsync.core.actions import Adopt, Bury, MakeDirectory, MakeLink, Reassert, Relocate, Relocated, Remove
from gsync.core.model import FileMeta, Fingerprint, Kind, Offer, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import StorageError
from gsync.net.simulation import World, simulated
from gsync.peer.events import FileDeleted, FileMade, FileMoved, FileSkipped
from gsync.peer.local_works import RETRY_BASE_S, TIDY_TRIES, LocalWorks
from gsync.peer.outcomes import Outcomes
from gsync.peer.trees import Trees
from gsync.storage.downloads import (
    Adjustment,
    Change,
    Moved,
    NewDirectory,
    NewLink,
    Outcome,
    Overtaken,
    Published,
    Relocation,
    Removal,
    Removed,
    Unpublished,
)
from tests.unit.peer.test_syncer import Steady
from tests.unit.peer.world import Heard, meta, path, v

A, D, DX = path("a"), path("d"), path("d/x")
BURIED = Tombstone(version=v(9, ann=2))


def directory(version: Version) -> FileMeta:
    seen = Fingerprint(size=0, mtime_ns=0, ctime_ns=0, inode=7, mode=0o755, kind=Kind.DIRECTORY)
    return FileMeta(fingerprint=seen, version=version)


def record(name: RelPath, kind: Kind = Kind.FILE, **facts: object) -> Record:
    return Record(path=name, kind=kind, version=v(9, ann=2), **facts)  # type: ignore[arg-type]


class Room:
    """Local works over an applier that only says what the test wants said."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.trees = Trees({}, {})
        self.heard = Heard()
        self.changes: list[Change] = []
        self.says: Callable[[Change], Outcome] = self._done
        self.hinted: list[RelPath] = []
        self.replanned: list[RelPath] = []
        self.moved: list[RelPath] = []
        self.woken: list[float] = []
        self.in_hand: frozenset[RelPath] = frozenset()
        self.recorded: list[tuple[dict[RelPath, Tombstone], dict[RelPath, Version]]] = []
        self.record_error: StorageError | None = None
        self.works = LocalWorks(
            trees=self.trees,
            applier=self,  # type: ignore[arg-type]
            outcomes=Outcomes(queue=None, events=self.heard.events, clock=world.clock),  # type: ignore[arg-type]
            events=self.heard.events,
            clock=world.clock,
            rng=Steady(),
            author="me",
            record=self._record,
            hint=self.hinted.extend,
            replan=self.replanned.extend,
            moved=self.moved.extend,
            wake=lambda: self.woken.append(world.now_s),
        )

    def submit(self, change: Change, done: Callable[[Outcome], None]) -> None:
        self.changes.append(change)
        gevent.spawn(lambda: done(self.says(change)))

    def put(self, *actions: object) -> None:
        self.works.put(actions)  # type: ignore[arg-type]
        gevent.sleep(0.01)

    def _done(self, change: Change) -> Outcome:
        match change:
            case Removal():
                return Removed(path=change.path, tombstone=change.tombstone)
            case Relocation():
                return Moved(path=change.path, entries={}, buried=change.buried)
            case NewDirectory():
                return Published(path=change.path, meta=directory(change.version))
            case _:
                return Published(path=change.path, meta=meta())

    def _record(self, buried: Mapping[RelPath, Tombstone], synced: Mapping[RelPath, Version]) -> None:
        if self.record_error is not None:
            raise self.record_error
        self.recorded.append((dict(buried), dict(synced)))


@pytest.fixture
def room() -> Iterator[Room]:
    with simulated() as world:
        yield Room(world)


def kinds(events: Iterable[object]) -> list[type]:
    return [type(event) for event in events]


def test_a_deletion_of_what_is_not_here_is_only_remembered(room: Room) -> None:
    room.put(Bury(path=A, tombstone=BURIED))
    assert room.recorded == [({A: BURIED}, {A: BURIED.version})]
    assert (room.trees.buried, room.trees.synced) == ({A: BURIED}, {A: BURIED.version})
    assert (room.changes, room.moved) == ([], [A])


def test_what_is_agreed_moves_only_the_synced_tree(room: Room) -> None:
    room.trees.note_local({A: meta()})
    room.put(Adopt(path=A, version=v(5)))
    assert room.trees.synced == {A: v(5)}
    assert (room.changes, room.moved) == ([], [])


def test_an_adopted_record_that_changes_nothing_here_needs_no_disk(room: Room) -> None:
    here = meta(version=v(9, ann=2))
    room.trees.note_local({A: here})
    room.put(Adopt(path=A, version=v(9, ann=2), record=record(A, mtime_ns=here.fingerprint.mtime_ns), expected=here))
    assert (room.changes, room.trees.synced) == ([], {A: v(9, ann=2)})


def test_an_adopted_record_sets_version_mtime_and_exec_bit(room: Room) -> None:
    here = meta()
    room.trees.note_local({A: here})
    room.put(Adopt(path=A, version=v(9, ann=2), record=record(A, mtime_ns=1, executable=True), expected=here))
    assert room.changes == [
        Adjustment(path=A, expected=here, version=v(9, ann=2), mtime_ns=1, executable=True),
    ]


def test_what_stays_in_spite_of_a_deletion_takes_a_newer_version_as_our_step(room: Room) -> None:
    room.trees.note_local({A: meta()})
    room.put(Reassert(path=A, version=v(10, ann=2, me=1)))
    assert room.changes == [Adjustment(path=A, expected=meta(), version=v(10, ann=2, me=1), author="me")]


def test_each_kind_of_work_is_told_and_planned_again(room: Room) -> None:
    room.trees.note_local({A: meta()})
    room.put(
        Remove(path=A, expected=meta(), tombstone=BURIED),
        MakeDirectory(path=D, record=record(D, Kind.DIRECTORY), version=v(9, ann=2)),
        MakeLink(path=DX, record=record(DX, Kind.LINK, target="../a", digest="b3:00"), version=v(9, ann=2)),
    )
    assert kinds(room.heard.all) == [FileDeleted, FileMade, FileMade]
    assert room.replanned == [A, D, DX]
    assert isinstance(room.changes[2], NewLink)
    assert room.works.pending == 0


def test_a_move_is_told_once_and_all_its_paths_are_planned_again(room: Room) -> None:
    entry = Relocated(source=A, expected=meta(), version=v(9, ann=2))
    room.put(Relocate(path=path("b"), source=A, entries={path("b"): entry}, buried={A: BURIED}))
    assert room.heard.all == [FileMoved(path=path("b"), moved_from=A)]
    assert set(room.replanned) == {A, "b"}


def test_what_is_in_hand_is_not_done_twice(room: Room) -> None:
    action = Remove(path=A, expected=meta(), tombstone=BURIED)
    room.works.put([action])
    room.works.put([action])
    gevent.sleep(0.01)
    assert len(room.changes) == 1


def test_a_rename_whose_old_name_is_in_hand_is_planned_again_at_its_new_ones(room: Room) -> None:
    room.trees.note_local({A: meta()})
    entries = {name: Relocated(source=old, expected=meta(), version=v(9, ann=2)) for name, old in ((D, A), (DX, A))}
    room.works.put([Remove(path=A, expected=meta(), tombstone=BURIED)])
    room.works.put([Relocate(path=D, source=A, entries=entries, buried={A: BURIED})])
    gevent.sleep(RETRY_BASE_S)
    assert kinds(room.changes) == [Removal]
    assert room.replanned == [A]  # nobody else would bring up the new ones
    assert sorted(room.works.take_due(room.world.now_s + 1)) == [D, DX]


def test_a_rename_whose_new_name_is_in_hand_is_planned_again_with_all_that_it_carries(room: Room) -> None:
    """A directory was being made there, for what was renamed with it was edited here; that others settled meanwhile."""
    entries = {name: Relocated(source=old, expected=meta(), version=v(9, ann=2)) for name, old in ((D, A), (DX, A))}
    room.works.put([MakeDirectory(path=D, record=record(D, kind=Kind.DIRECTORY), version=v(5))])
    room.works.put([Relocate(path=D, source=A, entries=entries, buried={A: BURIED})])
    gevent.sleep(RETRY_BASE_S)
    assert kinds(room.changes) == [NewDirectory]
    assert sorted(room.works.take_due(room.world.now_s + 1)) == [D, DX]


def test_what_was_edited_meanwhile_is_looked_at_and_tried_again_later(room: Room) -> None:
    room.says = lambda change: Overtaken(path=change.path)
    room.put(Remove(path=A, expected=meta(), tombstone=BURIED))
    assert room.hinted == [A]
    assert room.works.pending == 1
    assert room.works.take_due(room.world.now_s) == []
    gevent.sleep(RETRY_BASE_S)
    assert room.works.take_due(room.world.now_s) == [A]
    assert room.works.pending == 0


def test_what_somebody_else_saw_overtaken_rests_longer_each_time_until_it_has_come_right(room: Room) -> None:
    waits = []
    for _ in range(3):
        room.works.rest(A, D)
        at = room.works.wakes_at()
        assert at is not None
        waits.append(round(at - room.world.now_s, 1))
        assert set(room.works.take_due(at)) == {A, D}
    room.works.forget(A)
    room.works.rest(A)
    assert (waits, room.works.wakes_at()) == ([0.1, 0.2, 0.4], room.world.now_s + RETRY_BASE_S)


def test_after_a_rename_that_did_not_come_off_all_that_it_covered_is_planned_again(room: Room) -> None:
    room.says = lambda change: Overtaken(path=change.path)
    moved = {path("e"): Relocated(source=D, expected=directory(v(5)), version=v(9, ann=2))}
    moved[path("e/x")] = Relocated(source=DX, expected=meta(), version=v(9, ann=2))
    room.put(Relocate(path=path("e"), source=D, entries=moved, buried={D: BURIED, DX: BURIED}))
    at = room.works.wakes_at()
    assert at is not None
    assert set(room.works.take_due(at)) == {D, DX, "e", "e/x"}


def test_a_disk_that_refuses_is_said_once_and_asked_ever_less_often(room: Room) -> None:
    room.says = lambda change: Unpublished(path=change.path, error=StorageError("no"))
    waits = []
    for _ in range(3):
        room.put(Remove(path=A, expected=meta(), tombstone=BURIED))
        at = room.works.wakes_at()
        assert at is not None
        waits.append(round(at - room.world.now_s, 1))
        room.works.take_due(at)
    assert waits == [0.1, 0.2, 0.4]
    assert kinds(room.heard.all) == [FileSkipped]


def test_a_deletion_that_cannot_be_recorded_is_tried_again(room: Room) -> None:
    room.record_error = StorageError("full")
    room.put(Bury(path=A, tombstone=BURIED))
    assert (room.trees.buried, room.works.pending) == ({}, 1)


def test_a_directory_goes_only_after_what_is_in_it(room: Room) -> None:
    room.trees.note_local({D: directory(v(5)), DX: meta()})
    going = Remove(path=D, expected=directory(v(5)), tombstone=BURIED)
    room.put(going)
    assert room.changes == []
    room.put(Remove(path=DX, expected=meta(), tombstone=BURIED))
    room.trees.note_local({DX: BURIED})
    assert D in room.replanned  # it may be empty now
    room.put(going)
    assert [change.path for change in room.changes] == [DX, D]


def test_a_directory_is_planned_again_when_what_was_in_it_has_moved_away(room: Room) -> None:
    entry = Relocated(source=DX, expected=meta(), version=v(9, ann=2))
    room.put(Relocate(path=path("b"), source=DX, entries={path("b"): entry}, buried={DX: BURIED}))
    assert set(room.replanned) == {DX, "b", D}


def test_a_directory_that_held_something_is_tried_again_a_few_times(room: Room) -> None:
    left = Tombstone(version=v(9, ann=2), kind=Kind.DIRECTORY, leftover_inode=7)
    room.trees.note_local({D: left, A: BURIED})
    for _ in range(2 * TIDY_TRIES):
        room.works.tidy()
        gevent.sleep(0.01)
    assert [change.path for change in room.changes] == [D] * TIDY_TRIES
    assert room.changes[0].expected.fingerprint.inode == 7  # type: ignore[union-attr]
    assert room.heard.all == []


@pytest.mark.parametrize("outcome", [Overtaken(path=A), Unpublished(path=A, error=StorageError("no room"))])
def test_whoever_waits_hears_of_what_is_to_be_tried_again(room: Room, outcome: Outcome) -> None:
    room.says = lambda change: outcome
    room.trees.note_local({A: meta()})
    room.put(Remove(path=A, expected=meta(), tombstone=BURIED))
    assert room.works.wakes_at() is not None
    assert len(room.woken) == 1


def test_nothing_is_buried_where_something_is_being_placed(room: Room) -> None:
    room.in_hand = frozenset({A})
    room.put(Bury(path=A, tombstone=BURIED))
    assert (room.recorded, room.trees.buried) == ([], {})
    assert room.works.take_due(room.world.now_s + 60) == [A]


def test_what_waited_for_a_file_to_make_room_is_planned_once_a_directory_stands_there(room: Room) -> None:
    inside = path("a/b")
    room.trees.note_offers({inside: Offer(version=v(9, ann=2), sources=(), record=record(inside))})
    room.put(MakeDirectory(path=A, record=record(A, Kind.DIRECTORY), version=v(9), expected=meta()))
    assert set(room.replanned) == {A, inside}
    room.replanned.clear()
    room.put(MakeDirectory(path=A, record=record(A, Kind.DIRECTORY), version=v(9)))
    assert set(room.replanned) == {A}
