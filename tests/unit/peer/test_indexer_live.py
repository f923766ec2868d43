"""The live folder: what is seen of a person's work, when, and that nobody is ever told of half of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gevent
import pytest

from gsync.core.blocks import BLOCK_BYTES, digest_of_blocks, digest_of_bytes
from gsync.core.model import FileMeta, Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.settle import AGAIN_S, CAP_S, KNOWN_S, OTHER_S
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.peer import indexer, look, reading
from gsync.peer.events import NamesSkipped, Trouble, WatchIncomplete
from gsync.peer.indexer import FIRST_READ_S, RESCAN_S, WATCHED_RESCAN_JITTER_S, WATCHED_RESCAN_S, Indexer
from gsync.peer.look import READ_AT_ONCE_BYTES
from gsync.peer.trees import Trees
from gsync.storage.index import Index
from gsync.storage.memory import MemoryFolder
from gsync.storage.memory_watcher import MemoryWatcher
from gsync.storage.watcher import Incomplete
from gsync.storage.workers import Pool
from tests.unit.peer.world import Heard, SlowWorkers, offer, path


class Room:
    """An indexer that runs over a folder in memory that is watched; `told` has what the others heard, and when."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.folder = MemoryFolder(wall_clock=world.clock.wall)
        self.directory = directory
        self.workers = SlowWorkers()
        self.rules = b""
        self.open()

    def open(self) -> None:
        """What a start of the program makes."""
        self.index = Index.open(self.directory, root_id="memory")
        contents = self.index.load()
        self.trees = Trees(contents.local, contents.synced, contents.buried)
        self.heard = Heard()
        self.in_hand: frozenset[RelPath] = frozenset()
        self.told: list[tuple[float, str, str]] = []
        self.blocks: dict[str, Sequence[bytes]] = {}
        self.on_change: Callable[[], None] = lambda: None
        self.watcher = MemoryWatcher(self.folder.disk)
        self.indexer = Indexer(
            folder=self.folder,
            index=self.index,
            workers=self.workers,
            trees=self.trees,
            events=self.heard.events,
            clock=self.world.clock,
            in_hand=lambda: self.in_hand,
            on_change=self._changed,
            watcher=self.watcher,
            native=True,
            local_rules=lambda: self.rules,
            keep_blocks=self.blocks.__setitem__,
        )
        self.tasks = TaskGroup()

    def start(self) -> None:
        """Scan what was put there long ago, and run; time and what was told begin anew."""
        gevent.sleep(1)
        self.indexer.start()
        self.tasks.spawn(self.indexer.run)
        gevent.sleep(2)
        self.began = self.world.now_s
        self.told.clear()

    def end(self) -> None:
        self.tasks.stop()
        self.watcher.close()
        self.index.close()

    def _changed(self, paths: set[RelPath]) -> None:
        for name in sorted(paths):
            entry = self.trees.local.get(name) or self.trees.buried.get(name)
            self.told.append((round(self.world.now_s - getattr(self, "began", 0.0), 3), name, self._word(entry)))
        self.on_change()

    def _word(self, entry: FileMeta | Tombstone | None) -> str:
        if entry is None:
            return "withdrawn"
        if isinstance(entry, Tombstone):
            return "gone"
        return f"{entry.kind}, was {entry.moved_from}" if entry.moved_from else str(entry.kind)

    def entry(self, name: str) -> FileMeta:
        return self.trees.local[path(name)]

    def reads(self) -> list[str]:
        """The calls of `open` from now on: each file that is read."""
        calls: list[str] = []
        self.folder.on_call = lambda method: calls.append(method) if method == "open" else None
        return calls

    def require_true(self) -> None:
        """All that the trees say of files is what stands in the folder."""
        stands = {name: content for name, (kind, content) in self.folder.tree().items() if kind is Kind.FILE}
        stands = {name: content for name, content in stands.items() if not self.indexer.is_ignored(path(name))}
        known = {name: entry.digest for name, entry in self.trees.local.items() if entry.kind is Kind.FILE}
        assert known == {name: digest_of_bytes(content) for name, content in stands.items()}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with simulated() as world:
        room = Room(world, tmp_path)
        yield room
        room.end()


def test_everything_is_found_at_the_start_with_its_digest(room: Room) -> None:
    room.folder.put("d/e/a", b"content")
    room.folder.mkdir("empty")
    room.folder.link("l", "d/e/a")
    room.start()
    assert {name: entry.kind for name, entry in room.trees.local.items()} == {
        "d": Kind.DIRECTORY,
        "d/e": Kind.DIRECTORY,
        "d/e/a": Kind.FILE,
        "empty": Kind.DIRECTORY,
        "l": Kind.LINK,
    }
    room.require_true()
    assert room.entry("l").target == "d/e/a"
    assert room.entry("d/e/a").author == ""  # known by its mtime: nobody can say who made it


def test_the_block_digests_of_a_large_file_are_passed_on_for_those_who_will_fetch_it(room: Room) -> None:
    large = b"x" * (READ_AT_ONCE_BYTES + BLOCK_BYTES)
    room.folder.put("large", large)
    room.folder.put("small", b"x" * BLOCK_BYTES)
    room.start()
    room.require_true()
    digest = digest_of_bytes(large)
    assert list(room.blocks) == [digest]
    assert digest_of_blocks(room.blocks[digest]) == digest


def test_a_restart_reads_nothing_that_did_not_change(room: Room) -> None:
    room.folder.put("a", b"1")
    room.folder.put("d/b", b"2")
    room.start()
    room.end()
    room.folder.edit("a", b"changed")
    reads = room.reads()
    room.open()
    room.start()
    assert len(reads) == 2  # a, and the rules, which are not there
    room.require_true()
    assert room.entry("a").author == room.index.author


# When


def test_an_edit_of_a_known_path_is_told_after_ten_milliseconds(room: Room) -> None:
    room.folder.put("a", b"1")
    room.start()
    room.folder.edit("a", b"2")
    gevent.sleep(1)
    assert room.told == [(KNOWN_S + AGAIN_S, "a", "file")]  # for then the disk's clock has certainly ticked
    room.require_true()


def test_a_new_name_is_told_after_fifty(room: Room) -> None:
    room.start()
    room.folder.put("a", b"1")
    gevent.sleep(1)
    assert room.told == [(OTHER_S, "a", "file")]
    assert room.entry("a").author == room.index.author


def test_so_is_a_name_that_is_gone(room: Room) -> None:
    room.folder.put("a", b"1")
    room.start()
    room.folder.remove("a")
    gevent.sleep(1)
    assert room.told == [(OTHER_S, "a", "gone")]
    assert room.trees.buried[path("a")].digest == digest_of_bytes(b"1")


def test_an_appending_log_is_not_a_version_a_line(room: Room) -> None:
    room.folder.put("log", b"")
    room.start()
    for number in range(600):
        room.folder.edit("log", b"x" * number)
        gevent.sleep(0.1)
    assert 60 / CAP_S - 3 <= len(room.told) <= 60 / CAP_S + 8
    gevent.sleep(5)
    room.require_true()


def test_a_file_that_is_written_all_the_time_is_told_when_it_stands_still(room: Room) -> None:
    room.start()
    room.folder.put("a", b"")
    node = room.folder.hold_open("a")
    for number in range(2000):
        room.folder.write_into(node, b"x" * number)
        gevent.sleep(0.003)
    assert room.told == []
    room.folder.let_go(node)
    gevent.sleep(3)
    assert [name for _, name, _ in room.told] == ["a"]
    room.require_true()


def test_all_that_happens_at_once_is_one_look(room: Room) -> None:
    room.start()
    room.workers.calls.clear()
    for number in range(100):
        room.folder.put(f"d/{number}", b"x")
    gevent.sleep(1)
    assert len(room.told) == 101
    assert {when for when, _, _ in room.told} == {OTHER_S}
    assert room.workers.calls == ["_compare", "record"]


# How editors save


def save_by_renaming(room: Room, name: str, content: bytes) -> None:
    room.folder.put(f"{name}.tmp", content[: len(content) // 2])
    gevent.sleep(0.002)
    room.folder.edit(f"{name}.tmp", content)
    room.folder.rename(f"{name}.tmp", name)


def save_by_truncating(room: Room, name: str, content: bytes) -> None:
    node = room.folder.hold_open(name)
    room.folder.write_into(node, b"")
    gevent.sleep(0.008)
    room.folder.write_into(node, content[: len(content) // 2])
    gevent.sleep(0.008)
    room.folder.write_into(node, content)
    room.folder.let_go(node)


def save_with_a_backup(room: Room, name: str, content: bytes) -> None:
    room.folder.rename(name, f"{name}~")
    gevent.sleep(0.004)
    room.folder.put(name, b"")
    node = room.folder.hold_open(name)
    gevent.sleep(0.004)
    room.folder.write_into(node, content)
    room.folder.let_go(node)


def save_by_deleting_first(room: Room, name: str, content: bytes) -> None:
    room.folder.remove(name)
    gevent.sleep(0.02)
    room.folder.put(name, content)


@pytest.mark.parametrize("save", [save_by_renaming, save_by_truncating, save_with_a_backup, save_by_deleting_first])
def test_a_save_is_one_edit_however_the_editor_does_it(room: Room, save: Callable[[Room, str, bytes], None]) -> None:
    room.folder.put("a", b"before")
    room.start()
    first = room.entry("a").version
    room.on_change = room.require_true
    save(room, "a", b"after all")
    gevent.sleep(2)
    assert [(name, word) for _, name, word in room.told] == [("a", "file")]
    assert room.entry("a").version.counters == first.edited_by(room.index.author, 0).counters
    room.require_true()


def test_a_file_is_never_told_by_half(room: Room) -> None:
    room.folder.put("a", b"0" * 10)
    room.start()
    whole = {digest_of_bytes(b"%d" % (number % 10) * 10) for number in range(50)}
    seen: list[str] = []
    room.on_change = lambda: seen.append(room.entry("a").digest)
    for number in range(50):
        node = room.folder.hold_open("a")
        room.folder.write_into(node, b"")
        gevent.sleep(0.004 if number % 2 else 0.03)
        room.folder.write_into(node, b"%d" % (number % 10) * 10)
        room.folder.let_go(node)
        gevent.sleep(0.02 * (number % 7))
    gevent.sleep(3)
    assert set(seen) <= whole
    assert len(seen) > 3


def test_a_file_that_is_changed_while_it_is_read_is_told_when_it_was_read_whole(room: Room) -> None:
    room.folder.put("a", b"0")
    room.start()
    times = iter(range(3))

    def meddle(method: str) -> None:
        if method == "open" and (number := next(times, None)) is not None:
            room.folder.edit("a", b"meddled %d" % number)

    room.folder.on_call = meddle
    room.folder.edit("a", b"1")
    gevent.sleep(3)
    room.require_true()
    assert len(room.told) == 1


# Renames, and names that become something else


def test_a_rename_moves_the_entry(room: Room) -> None:
    room.folder.put("a", b"content")
    room.start()
    reads = room.reads()
    room.folder.rename("a", "d/b")
    gevent.sleep(1)
    assert room.told == [(OTHER_S, "a", "gone"), (OTHER_S, "d", "directory"), (OTHER_S, "d/b", "file, was a")]
    assert reads == []
    room.require_true()


def test_a_directory_moves_with_all_that_is_in_it_and_nothing_is_read(room: Room) -> None:
    for number in range(300):
        room.folder.put(f"d/e/{number}", b"%d" % number)
    room.start()
    reads = room.reads()
    room.folder.rename("d", "f")
    gevent.sleep(1)
    assert reads == []
    assert {when for when, _, _ in room.told} == {OTHER_S}
    moved = {name: word for _, name, word in room.told if name.startswith("f")}
    assert moved["f"] == "directory, was d"
    assert moved["f/e/7"] == "file, was d/e/7"
    assert len(moved) == 302
    assert room.indexer.held == frozenset()
    room.require_true()


def test_an_edit_in_a_directory_that_was_just_renamed_does_not_tear_it_apart(room: Room) -> None:
    room.folder.put("d/a", b"1")
    room.folder.put("d/b", b"2")
    room.start()
    room.folder.rename("d", "f")
    gevent.sleep(0.01)
    room.folder.edit("f/a", b"edited")
    gevent.sleep(1)
    words = {name: word for _, name, word in room.told}
    assert words["f"] == "directory, was d"
    assert words["f/b"] == "file, was d/b"
    room.require_true()


def test_what_is_moved_into_a_new_directory_is_moved_though_nobody_hears_where(room: Room) -> None:
    for number in range(3):
        room.folder.put(f"d{number}/a", b"%d" % number)
    room.start()
    reads = room.reads()
    room.folder.mkdir("new")
    for number in range(3):
        gevent.sleep(0.004)
        room.folder.rename(f"d{number}", f"new/d{number}")
    gevent.sleep(1)
    words = {name: word for _, name, word in room.told}
    assert words["new/d2"] == "directory, was d2"
    assert words["new/d2/a"] == "file, was d2/a"
    assert words["d2/a"] == "gone"
    assert reads == []
    room.require_true()


def test_a_directory_that_was_just_made_can_be_renamed(room: Room) -> None:
    room.start()
    room.folder.put("d/a", b"1")
    gevent.sleep(0.2)
    room.told.clear()
    room.folder.rename("d", "f")
    gevent.sleep(1)
    assert {name: word for _, name, word in room.told} == {
        "d": "gone",
        "d/a": "gone",
        "f": "directory, was d",
        "f/a": "file, was d/a",
    }


def test_a_file_becomes_a_directory_and_a_file_again(room: Room) -> None:
    room.folder.put("a", b"1")
    room.start()
    room.folder.remove("a")
    room.folder.put("a/b", b"2")
    gevent.sleep(1)
    assert room.entry("a").kind is Kind.DIRECTORY
    room.require_true()
    room.folder.remove("a")
    room.folder.put("a", b"3")
    gevent.sleep(2)
    assert room.entry("a").kind is Kind.FILE
    assert path("a/b") in room.trees.buried
    room.require_true()


def test_what_is_deleted_and_made_again_is_an_edit(room: Room) -> None:
    room.folder.put("a", b"1")
    room.start()
    room.folder.remove("a")
    gevent.sleep(1)
    stone = room.trees.buried[path("a")]
    room.folder.put("a", b"1")
    gevent.sleep(3)
    assert path("a") not in room.trees.buried
    assert room.entry("a").version.counters == stone.version.edited_by(room.index.author, 0).counters


def test_a_directory_that_is_removed_takes_all_that_was_in_it(room: Room) -> None:
    for name in ("d/a", "d/e/b", "d-x", "dd/c"):
        room.folder.put(name, b"x")
    room.start()
    room.folder.remove("d")
    gevent.sleep(1)
    assert {name for _, name, _ in room.told} == {"d", "d/a", "d/e", "d/e/b"}
    room.require_true()


def test_a_directory_that_leaves_the_folder_takes_all_that_was_in_it(room: Room) -> None:
    room.folder.put("d/a", b"x")
    room.start()
    names = [name for name in room.folder.disk.names if name.startswith("d")]
    room.watcher.close()
    for name in names:
        del room.folder.disk.names[name]
    room.indexer.hint([path("d")])
    gevent.sleep(1)
    assert room.told[0][1:] == ("d", "gone")
    assert room.told[1][1:] == ("d/a", "gone")


def test_what_is_made_in_a_new_directory_before_it_is_watched_is_found(room: Room) -> None:
    room.start()
    room.folder.mkdir("d")
    gevent.sleep(OTHER_S / 2)
    room.folder.put("d/e/a", b"x")  # nobody hears of this
    gevent.sleep(1)
    assert {name for _, name, _ in room.told} == {"d", "d/e", "d/e/a"}
    room.folder.edit("d/e/a", b"y")  # and of this everybody
    gevent.sleep(1)
    room.require_true()


# Our own hand


def test_what_the_applier_published_is_no_edit(room: Room) -> None:
    room.folder.put("a", b"1")
    room.start()
    version = room.entry("a").version
    room.folder.put("a", b"theirs")
    seen = room.folder.fingerprint(path("a"))
    assert seen is not None
    entry = FileMeta(fingerprint=seen, version=version, digest=digest_of_bytes(b"theirs"))
    room.trees.note_local({path("a"): entry})
    reads = room.reads()
    gevent.sleep(1)
    assert room.told == []
    assert reads == []
    assert room.entry("a") is entry


def test_an_edit_of_what_is_in_the_appliers_hand_is_found_afterwards(room: Room) -> None:
    room.folder.put("a", b"1")
    room.start()
    room.in_hand = frozenset({path("a")})
    room.folder.edit("a", b"2")
    gevent.sleep(0.5)
    assert room.told == []
    room.in_hand = frozenset()
    gevent.sleep(1)
    assert len(room.told) == 1
    room.require_true()


# Looking at everything


def looks(room: Room) -> list[float]:
    """When everything is looked at from now on."""
    times: list[float] = []

    def note(method: str) -> None:
        if method == "listing" and (not times or times[-1] != round(room.world.now_s, 3)):
            times.append(round(room.world.now_s, 3))

    room.folder.on_call = note
    return times


def test_a_watched_folder_is_looked_at_each_minute_or_so(room: Room) -> None:
    room.start()
    times = looks(room)
    gevent.sleep(200)
    assert times == [room.began - 2 + (WATCHED_RESCAN_S + WATCHED_RESCAN_JITTER_S / 2) * number for number in (1, 2)]


def test_where_not_all_is_watched_it_is_looked_at_often_and_said_what_helps(room: Room) -> None:
    room.watcher.incomplete = Incomplete(reason="no more watches", advice="raise them")
    room.start()
    assert room.heard.of(WatchIncomplete) == [WatchIncomplete(reason="no more watches", advice="raise them")]
    times = looks(room)
    gevent.sleep(3 * RESCAN_S)
    assert len(times) == 3
    assert len(room.heard.of(WatchIncomplete)) == 1


def test_what_gave_no_hint_is_found_by_a_look_at_everything(room: Room) -> None:
    room.start()
    room.watcher.close()
    room.folder.put("d/a", b"x")
    room.indexer.ask()
    gevent.sleep(1)
    assert {name for _, name, _ in room.told} == {"d", "d/a"}
    room.require_true()


def test_when_hints_were_lost_everything_is_looked_at(room: Room) -> None:
    room.start()
    room.watcher.deaf = True
    room.folder.put("d/a", b"x")
    room.watcher.deaf = False
    room.watcher.lose()
    gevent.sleep(1)
    assert {name for _, name, _ in room.told} == {"d", "d/a"}
    room.folder.edit("d/a", b"and it is watched")
    gevent.sleep(1)
    room.require_true()


def test_a_look_at_everything_leaves_alone_what_is_being_saved(room: Room) -> None:
    room.folder.put("a", b"whole")
    room.start()
    room.on_change = room.require_true
    node = room.folder.hold_open("a")
    room.folder.write_into(node, b"")
    gevent.sleep(0.03)
    room.indexer.look()
    gevent.sleep(0.01)
    room.folder.write_into(node, b"whole again")
    room.folder.let_go(node)
    gevent.sleep(1)
    assert [(name, word) for _, name, word in room.told] == [("a", "file")]


def test_a_directory_that_cannot_be_read_now_is_not_gone(room: Room) -> None:
    room.folder.put("d/a", b"x")
    room.start()
    room.folder.hide("d")
    gevent.sleep(1)
    room.indexer.look()
    assert room.told == []
    room.folder.show("d")
    room.folder.edit("d/a", b"y")
    gevent.sleep(1)
    room.require_true()


def test_odd_things_are_said_once(room: Room) -> None:
    room.folder.obstruct("fifo", "a FIFO")
    room.start()
    room.indexer.look()
    assert room.heard.of(NamesSkipped) == [NamesSkipped(reason="a FIFO", names=("fifo",), count=1)]


# Reading


def test_large_files_do_not_hold_up_the_small_ones(room: Room) -> None:
    room.folder.put("small", b"1")
    room.start()
    room.workers.takes_s[Pool.SCAN] = 0.1
    room.folder.put("large", bytes(70 * 1024 * 1024))
    gevent.sleep(OTHER_S + 0.15)
    room.folder.edit("small", b"2")
    gevent.sleep(3)
    when = {name: at for at, name, _ in room.told}
    assert when["small"] < when["large"]
    room.require_true()


def test_what_a_start_has_no_time_to_read_is_told_without_a_digest_and_read_afterwards(room: Room) -> None:
    room.folder.put("small", b"1")
    room.folder.put("large", bytes(70 * 1024 * 1024))
    gevent.sleep(1)
    room.workers.takes_s[Pool.SCAN] = FIRST_READ_S / 3
    room.indexer.start()
    versions = {name: room.entry(name).version for name in ("small", "large")}
    assert room.entry("small").digest
    assert not room.entry("large").digest
    assert room.indexer.unfinished() == 1
    room.told.clear()
    room.tasks.spawn(room.indexer.run)
    gevent.sleep(10 * FIRST_READ_S)
    assert room.indexer.unfinished() == 0
    assert [name for _, name, _ in room.told] == ["large"]
    assert {name: room.entry(name).version for name in versions} == versions
    room.require_true()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousandth of everything."""
    monkeypatch.setattr(look, "READ_AT_ONCE_FILES", 5)
    monkeypatch.setattr(reading, "PIECE_FILES", 5)
    monkeypatch.setattr(indexer, "TOLD_TOGETHER", 20)
    monkeypatch.setattr(indexer, "TOLD_TOGETHER_FIRST", 20)


@pytest.mark.usefixtures("small_pieces")
def test_many_files_are_told_by_the_thousand(room: Room) -> None:
    for number in range(45):
        room.folder.put(str(number), b"%d" % number)
    gevent.sleep(1)
    counts: list[int] = []
    room.on_change = lambda: counts.append(len(room.trees.local))
    room.indexer.start()
    assert counts == [5, 25, 45]
    assert {entry.author for entry in room.trees.local.values()} == {""}
    assert room.index.has_history


@pytest.mark.usefixtures("small_pieces")
def test_a_start_that_was_cut_off_goes_on_where_it_was(room: Room) -> None:
    for number in range(30):
        room.folder.put(str(number), b"%d" % number)
    gevent.sleep(1)

    def stop() -> None:
        if len(room.trees.local) >= 25:
            raise gevent.GreenletExit

    room.on_change = stop
    with pytest.raises(gevent.GreenletExit):
        room.indexer.start()
    room.end()
    room.open()
    reads = room.reads()
    room.start()
    assert len(reads) == 6  # the rest, and the rules
    assert {entry.author for entry in room.trees.local.values()} == {""}


# Too much gone at once


def gone(room: Room) -> list[str]:
    return [name for _, name, word in room.told if word == "gone"]


def test_a_hundred_deletions_go(room: Room) -> None:
    for number in range(100):
        room.folder.put(f"d/{number}", b"x")
    room.start()
    room.folder.remove("d")
    gevent.sleep(1)
    assert len(gone(room)) == 101
    assert room.indexer.held == frozenset()


def test_more_are_held_back_until_they_are_released(room: Room) -> None:
    for number in range(101):
        room.folder.put(f"d/{number}", b"x")
    room.start()
    room.folder.remove("d")
    gevent.sleep(1)
    assert room.told == []
    assert len(room.indexer.held) == 102
    assert len(room.trees.local) == 102
    (trouble,) = room.heard.of(Trouble)
    assert isinstance(trouble, Trouble)
    assert "102 paths" in trouble.what
    assert "gsync release" in trouble.advice
    room.indexer.look()
    assert room.told == []
    assert room.indexer.release() == 102
    assert len(gone(room)) == 102
    assert room.trees.local == {}
    assert room.indexer.held == frozenset()
    assert room.indexer.release() == 0


def test_a_restart_holds_them_again(room: Room) -> None:
    for number in range(101):
        room.folder.put(f"d/{number}", b"x")
    room.start()
    room.folder.remove("d")
    gevent.sleep(1)
    room.end()
    room.open()
    room.start()
    assert len(room.indexer.held) == 102
    assert len(room.heard.of(Trouble)) == 1


def test_what_comes_back_is_held_no_longer(room: Room) -> None:
    for number in range(101):
        room.folder.put(f"d/{number}", b"x")
    room.start()
    names = {name: node for name, node in room.folder.disk.names.items() if name.startswith("d")}
    room.folder.remove("d")
    gevent.sleep(1)
    room.folder.disk.rename(*names.items())
    gevent.sleep(3)
    assert room.indexer.held == frozenset()
    assert room.told == []  # nobody had heard that it was gone
    room.require_true()


def test_a_deletion_that_takes_its_time_is_held_as_well(room: Room) -> None:
    for number in range(300):
        room.folder.put(f"d/{number}", b"x")
    room.start()
    for number in range(300):
        room.folder.remove(f"d/{number}")
        gevent.sleep(0.01)
    gevent.sleep(1)
    assert len(gone(room)) <= 100
    assert len(room.indexer.held) >= 200


def test_a_few_that_go_while_others_are_held_go(room: Room) -> None:
    for number in range(101):
        room.folder.put(f"d/{number}", b"x")
    room.folder.put("a", b"1")
    room.start()
    room.folder.remove("d")
    gevent.sleep(20)
    room.folder.remove("a")
    gevent.sleep(1)
    assert gone(room) == ["a"]
    assert len(room.indexer.held) == 102


# Rules


def test_what_the_rules_name_is_not_told(room: Room) -> None:
    room.folder.put(".gsyncignore", b"*.o\nbuild/\n")
    for name in ("a.o", "a.c", "build/x", "d/b.o"):
        room.folder.put(name, b"x")
    room.start()
    assert set(room.trees.local) == {".gsyncignore", "a.c", "d"}
    assert room.indexer.is_ignored(path("x.o"))
    room.folder.put("new.o", b"x")
    room.folder.put("build/new", b"x")
    gevent.sleep(1)
    assert room.told == []


def test_rules_that_change_withdraw_what_they_name_and_delete_nothing(room: Room) -> None:
    room.folder.put("a.o", b"1")
    room.folder.put("b", b"2")
    room.start()
    version = room.entry("a.o").version
    room.folder.put(".gsyncignore", b"*.o\n")
    gevent.sleep(1)
    assert {(name, word) for _, name, word in room.told} == {(".gsyncignore", "file"), ("a.o", "withdrawn")}
    assert room.trees.buried == {}
    assert path("a.o") in room.index.load().local
    room.folder.edit("a.o", b"changed")
    gevent.sleep(1)
    room.told.clear()
    room.folder.put(".gsyncignore", b"# nothing\n")
    gevent.sleep(4)
    assert {name for _, name, _ in room.told} == {".gsyncignore", "a.o"}
    assert room.entry("a.o").version.counters == version.edited_by(room.index.author, 0).counters
    room.require_true()


def test_what_went_while_it_was_ignored_is_no_deletion(room: Room) -> None:
    room.folder.put(".gsyncignore", b"")
    room.folder.put("a.o", b"1")
    room.start()
    room.folder.edit(".gsyncignore", b"*.o\n")
    gevent.sleep(1)
    room.folder.remove("a.o")
    gevent.sleep(1)
    room.folder.edit(".gsyncignore", b"")
    gevent.sleep(4)
    assert path("a.o") not in room.trees.local
    assert room.trees.buried == {}


def test_what_others_offer_is_planned_once_the_rules_let_it_in(room: Room) -> None:
    room.folder.put(".gsyncignore", b"*.o\n")
    room.start()
    room.trees.note_remote({path(name): offer(5) for name in ("a.o", "b")})
    room.folder.edit(".gsyncignore", b"")
    gevent.sleep(1)
    assert {(name, word) for _, name, word in room.told} == {(".gsyncignore", "file"), ("a.o", "withdrawn")}


def test_rules_that_are_being_written_are_not_believed(room: Room) -> None:
    room.folder.put(".gsyncignore", b"secret\n")
    room.folder.put("secret", b"1")
    room.start()
    node = room.folder.hold_open(".gsyncignore")
    room.folder.write_into(node, b"")
    room.indexer.look()
    gevent.sleep(0.005)
    room.folder.write_into(node, b"secret\n# more\n")
    room.folder.let_go(node)
    gevent.sleep(3)
    assert {name for _, name, _ in room.told} == {".gsyncignore"}


def test_this_machines_own_rules_are_read_with_a_look_at_everything(room: Room) -> None:
    room.folder.put("a", b"1")
    room.start()
    room.rules = b"a\n"
    room.indexer.look()
    assert [(name, word) for _, name, word in room.told] == [("a", "withdrawn")]


def test_rules_that_are_too_long_are_said(room: Room) -> None:
    room.folder.put(".gsyncignore", b"#" * 70_000)
    room.start()
    room.indexer.look()
    (trouble,) = room.heard.of(Trouble)
    assert isinstance(trouble, Trouble)
    assert "64 KiB" in trouble.what
