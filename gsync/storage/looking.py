"""Looking at single paths of the real folder, beneath its descriptor. Nothing is changed here, and nothing remembered.

Made by `disk.py`, for itself and for `naming.py`. Raises OSError; what is odd, `PathRefused`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gsync.core.blocks import CONTENT_MAX_BYTES
from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.errors import FileVanished, PathRefused
from gsync.storage.beneath import open_beneath, open_directory
from gsync.storage.files import fingerprint_of
from gsync.storage.filesystem import OTHER_MOUNT, TOO_LARGE, UNREADABLE, Found, Skipped
from gsync.storage.listing import KINDS, is_unreadable, kind_of, link_found
from gsync.storage.renames import Spot

_ANY: Final = tuple(Kind)

READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Looking:
    """Looks beneath `root_fd`, which stays its owner's."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._device = os.fstat(root_fd).st_dev
        self._uid = os.getuid()

    @contextmanager
    def at(self, path: RelPath) -> Iterator[Spot | None]:
        """Where `path` stands, as long as the context lasts; None where it lies in no directory."""
        directory, _, name = path.rpartition("/")
        if not directory:  # a single name needs no openat2: nothing in it can lead anywhere
            yield Spot(self._root_fd, name)
            return
        try:
            fd = open_directory(self._root_fd, directory)
        except (FileNotFoundError, NotADirectoryError):
            yield None
            return
        try:
            yield Spot(fd, name)
        finally:
            os.close(fd)

    def status(self, spot: Spot, *kinds: Kind) -> os.stat_result | None:
        """lstat of what stands at `spot`, None where nothing does; `PathRefused` for what is none of `kinds`, or odd."""
        status = lstat(spot)
        if status is None:
            return None
        if KINDS.get(stat.S_IFMT(status.st_mode)) not in (kinds or _ANY):
            raise PathRefused(f"{spot.name}: {kind_of(status)}")
        if status.st_dev != self._device:
            raise PathRefused(f"{spot.name}: {OTHER_MOUNT}")
        return status

    def readable(self, spot: Spot, *kinds: Kind) -> os.stat_result | None:
        """The same, where what may not be read is refused too: it is not announced, so nothing may take its place."""
        status = self.status(spot, *kinds)
        if status is None or (status.st_mode & stat.S_IRUSR and status.st_uid == self._uid):
            return status  # its owner may read it: no need to ask, as for nearly all files there are
        if not stat.S_ISLNK(status.st_mode) and is_unreadable(spot.name, dir_fd=spot.dir_fd):
            raise PathRefused(f"{spot.name}: {UNREADABLE}")
        if status is not None and stat.S_ISREG(status.st_mode) and status.st_size > CONTENT_MAX_BYTES:
            raise PathRefused(f"{spot.name}: {TOO_LARGE}")
        return status

    def found(self, path: RelPath, spot: Spot) -> Found | None:
        """What stands at `path`, which is at `spot`, and where it leads if it is a link."""
        status = self.readable(spot)
        if status is None:
            return None
        if not stat.S_ISLNK(status.st_mode):
            return Found(path=path, fingerprint=fingerprint_of(status))
        seen = link_found(path, status, dir_fd=spot.dir_fd)
        if isinstance(seen, Skipped):
            raise PathRefused(f"{path}: {seen.reason}")
        return seen

    def open(self, path: RelPath) -> tuple[int, os.stat_result]:
        """A descriptor of the regular file at `path`, for reading, and its fstat. Raises `FileVanished` too."""
        with self.at(path) as spot:
            status = None if spot is None else lstat(spot)  # looked at first, for to open a device may do something
            if spot is None or status is None:
                raise FileVanished(f"{path}: there is no such file any more")
            if not stat.S_ISREG(status.st_mode):
                raise PathRefused(f"{path}: {kind_of(status)}")
            if status.st_dev != self._device:
                raise PathRefused(f"{path}: {OTHER_MOUNT}")
            return opened_regular(spot.dir_fd, spot.name, READ)


def lstat(spot: Spot) -> os.stat_result | None:
    """What stands at `spot`, whatever it is; None where nothing does."""
    try:
        return os.stat(spot.name, dir_fd=spot.dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def opened_regular(dir_fd: int, name: str, flags: int) -> tuple[int, os.stat_result]:
    """A descriptor of the regular file `name` beneath `dir_fd`, and its fstat; anything else is `PathRefused`."""
    fd = open_beneath(dir_fd, name, flags)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise PathRefused(f"{name}: {kind_of(status)}")
    return fd, status
