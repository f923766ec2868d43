"""Removals: what was deleted elsewhere goes from the folder, a file or link to the trash, a directory if nothing is in it.

    at the path                             so
    --------------------------------------  --------------------------------------------------------------------------
    what the planner saw, a file or link    taken out; trash, or limbo while a program has it open; removed
    that directory, empty                   removed
    that directory, with things in it       it stays for them; the tombstone keeps its inode; removed, for all others
    nothing                                 removed
    anything else                           overtaken: it stands as it stood

Called by the publisher.
"""

from __future__ import annotations

from msgspec.structs import replace

from gsync.core.model import Fingerprint, Tombstone
from gsync.storage.downloads import Placed, Removed
from gsync.storage.filesystem import Folder
from gsync.storage.journal import JournalRow
from gsync.storage.limbo import Limbo
from gsync.storage.steps import Step, entries_of
from gsync.storage.takings import take_away


class Removals:
    """Removes from `folder`."""

    def __init__(self, folder: Folder, limbo: Limbo) -> None:
        self._folder = folder
        self._limbo = limbo

    def remove(self, row: JournalRow) -> Step:
        """The step that was taken. Raises `StorageError`: nothing was touched."""
        return take_away(self._folder, self._limbo, row, gone=_removed, remove_directory=self._remove_directory)

    def _remove_directory(self, row: JournalRow, there: Fingerprint) -> Step:
        is_gone = self._folder.remove_directory(row.path)
        return _removed(row, leftover_inode=0 if is_gone else there.inode)


def _removed(row: JournalRow, placed: Placed | None = None, *, leftover_inode: int = 0) -> Step:
    assert isinstance(row.entry, Tombstone)  # of a removal, always
    tombstone = replace(row.entry, leftover_inode=leftover_inode)
    where = placed or Placed()
    outcome = Removed(
        path=row.path,
        tombstone=tombstone,
        conflict_copy=where.conflict_copy,
        trashed=where.trashed,
        remark=where.remark,
    )
    return Step(
        outcome=outcome,
        row=row,
        entries=entries_of(row.path, tombstone, placed),
        synced={row.path: tombstone.version},
    )
