"""When a batch of staged files is on the disk for good: one syncfs for many, fsync for few; returns what failed.

syncfs costs one flush a batch instead of one a file, but it also writes what other programs have dirty, and it reports
their errors as ours. So: a slow one makes the next batches go file by file, and a failed one is asked again file by
file. fsync and not fdatasync: a later rename must not show a file with an old size or mtime.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from gsync.storage import syscalls

SYNCFS_MIN_FILES: Final = 32
"""From this many files on, one syncfs is cheaper than an fsync each."""

SYNCFS_SLOW_S: Final = 0.25
"""A syncfs that took longer has written other programs' data (600 ms were measured with 1 GiB of it)."""

FILE_BY_FILE_BATCHES: Final = 10
"""How many batches go file by file after a slow syncfs, before it is tried again."""


class Durability:
    """Makes batches durable; remembers only whether syncfs was slow lately."""

    def __init__(
        self,
        root_fd: int,
        *,
        monotonic: Callable[[], float],
        syncfs: Callable[[int], None] = syscalls.syncfs,
        fsync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._root_fd = root_fd
        self._monotonic = monotonic
        self._syncfs = syncfs
        self._fsync = fsync
        self._file_by_file = 0

    def sync(self, fds: Sequence[int]) -> list[int]:
        """Make the files behind the open `fds` durable; returns the positions of those that are not."""
        if len(fds) >= SYNCFS_MIN_FILES and self._whole_file_system():
            return []
        return [position for position, fd in enumerate(fds) if not self._one(fd)]

    def _whole_file_system(self) -> bool:
        if self._file_by_file:
            self._file_by_file -= 1
            return False
        started = self._monotonic()
        try:
            self._syncfs(self._root_fd)
        except OSError:
            return False  # perhaps another program's file; each of ours is asked now
        if self._monotonic() - started > SYNCFS_SLOW_S:
            self._file_by_file = FILE_BY_FILE_BATCHES
        return True

    def _one(self, fd: int) -> bool:
        try:
            self._fsync(fd)
        except OSError:
            return False
        return True
