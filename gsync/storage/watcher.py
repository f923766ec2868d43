"""Hears from the kernel what happens in the folder, as hints: a hint may be late, doubled or lost, and proves nothing.

`InotifyWatcher` has a watch on each directory, opened beneath the folder's descriptor, so that no link is followed. The kernel
watches inodes, not names: a renamed directory keeps its watch, and `cover` gives it its new name. Whoever looks at a new
directory must `cover` it before he lists it; what is made in between would else be missed. Where hints were lost a hint
without a path says so. Where not all can be watched, `incomplete` says why, and what helps.

`cover` and `drop` block and run in `storage.workers`; `run` is a loop of the hub. Called by the indexer. The fake is
`memory_watcher.MemoryWatcher`; both pass `tests/contract/test_watcher.py`.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

import gevent
from gevent.event import Event
from msgspec import Struct

from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.core.recent import Recent
from gsync.core.settle import Hint, What
from gsync.errors import NameRefused
from gsync.storage.beneath import open_beneath
from gsync.storage.filesystem import Skip

if TYPE_CHECKING:
    from inotify_simple import INotify

OnHints = Callable[[Sequence[Hint]], None]

_READ_BYTES: Final = 8 * 1024
"""Some 250 events, or 3 ms of work, before the loop has its turn."""

_FULL_BYTES: Final = _READ_BYTES - 300
"""A read that brought so much left something behind: no event is longer than what is missing here."""

_MOVES_REMEMBERED: Final = 1000
"""Renames of which one half came; the other comes right after it, or never."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

IN_MODIFY: Final = 0x2
IN_ATTRIB: Final = 0x4
IN_CLOSE_WRITE: Final = 0x8
IN_MOVED_FROM: Final = 0x40
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
IN_DELETE: Final = 0x200
IN_DELETE_SELF: Final = 0x400
IN_MOVE_SELF: Final = 0x800
IN_UNMOUNT: Final = 0x2000
IN_Q_OVERFLOW: Final = 0x4000
IN_IGNORED: Final = 0x8000
IN_ONLYDIR: Final = 0x1000000
IN_EXCL_UNLINK: Final = 0x4000000
IN_ISDIR: Final = 0x40000000

_INSIDE: Final = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
_GONE: Final = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT
_MASK: Final = _INSIDE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK

_FILE_EVENTS: Final = (
    (IN_MOVED_TO, What.MOVED_IN),
    (IN_MOVED_FROM | IN_DELETE, What.VANISHED),
    (IN_CLOSE_WRITE, What.CLOSED),
    (IN_CREATE, What.APPEARED),
    (IN_MODIFY | IN_ATTRIB, What.WRITTEN),
)


class Incomplete(Struct, frozen=True, kw_only=True):
    """Why not everything is watched, and what a person can do about it; both in words, the advice may be ""."""

    reason: str
    advice: str = ""


class Watcher(Protocol):
    """Somebody who tells when something happens in the folder."""

    @property
    def incomplete(self) -> Incomplete | None:
        """Set where something may happen without a hint; then the folder must be looked at often."""
        ...

    def run(self, on_hints: OnHints) -> None:
        """Call `on_hints` with what happens, from now on and since `cover`; never returns. `on_hints` must be short."""
        ...

    def cover(self, beneath: RelPath | None, skip: Skip) -> None:
        """Watch the directory `beneath` (None: the folder) and those in it, but what `skip` names. What is gone is passed over."""
        ...

    def drop(self, paths: Collection[RelPath]) -> None:
        """Watch the directories at `paths`, and those in them, no longer: they are gone."""
        ...

    def close(self) -> None: ...


class NoWatcher:
    """A `Watcher` that hears nothing, for where there is no inotify, and why."""

    def __init__(self, reason: str = "this system has no inotify", advice: str = "") -> None:
        self.incomplete: Final = Incomplete(reason=reason, advice=advice)

    def run(self, on_hints: OnHints) -> None:
        Event().wait()

    def cover(self, beneath: RelPath | None, skip: Skip) -> None:
        return

    def drop(self, paths: Collection[RelPath]) -> None:
        return

    def close(self) -> None:
        return


def open_watcher(root_fd: int) -> Watcher:
    """A watcher of the folder behind `root_fd`, which stays its owner's and must outlive it."""
    if sys.platform != "linux":
        return NoWatcher()
    from inotify_simple import INotify

    try:
        inotify = INotify(nonblocking=True)
    except OSError as error:
        if error.errno == errno.EMFILE:
            return NoWatcher(
                "the system gives this user no more inotify instances",
                "More are to be had by: sudo sysctl fs.inotify.max_user_instances=1024",
            )
        return NoWatcher(f"inotify cannot be used: {error.strerror}")
    return InotifyWatcher(root_fd, inotify)


class InotifyWatcher:
    """A `Watcher` on Linux."""

    def __init__(self, root_fd: int, inotify: INotify) -> None:
        self._root_fd = root_fd
        self._inotify = inotify
        self._lock = Lock()  # held for microseconds: between a new watch and its name no event may be read
        self._names: dict[int, str] = {}
        self._moves: Recent[int, str] = Recent(_MOVES_REMEMBERED)
        self._incomplete: Incomplete | None = None
        self._is_flood = False

    @property
    def incomplete(self) -> Incomplete | None:
        return self._incomplete

    def run(self, on_hints: OnHints) -> None:
        hub = gevent.get_hub()
        ready = hub.loop.io(self._inotify.fileno(), 1)
        try:
            while True:
                hub.wait(ready)  # each time, though more may be there: a flood of events must not hold up the loop
                began_s = time.monotonic()
                if hints := self._read():
                    on_hints(hints)
                if self._is_flood:
                    gevent.sleep(
                        time.monotonic() - began_s
                    )  # nor take more than half of it; what overflows is told as one
        finally:
            ready.close()

    def cover(self, beneath: RelPath | None, skip: Skip) -> None:
        if beneath is None:
            self._incomplete = None
        waiting = ["" if beneath is None else str(beneath)]
        while waiting:
            name = waiting.pop()
            try:
                fd = open_beneath(self._root_fd, name or ".", _DIRECTORY)
            except OSError:
                continue  # gone, a link, another mount, or not ours to read: a scan says which, and hides what was known
            try:
                if not self._watch(fd, name):
                    return
                waiting += _subdirectories(fd, name, skip)
            finally:
                os.close(fd)

    def drop(self, paths: Collection[RelPath]) -> None:
        gone = set(paths)
        with self._lock:
            for watch, name in list(self._names.items()):
                if name and (name in gone or not gone.isdisjoint(RelPath(name).ancestors)):
                    del self._names[watch]
                    with suppress(OSError):  # the kernel took it away together with the directory
                        self._inotify.rm_watch(watch)

    def close(self) -> None:
        self._inotify.close()

    def _watch(self, fd: int, name: str) -> bool:
        """Watch the directory that is open as `fd`; False when there can be no more watches."""
        try:
            with self._lock:
                self._names[self._inotify.add_watch(f"/proc/self/fd/{fd}", _MASK)] = name
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self._incomplete = Incomplete(
                    reason=f"the system allows no more than {len(self._names)} inotify watches here",
                    advice="More are to be had by: sudo sysctl fs.inotify.max_user_watches=1048576",
                )
                return False
            if not name:
                self._incomplete = Incomplete(reason=f"the folder cannot be watched: {error.strerror}")
                return False
        return True

    def _read(self) -> list[Hint]:
        from inotify_simple import parse_events

        try:
            raw = os.read(self._inotify.fileno(), _READ_BYTES)
        except BlockingIOError:
            return []
        self._is_flood = len(raw) > _FULL_BYTES
        hints: list[Hint] = []
        with self._lock:
            for watch, mask, cookie, name in parse_events(raw):
                hint = self._hint(watch, mask, cookie, name)
                if hint is not None and (not hints or hints[-1] != hint):
                    hints.append(hint)
        return hints

    def _hint(self, watch: int, mask: int, cookie: int, name: str) -> Hint | None:
        if mask & IN_Q_OVERFLOW:
            return Hint(path=None)
        directory = self._names.get(watch)
        if directory is None:
            return None
        if mask & IN_IGNORED:
            del self._names[watch]
            return None
        if not name:  # of the directory itself; the one that it is in tells the same, but nobody is above the folder
            return Hint(path=None) if mask & _GONE and not directory else None
        try:
            path = RelPath.parse(f"{directory}/{name}" if directory else name)
        except NameRefused:
            return None
        came_from = self._came_from(path, mask, cookie)
        if mask & IN_ISDIR and not mask & (IN_MOVED_FROM | IN_DELETE):
            return Hint(path=path, what=What.DIRECTORY, came_from=came_from)
        return next((Hint(path=path, what=what, came_from=came_from) for bit, what in _FILE_EVENTS if mask & bit), None)

    def _came_from(self, path: RelPath, mask: int, cookie: int) -> RelPath | None:
        """The old name, where this is the second half of a rename within the folder; watches beneath it get their new names."""
        if mask & IN_MOVED_FROM:
            self._moves[cookie] = path
        old = self._moves.get(cookie) if mask & IN_MOVED_TO else None
        if old is None:
            return None
        self._moves.forget(cookie)
        if mask & IN_ISDIR:
            for watch, name in self._names.items():
                if name == old or name.startswith(old + "/"):
                    self._names[watch] = path + name.removeprefix(old)
        return RelPath(old)


def _subdirectories(fd: int, name: str, skip: Skip) -> Iterator[str]:
    with suppress(OSError), os.scandir(fd) as entries:
        for entry in entries:
            with suppress(NameRefused):
                if entry.is_dir(follow_symlinks=False):
                    path = RelPath.parse(f"{name}/{entry.name}" if name else entry.name)
                    if not skip(path, Kind.DIRECTORY):
                        yield str(path)
