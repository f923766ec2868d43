"""Placements: a staged download or link takes its name, a free one, or that of exactly what the planner saw there.

    expected      at the path                so
    ------------  -------------------------  ---------------------------------------------------------------------
    nothing       nothing                    it takes the name
    nothing       anything                   overtaken
    a file, link  that                       they are exchanged, and what came out finds its place, or limbo
    a directory   that, empty                it goes, then the name is taken
    a directory   that, with things in it    refused: they are not synced, so nobody knows them but a person
    any           anything else              overtaken

Called by the publisher.
"""

from __future__ import annotations

from msgspec.structs import replace

from gsync.core.model import FileMeta, Fingerprint, Kind
from gsync.errors import PathRefused, StorageError
from gsync.storage.directories import directory_at
from gsync.storage.displaced import fresh, is_seen
from gsync.storage.downloads import Placed
from gsync.storage.filesystem import Folder
from gsync.storage.journal import JournalRow, RowState
from gsync.storage.limbo import Limbo
from gsync.storage.steps import Step, overtaken, published_step


class Placements:
    """Puts what is staged into `folder`."""

    def __init__(self, folder: Folder, limbo: Limbo) -> None:
        self._folder = folder
        self._limbo = limbo

    def place(self, row: JournalRow) -> Step:
        """The step that was taken. Raises `StorageError`: the staged name of `row` tells what was done."""
        if row.expected is None:
            if self._folder.put_new(row.name, row.path):
                return self._placed(row, Placed())
            self._folder.fingerprint(row.path)  # where something odd stands nothing can ever go: say so
            return overtaken(row.path, row)
        if row.expected.kind is Kind.DIRECTORY:
            return self._place_instead_of_directory(row, row.expected)
        if self._folder.fingerprint(row.path) != row.expected or not self._folder.exchange(row.name, row.path):
            return overtaken(row.path, row)
        if not self._is_fit(row):
            self._folder.exchange(row.name, row.path)
            return replace(overtaken(row.path, row), renamed=True)
        return self._placed(row, self._limbo.settle(row))

    def _place_instead_of_directory(self, row: JournalRow, expected: Fingerprint) -> Step:
        there = directory_at(self._folder, row.path)
        if there is None or there.inode != expected.inode:
            return overtaken(row.path, row)
        if not self._folder.remove_directory(row.path):
            raise PathRefused(f"{row.path}: a directory stands there, with things in it that are not synced")
        if not self._folder.put_new(row.name, row.path):
            return replace(overtaken(row.path, row), renamed=True)
        return self._placed(row, Placed())

    def _is_fit(self, row: JournalRow) -> bool:
        """Whether what came out can be given a place. A directory, an unknown link or something odd goes back to its name."""
        try:
            came_out = self._folder.staged_fingerprint(row.name)
        except PathRefused:
            self._folder.exchange(row.name, row.path)
            raise
        except StorageError:
            return True  # it cannot be looked at now; limbo will
        return came_out is None or came_out.kind is Kind.FILE or is_seen(came_out, row.expected)

    def _placed(self, row: JournalRow, placed: Placed | None) -> Step:
        waiting = replace(row, state=RowState.LIMBO) if placed is None else None
        return published_step(row, published(self._folder, row), placed, waiting=waiting)


def published(folder: Folder, row: JournalRow) -> FileMeta:
    """The entry of what `row` had staged, just renamed to its path."""
    entry = row.entry
    assert isinstance(entry, FileMeta)  # of what was staged, always
    return FileMeta(  # not `replace`: that takes three times as long, and a first sync comes through here file by file
        fingerprint=fresh(folder, row.path, entry.fingerprint),
        version=entry.version,
        digest=entry.digest,
        target=entry.target,
        author=entry.author,
        moved_from=entry.moved_from,
    )
