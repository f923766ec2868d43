"""What the look at start finds in staging and in the journal, and what it does with it.

    row       staged name holds      path holds         so
    --------  ---------------------  -----------------  ------------------------------------------------------------
    OPEN      its own inode          anything           a download that was never finished: forgotten
    STAGED    its own inode          another file       a download that was never published: forgotten
    STAGED    nothing or another     its own inode      published: the index learns it now
    STAGED    another inode          anything           what the exchange brought out: finds its place, or limbo
    LIMBO     another inode          anything           finds its place, or limbo
    none      anything               anything           trash, unseen

The journal is brought up to date before a download is unlinked: a row whose inode is free again would be taken for the
next file that gets this inode. Every step may be interrupted and taken again. Called once by `Publisher.recover`.
"""

from __future__ import annotations

from dataclasses import replace

from gsync.core.model import Entry
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import NameRefused, PathRefused, StorageError
from gsync.storage.displaced import published
from gsync.storage.downloads import Released
from gsync.storage.filesystem import Folder, Worth
from gsync.storage.index import Index
from gsync.storage.journal import JournalRow, RowState
from gsync.storage.limbo import Limbo


def recover(folder: Folder, index: Index, limbo: Limbo) -> list[Released]:
    """Finish what a crash interrupted; returns the displaced files that found a place. Raises `StorageError`."""
    rows = {row.name: row for row in index.journal()}
    entries: dict[RelPath, Entry | None] = {}
    synced: dict[RelPath, Version | None] = {}
    released: list[Released] = []
    downloads: list[str] = []
    for row in rows.values():
        if row.state is RowState.STAGED and _stands(folder, row):
            entries[row.path] = published(folder, row)
            synced[row.path] = row.entry.version
    for name in folder.staged_names():
        match rows.get(name):
            case None:
                folder.move_to_trash(name, _name_in_trash(name), worth=Worth.UNSEEN)
            case row if holds_download(folder, row):
                downloads.append(name)
            case row:
                released += _released(folder, row, limbo)
    entries |= {path: meta for one in released if one.conflict_copy for path, meta in [one.conflict_copy]}
    waiting = [replace(row, state=RowState.LIMBO) for row in limbo.rows()]
    folder.sync_names()
    index.record(entries=entries, synced=synced, journal=waiting, forget=rows.keys() - {row.name for row in waiting})
    for name in downloads:
        folder.unlink_staged(name)
    return released


def holds_download(folder: Folder, row: JournalRow) -> bool:
    """Whether the staged name of `row` still holds the download itself: only then may it be unlinked."""
    try:
        fingerprint = folder.staged_fingerprint(row.name)
    except StorageError:
        return False
    return fingerprint is not None and fingerprint.inode == row.inode


def _stands(folder: Folder, row: JournalRow) -> bool:
    try:
        fingerprint = folder.fingerprint(row.path)
    except PathRefused:
        return False
    return fingerprint is not None and fingerprint.inode == row.inode


def _released(folder: Folder, row: JournalRow, limbo: Limbo) -> list[Released]:
    try:
        folder.staged_fingerprint(row.name)
    except PathRefused:  # a link or a directory that came between: it has no conflict name
        trashed = folder.move_to_trash(row.name, row.path, worth=Worth.UNSEEN)
        return [Released(path=row.path, trashed=trashed)]
    if row.state is RowState.OPEN:
        trashed = folder.move_to_trash(row.name, row.path, worth=Worth.UNSEEN)
        return [Released(path=row.path, trashed=trashed)]
    placed = limbo.settle(row)
    if placed is None:
        return []
    return [Released(path=row.path, conflict_copy=placed.conflict_copy, trashed=placed.trashed, remark=placed.remark)]


def _name_in_trash(staged_name: str) -> RelPath:
    try:
        return RelPath.parse(staged_name)
    except NameRefused:
        return RelPath.parse("a file with an odd name")
