"""Finding a place for a file that an exchange brought out of the folder, so that no one's work is lost.

    what came out                        asked for       place
    -----------------------------------  --------------  -------------------------------------------------
    what the planner saw                 TRASH           the trash, superseded
    what the planner saw                 UNSEEN_TRASH    the trash, unseen
    what the planner saw                 CONFLICT_COPY   its conflict name, with its own version
    anything else: an edit nobody saw    any             its conflict name, as one more edit of ours
    a conflict copy, its name taken
      by the same content                               the trash, superseded: it is in the folder already
      by other content                                  the trash, unseen, and a remark
    a conflict copy that cannot be read                  the trash, unseen, and a remark

Never deletes. The file must have no writer any more: the publisher looks first. Called by the publisher.
"""

from __future__ import annotations

from dataclasses import replace

from gsync.core.actions import Displaced
from gsync.core.conflicts import conflict_name
from gsync.core.diff import disk_seconds
from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import FileChanged, StorageError
from gsync.storage.downloads import Placed
from gsync.storage.filesystem import Folder, OpenFile, Worth
from gsync.storage.hashing import digest_of
from gsync.storage.journal import JournalRow


class Places:
    """Knows where displaced files of `folder` go; edits that nobody saw are `author`'s."""

    def __init__(self, folder: Folder, *, author: str) -> None:
        self._folder = folder
        self._author = author

    def place(self, row: JournalRow) -> Placed:
        """Move what the staged name of `row` holds to its place. Raises `StorageError`: it is still there, try again."""
        fingerprint = self._folder.staged_fingerprint(row.name)
        if fingerprint is None:
            return Placed()
        seen = row.expected is not None and fingerprint.same_content_as(row.expected)
        if seen and row.displaced is not Displaced.CONFLICT_COPY:
            return self._trash(row, Worth.SUPERSEDED if row.displaced is Displaced.TRASH else Worth.UNSEEN)
        lost = row.loser.version if row.loser is not None else Version.from_mtime(disk_seconds(fingerprint))
        version = lost if seen else lost.edited_by(self._author, disk_seconds(fingerprint))
        return self._keep(row, fingerprint, version)

    def _keep(self, row: JournalRow, fingerprint: Fingerprint, version: Version) -> Placed:
        try:
            digest = self._digest(self._folder.open_staged(row.name))
        except FileChanged:
            raise
        except StorageError as error:
            return self._trash(row, Worth.UNSEEN, remark=f"it could not be read for a conflict copy ({error})")
        name = conflict_name(row.path, version=version, digest=digest)
        if self._folder.put_new(row.name, name):
            now = fresh(self._folder, name, fingerprint)
            return Placed(conflict_copy=(name, FileMeta(fingerprint=now, version=version, digest=digest)))
        if self._holds(name, digest):
            return self._trash(row, Worth.SUPERSEDED)
        return self._trash(row, Worth.UNSEEN, remark=f"its conflict name {name} is taken by something else")

    def _holds(self, path: RelPath, digest: str) -> bool:
        try:
            return self._digest(self._folder.open(path)) == digest
        except StorageError:
            return False

    def _trash(self, row: JournalRow, worth: Worth, *, remark: str = "") -> Placed:
        return Placed(trashed=self._folder.move_to_trash(row.name, row.path, worth=worth), remark=remark)

    @staticmethod
    def _digest(file: OpenFile) -> str:
        with file:
            return digest_of(file)


def published(folder: Folder, row: JournalRow) -> FileMeta:
    """The entry of the download of `row`, just renamed to its path."""
    assert isinstance(row.entry, FileMeta)  # of a download, always
    return replace(row.entry, fingerprint=fresh(folder, row.path, row.entry.fingerprint))


def fresh(folder: Folder, path: RelPath, renamed: Fingerprint) -> Fingerprint:
    """The fingerprint of a file just renamed to `path` (a rename sets ctime), or the old one if it is no longer that file.

    The old one then makes the next scan see the edit, which a look at the edited file would hide.
    """
    try:
        now = folder.fingerprint(path)
    except StorageError:
        return renamed
    return now if now is not None and now.same_content_as(renamed) else renamed
