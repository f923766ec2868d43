"""Two ways to put a file under a name without ever losing what stands there: into a free name, and by exchange.

renameat2 does both in one step. Where the file system has no such flag (EINVAL) or the kernel no such call (ENOSYS) a
hard link does nearly the same; where there are no hard links either, names are looked at again just before a plain rename.
Works on single names under directory descriptors; raises OSError. Called by `disk.py` only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from gsync.storage import syscalls

_NO_FLAGS: Final = frozenset({errno.EINVAL, errno.ENOSYS})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})

Rename = Callable[[int, str, int, str, int], None]


class Spot(Struct, frozen=True):
    """A single name under an open directory."""

    dir_fd: int
    name: str

    def exists(self) -> bool:
        """Whether anything stands there now, a dangling link included."""
        return self.inode() is not None

    def inode(self) -> int | None:
        """The inode that stands there now, None where nothing does."""
        try:
            return os.stat(self.name, dir_fd=self.dir_fd, follow_symlinks=False).st_ino
        except FileNotFoundError:
            return None


def put_new(source: Spot, target: Spot, *, renameat2: Rename = syscalls.renameat2) -> bool:
    """Move `source` to `target`; False, and nothing done, when something stands there."""
    try:
        renameat2(source.dir_fd, source.name, target.dir_fd, target.name, syscalls.RENAME_NOREPLACE)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_FLAGS:
            raise
        return _put_new_by_link(source, target)
    return True


def exchange(source: Spot, target: Spot, *, renameat2: Rename = syscalls.renameat2) -> bool:
    """Swap `source` and `target`; False, and nothing done, when nothing stands at `target`."""
    try:
        renameat2(source.dir_fd, source.name, target.dir_fd, target.name, syscalls.RENAME_EXCHANGE)
    except FileNotFoundError:
        if not source.exists():
            raise
        return False
    except OSError as error:
        if error.errno not in _NO_FLAGS:
            raise
        return _exchange_in_steps(source, target)
    return True


def _put_new_by_link(source: Spot, target: Spot) -> bool:
    try:
        os.link(source.name, target.name, src_dir_fd=source.dir_fd, dst_dir_fd=target.dir_fd, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if target.exists():
            return False
        _rename(source, target)
        return True
    os.unlink(source.name, dir_fd=source.dir_fd)
    return True


def _exchange_in_steps(source: Spot, target: Spot) -> bool:
    """Keep the old file under a third name beside `source`, rename over it, give it the name of `source`.

    A crash in between leaves the old file under that third name in staging, where the look at start finds it.
    """
    aside = Spot(source.dir_fd, source.name + ".old")
    if not source.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source.name)
    while True:
        try:
            os.link(target.name, aside.name, src_dir_fd=target.dir_fd, dst_dir_fd=aside.dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _exchange_by_names(source, target, aside)
        if target.inode() == aside.inode():
            break
        os.unlink(aside.name, dir_fd=aside.dir_fd)  # replaced meanwhile: take the one that stands there now
    _rename(source, target)
    _rename(aside, source)
    return True


def _exchange_by_names(source: Spot, target: Spot, aside: Spot) -> bool:
    """Where there are neither flags nor links: for a moment the name is free, but nothing can be lost."""
    try:
        _rename(target, aside)
    except FileNotFoundError:
        return False
    try:
        _rename(source, target)
    except OSError:
        if not target.exists():
            _rename(aside, target)
        raise
    _rename(aside, source)
    return True


def _rename(source: Spot, target: Spot) -> None:
    os.rename(source.name, target.name, src_dir_fd=source.dir_fd, dst_dir_fd=target.dir_fd)
