"""Which of several records of one path stands: one order and one winner, the same on every machine.

A record is NEWER when its version dominates. Where neither does they are CONCURRENT, and so are equal versions of different
content (two edits in one second, an index that was rolled back). Among concurrent records one wins, and the others know it:

    1. a live one over a deletion       an edit is not lost to somebody who had not seen it
    2. a directory over file and link   what is in it needs it
    3. the later mtime of the version, then its counters, its digest, its kind, its target

The same content at the same version, but with another mtime or exec bit, is no conflict: the earlier mtime is NEWER, so that
a file system which cuts mtimes off settles the matter instead of being asked for ever. Pure; called by the planner, and by the
tracker, which keeps every record that no other dominates and tells the winner.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gsync.core.model import DIRECTORY, FILE, Entry, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import MTIME_MAX, Order, Version, compare_vectors

MTIME_NS_MAX: Final = MTIME_MAX * 10**9 + 10**9 - 1
"""The last nanosecond that a record can say."""


def record_of(path: RelPath, entry: Entry) -> Record:
    """What there is to tell about `entry` at `path`; of directories and links no size, mtime or exec bit."""
    if isinstance(entry, Tombstone):
        return Record(
            path=path, kind=entry.kind, version=entry.version, digest=entry.digest, author=entry.author, deleted=True
        )
    shown = entry.fingerprint
    kind = shown.kind
    is_file = kind is FILE
    return Record(
        path=path,
        kind=kind,
        version=entry.version,
        digest=entry.digest,
        size=shown.size if is_file else 0,
        mtime_ns=_told_mtime(shown.mtime_ns) if is_file else 0,
        executable=is_file and shown.is_executable,
        target=entry.target,
        author=entry.author,
        moved_from=entry.moved_from,
    )


def tombstone_of(record: Record, *, version: Version | None = None) -> Tombstone:
    """The tombstone that the deletion `record` leaves here, at `version` where that is not its own."""
    return Tombstone(version=version or record.version, kind=record.kind, digest=record.digest, author=record.author)


def same_content(a: Record, b: Record) -> bool:
    """Whether both say that the same stands there, or that the same was deleted."""
    return (a.kind, a.digest, a.target, a.deleted) == (b.kind, b.digest, b.target, b.deleted)


def looks_the_same(a: Record, b: Record) -> bool:
    """Whether nothing on a disk tells one from the other: content, and for a file its mtime and exec bit."""
    return same_content(a, b) and _attributes(a) == _attributes(b)


def looks_like(record: Record, entry: Entry) -> bool:
    """Whether it looks the same as what is told of `entry`, without making a record of that."""
    if isinstance(entry, Tombstone):
        return record.deleted and (record.kind, record.digest, record.target) == (entry.kind, entry.digest, "")
    shown = entry.fingerprint
    if (record.kind, record.digest, record.target, record.deleted) != (shown.kind, entry.digest, entry.target, False):
        return False
    if shown.kind is not FILE:
        return True
    return record.mtime_ns == _told_mtime(shown.mtime_ns) and record.executable == shown.is_executable


def has_seen(theirs: Version, mine: Version) -> bool:
    """Whether the author of `theirs`, which dominates, had `mine`: an mtime alone does not say so."""
    return not mine.is_mtime_only and mine.counters != theirs.counters


def order(a: Record, b: Record) -> Order:
    """How `a` stands to `b`, both of one path; a partial order."""
    if a is b:
        return Order.SAME
    if a.version != b.version:
        return compare_vectors(a.version, b.version)
    if not same_content(a, b):
        return Order.CONCURRENT
    mine, theirs = _attributes(a), _attributes(b)
    if mine == theirs:
        return Order.SAME
    return Order.NEWER if mine > theirs else Order.OLDER


def beats(a: Record, b: Record) -> bool:
    """Whether `a` wins over the concurrent `b`; a total order, so exactly one of two different records beats the other."""
    return _rank(a) > _rank(b)


def winner(records: Iterable[Record]) -> Record:
    """The one of `records` (one path, at least one) that stands: dominated by none, and beating all that are not either."""
    best: list[Record] = []
    for record in records:
        if all(order(record, other) is not Order.OLDER for other in best):
            best = [other for other in best if order(other, record) is not Order.OLDER]
            best.append(record)
    return max(best, key=_rank)


def _told_mtime(mtime_ns: int) -> int:
    return mtime_ns if 0 <= mtime_ns <= MTIME_NS_MAX else min(max(mtime_ns, 0), MTIME_NS_MAX)


def _attributes(record: Record) -> tuple[int, bool]:
    """What of a live file travels beside its content; the larger one stands where versions do not tell."""
    return (-record.mtime_ns, record.executable) if record.kind is FILE and not record.deleted else (0, False)


_Rank = tuple[bool, bool, int, tuple[tuple[str, int], ...], str, str, str, tuple[int, bool], str, str]


def _rank(record: Record) -> _Rank:
    return (
        not record.deleted,
        record.kind is DIRECTORY,
        record.version.mtime_s,
        record.version.counters,
        record.digest,
        record.kind,
        record.target,
        _attributes(record),
        record.author,
        record.moved_from or "",
    )
