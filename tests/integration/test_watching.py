"""The live folder on a real disk: the kernel's hints, a person's hands, and an indexer that misses nothing."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from gsync.core.blocks import digest_of_bytes
from gsync.core.model import Kind
from gsync.core.names import OWN_FOLDER, RelPath
from gsync.net.clock import SystemClock
from gsync.net.tasks import TaskGroup
from gsync.peer.events import Event, Events, Trouble
from gsync.peer.indexer import Indexer
from gsync.peer.trees import Trees
from gsync.storage.disk import DiskFolder
from gsync.storage.index import Index
from gsync.storage.watcher import InotifyWatcher, open_watcher
from gsync.storage.workers import ThreadWorkers

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0


class Room:
    """An indexer that runs over a real folder; `told` has every path that the others heard of, in order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = DiskFolder(root)
        self.index = Index.open(Path(f"/proc/self/fd/{self.folder.own_fd}"), root_id=self.folder.root_id)
        self.workers = ThreadWorkers()
        contents = self.index.load()
        self.trees = Trees(contents.local, contents.synced, contents.buried)
        self.events = Events()
        self.heard: list[Event] = []
        self.events.subscribe(self.heard.append)
        self.told: list[str] = []
        watcher = open_watcher(self.folder.root_fd)
        assert isinstance(watcher, InotifyWatcher)
        self.watcher = watcher
        self.indexer = Indexer(
            folder=self.folder,
            index=self.index,
            workers=self.workers,
            trees=self.trees,
            events=self.events,
            clock=SystemClock(),
            in_hand=frozenset,
            on_change=lambda paths: self.told.extend(sorted(paths)),
            watcher=self.watcher,
            rng=random.Random(1),
            native=True,
        )
        self.tasks = TaskGroup()

    def start(self) -> None:
        self.indexer.start()
        self.tasks.spawn(self.indexer.run)
        gevent.sleep(0.1)
        self.told.clear()

    def end(self) -> None:
        self.tasks.stop()
        self.watcher.close()
        self.workers.close()
        self.index.close()
        self.folder.close()

    def wait_until_true(self) -> None:
        """Until the trees say what stands in the folder; fails when they do not in time."""
        with gevent.Timeout(PATIENCE_S, AssertionError("the trees never said what stands in the folder")):
            while self.indexer.unfinished() or self.shown() != self.stands():
                gevent.sleep(0.01)

    def shown(self) -> dict[str, str]:
        return {path: entry.digest or entry.kind for path, entry in self.trees.local.items()}

    def stands(self) -> dict[str, str]:
        found = {}
        for directory, directories, files in os.walk(self.root):
            here = Path(directory)
            if here == self.root:
                directories.remove(OWN_FOLDER)
            for name in directories:
                found[str((here / name).relative_to(self.root))] = str(Kind.DIRECTORY)
            for name in files:
                found[str((here / name).relative_to(self.root))] = digest_of_bytes((here / name).read_bytes())
        return found


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    root = tmp_path / "folder"
    (root / "d" / "e").mkdir(parents=True)
    for number in range(20):
        (root / "d" / "e" / f"f{number}").write_bytes(b"%d" % number)
    (root / "known").write_bytes(b"before")
    gevent.sleep(0.05)
    room = Room(root)
    room.start()
    yield room
    room.end()


def test_an_edit_a_new_file_and_a_deletion_are_seen(room: Room) -> None:
    (room.root / "known").write_bytes(b"after")
    room.wait_until_true()
    assert room.told == ["known"]
    (room.root / "new").write_bytes(b"new")
    (room.root / "d" / "e" / "f0").unlink()
    room.wait_until_true()
    assert sorted(room.told) == ["d/e/f0", "known", "new"]
    assert room.trees.local[RelPath("new")].author == room.index.author


def test_a_renamed_directory_is_renamed_with_all_that_is_in_it(room: Room) -> None:
    (room.root / "d").rename(room.root / "elsewhere")
    room.wait_until_true()
    moved = {path: entry.moved_from for path, entry in room.trees.local.items() if entry.moved_from}
    assert len(moved) == 22
    assert moved[RelPath("elsewhere/e/f7")] == "d/e/f7"
    (room.root / "elsewhere" / "e" / "f7").write_bytes(b"and it is still watched")
    room.wait_until_true()


def test_new_directories_are_watched_however_fast_they_are_filled(room: Room) -> None:
    for number in range(50):
        directory = room.root / f"n{number}" / "a" / "b"
        directory.mkdir(parents=True)
        (directory / "c").write_bytes(b"%d" % number)
    room.wait_until_true()
    for number in range(50):
        (room.root / f"n{number}" / "a" / "b" / "c").write_bytes(b"edited %d" % number)
    room.wait_until_true()


def test_a_directory_that_leaves_and_comes_back_is_the_same(room: Room, tmp_path: Path) -> None:
    (room.root / "d").rename(tmp_path / "outside")
    room.wait_until_true()
    assert len(room.trees.local) == 1
    (tmp_path / "outside" / "e" / "f1").write_bytes(b"edited outside")
    (tmp_path / "outside").rename(room.root / "d")
    room.wait_until_true()
    assert len(room.trees.local) == 23


def test_a_link_that_leads_out_of_the_folder_is_a_link(room: Room, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (room.root / "l").symlink_to(tmp_path / "outside")
    with gevent.Timeout(PATIENCE_S):
        while RelPath("l") not in room.trees.local:
            gevent.sleep(0.01)
    (tmp_path / "outside" / "secret").write_bytes(b"x")
    gevent.sleep(0.3)
    assert room.told == ["l"]
    assert room.trees.local[RelPath("l")].kind is Kind.LINK


def test_when_more_happens_than_the_kernel_remembers_nothing_is_missed(room: Room) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    count = max(20_000, limit + 1000)
    overflows: list[bool] = []
    original = room.watcher._hint

    def note(watch: int, mask: int, cookie: int, name: str) -> object:
        overflows.append(watch == -1)
        return original(watch, mask, cookie, name)

    room.watcher._hint = note  # type: ignore[method-assign,assignment]
    many = room.root / "d" / "many"
    many.mkdir()
    gevent.sleep(0.5)  # it is watched
    for number in range(count // 2):  # without a breath: nobody reads the kernel's queue meanwhile
        (many / f"f{number}").write_bytes(b"%d" % number)
    (room.root / "deep" / "er").mkdir(parents=True)
    (room.root / "deep" / "er" / "x").write_bytes(b"after the overflow")
    room.wait_until_true()
    assert any(overflows)
    (room.root / "deep" / "er" / "x").write_bytes(b"and it is watched")
    room.wait_until_true()


def test_a_large_deletion_is_held_back_whole(room: Room) -> None:
    many = room.root / "many"
    many.mkdir()
    for number in range(1000):
        (many / str(number)).write_bytes(b"%d" % number)
    room.wait_until_true()
    room.told.clear()
    shutil.rmtree(many)
    with gevent.Timeout(PATIENCE_S):
        while not any(isinstance(event, Trouble) for event in room.heard):
            gevent.sleep(0.01)
    gevent.sleep(0.5)
    assert room.told == []
    assert len(room.indexer.held) == 1001
    assert room.indexer.release() == 1001
    room.wait_until_true()


def test_a_swarm_of_hands_is_followed_to_the_end(room: Room) -> None:
    rng = random.Random(7)
    directories = [room.root, room.root / "d"]
    for step in range(600):
        where = rng.choice(directories)
        path = where / f"x{rng.randrange(30)}"
        match rng.randrange(6):
            case 0 | 1 if not path.is_dir():
                path.write_bytes(b"%d" % step)
            case 2 if path.is_file():
                path.unlink()
            case 3 if path.exists():
                target = rng.choice(directories) / f"x{rng.randrange(30)}"
                if path.is_file() and not target.is_dir():
                    path.rename(target)
            case 4 if not path.exists() and len(directories) < 12:
                path.mkdir()
                directories.append(path)
            case 5 if where not in (room.root, room.root / "d"):
                target = room.root / f"moved{step}"
                where.rename(target)
                directories = [
                    target / one.relative_to(where) if one.is_relative_to(where) else one for one in directories
                ]
        if not step % 7:
            gevent.sleep(rng.choice([0, 0.003, 0.02, 0.06]))
    room.wait_until_true()
