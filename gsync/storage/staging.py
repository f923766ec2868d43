"""Getting a change ready: its content or link is staged, and it gets the row that the journal will have of it.

Nothing of the folder is touched here. What is staged and then not wanted is discarded: a download only, never a person's file.
Called by the publisher.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from gsync.core.actions import Displaced
from gsync.core.model import Entry, FileMeta, Fingerprint, Kind
from gsync.errors import FileVanished, StorageError
from gsync.storage.adjustments import adjusted, moves_nothing
from gsync.storage.downloads import Adjustment, Change, Download, Freeing, NewDirectory, NewLink, Relocation, Removal
from gsync.storage.filesystem import Folder, Staged, with_exec_bit
from gsync.storage.journal import JournalRow, RowState

_NOT_YET: Final = Fingerprint(size=0, mtime_ns=0, ctime_ns=0, inode=0, mode=0, kind=Kind.DIRECTORY)
"""Of a directory that is still to be made."""


class Ready(Struct, frozen=True, kw_only=True):
    """A change that can be made durable and then carried out; what it does not need is None."""

    row: JournalRow | None = None
    staged: Staged | None = None
    """Complete, but not yet durable."""


class Staging:
    """Stages in `folder`."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._numbers = count()

    def ready(self, change: Change) -> Ready:
        """All that `change` needs before the folder is touched. Raises `StorageError`; then nothing stays staged."""
        match change:
            case Download():
                return self._download(change)
            case NewLink():
                return Ready(row=self._link(change))
            case NewDirectory():
                entry = FileMeta(fingerprint=_NOT_YET, version=change.version, author=change.author)
                return Ready(row=_row(self._name(), RowState.MAKING, change, entry))
            case Removal():
                return Ready(row=self._removal(change))
            case Freeing():
                return Ready(row=self._freeing(change))
            case Adjustment():
                return Ready(row=None if moves_nothing(change) else self._adjustment(change))
            case Relocation():
                return Ready()
            case unreachable:
                assert_never(unreachable)

    def discard(self, ready: Iterable[Ready]) -> list[str]:
        """Forget what was staged and never near the folder; returns the staged names."""
        names = []
        for one in ready:
            if one.staged is not None:
                one.staged.close()
            if one.row is not None and one.row.state is RowState.STAGED:
                names.append(one.row.name)
                self._unlink(one.row.name)
        return names

    def _download(self, download: Download) -> Ready:
        content, mtime_ns, mode = download.content, download.mtime_ns, self._mode(download)
        if isinstance(content, bytes):
            staged, fingerprint = self._folder.stage_content(content, mtime_ns=mtime_ns, mode=mode)
        else:
            staged, fingerprint = content, self._finished(content, mtime_ns=mtime_ns, mode=mode)
        entry = FileMeta(
            fingerprint=fingerprint,
            version=download.version,
            digest=download.digest,
            author=download.author,
            moved_from=download.moved_from,
        )
        return Ready(row=_row(staged.name, RowState.STAGED, download, entry), staged=staged)

    def _finished(self, staged: Staged, *, mtime_ns: int, mode: int) -> Fingerprint:
        try:
            staged.finish(mtime_ns=mtime_ns, mode=mode)
            return staged.fingerprint()
        except StorageError:
            staged.close()
            self._unlink(staged.name)
            raise

    def _mode(self, download: Download) -> int:
        if download.mode is not None:
            return download.mode
        if download.expected is None or download.expected.kind is not Kind.FILE:
            return self._folder.new_executable_mode if download.executable else self._folder.new_file_mode
        mode = download.expected.mode & 0o777
        if download.executable is None or download.executable == download.expected.is_executable:
            return mode
        return with_exec_bit(mode, executable=download.executable)

    def _link(self, link: NewLink) -> JournalRow:
        name = self._folder.stage_link(link.target)
        try:
            fingerprint = self._folder.staged_fingerprint(name)
            if fingerprint is None:
                raise FileVanished(f"{link.path}: the link that was staged is gone")
        except StorageError:
            self._unlink(name)
            raise
        entry = FileMeta(
            fingerprint=fingerprint,
            version=link.version,
            digest=link.digest,
            target=link.target,
            author=link.author,
            moved_from=link.moved_from,
        )
        return _row(name, RowState.STAGED, link, entry)

    def _removal(self, removal: Removal) -> JournalRow:
        return JournalRow(
            name=self._name(),
            path=removal.path,
            state=RowState.REMOVING,
            entry=removal.tombstone,
            expected=removal.expected.fingerprint,
            displaced=removal.displaced,
            loser=removal.expected,
        )

    def _freeing(self, freeing: Freeing) -> JournalRow:
        return JournalRow(
            name=self._name(),
            path=freeing.path,
            state=RowState.FREEING,
            entry=freeing.expected,
            expected=freeing.expected.fingerprint,
            displaced=Displaced.NOWHERE,
            loser=freeing.expected,
        )

    def _adjustment(self, adjustment: Adjustment) -> JournalRow:
        """Its entry has the fingerprint that is wanted: by that it is known after a crash whether it was done."""
        was = adjustment.expected.fingerprint
        mode = was.mode if adjustment.executable is None else with_exec_bit(was.mode, executable=adjustment.executable)
        mtime_ns = was.mtime_ns if adjustment.mtime_ns is None else adjustment.mtime_ns
        entry = adjusted(adjustment, replace(was, mode=mode, mtime_ns=mtime_ns))
        return JournalRow(name=self._name(), path=adjustment.path, state=RowState.ADJUSTING, entry=entry)

    def _unlink(self, staged_name: str) -> None:
        with suppress(StorageError):  # the look at start clears what stays
            self._folder.unlink_staged(staged_name)

    def _name(self) -> str:
        """For the row of a change that stages nothing."""
        return f"change-{next(self._numbers)}"


def _row(name: str, state: RowState, change: Download | NewLink | NewDirectory, entry: Entry) -> JournalRow:
    return JournalRow(
        name=name,
        path=change.path,
        state=state,
        entry=entry,
        expected=change.expected,
        displaced=change.displaced,
        loser=change.loser,
    )
