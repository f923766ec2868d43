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

from gsync.core.model import Fingerprint
from gsync.storage.downloads import Freed, Placed
from gsync.storage.filesystem import Folder
from gsync.storage.journal import JournalRow
from gsync.storage.limbo import Limbo
from gsync.storage.steps import Step, entries_of, overtaken
from gsync.storage.takings import take_away


class Freeings:
    """Frees in `folder`."""

    def __init__(self, folder: Folder, limbo: Limbo) -> None:
        self._folder = folder
        self._limbo = limbo

    def free(self, row: JournalRow) -> Step:
        """The step that was taken. Raises `StorageError`: nothing was touched."""
        return take_away(self._folder, self._limbo, row, gone=_freed, remove_directory=self._free_directory)

    def _free_directory(self, row: JournalRow, there: Fingerprint) -> Step:
        return _freed(row) if self._folder.remove_directory(row.path) else overtaken(row.path, row)


def _freed(row: JournalRow, placed: Placed | None = None) -> Step:
    where = placed or Placed()
    version = row.entry.version
    outcome = Freed(
        path=row.path, version=version, conflict_copy=where.conflict_copy, trashed=where.trashed, remark=where.remark
    )
    return Step(outcome=outcome, row=row, entries=entries_of(row.path, None, placed), synced={row.path: version})
