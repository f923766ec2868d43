"""Watches folders from outside for what a person would see arrive: the time at which each of them has the new content."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from inotify_simple import INotify, flags

LONGEST_S: Final = 60.0
"""What has not arrived by then is lost."""

_MASK: Final = flags.MOVED_TO | flags.CLOSE_WRITE | flags.CREATE
_LOOK_MS: Final = 250
"""Looks so often, also where the kernel says nothing."""


class Arrivals:
    """Watches the top of some folders, which must be there; from `__enter__` to `__exit__`."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)

    def __enter__(self) -> Self:
        self._inotify = INotify(nonblocking=True)
        for folder in self._folders:
            self._inotify.add_watch(str(folder), _MASK)
        self._poll = select.poll()
        self._poll.register(self._inotify.fileno(), select.POLLIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inotify.close()

    def edit(self, at: Path, name: str, content: bytes) -> list[float]:
        """Write `content` to `name` in the folder `at`, and wait for it in all others: the seconds until each had it.

        The time counts from before the file is opened. What is missing after `LONGEST_S` is left out.
        """
        self._inotify.read(timeout=0)
        missing = [folder for folder in self._folders if folder != at]
        taken: list[float] = []
        began = time.perf_counter()
        with (at / name).open("wb") as file:
            file.write(content)
        while missing and time.perf_counter() - began < LONGEST_S:
            self._poll.poll(_LOOK_MS)
            self._inotify.read(timeout=0)
            for folder in tuple(missing):
                if _content(folder / name) == content:
                    taken.append(time.perf_counter() - began)
                    missing.remove(folder)
        return taken


def _content(path: Path) -> bytes:
    with suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
        try:
            return os.read(fd, 1 << 20)
        finally:
            os.close(fd)
    return b""
