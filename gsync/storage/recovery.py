"""What the look at start finds in staging, in the journal and at its paths, and what it does with it.

    row        staged name holds     path holds       so
    ---------  --------------------  ---------------  ------------------------------------------------------------
    OPEN       its own inode         anything         with a digest, and young: kept, to be gone on with; else forgotten
    STAGED     its own inode         another file     a download that was never published: forgotten
    STAGED     nothing or another    its own inode    published: the index learns it now
    STAGED     another inode         anything         what the exchange brought out: finds its place, or limbo
    LIMBO      another inode         anything         finds its place, or limbo
    MAKING                           a directory      made: the index learns it now
    REMOVING                         nothing          removed: the index learns it now
    FREEING                          nothing          freed: the index forgets it now
    ADJUSTING                        what it should   adjusted: the index learns it now
    any                              anything else    nothing was done, and will be planned again
    none       inode that a MAKING   nothing          goes back to its name
               row expects           anything         finds its place, or limbo
    none       inode that a          anything         finds its place, or limbo
               REMOVING row expects
    none       anything else         anything         trash, unseen

The journal is brought up to date before a download is unlinked: a row whose inode is free again would be taken for the
next file that gets this inode. Every step may be interrupted and taken again. Called once by `Publisher.recover`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from gsync.core.model import Entry, FileMeta, Kind
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import NameRefused, PathRefused, StorageError
from gsync.storage.downloads import Released
from gsync.storage.filesystem import Folder, Worth
from gsync.storage.index import Index
from gsync.storage.journal import JournalRow, RowState
from gsync.storage.limbo import Limbo
from gsync.storage.partials import Partial, Partials
from gsync.storage.placements import published
from gsync.storage.takings import put_back

_TAKES: Final = frozenset({RowState.MAKING, RowState.REMOVING, RowState.FREEING})
"""Of what a row is about that may have taken something out of the folder that has no row of its own yet."""


def recover(folder: Folder, index: Index, limbo: Limbo, partials: Partials, *, now_s: float) -> list[Released]:
    """Finish what a crash interrupted; returns the displaced files that found a place. Raises `StorageError`."""
    look = _Look(folder, limbo)
    rows = index.journal()
    for row in rows:
        look.learn(row)
    look.clear(rows)
    going = partials.keep(look.partials, now_s=now_s)
    kept = {one.name for one in look.partials} - {one.name for one in going}
    waiting = [replace(row, state=RowState.LIMBO) for row in limbo.rows()]
    folder.sync_names()
    forget = {row.name for row in rows} - {row.name for row in waiting} - kept
    index.record(entries=look.entries, synced=look.synced, journal=waiting, forget=forget)
    for name in [*look.downloads, *(one.name for one in going)]:
        folder.unlink_staged(name)
    return look.released


class _Look(Struct):
    """What has been found so far."""

    folder: Folder
    limbo: Limbo
    entries: dict[RelPath, Entry | None] = field(default_factory=dict)
    synced: dict[RelPath, Version | None] = field(default_factory=dict)
    released: list[Released] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)
    partials: list[Partial] = field(default_factory=list)

    def learn(self, row: JournalRow) -> None:
        """Let the index know what was done."""
        try:
            if row.state is RowState.FREEING:
                if self.folder.fingerprint(row.path) is None:
                    self.entries[row.path] = None
                    self.synced[row.path] = row.entry.version
                return
            entry = _done(self.folder, row)
        except PathRefused:
            return
        if entry is not None:
            self.entries[row.path] = entry
            self.synced[row.path] = entry.version

    def clear(self, rows: Iterable[JournalRow]) -> None:
        """Find a place for everything in staging."""
        by_name = {row.name: row for row in rows}
        takings = [row for row in by_name.values() if row.state in _TAKES]
        for name in self.folder.staged_names():
            match by_name.get(name):
                case None:
                    self._strange(name, takings)
                case row if not holds_download(self.folder, row):
                    self._displaced(row)
                case JournalRow(state=RowState.OPEN, entry=FileMeta(digest=digest)) as row if digest:
                    self._partial(row, digest)
                case _:
                    self.downloads.append(name)

    def _partial(self, row: JournalRow, digest: str) -> None:
        now = self.folder.staged_fingerprint(row.name)
        if now is not None:
            since_s = now.mtime_ns / 1e9
            self.partials.append(Partial(name=row.name, digest=digest, inode=now.inode, size=now.size, since_s=since_s))

    def _strange(self, name: str, takings: list[JournalRow]) -> None:
        """What has no row: taken out of the folder a moment before the crash, or nobody knows what."""
        row = _taken_by(self.folder, name, takings)
        if row is None:
            self.folder.move_to_trash(name, _name_in_trash(name), worth=Worth.UNSEEN)
            return
        takings.remove(row)
        held = replace(row, name=name, state=RowState.LIMBO)
        is_undone = row.state is RowState.MAKING and row.path not in self.entries
        if not is_undone or put_back(self.folder, self.limbo, held) is not None:
            self._displaced(held)

    def _displaced(self, row: JournalRow) -> None:
        try:
            is_open = row.state is RowState.OPEN
            fingerprint = self.folder.staged_fingerprint(row.name)
            is_open = is_open or (fingerprint is not None and fingerprint.kind is Kind.DIRECTORY)
        except PathRefused:  # something odd that came between: it has no conflict name
            is_open = True
        if is_open:
            trashed = self.folder.move_to_trash(row.name, row.path, worth=Worth.UNSEEN)
            self.released.append(Released(path=row.path, trashed=trashed))
            return
        placed = self.limbo.settle(row)
        if placed is None:
            return
        if placed.conflict_copy is not None:
            kept_as, meta = placed.conflict_copy
            self.entries[kept_as] = meta
        self.released.append(
            Released(path=row.path, conflict_copy=placed.conflict_copy, trashed=placed.trashed, remark=placed.remark)
        )


def holds_download(folder: Folder, row: JournalRow) -> bool:
    """Whether the staged name of `row` still holds the download itself: only then may it be unlinked."""
    try:
        fingerprint = folder.staged_fingerprint(row.name)
    except StorageError:
        return False
    return fingerprint is not None and fingerprint.inode == row.inode


def _done(folder: Folder, row: JournalRow) -> Entry | None:
    """The entry that the index must learn, where what `row` is about was done. Raises `PathRefused`."""
    there = folder.fingerprint(row.path)
    match row.state, row.entry:
        case RowState.STAGED, FileMeta() if there is not None and there.inode == row.inode:
            return published(folder, row)
        case RowState.MAKING, FileMeta() as entry if there is not None and there.kind is Kind.DIRECTORY:
            return replace(entry, fingerprint=there)
        case RowState.REMOVING, tombstone if there is None:
            return tombstone
        case RowState.ADJUSTING, FileMeta() as entry if there is not None and there.same_content_as(entry.fingerprint):
            return replace(entry, fingerprint=there) if there.mode == entry.fingerprint.mode else None
        case _:
            return None


def _taken_by(folder: Folder, name: str, takings: Iterable[JournalRow]) -> JournalRow | None:
    """The row of the change that took out what now has this staged name."""
    try:
        fingerprint = folder.staged_fingerprint(name)
    except PathRefused:
        return None
    inode = fingerprint.inode if fingerprint is not None else 0
    return next((row for row in takings if row.expected is not None and row.expected.inode == inode), None)


def _name_in_trash(staged_name: str) -> RelPath:
    try:
        return RelPath.parse(staged_name)
    except NameRefused:
        return RelPath.parse("a file with an odd name")
