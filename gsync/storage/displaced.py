"""Finding a place for a file that an exchange brought out of the folder, so that no one's work is lost.

    what came out                        asked for       place
    -----------------------------------  --------------  -------------------------------------------------
    what the planner saw                 TRASH           the trash, superseded
    what the planner saw                 UNSEEN_TRASH    the trash, unseen
    what the planner saw                 CONFLICT_COPY   its conflict name, with its own version
    what the planner saw                 NOWHERE         the trash, unseen, from where limbo.py lets it go
    anything else: an edit nobody saw    any             its conflict name, as one more edit of ours
    a conflict copy, its name taken
      by the same content                               the trash, superseded: it is in the folder already
      by other content                                  the trash, unseen, and a remark
    a conflict copy that cannot be read                  the trash, unseen, and a remark
    a link that the planner did not see                  the same: where it leads cannot be asked any more

Never deletes. The file must have no writer any more: the publisher looks first. Called by the publisher.
"""

from __future__ import annotations

from msgspec.structs import replace

from gsync.core.actions import Displaced
from gsync.core.conflicts import conflict_name
from gsync.core.diff import disk_seconds
from gsync.core.model import FileMeta, Fingerprint, Kind
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import FileChanged, StorageError
from gsync.storage.downloads import Placed
from gsync.storage.filesystem import Folder, OpenFile, Worth
from gsync.storage.hashing import digest_of
from gsync.storage.journal import JournalRow


class _Unreadable(StorageError):
    """There is no telling what it holds."""


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
        seen = is_seen(fingerprint, row.expected)
        if seen and row.displaced is not Displaced.CONFLICT_COPY:
            return self._trash(row, Worth.SUPERSEDED if row.displaced is Displaced.TRASH else Worth.UNSEEN)
        try:
            return self._keep(row, self._loser(row, fingerprint, is_seen=seen))
        except FileChanged:
            raise
        except _Unreadable as error:
            return self._trash(row, Worth.UNSEEN, remark=f"it could not be read for a conflict copy ({error})")

    def _loser(self, row: JournalRow, fingerprint: Fingerprint, *, is_seen: bool) -> FileMeta:
        """The entry of the conflict copy: its own version if the planner saw it, else one more edit of ours."""
        seconds = disk_seconds(fingerprint)
        lost = row.loser or FileMeta(fingerprint=fingerprint, version=Version.from_mtime(seconds))
        if fingerprint.kind is not Kind.FILE:
            if not is_seen or not lost.target:
                raise _Unreadable(f"a {fingerprint.kind} that was not known")
            return replace(lost, fingerprint=fingerprint, moved_from=None)
        try:
            digest = self._digest(self._folder.open_staged(row.name))
        except FileChanged:
            raise
        except StorageError as error:
            raise _Unreadable(str(error)) from error
        if is_seen:
            return replace(lost, fingerprint=fingerprint, digest=digest, moved_from=None)
        version = lost.version.edited_by(self._author, seconds)
        return FileMeta(fingerprint=fingerprint, version=version, digest=digest, author=self._author)

    def _keep(self, row: JournalRow, loser: FileMeta) -> Placed:
        name = conflict_name(row.path, version=loser.version, digest=loser.digest)
        if self._folder.put_new(row.name, name):
            now = fresh(self._folder, name, loser.fingerprint)
            return Placed(conflict_copy=(name, replace(loser, fingerprint=now)))
        if self._holds(name, loser):
            return self._trash(row, Worth.SUPERSEDED)
        return self._trash(row, Worth.UNSEEN, remark=f"its conflict name {name} is taken by something else")

    def _holds(self, path: RelPath, loser: FileMeta) -> bool:
        try:
            there = self._folder.look(path)
            if there is None or there.fingerprint.kind is not loser.kind:
                return False
            if loser.kind is Kind.LINK:
                return there.target == loser.target
            return self._digest(self._folder.open(path)) == loser.digest
        except StorageError:
            return False

    def _trash(self, row: JournalRow, worth: Worth, *, remark: str = "") -> Placed:
        return Placed(trashed=self._folder.move_to_trash(row.name, row.path, worth=worth), remark=remark)

    @staticmethod
    def _digest(file: OpenFile) -> str:
        with file:
            return digest_of(file)


def is_seen(came_out: Fingerprint | None, expected: Fingerprint | None) -> bool:
    """Whether what came out of the folder is what the planner saw in it: a rename keeps all but the ctime."""
    if came_out is None or expected is None:
        return False
    return came_out.kind is expected.kind and came_out.same_content_as(expected)


def fresh(folder: Folder, path: RelPath, renamed: Fingerprint) -> Fingerprint:
    """The fingerprint of a file just renamed to `path` (a rename sets ctime), or the old one if it is no longer that file.

    The old one then makes the next scan see the edit, which a look at the edited file would hide.
    """
    try:
        now = folder.fingerprint(path)
    except StorageError:
        return renamed
    return now if now is not None and now.same_content_as(renamed) else renamed
