"""What waits for one native peer comes in order, and a reader that lags too far behind is told everything anew."""

from __future__ import annotations

import pytest

from gsync.core.directory import Directory
from gsync.core.holders import PeerId
from gsync.core.model import Kind, Record
from gsync.core.names import Endpoint, RelPath
from gsync.core.registry import Registry
from gsync.core.versions import Version
from gsync.net.simulation import simulated
from gsync.tracker import backlog as backlog_module
from gsync.tracker.backlog import CHANGES_MAX_BYTES, WORDS_MAX_BYTES, Backlog
from gsync.tracker.natives import SPELLING
from gsync.tracker.telling import ROWS_PER_FRAME, Telling, row_of
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.messages import SPEAKS_NATIVE
from gsync.wire.native import Ack, FromTracker, Peers, Resync, Snapshot, Welcome, header, parse_from_tracker

RESYNC = frame(header(Resync()))


class Room:
    """A telling without a greenlet, and the backlog of one who listens."""

    def __init__(self) -> None:
        directory = Directory()
        self.registry = Registry(spelling=SPELLING, shown=directory)
        with simulated() as world:
            self.telling = Telling(registry=self.registry, directory=directory, clock=world.clock, epoch="e")
        directory.enter(PeerId(1), endpoint=Endpoint("192.0.2.1", 9000))
        self.registry.enter(PeerId(1))
        self.backlog = Backlog(self.telling)

    def announce(self, *names: str) -> None:
        self.registry.announce(
            PeerId(1),
            [
                Record(path=RelPath.parse(name), kind=Kind.DIRECTORY, version=Version.from_vector({"x": 1, "mtime": 5}))
                for name in names
            ],
        )

    def meet(self, number: int) -> None:
        self.telling.meet(row_of(number, Endpoint(f"192.0.2.{number % 200}", 9000), speaks=SPEAKS_NATIVE))

    def drained(self) -> list[FromTracker]:
        return [parsed(one) for one in iter(self.backlog.next, None)]


def parsed(one: bytes) -> FromTracker:
    splitter = FrameSplitter()
    splitter.feed(one)
    found = splitter.next()
    assert found is not None
    assert not splitter.pending
    return parse_from_tracker(found)


@pytest.fixture
def room() -> Room:
    return Room()


def kinds(said: list[FromTracker]) -> list[str]:
    return [type(one).__name__ for one in said]


def test_nothing_waits_at_first(room: Room) -> None:
    assert room.backlog.next() is None
    assert not room.backlog.is_filled.is_set()
    assert room.backlog.has_room.is_set()


def test_words_come_first_then_the_snapshot_then_changes_and_the_ack_last(room: Room) -> None:
    room.announce("a")
    room.backlog.need_ack()
    room.backlog.need_snapshot()
    room.backlog.say(RESYNC)
    assert room.backlog.is_filled.is_set()
    first = [room.backlog.next() for _ in range(2)]
    room.backlog.tell(RESYNC)
    said = [parsed(one) for one in first if one] + room.drained()
    assert kinds(said) == ["Resync", "Snapshot", "Resync", "Ack"]
    assert not room.backlog.is_filled.is_set()


def test_changes_told_before_a_snapshot_begins_are_in_it(room: Room) -> None:
    room.backlog.tell(RESYNC)
    room.backlog.need_snapshot()
    room.backlog.tell(RESYNC)
    assert kinds(room.drained()) == ["Snapshot"]


def test_a_snapshot_that_is_asked_for_again_begins_anew(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "PIECE_BYTES", 1)
    room.announce("a", "b", "c")
    room.backlog.need_snapshot()
    assert isinstance(parsed(room.backlog.next() or b""), Snapshot)
    room.backlog.need_snapshot()
    said = room.drained()
    assert [held.r.p for one in said if isinstance(one, Snapshot) for held in one.held] == ["a", "b", "c"]
    assert [one.last for one in said if isinstance(one, Snapshot)] == [False, False, True]


def test_who_comes_during_a_snapshot_is_introduced_before_the_next_piece(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog_module, "PIECE_BYTES", 1)
    room.announce("a", "b", "c")
    room.backlog.need_snapshot()
    room.backlog.next()
    room.meet(7)
    said = room.drained()
    assert kinds(said) == ["Peers", "Snapshot", "Snapshot"]


@pytest.mark.parametrize(("beyond", "is_dropped"), [(-1, False), (0, False), (1, True)])
def test_who_lags_more_than_32_mib_behind_is_told_everything_anew(
    room: Room, beyond: int, is_dropped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CHANGES_MAX_BYTES == 32 * 1024 * 1024
    monkeypatch.setattr(backlog_module, "CHANGES_MAX_BYTES", 3 * len(RESYNC) - beyond)
    for _ in range(3):
        room.backlog.tell(RESYNC)
    assert kinds(room.drained()) == (["Snapshot"] if is_dropped else ["Resync"] * 3)
    room.backlog.tell(RESYNC)
    assert kinds(room.drained()) == ["Resync"]


@pytest.mark.parametrize(("missing", "has_room"), [(1, True), (0, False), (-1, False)])
def test_there_is_no_room_for_answers_while_64_kib_wait(room: Room, missing: int, has_room: bool) -> None:
    assert WORDS_MAX_BYTES == 64 * 1024
    room.backlog.say(b"x" * (WORDS_MAX_BYTES - missing))
    assert room.backlog.has_room.is_set() is has_room
    room.backlog.next()
    assert room.backlog.has_room.is_set()


def test_several_keepalives_are_answered_once(room: Room) -> None:
    for _ in range(3):
        room.backlog.need_ack()
    assert room.drained() == [Ack(seq=0, digest="0" * 16)]


def test_while_changes_are_about_to_be_told_an_ack_claims_nothing(room: Room) -> None:
    room.announce("a")
    room.backlog.need_ack()
    assert room.drained() == [Ack(seq=0, digest="")]
    room.registry.take_changes(1)
    room.backlog.need_ack()
    assert room.drained() == [Ack(seq=0, digest=room.registry.digest)]


def test_who_attends_is_told_who_is_who_in_frames_that_are_not_too_long(room: Room) -> None:
    for number in range(ROWS_PER_FRAME + 1):
        room.meet(number)
    room.telling.attend(7, room.backlog)
    said = room.drained()
    assert kinds(said) == ["Welcome", "Peers", "Peers"]
    assert said[0] == Welcome(epoch="e", seq=0)
    rows = [row.n for one in said if isinstance(one, Peers) for row in one.peers]
    assert rows == list(range(ROWS_PER_FRAME + 1))
    assert all(len(header(one)) < 64 * 1024 for one in said)
