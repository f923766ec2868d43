"""New directories: one that stands there already will do; a file or link that the planner saw there is displaced.

For an instant between the two the name is free. Who takes it then keeps it: what was taken out goes back to its name if that is
free again, else to the place of any displaced file. Called by the publisher.
"""

from __future__ import annotations

from msgspec.structs import replace

from gsync.core.model import FileMeta, Fingerprint, Kind
from gsync.core.names import RelPath
from gsync.errors import StorageError
from gsync.storage.downloads import Placed, Unpublished
from gsync.storage.filesystem import Folder
from gsync.storage.journal import JournalRow
from gsync.storage.limbo import Limbo
from gsync.storage.steps import Step, overtaken, published_step
from gsync.storage.takings import Refused, put_back, take


class Directories:
    """Makes directories in `folder`."""

    def __init__(self, folder: Folder, limbo: Limbo) -> None:
        self._folder = folder
        self._limbo = limbo

    def make(self, row: JournalRow) -> Step:
        """The step that was taken. Raises `StorageError`: nothing was touched."""
        there = self._folder.fingerprint(row.path)
        if there is not None and there.kind is Kind.DIRECTORY:
            return _made(row, there, Placed())
        if there != row.expected:
            return overtaken(row.path, row)
        if there is not None:
            return self._make_instead(row)
        self._folder.make_directory(row.path)
        made = directory_at(self._folder, row.path)
        return overtaken(row.path, row) if made is None else _made(row, made, Placed())

    def _make_instead(self, row: JournalRow) -> Step:
        taken = take(self._folder, self._limbo, row)
        if taken is None:
            return overtaken(row.path, row)
        if isinstance(taken, Refused):
            return replace(overtaken(row.path, row), waiting=taken.waiting, renamed=True)
        try:
            self._folder.make_directory(row.path)
            made = directory_at(self._folder, row.path)
        except StorageError as error:
            waiting = put_back(self._folder, self._limbo, taken.row)
            return Step(outcome=Unpublished(path=row.path, error=error), row=row, waiting=waiting)
        if made is None:  # somebody removed it at once
            waiting = put_back(self._folder, self._limbo, taken.row)
            return replace(overtaken(row.path, row), waiting=waiting, renamed=True)
        placed = self._limbo.settle(taken.row)
        return replace(_made(row, made, placed), waiting=taken.row if placed is None else None)


def directory_at(folder: Folder, path: RelPath) -> Fingerprint | None:
    """The fingerprint of the directory at `path`, None where none stands. Raises `StorageError`."""
    there = folder.fingerprint(path)
    return there if there is not None and there.kind is Kind.DIRECTORY else None


def _made(row: JournalRow, fingerprint: Fingerprint, placed: Placed | None) -> Step:
    assert isinstance(row.entry, FileMeta)  # of a directory that is made, always
    return published_step(row, replace(row.entry, fingerprint=fingerprint), placed)
