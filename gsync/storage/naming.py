"""Changing names in the real folder: putting in, exchanging, taking out, moving, making and removing directories.

Every change is made on single names under the descriptors of their directories (renameat2 follows links in longer ones), and
is durable after `sync`. For one thread only: the one that publishes. Foreign errors end here. Made by `disk.py`.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from msgspec.structs import replace

from gsync.core.model import Fingerprint, Kind
from gsync.core.names import RelPath
from gsync.errors import FileVanished, PathRefused, StorageError
from gsync.storage import files, renames
from gsync.storage.files import fingerprint_of
from gsync.storage.looking import Looking, lstat
from gsync.storage.parents import Parents
from gsync.storage.renames import Spot
from gsync.storage.staging_folder import StagingFolder
from gsync.storage.translation import translating

ADJUSTED_MAX: Final = 256
"""So many adjusted files are kept open, to be made durable together; then it is done at once."""

DIRECTORY_MODE: Final = 0o755
"""What a new directory may do, without what the umask takes away: its permission bits do not travel."""

_NOT_EMPTY: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST})

Sync = Callable[[Sequence[int]], list[int]]
"""Makes the files and directories behind descriptors durable; the positions of those that failed."""


class Naming:
    """The hand that changes names beneath `root_fd`, which stays its owner's."""

    def __init__(
        self, root_fd: int, *, looking: Looking, staging: StagingFolder, sync: Sync, monotonic: Callable[[], float]
    ) -> None:
        self._looking = looking
        self._staging = staging
        self._sync = sync
        self._parents = Parents(root_fd, mode=DIRECTORY_MODE, monotonic=monotonic)
        self._adjusted: list[int] = []
        self._thread = 0

    def at(self, path: RelPath) -> AbstractContextManager[Spot | None]:
        """As `Looking.at`; in the thread that changes names, by a directory that is open for that anyway."""
        if threading.get_ident() == self._thread:
            return nullcontext(self._standing(path))
        return self._looking.at(path)

    def readable(self, path: RelPath) -> os.stat_result | None:
        """What stands at `path`, if anything does, as `Looking.readable` sees it."""
        if (
            threading.get_ident() != self._thread
        ):  # as `at`, without the cost of a context for each file that was placed
            with self._looking.at(path) as spot:
                return None if spot is None else self._looking.readable(spot)
        spot = self._standing(path)
        return None if spot is None else self._looking.readable(spot)

    def put_new(self, staged_name: str, path: RelPath) -> bool:
        with translating(path):
            done = renames.put_new(self._staging.spot(staged_name), self._made(path))
            if done:
                self._parents.note_change(path)
            return done

    def exchange(self, staged_name: str, path: RelPath) -> bool:
        staged = self._staging.spot(staged_name)
        with translating(path):
            spot = self._standing(path)
            status = None if spot is None else lstat(spot)
            if spot is None or status is None:
                if not staged.exists():
                    raise FileVanished(f"{staged_name}: there is no such file any more")
                return False
            if stat.S_ISDIR(status.st_mode):
                raise PathRefused(f"{path}: a directory")
            done = renames.exchange(staged, spot)
            if done:
                self._parents.note_change(path)
            return done

    def make_directory(self, path: RelPath) -> bool:
        with translating(path):
            spot = self._made(path)
            try:
                os.mkdir(spot.name, DIRECTORY_MODE, dir_fd=spot.dir_fd)
            except FileExistsError:
                self._looking.status(spot, Kind.DIRECTORY)
                return False
            self._parents.note_change(path)
            return True

    def take_out(self, path: RelPath) -> str | None:
        with translating(path):
            spot = self._standing(path)
            if spot is None or self._looking.readable(spot, Kind.FILE, Kind.LINK) is None:
                return None
            out = self._staging.free_spot()
            try:
                renames.put_new(spot, out)
            except FileNotFoundError:
                if lstat(spot) is None:
                    return None
                self._staging.renew()  # what is gone is where it should go
                renames.put_new(spot, out)
            self._parents.note_change(path)
            status = lstat(out)
            if status is not None and stat.S_ISDIR(status.st_mode):  # it came between look and rename
                renames.put_new(out, spot)
                raise PathRefused(f"{path}: a directory")
            return out.name

    def remove_directory(self, path: RelPath) -> bool:
        with translating(path):
            spot = self._standing(path)
            if spot is None or self._looking.status(spot, Kind.DIRECTORY) is None:
                return True
            try:
                os.rmdir(spot.name, dir_fd=spot.dir_fd)
            except FileNotFoundError:
                return True
            except OSError as error:
                if error.errno in _NOT_EMPTY:
                    return False
                raise
            self._parents.note_change(path)
            self._parents.forget(path)
            return True

    def move(self, source: RelPath, target: RelPath) -> bool:
        with translating(source):
            there = self._standing(source)
            if there is None or self._looking.readable(there) is None:
                raise FileVanished(f"{source}: there is no such file any more")
        if target.startswith(source + "/"):
            raise PathRefused(f"{target}: within what is to be moved there")
        with translating(target):
            free = self._made(target)
            if not renames.put_new(self._parents.spot(source), free):
                return False
            self._parents.note_change(source)
            self._parents.note_change(target)
            self._parents.forget(source)
            return True

    def adjust(
        self, path: RelPath, *, expected: Fingerprint, mtime_ns: int | None, executable: bool | None
    ) -> Fingerprint | None:
        with translating(path):
            spot = self._standing(path)
            status = None if spot is None else self._looking.readable(spot)
            now = None if status is None else fingerprint_of(status)
            if now is None or replace(now, ctime_ns=expected.ctime_ns) != expected:
                return None
            if now.kind is not Kind.FILE:
                return now
            try:
                fd, _ = self._looking.open(path)
            except FileVanished:
                return None
            self._adjusted.append(fd)
            now = files.adjust(fd, expected=expected, mtime_ns=mtime_ns, executable=executable)
            if len(self._adjusted) >= ADJUSTED_MAX:
                self._sync_adjusted([])
            return now

    def sync(self) -> None:
        """Make every change so far durable. Where it raises, all is tried again the next time."""
        self._parents.sync(lambda changed: self._sync_adjusted([*changed, self._staging.fd]))

    def close(self) -> None:
        """Release what is open."""
        self._parents.close()
        self._close_adjusted()

    def _sync_adjusted(self, more: Sequence[int]) -> None:
        """At once with `more`: one syncfs may do for all."""
        if self._sync([*more, *self._adjusted]):
            raise StorageError("the folder: the disk did not take all changes")
        self._close_adjusted()

    def _close_adjusted(self) -> None:
        while self._adjusted:
            os.close(self._adjusted.pop())

    def _made(self, path: RelPath) -> Spot:
        self._thread = threading.get_ident()
        return self._parents.made(path)

    def _standing(self, path: RelPath) -> Spot | None:
        self._thread = threading.get_ident()
        try:
            return self._parents.spot(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
