"""Open files of the real disk: `DiskFile`, one open for reading, and `DiskStaged`, one being written in staging.

Both own their descriptor. OSError becomes `StorageError` here. Made by `disk.py` and `staging_folder.py`.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from gsync.core.blocks import is_zeros
from gsync.core.model import Fingerprint, Kind
from gsync.errors import NoSpace
from gsync.storage import syscalls
from gsync.storage.filesystem import with_exec_bit
from gsync.storage.space import floor_bytes
from gsync.storage.translation import storage_error

WRITEBACK_EVERY_BYTES: Final = 16 * 1024 * 1024
"""A large file starts on its way to the disk each time this much of it is written, so that the sync at its end is short."""

WRITE_BYTES: Final = 256 * 1024
"""At most so much in one call. On ext4 (Linux 6.18) calls of 1 MiB cost 1.0 s of CPU a GiB, of 256 or 512 KiB 0.23 s: it
seems to look for one piece of free memory as large as the call."""


HOLE_MIN_BYTES: Final = 64 * 1024
"""Zeros that are added at the end are not written from this length on: they take no room, and read the same."""

_NOWHERE: Final = 1 << 63
_OTHER_KINDS: Final = {stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.LINK}


def fingerprint_of(status: os.stat_result) -> Fingerprint:
    """What of a stat the trees remember; of a directory not what changes with what is in it."""
    kind = _OTHER_KINDS.get(stat.S_IFMT(status.st_mode), Kind.FILE)
    mode = status.st_mode & 0o7777
    if kind is Kind.DIRECTORY:
        return Fingerprint(size=0, mtime_ns=0, ctime_ns=0, inode=status.st_ino, mode=mode, kind=kind)
    return Fingerprint(
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=status.st_ino,
        mode=mode,
        kind=kind,
    )


def require_space(fd: int, count: int) -> int:
    """How many more bytes than `count` fit above the free-space floor of the disk of `fd`. Raises `NoSpace`; OSError."""
    disk = os.fstatvfs(fd)
    spare = disk.f_bavail * disk.f_frsize - floor_bytes(disk.f_blocks * disk.f_frsize) - count
    if spare < 0:
        raise NoSpace(f"no room for {count} more bytes above the free-space floor")
    return spare


def adjust(fd: int, *, expected: Fingerprint, mtime_ns: int | None, executable: bool | None) -> Fingerprint | None:
    """Set mtime and exec bit of the open file, if it is still what was `expected`, but for its ctime; what it shows now.

    None, and nothing done, if it is something else. Raises OSError.
    """
    status = os.fstat(fd)
    now = fingerprint_of(status)
    if replace(now, ctime_ns=expected.ctime_ns) != expected:
        return None
    if executable is not None and executable != now.is_executable:
        os.fchmod(fd, with_exec_bit(now.mode, executable=executable))
    if mtime_ns is not None and mtime_ns != now.mtime_ns:
        os.utime(fd, ns=(status.st_atime_ns, mtime_ns))
    return fingerprint_of(os.fstat(fd))


class DiskFile:
    """An `OpenFile`."""

    __slots__ = ("_fd", "_name", "fingerprint")

    def __init__(self, fd: int, *, name: str, fingerprint: Fingerprint) -> None:
        self._fd = fd
        self._name = name
        self.fingerprint = fingerprint

    def read_at(self, offset: int, count: int) -> bytes:
        try:
            return os.pread(self._fd, count, offset)
        except OSError as error:
            raise storage_error(error, self._name) from error

    def data_at(self, offset: int) -> int:
        return _data_at(self._fd, offset, self._name)

    def fileno(self) -> int:
        return self._fd

    def changed(self) -> bool:
        status = os.fstat(self._fd)
        was = self.fingerprint
        if (status.st_size, status.st_mtime_ns) != (was.size, was.mtime_ns):
            return True
        # Some programs put the mtime back after they wrote. A file that lost its last name moved its ctime by that alone.
        return status.st_nlink > 0 and status.st_ctime_ns != was.ctime_ns

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> DiskFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class DiskStaged:
    """A `Staged`."""

    __slots__ = ("_fd", "_highest", "_lowest", "_unstarted", "name", "size")

    def __init__(self, fd: int, *, name: str, size: int = 0) -> None:
        """`size` is what is in it already."""
        self._fd = fd
        self._unstarted = 0
        self._lowest, self._highest = _NOWHERE, 0
        self.name = name
        self.size = size

    @property
    def inode(self) -> int:
        return self.fingerprint().inode

    def write(self, data: bytes | memoryview) -> None:
        if len(data) >= HOLE_MIN_BYTES and is_zeros(data):
            self._require_space(self._holes() + len(data))  # of a stream without end, zeros must come to an end, too
            self.truncate(self.size + len(data))
        else:
            self.write_at(self.size, data)

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        begin = offset
        try:
            self._require_space(len(rest))
            while rest:
                written = os.pwrite(self._fd, rest[:WRITE_BYTES], offset)
                offset += written
                rest = rest[written:]
        except OSError as error:
            raise storage_error(error, self.name) from error
        finally:
            self.size = max(self.size, offset) if offset > begin else self.size
        self._start_writeback(begin, offset)

    def read_at(self, offset: int, count: int) -> bytes:
        try:
            return os.pread(self._fd, count, offset)
        except OSError as error:
            raise storage_error(error, self.name) from error

    def data_at(self, offset: int) -> int:
        return _data_at(self._fd, offset, self.name)

    def truncate(self, size: int) -> None:
        try:
            os.ftruncate(self._fd, size)
        except OSError as error:
            raise storage_error(error, self.name) from error
        self.size = size

    def _start_writeback(self, begin: int, end: int) -> None:
        """Note that this range was written; once enough was, send all of it on its way."""
        self._unstarted += end - begin
        self._lowest, self._highest = min(self._lowest, begin), max(self._highest, end)
        if self._unstarted < WRITEBACK_EVERY_BYTES:
            return
        with suppress(OSError):  # a hint; where the system does not take it, the sync at the end does all
            syscalls.start_writeback(self._fd, self._lowest, self._highest - self._lowest)
        self._unstarted, self._lowest, self._highest = 0, _NOWHERE, 0

    def _holes(self) -> int:
        """How many bytes of it take no room."""
        return max(0, self.size - os.fstat(self._fd).st_blocks * 512)

    def _require_space(self, count: int) -> None:
        """A large download is not measured before it comes, and may never end: each piece of it leaves the floor free."""
        require_space(self._fd, count)

    def finish(self, *, mtime_ns: int, mode: int) -> None:
        try:
            os.fchmod(self._fd, mode)
            os.utime(self._fd, ns=(mtime_ns, mtime_ns))
        except OSError as error:
            raise storage_error(error, self.name) from error

    def fingerprint(self) -> Fingerprint:
        try:
            return fingerprint_of(os.fstat(self._fd))
        except OSError as error:
            raise storage_error(error, self.name) from error

    def fileno(self) -> int:
        """The descriptor, for `Durability`."""
        return self._fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def _data_at(fd: int, offset: int, name: str) -> int:
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole follows
            return max(offset, os.fstat(fd).st_size)
        if error.errno == errno.EINVAL:  # a file system that knows no holes
            return offset
        raise storage_error(error, name) from error
