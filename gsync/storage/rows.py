"""How values are spelled in the index: entries, versions and journal rows, to SQLite's columns and back; and how rows get there.

Numbers of the disk are kept as text: an inode may need 64 bits without a sign, and an mtime in nanoseconds more than 64
bits, which SQLite's integers cannot hold. The way back checks everything, for a folder may come from a stranger with an
index in it: `IndexDamaged` is what a value raises that nobody of ours wrote.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Annotated, Final

import msgspec

from gsync.core.actions import Displaced
from gsync.core.model import Entry, FileMeta, Fingerprint, Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import MTIME, Version
from gsync.errors import IndexDamaged
from gsync.storage.journal import JournalRow, RowState

Row = tuple[str, ...]

_AT_ONCE: Final = 50

_Count = Annotated[int, msgspec.Meta(ge=0)]
_VERSIONS: Final = msgspec.json.Decoder(tuple[_Count, tuple[tuple[str, _Count], ...]])
_JSON: Final = msgspec.json.Encoder()
_KIND_TEXTS: Final = {kind: kind.value for kind in Kind}
_KINDS: Final = {kind.value: kind for kind in Kind}
_NONSENSE: Final = (ValueError, TypeError, AttributeError, KeyError, msgspec.MsgspecError)


def entry_row(path: RelPath, entry: Entry) -> Row:
    """The columns of the table `entry`; "" stands for what there is not, and a tombstone has no fingerprint."""
    name = str(path)  # a bare `str`: SQLite takes its children at half the speed, and JSON not at all
    if isinstance(entry, Tombstone):
        leftover = str(entry.leftover_inode or "")
        return (name, entry.kind.value, "", version_text(entry.version), entry.digest, "", entry.author, "", leftover)
    return (
        name,
        _KIND_TEXTS[entry.fingerprint.kind],
        _fingerprint_text(entry.fingerprint),
        version_text(entry.version),
        entry.digest,
        entry.target,
        entry.author,
        str(entry.moved_from or ""),
        "",
    )


def synced_row(path: RelPath, version: Version) -> Row:
    """The columns of the table `synced`."""
    return (str(path), version_text(version))


class Reader:
    """Reads the rows of one index; equal texts become one value, which saves time and memory."""

    def __init__(self) -> None:
        self._paths: dict[str, RelPath] = {}
        self._versions: dict[str, Version] = {}
        self._authors: dict[str, str] = {"": ""}

    def entry(self, row: Sequence[str]) -> tuple[RelPath, Entry]:
        """The entry that a row spells."""
        path, kind, fingerprint, version, digest, target, author, moved_from, leftover = row
        try:
            author = self._authors.setdefault(author, author)
            if not fingerprint:
                return self._path(path), Tombstone(
                    version=self._version(version),
                    kind=_KINDS[kind],
                    digest=digest,
                    author=author,
                    leftover_inode=int(leftover or 0),
                )
            return self._path(path), FileMeta(
                fingerprint=_parse_fingerprint(fingerprint, _KINDS[kind]),
                version=self._version(version),
                digest=digest,
                target=target,
                author=author,
                moved_from=RelPath.parse(moved_from) if moved_from else None,
            )
        except _NONSENSE as error:
            raise IndexDamaged(f"an entry of the index makes no sense: {error}") from error

    def synced(self, row: Sequence[str]) -> tuple[RelPath, Version]:
        """The agreed version that a row spells."""
        path, version = row
        try:
            return self._path(path), self._version(version)
        except _NONSENSE as error:
            raise IndexDamaged(f"an agreed version in the index makes no sense: {error}") from error

    def _path(self, text: str) -> RelPath:
        path = self._paths.get(text)
        if path is None:
            path = self._paths[text] = RelPath.parse(text)
        return path

    def _version(self, text: str) -> Version:
        version = self._versions.get(text)
        if version is None:
            version = self._versions[text] = _parse_version(text)
        return version


def journal_row(row: JournalRow) -> Row:
    """The columns of the table `journal`; "" stands for what there is not."""
    return (
        row.name,
        str(row.path),
        row.state.value,
        _json(entry_row(row.path, row.entry)),
        "" if row.expected is None else _json((row.expected.kind.value, _fingerprint_text(row.expected))),
        row.displaced.value,
        "" if row.loser is None else _json(entry_row(row.path, row.loser)),
    )


def parse_journal(row: Sequence[str]) -> JournalRow:
    """The journal row that the columns spell."""
    name, path, state, entry, expected, displaced, loser = row
    try:
        return JournalRow(
            name=_staged_name(name),
            path=RelPath.parse(path),
            state=RowState(state),
            entry=Reader().entry(json.loads(entry))[1],
            expected=_parse_expected(json.loads(expected)) if expected else None,
            displaced=Displaced(displaced),
            loser=_standing(Reader().entry(json.loads(loser))[1]) if loser else None,
        )
    except _NONSENSE as error:
        raise IndexDamaged(f"a journal row of the index makes no sense: {error}") from error


def version_text(version: Version) -> str:
    """The mtime and the counters, as JSON: `[7,[["0123456789abcdef",3]]]`."""
    return _JSON.encode((version.mtime_s, version.counters)).decode()


def _json(row: Row) -> str:
    return _JSON.encode(row).decode()


def _fingerprint_text(fingerprint: Fingerprint) -> str:
    """Five numbers with spaces between."""
    f = fingerprint
    return f"{f.size} {f.mtime_ns} {f.ctime_ns} {f.inode} {f.mode}"


def _parse_fingerprint(text: str, kind: Kind) -> Fingerprint:
    size, mtime_ns, ctime_ns, inode, mode = text.split(" ")
    return Fingerprint(
        size=int(size), mtime_ns=int(mtime_ns), ctime_ns=int(ctime_ns), inode=int(inode), mode=int(mode), kind=kind
    )


def _parse_expected(pair: Sequence[str]) -> Fingerprint:
    kind, text = pair
    return _parse_fingerprint(text, _KINDS[kind])


def _parse_version(text: str) -> Version:
    mtime_s, counters = _VERSIONS.decode(text)
    authors = [author for author, _ in counters]
    if MTIME in authors or (len(authors) > 1 and sorted(set(authors)) != authors):
        raise ValueError("authors that are none, or not in order")
    return Version(mtime_s, counters)


def _standing(entry: Entry) -> FileMeta:
    if not isinstance(entry, FileMeta):
        raise TypeError("a tombstone where something stood")
    return entry


def _staged_name(name: str) -> str:
    if "/" in name or name in {"", ".", ".."}:
        raise ValueError(f"{name!r} is not a name in staging")
    return name


def put(database: sqlite3.Connection, table: str, values: Iterable[Row]) -> None:
    """Write rows into `table`, many in one statement: at each statement the interpreter lock is let go, and waited for."""
    left = iter(values)
    while together := list(islice(left, _AT_ONCE)):
        row = f"({','.join('?' * len(together[0]))})"
        database.execute(f"REPLACE INTO {table} VALUES {','.join([row] * len(together))}", [*chain(*together)])


def remove(database: sqlite3.Connection, table: str, key: str, values: Iterable[str]) -> None:
    """Remove the rows with these keys from `table`."""
    database.executemany(f"DELETE FROM {table} WHERE {key} = ?", ((str(value),) for value in values))
