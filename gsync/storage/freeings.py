"""Freeings: what somebody else keeps goes from this folder, and from this one alone; a file or link, or a directory if it is empty.

    at the path                             so
    --------------------------------------  --------------------------------------------------------------------------
    what was expected, a file or link       taken out; let go, or limbo while a program has it open; freed
    that directory, empty                   removed; freed
    that directory, with things in it       overtaken: it stands as it stood
    nothing                                 freed
    anything else                           overtaken

The index forgets the entry, and keeps its version as what was agreed: so nothing of it is ever taken for a deletion, and whoever
writes under the name again has made something else (core/demand.py). Called by the publisher.
"""

from __future__ import annotations

from msgspec.structs import replace

from gsync.core.model import Fingerprint, Kind
from gsync.storage.downloads import Freed, Placed
from gsync.storage.filesystem import Folder
from gsync.storage.journal import JournalRow
from gsync.storage.limbo import Limbo
from gsync.storage.steps import Step, entries_of, overtaken
from gsync.storage.takings import Refused, take


class Freeings:
    """Frees in `folder`."""

    def __init__(self, folder: Folder, limbo: Limbo) -> None:
        self._folder = folder
        self._limbo = limbo

    def free(self, row: JournalRow) -> Step:
        """The step that was taken. Raises `StorageError`: nothing was touched."""
        there = self._folder.fingerprint(row.path)
        if there is None:
            return _freed(row)
        if row.expected is None or there.kind is not row.expected.kind:
            return overtaken(row.path, row)
        if there.kind is Kind.DIRECTORY:
            return self._free_directory(row, there, row.expected)
        if there != row.expected:
            return overtaken(row.path, row)
        taken = take(self._folder, self._limbo, row)
        if taken is None:
            return _freed(row)
        if isinstance(taken, Refused):
            return replace(overtaken(row.path, row), waiting=taken.waiting, renamed=True)
        placed = self._limbo.settle(taken.row)
        return replace(_freed(row, placed), waiting=taken.row if placed is None else None)

    def _free_directory(self, row: JournalRow, there: Fingerprint, expected: Fingerprint) -> Step:
        if there.inode != expected.inode or not self._folder.remove_directory(row.path):
            return overtaken(row.path, row)
        return _freed(row)


def _freed(row: JournalRow, placed: Placed | None = None) -> Step:
    where = placed or Placed()
    version = row.entry.version
    outcome = Freed(
        path=row.path, version=version, conflict_copy=where.conflict_copy, trashed=where.trashed, remark=where.remark
    )
    return Step(outcome=outcome, row=row, entries=entries_of(row.path, None, placed), synced={row.path: version})
