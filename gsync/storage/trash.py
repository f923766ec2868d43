"""Where displaced files wait: `.gsync/trash/<UTC time>-<8 hex>/<path>`, and which of them have waited long enough.

`expired` decides (pure), `Trash` does. A box is one such directory, with subdirectories as the paths have them; files
displaced within one second share one, as long as their paths leave each other room. What a person may never have seen goes
to a box whose name ends in `-unseen`: it stays its 30 days whatever its size. Names in the trash that are not boxes of ours
are never removed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from gsync.core.names import RelPath
from gsync.storage.beneath import open_directory
from gsync.storage.filesystem import Worth
from gsync.storage.own_folder import RandomHex
from gsync.storage.parents import Parents
from gsync.storage.renames import Spot, put_new

KEEP_S: Final = 30 * 24 * 3600
"""How long a displaced file can be fetched back."""

SUPERSEDED_MIN_BYTES: Final = 1024**3
SUPERSEDED_SHARE: Final = 0.10
"""Superseded versions take at most the larger of 1 GiB and this share of the disk; the oldest go first."""

_BOX: Final = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}(-unseen)?")
_TIME: Final = "%Y%m%dT%H%M%SZ"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Box(Struct, frozen=True, kw_only=True):
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


class _OpenBox(Struct, frozen=True):
    name: str
    second: int
    fd: int
    parents: Parents


class Trash:
    """The trash on the real disk, by its descriptor (which stays its owner's). Raises OSError.

    `renew` makes the descriptor lead to the trash again where a person took that away, and says whether it was so.
    """

    def __init__(
        self,
        fd: int,
        *,
        wall_clock: Callable[[], float],
        random_hex: RandomHex,
        renew: Callable[[], bool] = lambda: False,
    ) -> None:
        self._fd = fd
        self._renew = renew
        self._wall_clock = wall_clock
        self._random_hex = random_hex
        self._open: dict[Worth, _OpenBox] = {}
        self._used = False

    def put(self, source: Spot, path: RelPath, *, worth: Worth) -> str:
        """Move `source` into a box under the name `path`; returns the box's name."""
        try:
            return self._put_in_box(source, path, worth)
        except FileNotFoundError:  # a person emptied the trash, or deleted all of it, while a box in it was open
            if not source.exists():
                raise
            self._forget(worth)
            self._renew()
            return self._put_in_box(source, path, worth)

    @contextmanager
    def spot(self, name: str) -> Iterator[Spot]:
        """The place of `<box>/<path>`, open as long as the context lasts."""
        box, _, path = name.partition("/")
        with self._opened(box) as box_fd, _placed(box_fd, path) as spot:
            yield spot

    def sync(self) -> None:
        """Make what was put since the last call durable."""
        if not self._used:
            return
        for worth in list(self._open):
            self._forget(worth)
        os.fsync(self._fd)
        self._used = False

    def boxes(self) -> Iterator[Box]:
        """Every box of ours with its size."""
        for name in os.listdir(self._fd):
            if not _BOX.fullmatch(name):
                continue
            with suppress(OSError):  # not a directory, or gone meanwhile
                with self._opened(name) as fd:
                    size = sum(
                        min(status.st_size, status.st_blocks * 512)
                        for _, status in _walk(fd)
                        if stat.S_ISREG(status.st_mode)
                    )
                box = parse_box(name, size=size)
                if box is not None:
                    yield box

    def remove(self, box: Box) -> None:
        """Delete a box for good, following no link."""
        directories: list[str] = []
        with self._opened(box.name) as fd:
            for path, status in _walk(fd):
                if stat.S_ISDIR(status.st_mode):
                    directories.append(path)
                    continue
                with _placed(fd, path) as spot:
                    os.unlink(spot.name, dir_fd=spot.dir_fd)
            for path in reversed(directories):
                with _placed(fd, path) as spot:
                    os.rmdir(spot.name, dir_fd=spot.dir_fd)
        os.rmdir(box.name, dir_fd=self._fd)

    def close(self) -> None:
        """Release the open boxes."""
        for box in self._open.values():
            box.parents.close()
            os.close(box.fd)
        self._open.clear()

    def _put_in_box(self, source: Spot, path: RelPath, worth: Worth) -> str:
        box = self._box(worth)
        if not self._put(source, box, path):
            self._forget(worth)
            box = self._box(worth)
            self._put(source, box, path)  # a new box is empty: this cannot find anything
        return box.name

    def _put(self, source: Spot, box: _OpenBox, path: RelPath) -> bool:
        self._used = True
        try:
            if not put_new(source, box.parents.made(path)):
                return False
        except NotADirectoryError:  # a file of this box has the name of a directory that `path` is in
            return False
        box.parents.note_change(path)
        return True

    def _box(self, worth: Worth) -> _OpenBox:
        now_s = self._wall_clock()
        box = self._open.get(worth)
        if box is not None and box.second == int(now_s):
            return box
        self._forget(worth)
        name = box_name(now_s, worth=worth, random_hex=self._random_hex)
        os.mkdir(name, 0o700, dir_fd=self._fd)
        fd = os.open(name, _DIRECTORY, dir_fd=self._fd)
        box = _OpenBox(name, int(now_s), fd, Parents(fd, mode=0o700))
        self._open[worth] = box
        return box

    def _forget(self, worth: Worth) -> None:
        box = self._open.get(worth)
        if box is None:
            return
        box.parents.sync(_sync_each)  # where it raises, the box stays open, to be tried again
        del self._open[worth]
        os.close(box.fd)

    @contextmanager
    def _opened(self, box: str) -> Iterator[int]:
        fd = os.open(box, _DIRECTORY, dir_fd=self._fd)
        try:
            yield fd
        finally:
            os.close(fd)


@contextmanager
def _placed(box_fd: int, path: str) -> Iterator[Spot]:
    directory, _, name = path.rpartition("/")
    fd = open_directory(box_fd, directory)
    try:
        yield Spot(fd, name)
    finally:
        os.close(fd)


def _walk(box_fd: int) -> Iterator[tuple[str, os.stat_result]]:
    """All that is in the box, a directory before what is in it; one is open at a time, so they may be as deep as paths can be."""
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        fd = open_directory(box_fd, directory)
        try:
            for name in os.listdir(fd):
                path = f"{directory}/{name}" if directory else name
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(path)
                yield path, status
        finally:
            os.close(fd)


def _sync_each(fds: Sequence[int]) -> None:
    for fd in fds:
        os.fsync(fd)
