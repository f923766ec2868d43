"""The directories in which names are being changed, kept open for as long as a batch of changes takes.

Every change of a name is made on a single name under the descriptor of its directory, which was opened beneath the root;
and that same descriptor is what is synced afterwards. So five hundred files in fifty directories cost fifty openings and
fifty syncs. A descriptor goes where its directory goes when somebody renames it: none is used for longer than `FRESH_S`, nor
after `sync` or `forget`. For one thread only. Raises OSError. Called by `disk.py`, and by `trash.py` for its boxes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct

from gsync.storage import syscalls
from gsync.storage.beneath import open_directory
from gsync.storage.renames import Spot

PARENTS_MAX: Final = 256
"""So many directories are open at most; the one that was not used for longest is closed first, and then all is synced at once."""

FRESH_S: Final = 0.5
"""After this a directory is opened anew: somebody may have renamed it, and made another one of its name."""


class _Parent(Struct):
    fd: int
    since: float
    changed: bool = False


class Parents:
    """Directories beneath `root_fd`, which stays its owner's. New ones get `mode`, without what the umask takes away."""

    def __init__(
        self,
        root_fd: int,
        *,
        mode: int,
        monotonic: Callable[[], float] = time.monotonic,
        syncfs: Callable[[int], None] = syscalls.syncfs,
    ) -> None:
        self._root_fd = root_fd
        self._mode = mode
        self._monotonic = monotonic
        self._open: dict[str, _Parent] = {}
        self._stale: list[_Parent] = []
        self._root_changed = False
        self._syncfs = syncfs
        self._overflowed = False

    def spot(self, path: str) -> Spot:
        """Where `path` stands; its directory must be there. Good until a few others were asked for."""
        directory, _, name = path.rpartition("/")
        if not directory:
            return Spot(self._root_fd, name)
        parent = self._open.pop(directory, None)
        if parent is not None and self._monotonic() - parent.since > FRESH_S:
            self._retire(parent)
            parent = None
        if parent is None:
            self._make_room()
            parent = _Parent(open_directory(self._root_fd, directory), self._monotonic())
        self._open[directory] = parent
        return Spot(parent.fd, name)

    def made(self, path: str) -> Spot:
        """The same, with the directories made that are missing."""
        try:
            return self.spot(path)
        except FileNotFoundError:
            return self._made(path)

    def _made(self, path: str) -> Spot:
        at = path.find("/")
        while at >= 0:
            ancestor = path[:at]
            spot = self.spot(ancestor)
            with suppress(FileExistsError):
                os.mkdir(spot.name, self._mode, dir_fd=spot.dir_fd)
                self.note_change(ancestor)
            at = path.find("/", at + 1)
        return self.spot(path)

    def note_change(self, path: str) -> None:
        """The name `path` was changed under the spot that was given last for it: its directory is to be synced."""
        directory = path.rpartition("/")[0]
        if directory:
            self._open[directory].changed = True
        else:
            self._root_changed = True

    def forget(self, path: str) -> None:
        """The directory `path` is no longer what it was, or where."""
        for directory in [one for one in self._open if one == path or one.startswith(path + "/")]:
            self._retire(self._open.pop(directory))

    def sync(self, sync: Callable[[Sequence[int]], None]) -> None:
        """Have `sync` make durable what was changed, and close all. Where it raises, all stays as it is, to be tried again."""
        if self._overflowed:
            self._syncfs(self._root_fd)
            self._overflowed = False
        changed = [parent.fd for parent in (*self._open.values(), *self._stale) if parent.changed]
        sync([*changed, self._root_fd] if self._root_changed else changed)
        self._root_changed = False
        self.close()

    def close(self) -> None:
        """Release every directory."""
        for parent in (*self._open.values(), *self._stale):
            os.close(parent.fd)
        self._open.clear()
        self._stale.clear()

    def _retire(self, parent: _Parent) -> None:
        """It is not used any more, but what was changed in it must still become durable."""
        if parent.changed:
            self._stale.append(parent)
        else:
            os.close(parent.fd)

    def _make_room(self) -> None:
        while len(self._open) + len(self._stale) >= PARENTS_MAX:
            oldest = self._stale.pop(0) if self._stale else self._open.pop(next(iter(self._open)))
            self._overflowed |= oldest.changed
            os.close(oldest.fd)
