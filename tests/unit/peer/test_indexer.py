"""The local tree is kept true to the disk: what a look takes over, when it comes, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import FolderUnusable, StorageError
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.peer.events import NamesSkipped, Trouble
from gsync.peer.indexer import FIRST_LOOKS, RESCAN_S, RESCAN_SHARE, UNSETTLED_S, Indexer
from gsync.peer.skipped import SHOWN_PER_REASON
from gsync.peer.trees import Trees
from gsync.storage.index import Index
from gsync.storage.memory import MemoryFolder
from gsync.storage.workers import Pool
from tests.unit.peer.world import WALL_S, Heard, SlowWorkers, meta, path

A, B = path("a"), path("b")


class Room:
    """An indexer over a folder in memory and a real index."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.folder = MemoryFolder(wall_clock=world.clock.wall)
        self.index = Index.open(directory, root_id="memory")
        self.trees = Trees({}, {})
        self.heard = Heard()
        self.workers = SlowWorkers()
        self.in_hand: frozenset[RelPath] = frozenset()
        self.changes: list[tuple[float, set[RelPath]]] = []
        self.on_change: Callable[[], None] = lambda: None
        self.indexer = Indexer(
            folder=self.folder,
            index=self.index,
            workers=self.workers,
            trees=self.trees,
            events=self.heard.events,
            clock=world.clock,
            in_hand=lambda: self.in_hand,
            on_change=self._changed,
        )
        self.tasks = TaskGroup()

    def _changed(self, paths: set[RelPath]) -> None:
        self.changes.append((round(self.world.now_s, 3), paths))
        self.on_change()

    def put(self, name: str, content: bytes = b"x") -> None:
        """A file that was saved some time ago."""
        self.world.clock.epoch_s -= 1000
        self.folder.put(name, content)
        self.world.clock.epoch_s += 1000

    def run(self) -> None:
        self.tasks.spawn(self.indexer.run)
        gevent.sleep(0)

    def recorded(self) -> dict[RelPath, Version]:
        return {name: entry.version for name, entry in self.index.load().local.items()}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with simulated() as world:
        room = Room(world, tmp_path)
        yield room
        room.tasks.stop()
        room.index.close()


def test_the_first_scan_takes_over_what_is_there(room: Room) -> None:
    room.put("a")
    room.put("b")
    room.indexer.start()
    assert set(room.trees.local) == {A, B}
    assert room.changes == [(0.0, {A, B})]
    assert room.trees.local[A].version == Version.from_mtime(WALL_S - 1000)
    assert A in room.trees.names


def test_an_empty_folder_is_no_change(room: Room) -> None:
    room.indexer.start()
    assert room.changes == []
    assert room.workers.calls == ["_compare", "record"]  # that the folder was looked at


def test_what_was_found_is_in_the_index_before_anybody_hears_of_it(room: Room) -> None:
    seen: list[set[RelPath]] = []
    room.on_change = lambda: seen.append(set(room.recorded()))
    room.put("a")
    room.indexer.look()
    assert seen == [{A}]


def test_an_edit_is_one_more_edit_of_this_author(room: Room) -> None:
    room.put("a")
    room.indexer.look()
    first = room.trees.local[A].version
    room.put("a", b"edited")
    room.indexer.look()
    assert room.trees.local[A].version == first.edited_by(room.index.author, WALL_S - 1000)
    assert room.recorded() == {A: room.trees.local[A].version}
    assert room.changes == [(0.0, {A}), (0.0, {A})]


def test_a_peer_that_only_receives_says_once_that_edits_stay_here(room: Room) -> None:
    room.trees._tells_edits = False
    room.put("a")
    room.indexer.start()
    room.trees.synced[A] = room.trees.local[A].version
    assert room.heard.of(Trouble) == []
    for content in (b"edited", b"again", b"and again"):
        room.put("a", content)
        room.indexer.look()
        room.indexer.look()
    (said,) = room.heard.of(Trouble)
    assert isinstance(said, Trouble)
    assert "told to nobody" in said.what
    assert "gsync status" in said.advice


def test_a_peer_that_tells_its_edits_says_nothing_of_them(room: Room) -> None:
    room.put("a")
    room.indexer.start()
    room.put("a", b"edited")
    room.indexer.look()
    assert room.heard.of(Trouble) == []


def test_a_file_that_is_gone_leaves_the_tree_and_the_index(room: Room) -> None:
    room.put("a")
    room.put("b")
    room.indexer.look()
    room.folder.remove("a")
    room.indexer.look()
    assert set(room.trees.local) == {B} == set(room.recorded())
    assert room.changes[-1] == (0.0, {A})


def test_nothing_new_is_no_news(room: Room) -> None:
    room.put("a")
    room.indexer.look()
    room.workers.calls.clear()
    room.indexer.look()
    assert len(room.changes) == 1
    assert room.workers.calls == ["_compare"]


def test_what_editors_leave_behind_is_not_indexed(room: Room) -> None:
    for name in ("a~", ".#a", "4913", "core.1", ".a.swp"):
        room.put(name)
    room.indexer.look()
    assert room.trees.local == {}


# Files that are being written


def test_a_file_that_was_saved_this_very_moment_is_looked_at_again_before_the_start(room: Room) -> None:
    room.folder.put("a", b"x")
    room.indexer.start()
    assert room.changes == [(UNSETTLED_S, {A})]


def test_a_file_that_is_written_all_the_time_does_not_hold_up_the_start(room: Room) -> None:
    room.put("b")

    def write(method: str) -> None:
        if method == "listing":
            room.folder.put("a", b"x")

    room.folder.on_call = write
    room.indexer.start()
    assert room.changes == [(0.0, {B})]
    assert room.workers.calls.count("_compare") == FIRST_LOOKS


def test_a_file_that_is_written_while_the_peer_runs_is_looked_at_again_soon(room: Room) -> None:
    room.run()
    gevent.sleep(1)
    room.folder.put("a", b"x")
    room.indexer.ask()
    gevent.sleep(1)
    assert room.changes == [(1.015, {A})]


# When


def looks(room: Room) -> list[float]:
    """When the folder is listed from now on."""
    times: list[float] = []

    def note(method: str) -> None:
        if method == "listing":
            times.append(round(room.world.now_s, 3))

    room.folder.on_call = note
    return times


def test_the_folder_is_looked_at_each_five_seconds(room: Room) -> None:
    times = looks(room)
    room.run()
    gevent.sleep(3 * RESCAN_S + 1)
    assert times == [RESCAN_S, 2 * RESCAN_S, 3 * RESCAN_S]


def test_whoever_asks_is_heard_at_once(room: Room) -> None:
    times = looks(room)
    room.run()
    gevent.sleep(1)
    room.indexer.ask()
    room.indexer.ask()
    gevent.sleep(1)
    assert times == [1.0]


def test_looking_takes_half_a_percent_of_the_time_at_most(room: Room) -> None:
    times = looks(room)
    room.workers.takes_s[Pool.SCAN] = 1.0
    room.run()
    gevent.sleep(2 * RESCAN_SHARE + 20)
    assert times == [RESCAN_S + 0.5, RESCAN_S + 1 + RESCAN_SHARE + 0.5, RESCAN_S + 2 * (1 + RESCAN_SHARE) + 0.5]


# Our own hand


def test_a_path_that_is_in_the_appliers_hand_is_left_out(room: Room) -> None:
    room.put("a")
    room.put("b")
    room.in_hand = frozenset({A})
    room.indexer.look()
    assert set(room.trees.local) == {B} == set(room.recorded())


def test_a_path_that_is_touched_while_the_scan_runs_is_left_out(room: Room) -> None:
    room.put("a")
    room.put("b")
    room.workers.takes_s[Pool.SCAN] = 1.0
    room.tasks.spawn(room.indexer.look)
    gevent.sleep(0.7)
    room.indexer.touching([A])
    published = meta(mtime_s=9)
    room.trees.note_local({A: published})
    gevent.sleep(1)
    assert room.trees.local[A] is published
    assert set(room.recorded()) == {B}
    assert room.changes == [(1.0, {B})]


def test_a_path_that_is_touched_while_the_scan_is_recorded_keeps_what_the_applier_says(room: Room) -> None:
    room.put("a")
    room.workers.takes_s[Pool.DISK] = 1.0
    room.tasks.spawn(room.indexer.look)
    gevent.sleep(0.5)
    room.indexer.touching([A])
    published = meta(mtime_s=9)
    room.trees.note_local({A: published})
    gevent.sleep(1)
    assert room.trees.local[A] is published
    assert room.changes == []


def test_what_was_touched_before_the_scan_is_seen_by_it(room: Room) -> None:
    room.put("a")
    room.indexer.touching([A])
    room.indexer.look()
    assert set(room.trees.local) == {A}


def test_two_looks_at_a_time_come_one_after_the_other(room: Room) -> None:
    room.put("a")
    room.workers.takes_s[Pool.SCAN] = 1.0
    for _ in range(3):
        room.tasks.spawn(room.indexer.look)
        gevent.sleep(0.3)
    gevent.sleep(5)
    assert room.changes == [(1.0, {A})]
    assert room.workers.calls.count("_compare") == 2  # the third waited while the second began


def test_a_path_that_is_touched_while_a_second_look_waits_is_left_out_of_the_first(room: Room) -> None:
    room.put("a")
    room.workers.takes_s[Pool.SCAN] = 1.0
    room.tasks.spawn(room.indexer.look)
    gevent.sleep(0.6)
    room.tasks.spawn(room.indexer.look)
    gevent.sleep(0)
    room.indexer.touching([A])
    gevent.sleep(0.5)
    assert room.changes == []


# What is left alone, and what goes wrong


def test_what_is_left_alone_is_said_once_a_line_a_reason(room: Room) -> None:
    for number in range(SHOWN_PER_REASON + 2):
        room.folder.obstruct(f"fifo{number}", "a FIFO")
    room.folder.obstruct("link", "a link")
    room.indexer.look()
    room.indexer.look()
    shown = tuple(f"fifo{number}" for number in range(SHOWN_PER_REASON))
    assert room.heard.all == [
        NamesSkipped(reason="a FIFO", names=shown, count=SHOWN_PER_REASON + 2),
        NamesSkipped(reason="a link", names=("link",), count=1),
    ]
    room.heard.all.clear()
    room.folder.obstruct("link2", "a link")
    room.indexer.look()
    assert room.heard.all == [NamesSkipped(reason="a link", names=("link2",), count=1)]


def test_what_was_removed_and_came_back_is_said_again(room: Room) -> None:
    room.folder.obstruct("link", "a link")
    room.indexer.look()
    room.folder.remove("link")
    room.indexer.look()
    room.folder.obstruct("link", "a link")
    room.indexer.look()
    assert len(room.heard.of(NamesSkipped)) == 2


def test_a_folder_that_is_gone_ends_the_peer_and_nothing_is_concluded(room: Room) -> None:
    room.put("a")
    room.indexer.start()
    room.folder.root_stands = False
    room.folder.remove("a")
    with pytest.raises(FolderUnusable):
        room.indexer.run()
    assert set(room.trees.local) == {A} == set(room.recorded())


def test_a_folder_that_cannot_be_read_now_is_tried_again(room: Room) -> None:
    room.put("a")
    broken = [True, True, False]

    def fail(method: str) -> None:
        if method == "listing" and broken.pop(0):
            raise StorageError("input/output error")

    room.folder.on_call = fail
    room.run()
    gevent.sleep(3 * RESCAN_S + 1)
    assert [type(event) for event in room.heard.all] == [Trouble]
    assert room.changes == [(3 * RESCAN_S, {A})]


def test_what_could_not_be_recorded_is_told_to_nobody(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**columns: object) -> None:
        raise StorageError("the index: disk I/O error")

    room.put("a")
    with monkeypatch.context() as patch:
        patch.setattr(room.index, "record", fail)
        fail.__name__ = "record"
        with pytest.raises(StorageError):
            room.indexer.look()
    assert room.trees.local == {}
    assert room.changes == []
    room.indexer.look()
    assert room.changes == [(0.0, {A})]
