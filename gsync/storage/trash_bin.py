"""What lies in the trash, for a person who looks for something in it. Reads only; `trash.py` is who puts in and takes out.

Everything is found beneath the descriptor of `.gsync/`, following no link, so it works while a peer runs here or does not. Names
that cannot be paths, and boxes that are not ours, are not shown. Blocking; called by `restoring.py`, the peer and `gsync restore`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from gsync.core.names import RelPath
from gsync.core.status import Trashed
from gsync.errors import FileVanished, NameRefused, PathRefused, UnknownName
from gsync.storage.beneath import open_beneath
from gsync.storage.files import DiskFile, fingerprint_of
from gsync.storage.own_folder import TRASH
from gsync.storage.translation import storage_error
from gsync.storage.trash import parse_box

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class TrashBin:
    """The trash in the `.gsync/` that is open at `own_fd`, which stays the caller's."""

    def __init__(self, own_fd: int) -> None:
        self._own_fd = own_fd

    def trashed(self, *, beneath: RelPath | None = None, box: str = "") -> Iterator[Trashed]:
        """What lies there, newest box first, in path order within; only from one box, or at and beneath one path.

        Raises `UnknownName` for a box that is not there, `StorageError`.
        """
        with self._opened() as trash_fd:
            boxes = self._boxes(trash_fd) if trash_fd is not None else []
            if box and box not in boxes:
                raise UnknownName(
                    f"there is no box {box} in the trash", advice="see which there are: gsync restore --list"
                )
            if trash_fd is None:
                return
            for name in [box] if box else boxes:
                with suppress(FileNotFoundError):  # its time was over meanwhile
                    yield from self._in_box(trash_fd, name, beneath)

    def open(self, one: Trashed) -> DiskFile:
        """The file, for reading. Raises `FileVanished`, `PathRefused`, `StorageError`."""
        with self._opened() as trash_fd:
            if trash_fd is None:
                raise FileVanished(f"{one.path}: the trash was deleted")
            try:
                fd = open_beneath(trash_fd, f"{one.box}/{one.path}", _READ)
            except OSError as error:
                raise storage_error(error, one.path) from error
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise PathRefused(f"{one.path}: not a regular file")
        return DiskFile(fd, name=one.path, fingerprint=fingerprint_of(status))

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        """Its descriptor; None where a person deleted it."""
        try:
            trash_fd = os.open(TRASH, _DIRECTORY, dir_fd=self._own_fd)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise storage_error(error, "the trash") from error
        try:
            yield trash_fd
        finally:
            os.close(trash_fd)

    def _boxes(self, trash_fd: int) -> list[str]:
        try:
            return sorted((name for name in os.listdir(trash_fd) if parse_box(name, size=0)), reverse=True)
        except OSError as error:
            raise storage_error(error, "the trash") from error

    def _in_box(self, trash_fd: int, name: str, beneath: RelPath | None) -> Iterator[Trashed]:
        box = parse_box(name, size=0)
        assert box is not None
        found: list[Trashed] = []
        for directory, inside, files, dir_fd in os.fwalk(name, dir_fd=trash_fd):
            at = directory.removeprefix(name).removeprefix("/")
            for file in (*files, *inside):
                path = _path(f"{at}/{file}" if at else file)
                if path is None or not _is_meant(path, beneath):
                    continue
                status = os.stat(file, dir_fd=dir_fd, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    continue
                target = os.readlink(file, dir_fd=dir_fd) if stat.S_ISLNK(status.st_mode) else ""
                found.append(Trashed(box=name, path=path, size=status.st_size, since_s=box.since_s, target=target))
        yield from sorted(found, key=lambda one: one.path)


def _path(text: str) -> RelPath | None:
    try:
        return RelPath.parse(text)
    except NameRefused:
        return None


def _is_meant(path: RelPath, beneath: RelPath | None) -> bool:
    return beneath is None or path == beneath or path.startswith(f"{beneath}/")
