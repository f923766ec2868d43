"""What the system's refusals are called here: OSError -> StorageError, with the facts kept as the cause.

The border of the room: `raise storage_error(error, what) from error`, or `with translating(what):` around the calls, is how
every module of `storage/` says it.
"""

from __future__ import annotations

import errno
from types import TracebackType
from typing import Final

from gsync.errors import FileVanished, NoSpace, PathRefused, StorageError

_NAMES: Final[dict[int, tuple[type[StorageError], str]]] = {
    errno.ENOENT: (FileVanished, "there is no such file any more"),
    errno.ENOSPC: (NoSpace, "the disk is full"),
    errno.EDQUOT: (NoSpace, "the quota of this user is used up"),
    errno.ELOOP: (PathRefused, "a link"),
    errno.ENOTDIR: (PathRefused, "a part of it is not a directory"),
    errno.EISDIR: (PathRefused, "a directory"),
    errno.EXDEV: (PathRefused, "on another mount"),
    errno.ENXIO: (PathRefused, "not a regular file"),
    errno.ENAMETOOLONG: (PathRefused, "the name is too long for this disk"),
}


def storage_error(error: OSError, what: str) -> StorageError:
    """The error of ours that says what `error` means for the file `what`."""
    kind, words = _NAMES.get(error.errno or 0, (StorageError, error.strerror or str(error)))
    return kind(f"{what}: {words}")


class translating:  # noqa: N801  (as a function: it is one, but for its speed)
    """A block in which an OSError becomes the `storage_error` for the file `what`."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, OSError):
            raise storage_error(error, self._what) from error
