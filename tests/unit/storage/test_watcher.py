"""What the watcher makes of what the kernel says, and of what it refuses; what it tells is in tests/contract/test_watcher.py."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import inotify_simple
import pytest

from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.core.settle import Hint, What
from gsync.storage import watcher as module
from gsync.storage.filesystem import never
from gsync.storage.watcher import InotifyWatcher, NoWatcher, open_watcher


class Kernel:
    """Gives watches, as many as `limit`, and lets the test say what it tells; stands for `inotify_simple.INotify`."""

    def __init__(self, *, limit: int = 99, error: int = errno.ENOSPC) -> None:
        self.limit = limit
        self.error = error
        self.watched: dict[int, int] = {}
        self.removed: list[int] = []
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        return self._reader

    def add_watch(self, path: str, mask: int) -> int:
        inode = os.stat(path).st_ino
        if inode not in self.watched.values() and len(self.watched) >= self.limit:
            raise OSError(self.error, os.strerror(self.error))
        known = {seen: watch for watch, seen in self.watched.items()}
        watch = known.get(inode, len(self.watched) + 1)
        self.watched[watch] = inode
        return watch

    def rm_watch(self, watch: int) -> None:
        if watch not in self.watched:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self.removed.append(watch)

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def say(self, watch: int, mask: int, name: str = "", *, cookie: int = 0) -> None:
        raw = os.fsencode(name) + b"\0" if name else b""
        os.write(self._writer, struct.pack("iIII", watch, mask, cookie, len(raw)) + raw)


class Room:
    def __init__(self, path: Path, kernel: Kernel) -> None:
        self.path = path
        self.kernel = kernel
        self.root_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.watcher = InotifyWatcher(self.root_fd, kernel)  # type: ignore[arg-type]

    def names(self) -> list[str]:
        return sorted(self.watcher._names.values())

    def end(self) -> None:
        self.watcher.close()
        os.close(self.root_fd)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    (tmp_path / "d" / "e").mkdir(parents=True)
    room = Room(tmp_path, Kernel())
    room.watcher.cover(None, never)
    yield room
    room.end()


def test_every_directory_is_watched(room: Room) -> None:
    assert room.names() == ["", "d", "d/e"]
    assert set(room.kernel.watched.values()) == {(room.path / name).stat().st_ino for name in (".", "d", "d/e")}


def test_an_overflow_means_anything_may_have_happened(room: Room) -> None:
    room.kernel.say(-1, module.IN_Q_OVERFLOW)
    assert room.watcher._read() == [Hint(path=None)]


@pytest.mark.parametrize("mask", [module.IN_DELETE_SELF, module.IN_MOVE_SELF, module.IN_UNMOUNT])
def test_when_the_folder_itself_goes_anything_may_have_happened(room: Room, mask: int) -> None:
    room.kernel.say(1, mask)
    room.kernel.say(2, mask)
    assert room.watcher._read() == [Hint(path=None)]


def test_a_watch_that_ended_says_nothing_more(room: Room) -> None:
    room.kernel.say(1, module.IN_IGNORED)
    room.kernel.say(1, module.IN_CREATE, "a")
    room.kernel.say(77, module.IN_CREATE, "a")
    assert room.watcher._read() == []
    assert room.names() == ["d", "d/e"]


@pytest.mark.parametrize("name", ["a\nb", "bad\udcff", ".gsync", ".GSYNC"])
def test_names_that_are_never_synced_are_no_hints(room: Room, name: str) -> None:
    room.kernel.say(1, module.IN_CREATE, name)
    assert room.watcher._read() == []


def test_the_same_thing_again_and_again_is_one_hint(room: Room) -> None:
    for _ in range(5):
        room.kernel.say(1, module.IN_MODIFY, "a")
    assert room.watcher._read() == [Hint(path=RelPath("a"), what=What.WRITTEN)]


def test_nothing_to_read_is_no_hint(room: Room) -> None:
    assert room.watcher._read() == []


def test_a_directory_that_may_be_entered_now_is_looked_at(room: Room) -> None:
    room.kernel.say(1, module.IN_ATTRIB | module.IN_ISDIR, "d")
    assert room.watcher._read() == [Hint(path=RelPath("d"), what=What.DIRECTORY)]


def test_a_rename_whose_halves_come_apart_is_still_one(room: Room) -> None:
    room.kernel.say(1, module.IN_MOVED_FROM, "a", cookie=5)
    assert room.watcher._read() == [Hint(path=RelPath("a"), what=What.VANISHED)]
    room.kernel.say(1, module.IN_CREATE, "x")
    room.kernel.say(1, module.IN_MOVED_TO, "b", cookie=5)
    assert room.watcher._read()[1] == Hint(path=RelPath("b"), what=What.MOVED_IN, came_from=RelPath("a"))


def test_a_directory_that_left_is_watched_no_longer(room: Room) -> None:
    (room.path / "dd").mkdir()
    room.watcher.cover(RelPath("dd"), never)
    room.watcher.drop([RelPath("d")])
    assert room.names() == ["", "dd"]
    assert len(room.kernel.removed) == 2


def test_a_watch_that_the_kernel_took_away_itself_is_dropped_too(room: Room) -> None:
    room.kernel.watched.clear()
    room.watcher.drop([RelPath("d")])
    assert room.names() == [""]


def test_where_the_watches_end_it_is_said_what_to_raise(room: Room) -> None:
    room.kernel.limit = 3
    (room.path / "d" / "f").mkdir()
    room.watcher.cover(RelPath("d"), never)
    assert room.watcher.incomplete is not None
    assert "no more than 3 inotify watches" in room.watcher.incomplete.reason
    assert "sudo sysctl fs.inotify.max_user_watches=" in room.watcher.incomplete.advice
    room.kernel.say(1, module.IN_CREATE, "a")
    assert room.watcher._read() == [Hint(path=RelPath("a"), what=What.APPEARED)]
    room.kernel.limit = 4
    room.watcher.cover(RelPath("d"), never)
    assert room.watcher.incomplete is not None  # something else may still be unwatched
    room.watcher.cover(None, never)
    assert room.watcher.incomplete is None


def test_a_folder_that_cannot_be_watched_is_said(tmp_path: Path) -> None:
    room = Room(tmp_path, Kernel(limit=0, error=errno.EACCES))
    room.watcher.cover(None, never)
    assert room.watcher.incomplete is not None
    assert "Permission denied" in room.watcher.incomplete.reason
    room.end()


def test_a_directory_that_cannot_be_watched_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    room = Room(tmp_path, Kernel(limit=1, error=errno.EACCES))
    room.watcher.cover(None, never)
    assert room.watcher.incomplete is None
    room.end()


def test_what_is_left_alone_and_what_has_no_good_name_is_not_entered(tmp_path: Path) -> None:
    for name in ("d", "e", "bad\udcff", ".gsync"):
        (tmp_path / name / "x").mkdir(parents=True)
    room = Room(tmp_path, Kernel())
    room.watcher.cover(None, lambda path, kind: kind is Kind.DIRECTORY and path == "d")
    assert room.names() == ["", "e", "e/x"]
    room.end()


@pytest.mark.parametrize(
    ("code", "reason", "advice"),
    [(errno.EMFILE, "no more inotify instances", "max_user_instances"), (errno.ENOSYS, "cannot be used", "")],
)
def test_without_inotify_there_is_a_watcher_that_hears_nothing(
    monkeypatch: pytest.MonkeyPatch, code: int, reason: str, advice: str
) -> None:
    def refuse(**options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(inotify_simple, "INotify", refuse)
    watcher = open_watcher(0)
    assert isinstance(watcher, NoWatcher)
    assert reason in watcher.incomplete.reason
    assert advice in watcher.incomplete.advice


def test_on_another_system_there_is_none_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "darwin")
    assert isinstance(open_watcher(0), NoWatcher)
