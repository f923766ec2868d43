"""Where displaced files wait: `.gsync/trash/<UTC time>-<8 hex>/<path>`, and which of them have waited long enough.

`expired` decides (pure), `Trash` does. A box is one such directory; files displaced within one second share one, as long
as their paths differ. What a person may never have seen goes to a box whose name ends in `-unseen`: it stays its 30 days
whatever its size. Names in the trash that are not boxes of ours are never removed.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gsync.core.names import RelPath
from gsync.storage.filesystem import Worth
from gsync.storage.own_folder import RandomHex
from gsync.storage.renames import Spot, put_new

KEEP_S: Final = 30 * 24 * 3600
"""How long a displaced file can be fetched back."""

SUPERSEDED_MIN_BYTES: Final = 1024**3
SUPERSEDED_SHARE: Final = 0.10
"""Superseded versions take at most the larger of 1 GiB and this share of the disk; the oldest go first."""

_BOX: Final = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}(-unseen)?")
_TIME: Final = "%Y%m%dT%H%M%SZ"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A directory in the trash and what it takes up."""

    name: str
    since_s: float
    size: int
    worth: Worth


def box_name(now_s: float, *, worth: Worth, random_hex: RandomHex) -> str:
    """A name for a new box."""
    return f"{datetime.fromtimestamp(now_s, UTC).strftime(_TIME)}-{random_hex(4)}{worth.value}"


def parse_box(name: str, *, size: int) -> Box | None:
    """The box that `name` names; None for anything that is not one of ours."""
    match = _BOX.fullmatch(name)
    if match is None:
        return None
    try:
        since = datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Box(name=name, since_s=since.timestamp(), size=size, worth=Worth(match[2] or ""))


def expired(boxes: Iterable[Box], *, now_s: float, disk_bytes: int) -> list[Box]:
    """The boxes whose time is over, and the oldest superseded ones beyond the room that they may take."""
    room = superseded_room(disk_bytes)
    over: list[Box] = []
    for box in sorted(boxes, key=lambda b: (b.since_s, b.name), reverse=True):
        if now_s - box.since_s > KEEP_S:
            over.append(box)
        elif box.worth is Worth.SUPERSEDED:
            room -= box.size
            if room < 0:
                over.append(box)
    return over


def superseded_room(disk_bytes: int) -> int:
    """How many bytes superseded versions may take on a disk of `disk_bytes`."""
    return max(SUPERSEDED_MIN_BYTES, int(disk_bytes * SUPERSEDED_SHARE))


class Trash:
    """The trash on the real disk, by its descriptor (which stays its owner's). Raises OSError."""

    def __init__(self, fd: int, *, wall_clock: Callable[[], float], random_hex: RandomHex) -> None:
        self._fd = fd
        self._wall_clock = wall_clock
        self._random_hex = random_hex
        self._open: dict[Worth, tuple[int, Spot]] = {}
        self._used: set[int] = set()

    def put(self, source: Spot, path: RelPath, *, worth: Worth) -> str:
        """Move `source` into a box under the name `path`; returns the box's name."""
        box = self._box(worth)
        if not put_new(source, Spot(box.dir_fd, path)):
            self._forget(worth)
            box = self._box(worth)
            put_new(source, Spot(box.dir_fd, path))  # a new box is empty: this cannot find anything
        self._used.add(box.dir_fd)
        return box.name

    @contextmanager
    def spot(self, name: str) -> Iterator[Spot]:
        """The place of `<box>/<path>`, open as long as the context lasts."""
        box, _, path = name.partition("/")
        fd = os.open(box, _DIRECTORY, dir_fd=self._fd)
        try:
            yield Spot(fd, path)
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Make what was put since the last call durable."""
        if not self._used:
            return
        for fd in self._used:
            os.fsync(fd)
        os.fsync(self._fd)
        self._used.clear()
        self.close()

    def boxes(self) -> Iterator[Box]:
        """Every box of ours with its size."""
        for name in os.listdir(self._fd):
            if not _BOX.fullmatch(name):
                continue
            with suppress(OSError):  # not a directory, or gone meanwhile
                box = parse_box(name, size=self._size(name))
                if box is not None:
                    yield box

    def remove(self, box: Box) -> None:
        """Delete a box for good, following no link."""
        shutil.rmtree(box.name, dir_fd=self._fd)

    def close(self) -> None:
        """Release the open boxes."""
        for worth in list(self._open):
            self._forget(worth)

    def _box(self, worth: Worth) -> Spot:
        now_s = self._wall_clock()
        second, box = self._open.get(worth, (None, None))
        if box is not None and second == int(now_s):
            return box
        self._forget(worth)
        name = box_name(now_s, worth=worth, random_hex=self._random_hex)
        os.mkdir(name, 0o700, dir_fd=self._fd)
        box = Spot(os.open(name, _DIRECTORY, dir_fd=self._fd), name)
        self._open[worth] = (int(now_s), box)
        return box

    def _forget(self, worth: Worth) -> None:
        opened = self._open.pop(worth, None)
        if opened is None:
            return
        _, box = opened
        if box.dir_fd in self._used:
            os.fsync(box.dir_fd)
            self._used.discard(box.dir_fd)
            os.fsync(self._fd)
        os.close(box.dir_fd)

    def _size(self, name: str) -> int:
        box_fd = os.open(name, _DIRECTORY, dir_fd=self._fd)
        try:
            total = 0
            for _, _, files, dir_fd in os.fwalk(dir_fd=box_fd):
                for file in files:
                    status = os.stat(file, dir_fd=dir_fd, follow_symlinks=False)
                    total += status.st_size if stat.S_ISREG(status.st_mode) else 0
            return total
        finally:
            os.close(box_fd)
