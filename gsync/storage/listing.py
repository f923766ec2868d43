"""What stands at the top of the real folder: the regular files, and with a reason everything that gsync leaves alone.

An unchanged file costs one stat and five comparisons: the values of the last listing are handed out again, so that ten
thousand of them take well under 60 ms and the trees that keep them share memory. Called by `disk.py` only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Final

from gsync.core.model import Fingerprint
from gsync.core.names import OWN_FOLDER, RelPath
from gsync.errors import NameRefused
from gsync.storage.files import fingerprint_of
from gsync.storage.filesystem import Found, Skipped

OTHER_MOUNT: Final = "on another mount"
UNREADABLE: Final = "not readable by this user"

_KINDS: Final = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a subfolder: not synced yet",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Lister:
    """Lists one folder again and again; `root_fd` stays its owner's. Raises OSError."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._device = os.fstat(root_fd).st_dev
        self._last: dict[str, Found] = {}

    def listing(self) -> Iterator[Found | Skipped]:
        """Everything but `.gsync`, in the order of the disk."""
        # A descriptor of its own: one that is shared shares the place in the directory too, and there may be two listings.
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._root_fd)
        last, self._last = self._last, {}
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    if entry.name == OWN_FOLDER:
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    found = last.get(entry.name)
                    if found is None or not _shows(found.fingerprint, status):
                        seen = self._look(entry.name, status)
                        if isinstance(seen, Skipped):
                            yield seen
                            continue
                        found = seen
                    self._last[entry.name] = found
                    yield found
        finally:
            os.close(fd)

    def _look(self, name: str, status: os.stat_result) -> Found | Skipped:
        if not stat.S_ISREG(status.st_mode):
            return Skipped(name=_shown(name), reason=kind_of(status))
        if status.st_dev != self._device:
            return Skipped(name=_shown(name), reason=OTHER_MOUNT)
        try:
            path = RelPath.parse(name)
        except NameRefused as refused:
            return Skipped(name=_shown(name), reason=f"its name: {refused.reason}")
        if is_unreadable(name, dir_fd=self._root_fd):
            return Skipped(name=_shown(name), reason=UNREADABLE)
        return Found(path=path, fingerprint=fingerprint_of(status))


def kind_of(status: os.stat_result) -> str:
    """What `status` shows, in words, for whoever wonders why it is left alone."""
    return _KINDS.get(stat.S_IFMT(status.st_mode), "not a regular file")


def is_unreadable(name: str, *, dir_fd: int) -> bool:
    """Whether something stands there that we may not read: to announce it would be to promise what cannot be served."""
    # Not with `effective_ids`: where a sandbox knows no faccessat2, everything would look unreadable.
    return not os.access(name, os.R_OK, dir_fd=dir_fd) and os.access(name, os.F_OK, dir_fd=dir_fd)


def _shows(known: Fingerprint, status: os.stat_result) -> bool:
    """Whether `status` is still what `known` was made from."""
    return (
        known.ctime_ns == status.st_ctime_ns
        and known.mtime_ns == status.st_mtime_ns
        and known.inode == status.st_ino
        and known.size == status.st_size
        and known.mode | stat.S_IFREG == status.st_mode
    )


def _shown(name: str) -> str:
    """A name that may not be text, for a person's eyes."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")
