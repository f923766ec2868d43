"""From the directory to the folder: what is fetched from whom, what becomes of each outcome, and what a person hears."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult
from msgspec.structs import replace

from gsync.core import schedule
from gsync.core.actions import Displaced, Fetch
from gsync.core.blocks import digest_of_bytes
from gsync.core.classic_offers import FUTURE_TOLERANCE_S
from gsync.core.model import FileMeta, Kind, Offer, Record, Source, Tombstone
from gsync.core.names import Endpoint, RelPath
from gsync.core.places import PER_SOURCE
from gsync.core.schedule import BACKOFF_BASE_S, BACKOFF_CAP_S, HOPELESS_AFTER, FetchQueue
from gsync.core.versions import Version
from gsync.core.vouching import Ticket
from gsync.errors import ConnectFailed, FolderUnusable, NoSpace, RemoteProtocolError, Stalled, StorageError
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.peer import events as ev
from gsync.peer import sweep
from gsync.peer.due import SWEEPS_MAX
from gsync.peer.fetcher import NotThere, Received
from gsync.peer.intake import Content
from gsync.peer.progress import PROGRESS_S
from gsync.peer.syncer import IN_FLIGHT, WALL_CLOCK_S, Syncer
from gsync.peer.trees import Trees
from gsync.storage.downloads import Download, Outcome, Overtaken, Published, Removal, Removed, Unpublished
from gsync.storage.memory import MemoryFolder
from tests.unit.peer.world import THERE, WALL_S, Heard, meta, offer, path, v

A, B = path("a"), path("b")
ELSEWHERE = Endpoint("192.0.2.3", 2000)


class Steady:
    """Chance that never takes anything away."""

    def random(self) -> float:
        return 0.0


class Fetcher:
    """Gives what the test says for (name, source): content, or an error; takes `takes_s` for each."""

    def __init__(self, room: Room) -> None:
        self.asked: list[tuple[float, str, Endpoint]] = []
        self.gives: Callable[[str, Endpoint], bytes | Exception] = lambda name, endpoint: b"content of " + name.encode()
        self.told_size = True
        self.takes_s = 0.0
        self.proves = True
        self.bytes_received = 0
        self._room = room

    def fetch(self, path: RelPath, source: Source) -> Received:
        self.asked.append((round(self._room.world.now_s, 3), path, source.endpoint))
        self._room.queue.answered(source.endpoint)
        gevent.sleep(self.takes_s)
        given = self.gives(path, source.endpoint)
        if isinstance(given, Exception):
            raise given
        if self.proves:
            self._room.queue.proved(source.endpoint)
            self._room.syncer.wake()
        self.bytes_received += len(given)
        content = Content(held=given, size=len(given), digest=digest_of_bytes(given))
        return Received(
            path=path,
            source=source.endpoint,
            content=content,
            told_size=self.told_size,
            ticket=Ticket(1),
            first_byte_s=0.0,
        )


class Voucher:
    """Vouches, or not."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.answer: Callable[[], bool] = lambda: True

    def vouched(self, endpoint: Endpoint, path: RelPath, *, size: int) -> bool:
        self.asked.append((path, size))
        return self.answer()

    def stir(self) -> None:
        return


class Applier:
    """Publishes into the trees alone, or says what the test wants said."""

    def __init__(self, room: Room) -> None:
        self.downloads: list[Download] = []
        self.abandoned: list[object] = []
        self.says: Callable[[Download], Outcome | None] = lambda download: None
        self.is_full = False
        self._room = room

    def apply(self, download: Download) -> Outcome:
        self.downloads.append(download)
        said = self.says(download)
        if said is not None:
            return said
        assert isinstance(download.content, bytes)
        entry = meta(content=download.content, mtime_s=download.mtime_ns // 10**9, version=download.version)
        self._room.trees.note_local({download.path: entry})
        self._room.trees.synced[download.path] = download.version
        return Published(path=download.path, meta=entry)

    def abandon(self, staged: object) -> None:
        self.abandoned.append(staged)


class Room:
    """A syncer between real trees and a real queue, and neighbours that do what they are told."""

    def __init__(self, world: World, *, verify_twice: bool = False) -> None:
        self.world = world
        self.folder = MemoryFolder()
        self.trees = Trees({}, {})
        self.queue = FetchQueue(limit=16, rng=Steady())
        self.heard = Heard()
        self.recorded: list[dict[RelPath, Version]] = []
        self.record: Callable[[dict[RelPath, Version]], None] = self.recorded.append
        self.looks: list[float] = []
        self.look: Callable[[], None] = lambda: None
        self.idle: list[float] = []
        self.fetcher = Fetcher(self)
        self.voucher = Voucher()
        self.applier = Applier(self)
        neighbours: dict[str, Any] = {"fetcher": self.fetcher, "voucher": self.voucher, "applier": self.applier}
        self.syncer = Syncer(
            folder=self.folder,
            trees=self.trees,
            queue=self.queue,
            events=self.heard.events,
            clock=world.clock,
            rng=Steady(),
            record=self._record,
            look_again=self._look,
            on_idle=lambda: self.idle.append(round(world.now_s, 3)),
            verify_twice=verify_twice,
            **neighbours,
        )
        self.tasks = TaskGroup()
        self.tasks.spawn(self.syncer.run)
        gevent.sleep(0)

    def _record(self, buried: Mapping[RelPath, Tombstone], synced: Mapping[RelPath, Version]) -> None:
        self.record(dict(synced))

    def _look(self) -> None:
        self.looks.append(round(self.world.now_s, 3))
        self.look()

    def directory(self, offers: Mapping[str, Offer]) -> None:
        """The tracker says that this is what others have."""
        self.syncer.begin_round()
        self.syncer.sweep(self.trees.note_remote({path(name): one for name, one in offers.items()}))

    def here(self, name: str, entry: FileMeta, *, agreed: bool = True) -> None:
        self.trees.note_local({path(name): entry})
        if agreed:
            self.trees.synced[path(name)] = entry.version

    @property
    def names(self) -> list[str]:
        """What was asked for, in order."""
        return [name for _, name, _ in self.fetcher.asked]

    def skipped(self) -> list[str]:
        return [event.reason for event in self.heard.all if isinstance(event, ev.FileSkipped)]


@pytest.fixture
def room() -> Iterator[Room]:
    with simulated() as world:
        room = Room(world)
        yield room
        room.tasks.stop()


# What goes well


def test_what_others_have_and_we_lack_is_fetched_and_said(room: Room) -> None:
    room.directory({"a": offer(5)})
    gevent.sleep(0.1)
    assert room.heard.names() == ["file.stale", "file.fetching", "file.fetched", "sync.done"]
    assert room.trees.local[A].version == v(5)
    assert (room.syncer.left, room.syncer.outcomes.total.fetched, room.syncer.outcomes.total.bytes) == (0, 1, 12)
    assert room.syncer.is_idle


def test_a_download_says_what_it_displaces(room: Room) -> None:
    mine = meta(mtime_s=6, version=v(6, me=2))
    room.here("a", mine, agreed=False)
    room.trees.synced[A] = v(5, me=1)
    room.directory({"a": offer(7)})
    gevent.sleep(0.1)
    (download,) = room.applier.downloads
    assert (download.path, download.version, download.mtime_ns) == (A, v(7, me=2), 7 * 10**9)
    assert (download.expected, download.loser) == (mine.fingerprint, mine)
    assert download.displaced is Displaced.CONFLICT_COPY
    assert download.digest == digest_of_bytes(b"content of a")


def test_a_download_of_what_we_lack_displaces_nothing(room: Room) -> None:
    room.directory({"a": offer(7)})
    gevent.sleep(0.1)
    (download,) = room.applier.downloads
    assert (download.expected, download.loser, download.displaced) == (None, None, Displaced.TRASH)


def test_what_is_here_already_is_agreed_in_one_transaction(room: Room) -> None:
    for name in ("a", "b"):
        room.here(name, meta(mtime_s=5), agreed=False)
    room.directory({"a": offer(5), "b": offer(5)})
    gevent.sleep(0.1)
    assert room.recorded == [{A: v(5), B: v(5)}]
    assert room.trees.synced == {A: v(5), B: v(5)}
    assert room.fetcher.asked == []
    assert room.heard.names() == ["sync.done"]


def test_a_directory_that_brings_nothing_is_worth_a_word_once(room: Room) -> None:
    room.directory({})
    gevent.sleep(1)
    assert room.heard.all == [ev.SyncDone(fetched=0, bytes=0, seconds=0.0)]
    assert len(room.idle) == 2  # before the directory came, and after it


def test_each_round_of_work_is_summed_up_for_itself(room: Room) -> None:
    room.fetcher.takes_s = 2.0
    room.directory({"a": offer(5)})
    gevent.sleep(10)
    room.directory({"a": offer(5), "b": offer(5)})
    gevent.sleep(10)
    sums = [
        (event.fetched, event.bytes, round(event.seconds, 3))
        for event in room.heard.all
        if isinstance(event, ev.SyncDone)
    ]
    assert sums == [(1, 12, 2.0), (1, 12, 2.0)]
    assert room.syncer.outcomes.total.fetched == 2


def test_everybody_is_told_when_there_is_nothing_more_to_do(room: Room) -> None:
    room.fetcher.takes_s = 2.0
    room.directory({"a": offer(5)})
    gevent.sleep(10)
    assert room.idle[-1] == 2.0
    assert len(room.idle) <= 2


def test_one_probe_first_then_several_at_a_time(room: Room) -> None:
    room.fetcher.takes_s = 1.0
    room.directory({f"f{number}": offer(5) for number in range(1 + 2 * PER_SOURCE)})
    gevent.sleep(5)
    assert [when for when, _, _ in room.fetcher.asked] == [0.0] + [1.0] * PER_SOURCE + [2.0] * PER_SOURCE


def test_sources_are_asked_side_by_side(room: Room) -> None:
    room.fetcher.takes_s = 1.0
    room.directory({"a": offer(5), "b": offer(5, ELSEWHERE)})
    gevent.sleep(0.5)
    assert {(name, endpoint) for _, name, endpoint in room.fetcher.asked} == {(A, THERE), (B, ELSEWHERE)}


def test_while_files_are_fetched_progress_is_told_four_times_a_second(room: Room) -> None:
    room.fetcher.takes_s = 1.0
    room.directory({"a": offer(5), "b": offer(5)})
    gevent.sleep(10)
    progress = [event for event in room.heard.all if isinstance(event, ev.Progress)]
    assert len(progress) == pytest.approx(2.0 / PROGRESS_S, abs=1)
    assert progress[0].files_left == 2
    assert progress[-1].files_left == 1
    assert progress[-1].files_done == 1


def test_while_nothing_is_fetched_no_progress_is_told(room: Room) -> None:
    room.fetcher.takes_s = 1.0
    room.fetcher.gives = lambda name, endpoint: ConnectFailed("refused")
    room.directory({"a": offer(5)})
    gevent.sleep(1000)
    tries = len(room.fetcher.asked)
    assert len(room.heard.of(ev.Progress)) <= tries * 1.0 / PROGRESS_S


# What changes meanwhile


def test_a_directory_that_moves_on_while_a_file_is_fetched_brings_the_newer_one_too(room: Room) -> None:
    room.fetcher.takes_s = 1.0
    room.directory({"a": offer(5)})
    gevent.sleep(0.5)
    room.directory({"a": offer(9)})
    gevent.sleep(5)
    assert [download.version for download in room.applier.downloads] == [v(5), v(9)]
    assert room.trees.local[A].version == v(9)
    assert room.syncer.left == 0


def test_what_nobody_offers_any_more_is_not_fetched(room: Room) -> None:
    room.fetcher.takes_s = 1.0
    room.directory({"a": offer(5), "b": offer(5)})
    gevent.sleep(0.5)
    room.directory({})
    gevent.sleep(5)
    assert room.names == ["a"]
    assert room.syncer.left == 0


def test_what_only_a_directory_that_was_passed_over_offered_is_not_fetched(room: Room) -> None:
    room.syncer.pause()
    room.queue.put(Fetch(path=B, offer=offer(5)))
    for _ in range(SWEEPS_MAX + 1):
        room.directory({"a": offer(5)})
    room.syncer.resume()
    gevent.sleep(1)
    assert room.names == ["a"]


def test_a_file_that_was_edited_meanwhile_is_looked_at_and_planned_again(room: Room) -> None:
    edited = meta(mtime_s=20)
    room.applier.says = lambda download: Overtaken(path=download.path)
    room.look = lambda: room.here("a", edited, agreed=False)
    room.directory({"a": offer(7)})
    gevent.sleep(1)
    assert room.looks == [0.0]
    assert room.names == ["a"]
    assert room.trees.local[A] is edited
    assert room.syncer.left == 0


def test_a_look_that_fails_after_that_costs_this_file_a_while_and_nothing_else(room: Room) -> None:
    def fail() -> None:
        raise StorageError("the folder cannot be scanned")

    answers: list[Outcome | None] = [Overtaken(path=A), None]
    room.applier.says = lambda download: answers.pop(0)
    room.look = fail
    room.directory({"a": offer(7)})
    gevent.sleep(3)
    assert room.skipped() == ["the folder cannot be scanned"]
    assert room.names == ["a", "a"]
    assert room.syncer.left == 0


def test_a_folder_that_is_gone_ends_the_peer(room: Room) -> None:
    def fail() -> None:
        raise FolderUnusable("the folder is gone")

    room.applier.says = lambda download: Overtaken(path=download.path)
    room.look = fail
    room.directory({"a": offer(7)})
    gevent.sleep(1)
    with pytest.raises(FolderUnusable):
        room.tasks.join()


# What goes wrong


@pytest.mark.parametrize("error", [ConnectFailed("refused"), Stalled("not a byte"), RemoteProtocolError("nonsense")])
def test_a_bad_source_is_left_alone_for_a_while_and_then_tried_again(room: Room, error: Exception) -> None:
    answers: list[bytes | Exception] = [error, error, b"at last", b"at last"]
    room.fetcher.gives = lambda name, endpoint: answers.pop(0)
    room.directory({"a": offer(5), "b": offer(5)})
    gevent.sleep(30)
    assert [when for when, _, _ in room.fetcher.asked] == [0.0, BACKOFF_BASE_S, 3 * BACKOFF_BASE_S, 3 * BACKOFF_BASE_S]
    assert room.syncer.left == 0
    assert room.heard.names().count("file.skipped") == 2


def test_a_source_without_the_file_sends_us_to_the_next_at_once(room: Room) -> None:
    room.fetcher.gives = lambda name, endpoint: NotThere("it has not this file") if endpoint == THERE else b"x"
    room.directory({"a": offer(5, THERE, ELSEWHERE)})
    gevent.sleep(0.1)
    assert {endpoint for _, _, endpoint in room.fetcher.asked} <= {THERE, ELSEWHERE}
    assert A in room.trees.local


def test_a_failure_is_said_once_however_often_it_is_tried(room: Room) -> None:
    room.fetcher.gives = lambda name, endpoint: NotThere("it has not this file")
    room.directory({"a": offer(5)})
    gevent.sleep(60)
    assert len(room.fetcher.asked) >= 5
    (skipped,) = room.heard.of(ev.FileSkipped)
    assert isinstance(skipped, ev.FileSkipped)
    assert (skipped.path, skipped.source, skipped.again) == (A, THERE, True)
    assert skipped.reason == "it has not this file"


def test_a_file_that_cannot_be_had_does_not_hold_up_the_others(room: Room) -> None:
    room.fetcher.gives = lambda name, endpoint: NotThere("no") if name == "a" else b"x"
    room.directory({name: offer(5) for name in "abcdef"})
    gevent.sleep(0.5)
    assert set(room.trees.local) == {path(name) for name in "bcdef"}
    assert room.syncer.left == 1


def test_when_nothing_more_can_be_had_everybody_is_told(room: Room) -> None:
    room.fetcher.gives = lambda name, endpoint: ConnectFailed("refused")
    room.directory({"a": offer(5)})
    gevent.sleep(HOPELESS_AFTER * BACKOFF_CAP_S)
    assert room.idle
    assert room.syncer.is_idle
    assert room.syncer.left == 1
    assert room.heard.of(ev.SyncDone) == []
    assert {str(error) for error in room.syncer.outcomes.failures} == {"refused"}


def test_an_offer_from_the_future_is_refused_and_said_once(room: Room) -> None:
    room.here("a", meta(mtime_s=5))
    room.directory({"a": offer(WALL_S + 10_000)})
    room.directory({"a": offer(WALL_S + 10_000), "b": offer(1)})
    gevent.sleep(1)
    (skipped,) = room.heard.of(ev.FileSkipped)
    assert isinstance(skipped, ev.FileSkipped)
    assert (skipped.path, skipped.source, skipped.again) == (A, None, True)
    assert room.names == ["b"]
    assert room.syncer.outcomes.refusals == {A: skipped.reason}
    room.directory({"b": offer(1)})
    gevent.sleep(1)
    assert room.syncer.outcomes.refusals == {}


def test_what_was_refused_for_its_time_is_fetched_when_that_has_come(room: Room) -> None:
    room.here("a", meta(mtime_s=5))
    room.here("b", meta(mtime_s=5))
    room.directory({"a": offer(WALL_S + FUTURE_TOLERANCE_S + 3000), "b": offer(WALL_S + FUTURE_TOLERANCE_S + 4000)})
    gevent.sleep(2999)
    assert room.names == []
    gevent.sleep(2)
    assert room.names == ["a"]
    gevent.sleep(1000)
    assert room.names == ["a", "b"]
    assert room.syncer.outcomes.refusals == {}


def test_a_clock_that_is_put_right_is_noticed_within_a_minute(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.here("a", meta(mtime_s=5))
    room.directory({"a": offer(WALL_S + 10_000_000)})
    gevent.sleep(1)
    assert room.names == []
    monkeypatch.setattr(room.world.clock, "wall", lambda: WALL_S + 10_000_000)
    gevent.sleep(WALL_CLOCK_S)
    assert room.names == ["a"]


def test_where_a_directory_or_a_link_stands_nothing_is_fetched_for_nothing(room: Room) -> None:
    room.folder.obstruct("a", "a link")
    room.directory({"a": offer(5), "b": offer(5)})
    gevent.sleep(1)
    assert room.names == ["b"]
    assert room.skipped() == ["a: a link"]


def test_a_disk_that_refuses_blames_no_source(room: Room) -> None:
    room.applier.says = lambda download: (
        Unpublished(path=A, error=StorageError("input/output error")) if download.path == A else None
    )
    room.directory({"a": offer(5), "b": offer(5), "c": offer(5)})
    gevent.sleep(0.5)
    assert set(room.trees.local) == {B, path("c")}
    assert room.skipped() == ["input/output error"]


def test_a_full_disk_is_told_to_a_person(room: Room) -> None:
    room.applier.says = lambda download: Unpublished(path=download.path, error=NoSpace("no room for 5 more bytes"))
    room.directory({"a": offer(5)})
    gevent.sleep(0.5)
    (trouble,) = room.heard.of(ev.Trouble)
    assert isinstance(trouble, ev.Trouble)
    assert "no room" in trouble.what
    assert isinstance(room.syncer.outcomes.failures[-1], NoSpace)


def test_what_both_have_is_agreed_in_memory_even_if_the_index_cannot_be_written(room: Room) -> None:
    def fail(synced: dict[RelPath, Version | None]) -> None:
        raise StorageError("the index: database or disk is full")

    room.record = fail
    room.here("a", meta(mtime_s=5), agreed=False)
    room.directory({"a": offer(5), "b": offer(5)})
    gevent.sleep(1)
    assert room.trees.synced[A] == v(5)
    assert room.names == ["b"]
    assert room.syncer.is_idle


# What is not trusted


def test_a_source_that_tells_no_size_must_vouch(room: Room) -> None:
    room.fetcher.told_size = False
    room.directory({"a": offer(5)})
    gevent.sleep(0.1)
    assert room.voucher.asked == [("a", 12)]
    assert A in room.trees.local


def test_one_that_told_the_size_need_not(room: Room) -> None:
    room.directory({"a": offer(5)})
    gevent.sleep(0.1)
    assert room.voucher.asked == []


def test_what_nobody_vouches_for_is_not_published(room: Room) -> None:
    room.fetcher.told_size = False
    room.voucher.answer = lambda: False
    room.directory({"a": offer(5)})
    gevent.sleep(0.1)
    assert room.applier.downloads == []
    assert "cut short" in room.skipped()[0]


def test_a_staged_file_that_nobody_vouches_for_is_abandoned(room: Room) -> None:
    staged = room.folder.stage()
    content = Content(held=staged, size=9, digest="b3:0")
    room.fetcher.fetch = lambda path, source: Received(  # type: ignore[method-assign]
        path=path, source=source.endpoint, content=content, told_size=False, ticket=Ticket(1), first_byte_s=0.0
    )
    room.voucher.answer = lambda: False
    room.directory({"a": offer(5)})
    gevent.sleep(0.1)
    assert room.applier.abandoned == [staged]


def test_empty_replaces_a_file_with_content_only_at_the_second_sight(room: Room) -> None:
    room.fetcher.told_size = False
    room.fetcher.gives = lambda name, endpoint: b""
    room.here("a", meta(size=10, mtime_s=5))
    room.directory({"a": offer(7)})
    gevent.sleep(0.5)
    assert room.applier.downloads == []
    assert "empty" in room.skipped()[0]
    gevent.sleep(5)
    assert [download.content for download in room.applier.downloads] == [b""]


@pytest.mark.parametrize("size", [None, 0])
def test_empty_is_taken_at_first_sight_where_nothing_is_lost(room: Room, size: int | None) -> None:
    room.fetcher.told_size = False
    room.fetcher.gives = lambda name, endpoint: b""
    if size is not None:
        room.here("a", meta(size=size, mtime_s=5))
    room.directory({"a": offer(7)})
    gevent.sleep(0.1)
    assert [download.content for download in room.applier.downloads] == [b""]


@pytest.mark.parametrize(("second", "published"), [(b"one", True), (b"two", False)])
def test_fetched_twice_it_must_be_the_same(second: bytes, published: bool) -> None:
    with simulated() as world:
        room = Room(world, verify_twice=True)
        answers = [b"one", second]
        room.fetcher.told_size = False
        room.fetcher.gives = lambda name, endpoint: answers.pop(0)
        room.directory({"a": offer(5)})
        gevent.sleep(0.1)
        assert bool(room.applier.downloads) == published
        assert room.skipped() == ([] if published else ["fetched twice, it was not the same"])
        room.tasks.stop()


def test_a_source_that_tells_the_size_is_not_asked_twice() -> None:
    with simulated() as world:
        room = Room(world, verify_twice=True)
        room.directory({"a": offer(5)})
        gevent.sleep(0.1)
        assert room.names == ["a"]
        room.tasks.stop()


# How much at a time


def test_a_full_applier_holds_up_what_would_be_fetched_next(room: Room) -> None:
    room.applier.is_full = True
    room.directory({"a": offer(5)})
    gevent.sleep(5)
    assert room.names == []
    room.applier.is_full = False
    room.syncer.wake()
    gevent.sleep(0.1)
    assert room.names == ["a"]


def test_of_a_large_directory_no_more_is_planned_than_keeps_its_sources_busy(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "LONG", 10)
    monkeypatch.setattr(sweep, "COMPARED_AT_A_TIME", 5)
    room.fetcher.takes_s = 1.0
    room.directory({f"f{number:03}": offer(5) for number in range(100)})
    gevent.sleep(0.5)
    assert len(room.queue) < 20
    assert room.syncer.left == 100
    gevent.sleep(2.0)
    assert 10 <= len(room.queue) < 20
    assert room.idle == [0.0]  # before anything was told
    gevent.sleep(100)
    assert (len(room.names), room.syncer.left, len(room.idle)) == (100, 0, 2)


def test_files_that_nobody_gives_do_not_hold_up_the_planning_of_others(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "LONG", 10)
    monkeypatch.setattr(sweep, "COMPARED_AT_A_TIME", 5)
    room.fetcher.gives = lambda name, endpoint: NotThere("no") if endpoint == THERE else b"x"
    room.directory({f"f{number:03}": offer(5, THERE if number < 50 else ELSEWHERE) for number in range(60)})
    gevent.sleep(30)
    assert set(room.trees.local) == {f"f{number:03}" for number in range(50, 60)}


@pytest.mark.slow
def test_so_many_files_are_under_way_and_no_more(room: Room) -> None:
    held: AsyncResult = AsyncResult()
    room.fetcher.told_size = False
    room.voucher.answer = lambda: bool(held.get())
    room.directory({f"f{number}": offer(5) for number in range(IN_FLIGHT + 10)})
    gevent.sleep(5)
    assert len(room.fetcher.asked) == IN_FLIGHT
    held.set(True)
    gevent.sleep(5)
    assert len(room.fetcher.asked) == IN_FLIGHT + 10
    assert room.syncer.left == 0


def test_a_peer_that_stops_ends_its_fetches(room: Room) -> None:
    room.fetcher.takes_s = 1000.0
    room.directory({"a": offer(5)})
    gevent.sleep(1)
    room.tasks.stop()
    assert room.world.now_s == 1.0


# Renames


def test_a_rename_of_which_the_deletion_was_told_first_still_brings_the_new_name(room: Room) -> None:
    held: list[tuple[Removal, Callable[[Outcome], None]]] = []
    room.applier.submit = lambda change, done: held.append((change, done))  # type: ignore[attr-defined]
    room.applier.in_hand = frozenset()  # type: ignore[attr-defined]
    there = meta(mtime_s=4, version=v(4, ann=1), content=b"content")
    room.fetcher.gives = lambda name, endpoint: b"content"
    room.here("a", there)
    room.syncer.begin_round()

    def told(record: Record, *sources: Source) -> None:
        offers = {record.path: Offer(version=record.version, sources=sources, record=record)}
        room.syncer.replan(room.trees.note_offers(offers))
        gevent.sleep(0.01)

    told(Record(path=A, kind=Kind.FILE, version=v(5, ann=2), author="ann", deleted=True))
    record = Record(path=B, kind=Kind.FILE, version=v(4, ann=1), author="ann", digest=there.digest, moved_from=A)
    told(replace(record, size=7, mtime_ns=4 * 10**9), Source(endpoint=THERE))
    ((removal, done),) = held  # the rename had to wait for it
    room.trees.note_local({A: removal.tombstone})
    done(Removed(path=A, tombstone=removal.tombstone))
    gevent.sleep(1)
    assert room.names == ["b"]
