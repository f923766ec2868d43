"""What every `Watcher` tells, the real one and the one in memory."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import gevent
import pytest

from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.core.settle import Hint, What
from gsync.net.simulation import simulated
from gsync.net.tasks import TaskGroup
from gsync.storage.filesystem import Skip, never
from gsync.storage.memory import MemoryFolder
from gsync.storage.memory_watcher import MemoryWatcher
from gsync.storage.watcher import InotifyWatcher, NoWatcher, Watcher, open_watcher

LAST = "zzz-last"


class Hands(Protocol):
    """A person who works in the folder."""

    def put(self, name: str, content: bytes) -> None: ...
    def edit(self, name: str, content: bytes) -> None: ...
    def mkdir(self, name: str) -> None: ...
    def link(self, name: str, target: str) -> None: ...
    def chmod(self, name: str, mode: int) -> None: ...
    def rename(self, old: str, new: str) -> None: ...
    def remove(self, name: str) -> None: ...


class RealHands:
    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, name: str, content: bytes) -> None:
        aside = self._path.parent / "aside"
        aside.write_bytes(content)
        aside.replace(self._path / name)

    def edit(self, name: str, content: bytes) -> None:
        (self._path / name).write_bytes(content)

    def mkdir(self, name: str) -> None:
        (self._path / name).mkdir()

    def link(self, name: str, target: str) -> None:
        (self._path / name).symlink_to(target)

    def chmod(self, name: str, mode: int) -> None:
        (self._path / name).chmod(mode)

    def rename(self, old: str, new: str) -> None:
        (self._path / old).rename(self._path / new)

    def remove(self, name: str) -> None:
        path = self._path / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


class Room:
    """A watcher that runs, and the person; `hints` waits until all that has happened was told."""

    def __init__(self, watcher: Watcher, person: Hands) -> None:
        self.watcher = watcher
        self.person = person
        self.heard: list[Hint] = []
        self._tasks = TaskGroup()

    def begin(self, *, beneath: str | None = None, skip: Skip = never) -> None:
        self.watcher.cover(None if beneath is None else RelPath.parse(beneath), skip)
        if not len(self._tasks):
            self._tasks.spawn(self.watcher.run, self._hear)

    def hints(self) -> list[Hint]:
        """What was told since the last time."""
        self.person.put(LAST, b"")
        with gevent.Timeout(10):
            while not any(hint.path == LAST for hint in self.heard):
                gevent.sleep(0.001)
        told, self.heard = [hint for hint in self.heard if hint.path != LAST], []
        return told

    def _hear(self, hints: Sequence[Hint]) -> None:
        self.heard += hints

    def end(self) -> None:
        self._tasks.stop()
        self.watcher.close()


@pytest.fixture(params=["disk", "memory"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    with ExitStack() as stack:
        if request.param == "memory":
            stack.enter_context(simulated())
            folder = MemoryFolder()
            made = Room(MemoryWatcher(folder.disk), folder)
        else:
            root = tmp_path / "folder"
            root.mkdir()
            root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, root_fd)
            made = Room(open_watcher(root_fd), RealHands(root))
            assert isinstance(made.watcher, InotifyWatcher)
        stack.callback(made.end)
        yield made


def hint(name: str, what: What, *, came_from: str | None = None) -> Hint:
    return Hint(path=RelPath.parse(name), what=what, came_from=None if came_from is None else RelPath.parse(came_from))


def test_a_file_that_is_saved_by_renaming_is_moved_in(room: Room) -> None:
    room.begin()
    room.person.put("a", b"x")
    assert room.hints() == [hint("a", What.MOVED_IN)]
    room.person.put("a", b"y")
    assert room.hints() == [hint("a", What.MOVED_IN)]
    assert room.watcher.incomplete is None


def test_a_file_that_is_edited_in_place_is_written_and_closed(room: Room) -> None:
    room.person.put("a", b"x")
    room.begin()
    room.person.edit("a", b"y")
    assert room.hints() == [hint("a", What.WRITTEN), hint("a", What.CLOSED)]


def test_permission_bits_count_as_written(room: Room) -> None:
    room.person.put("a", b"x")
    room.begin()
    room.person.chmod("a", 0o755)
    assert room.hints() == [hint("a", What.WRITTEN)]


def test_a_link_is_told(room: Room) -> None:
    room.begin()
    room.person.link("l", "nowhere")
    assert {told.path for told in room.hints()} == {"l"}


def test_a_file_that_is_removed_vanishes(room: Room) -> None:
    room.person.put("a", b"x")
    room.begin()
    room.person.remove("a")
    assert room.hints() == [hint("a", What.VANISHED)]


def test_both_names_of_a_rename_are_told_together(room: Room) -> None:
    room.person.put("a", b"x")
    room.begin()
    room.person.rename("a", "b")
    assert room.hints() == [hint("a", What.VANISHED), hint("b", What.MOVED_IN, came_from="a")]


def test_what_happens_in_a_directory_is_told_with_its_path(room: Room) -> None:
    room.person.mkdir("d")
    room.person.mkdir("d/e")
    room.begin()
    room.person.put("d/e/a", b"x")
    room.person.remove("d/e/a")
    assert room.hints() == [hint("d/e/a", What.MOVED_IN), hint("d/e/a", What.VANISHED)]


def test_a_new_directory_is_told_and_what_is_in_it_only_once_it_is_covered(room: Room) -> None:
    room.begin()
    room.person.mkdir("d")
    room.person.mkdir("d/e")
    room.person.put("d/e/a", b"x")
    assert room.hints() == [hint("d", What.DIRECTORY)]
    room.begin(beneath="d")
    room.person.put("d/e/b", b"x")
    assert room.hints() == [hint("d/e/b", What.MOVED_IN)]


def test_what_happens_in_a_renamed_directory_is_told_under_its_new_name(room: Room) -> None:
    room.person.mkdir("d")
    room.person.mkdir("d/e")
    room.begin()
    room.person.rename("d", "f")
    room.person.put("f/e/a", b"x")
    assert room.hints() == [
        hint("d", What.VANISHED),
        hint("f", What.DIRECTORY, came_from="d"),
        hint("f/e/a", What.MOVED_IN),
    ]


def test_a_directory_that_is_removed_vanishes_with_all_that_is_in_it(room: Room) -> None:
    room.person.mkdir("d")
    room.person.put("d/a", b"x")
    room.begin()
    room.person.remove("d")
    assert {(told.path, told.what) for told in room.hints()} == {("d", What.VANISHED), ("d/a", What.VANISHED)}
    room.watcher.drop([RelPath.parse("d")])
    room.person.mkdir("d")
    assert room.hints() == [hint("d", What.DIRECTORY)]


def test_what_is_left_alone_is_not_watched(room: Room) -> None:
    room.person.mkdir("d")
    room.person.mkdir("d/e")
    room.begin(skip=lambda path, kind: path == "d" and kind is Kind.DIRECTORY)
    room.person.put("d/a", b"x")
    room.person.put("d/e/a", b"x")
    assert room.hints() == []


def test_gsyncs_own_folder_is_not_watched(room: Room) -> None:
    room.person.put("a", b"x")
    room.begin()
    room.person.mkdir(".gsync")
    room.person.put(".gsync/x", b"x")
    assert room.hints() == []


def test_what_happens_between_covering_and_running_is_told(room: Room) -> None:
    room.watcher.cover(None, never)
    room.person.put("a", b"x")
    room.begin()
    assert room.hints() == [hint("a", What.MOVED_IN)]


def test_to_cover_what_is_gone_does_nothing(room: Room) -> None:
    room.begin()
    room.begin(beneath="nowhere")
    assert room.watcher.incomplete is None


def test_where_nothing_can_be_heard_it_is_said_why() -> None:
    watcher = NoWatcher()
    watcher.cover(None, never)
    watcher.drop([])
    watcher.close()
    assert watcher.incomplete.reason == "this system has no inotify"
    with simulated(), gevent.Timeout(99, False):
        watcher.run(lambda hints: None)


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tmp_path / "folder"
    root.mkdir()
    (root / "l").symlink_to(outside)
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    room = Room(open_watcher(root_fd), RealHands(root))
    room.begin()
    room.begin(beneath="l")
    (outside / "a").write_bytes(b"x")
    assert room.hints() == []
    room.end()
    os.close(root_fd)
