"""Displaced files that some program still writes into: kept in staging until it closes them.

A program that has a file open goes on writing into it after an exchange has taken its name away. Such a file is neither
trash nor conflict copy yet. Each look asks again; once nobody writes, it finds its place (displaced.py). Where the system
cannot tell, ten seconds are taken for an answer. The publisher keeps the journal rows; this keeps the waiting.

One case is left: a program that had looked the file up by name, but was not yet counted as a writer, when we asked. It was
met 3 times in 250,000 publishes against eight editors. So what went to the trash is looked at once more a second later; what was
only to be let go is let go then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gsync.core.actions import Displaced
from gsync.errors import FileVanished, PathRefused, StorageError
from gsync.storage.displaced import Places
from gsync.storage.downloads import Placed
from gsync.storage.filesystem import Folder
from gsync.storage.journal import JournalRow, RowState

UNTOLD_S: Final = 10.0
"""How long a displaced file waits where the system cannot tell whether somebody still writes into it."""


SECOND_LOOK_S: Final = 1.0
"""After this, a program that was just opening a displaced file has opened it, and most likely written and closed it."""


class _Held(Struct, frozen=True):
    row: JournalRow
    since: float


class _Trashed(Struct, frozen=True):
    row: JournalRow
    name: str
    since: float


class Limbo:
    """What waits, by staged name. `clock` is monotonic, in seconds."""

    def __init__(self, folder: Folder, places: Places, *, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._places = places
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._trashed: deque[_Trashed] = deque()

    def settle(self, row: JournalRow) -> Placed | None:
        """Where the file that the staged name of `row` holds was put; None: it is held here now, look again later."""
        held = self._held.setdefault(row.name, _Held(row, self._clock()))
        with suppress(StorageError):  # it is still in staging, and the next look may succeed
            if self._is_idle(held):
                placed = self._places.place(row)
                del self._held[row.name]
                if placed.trashed and row.displaced is not Displaced.CONFLICT_COPY:
                    self._trashed.append(_Trashed(row, placed.trashed, self._clock()))
                return placed
        return None

    def hold(self, row: JournalRow) -> None:
        """Keep what the staged name of `row` holds for the next look."""
        self._held.setdefault(row.name, _Held(row, self._clock()))

    def look_again(self) -> list[JournalRow]:
        """Take back what was written into after it went to the trash; it is held now, and these are its new rows."""
        taken: list[JournalRow] = []
        while self._trashed and self._clock() - self._trashed[0].since >= SECOND_LOOK_S:
            trashed = self._trashed.popleft()
            row = trashed.row
            with suppress(StorageError):  # it stays in the trash
                fingerprint = self._folder.trashed_fingerprint(trashed.name)
                if fingerprint is None or row.expected is None:
                    continue
                if fingerprint.same_content_as(row.expected):
                    if row.displaced is Displaced.NOWHERE:
                        self._folder.unlink_staged(self._folder.take_back(trashed.name))
                    continue
                taken.append(replace(row, name=self._folder.take_back(trashed.name), state=RowState.LIMBO))
        for row in taken:
            self.hold(row)
        return taken

    def rows(self) -> list[JournalRow]:
        """What is held, the longest held first."""
        return [held.row for held in self._held.values()]

    def _is_idle(self, held: _Held) -> bool:
        try:
            writer = self._folder.has_writer(held.row.name)
        except (FileVanished, PathRefused):  # a link: nobody writes into it
            return True
        if writer is None:
            return self._clock() - held.since >= UNTOLD_S
        return not writer
