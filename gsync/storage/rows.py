"""How values are spelled in the index: entries, versions and journal rows, to SQLite's columns and back.

Numbers of the disk are kept as text: an inode may need 64 bits without a sign, and an mtime in nanoseconds more than 64
bits, which SQLite's integers cannot hold. The way back checks everything, for a folder may come from a stranger with an
index in it: `IndexDamaged` is what a value raises that nobody of ours wrote.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from gsync.core.actions import Displaced
from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import IndexDamaged
from gsync.storage.journal import JournalRow, RowState

Row = tuple[str, ...]

_MTIME_ONLY: Final = '{"mtime":'


def entry_row(path: RelPath, meta: FileMeta) -> Row:
    """The columns of the table `entry`."""
    return (path, fingerprint_text(meta.fingerprint), version_text(meta.version), meta.digest)


def synced_row(path: RelPath, version: Version) -> Row:
    """The columns of the table `synced`."""
    return (path, version_text(version))


class Reader:
    """Reads the rows of one index; equal texts become one value, which saves time and memory."""

    def __init__(self) -> None:
        self._paths: dict[str, RelPath] = {}
        self._versions: dict[str, Version] = {}

    def entry(self, row: Sequence[str]) -> tuple[RelPath, FileMeta]:
        """The entry that a row spells."""
        path, fingerprint, version, digest = row
        try:
            return self._path(path), FileMeta(
                fingerprint=_parse_fingerprint(fingerprint), version=self._version(version), digest=digest
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise IndexDamaged(f"an entry of the index makes no sense: {error}") from error

    def synced(self, row: Sequence[str]) -> tuple[RelPath, Version]:
        """The agreed version that a row spells."""
        path, version = row
        try:
            return self._path(path), self._version(version)
        except (ValueError, TypeError, AttributeError) as error:
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
        row.path,
        row.state.value,
        fingerprint_text(row.download),
        version_text(row.version),
        row.digest,
        "" if row.expected is None else fingerprint_text(row.expected),
        row.displaced.value,
        "" if row.loser is None else json.dumps(entry_row(row.path, row.loser)),
    )


def parse_journal(row: Sequence[str]) -> JournalRow:
    """The journal row that the columns spell."""
    name, path, state, download, version, digest, expected, displaced, loser = row
    try:
        return JournalRow(
            name=_staged_name(name),
            path=RelPath.parse(path),
            state=RowState(state),
            download=_parse_fingerprint(download),
            version=_parse_version(version),
            digest=digest,
            expected=_parse_fingerprint(expected) if expected else None,
            displaced=Displaced(displaced),
            loser=Reader().entry(json.loads(loser))[1] if loser else None,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise IndexDamaged(f"a journal row of the index makes no sense: {error}") from error


def fingerprint_text(fingerprint: Fingerprint) -> str:
    """Five numbers with spaces between."""
    f = fingerprint
    return f"{f.size} {f.mtime_ns} {f.ctime_ns} {f.inode} {f.mode}"


def version_text(version: Version) -> str:
    """The vector as JSON."""
    if version.is_mtime_only:  # nearly all of them
        return f"{_MTIME_ONLY}{version.mtime_s}}}"
    return json.dumps(version.vector(), separators=(",", ":"))


def _parse_fingerprint(text: str) -> Fingerprint:
    size, mtime_ns, ctime_ns, inode, mode = map(int, text.split(" "))
    return Fingerprint(size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns, inode=inode, mode=mode)


def _parse_version(text: str) -> Version:
    seconds = text[len(_MTIME_ONLY) : -1]
    if seconds.isdecimal() and text == f"{_MTIME_ONLY}{seconds}}}":  # nearly all of them, so without JSON
        return Version.from_mtime(int(seconds))
    vector = json.loads(text)
    if not all(isinstance(counter, int) for counter in vector.values()):
        raise TypeError("a counter that is not a number")
    return Version.from_vector(vector)


def _staged_name(name: str) -> str:
    if "/" in name or name in {"", ".", ".."}:
        raise ValueError(f"{name!r} is not a name in staging")
    return name
