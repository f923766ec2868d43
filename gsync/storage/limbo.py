"""Displaced files that some program still writes into: kept in staging until it closes them.

A program that has a file open goes on writing into it after an exchange has taken its name away. Such a file is neither
trash nor conflict copy yet. Each look asks again; once nobody writes, it finds its place (displaced.py). Where the system
cannot tell, ten seconds are taken for an answer. The publisher keeps the journal rows; this keeps the waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gsync.errors import FileVanished, StorageError
from gsync.storage.displaced import Places
from gsync.storage.downloads import Placed
from gsync.storage.filesystem import Folder
from gsync.storage.journal import JournalRow

UNTOLD_S: Final = 10.0
"""How long a displaced file waits where the system cannot tell whether somebody still writes into it."""


@dataclass(frozen=True, slots=True)
class _Held:
    row: JournalRow
    since: float


class Limbo:
    """What waits, by staged name. `clock` is monotonic, in seconds."""

    def __init__(self, folder: Folder, places: Places, *, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._places = places
        self._clock = clock
        self._held: dict[str, _Held] = {}

    def settle(self, row: JournalRow) -> Placed | None:
        """Where the file that the staged name of `row` holds was put; None: it is held here now, look again later."""
        held = self._held.setdefault(row.name, _Held(row, self._clock()))
        with suppress(StorageError):  # it is still in staging, and the next look may succeed
            if self._is_idle(held):
                placed = self._places.place(row)
                del self._held[row.name]
                return placed
        return None

    def hold(self, row: JournalRow) -> None:
        """Keep what the staged name of `row` holds for the next look."""
        self._held.setdefault(row.name, _Held(row, self._clock()))

    def rows(self) -> list[JournalRow]:
        """What is held, the longest held first."""
        return [held.row for held in self._held.values()]

    def _is_idle(self, held: _Held) -> bool:
        try:
            writer = self._folder.has_writer(held.row.name)
        except FileVanished:
            return True
        if writer is None:
            return self._clock() - held.since >= UNTOLD_S
        return not writer
