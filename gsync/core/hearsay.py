"""What was heard of newer versions than those that are here: for each path the join of them, and the record that wins.

Bounded, because anybody can speak of any path: what was not looked at for the longest time is forgotten, and the worst that comes
of that is one more flood, which its hops end. Pure; owned by `freshness`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gsync.core.model import Record
from gsync.core.names import RelPath
from gsync.core.recent import Recent
from gsync.core.records import winner
from gsync.core.versions import Version, join

HEARD_MAX: Final = 200_000
"""Paths of which something newer than here was heard, or that are not here."""

UNFLOODED_MAX: Final = 1024
"""Paths of which a newer version was found out by asking, and no flood was heard yet."""


class Hearsay:
    """The highest version heard of each path."""

    __slots__ = ("_heard", "_unflooded", "changes")

    def __init__(self, *, heard_max: int = HEARD_MAX) -> None:
        self._heard: Recent[RelPath, tuple[Version, Record | None]] = Recent(heard_max)
        self._unflooded: Recent[RelPath, Version] = Recent(UNFLOODED_MAX)
        self.changes = 0
        """How often something was heard or forgotten so far."""

    def __len__(self) -> int:
        return len(self._heard)

    def paths(self) -> Iterator[RelPath]:
        """Of which something was heard, as it is now."""
        return iter(self._heard)

    def add(self, path: RelPath, version: Version, record: Record | None = None) -> None:
        """`version` of `path` exists, and perhaps this is its record."""
        self.changes += 1
        before = self._heard.get(path)
        if before is None:
            self._heard[path] = (version, record)
            return
        told = [one for one in (before[1], record) if one is not None]
        self._heard[path] = (join((before[0], version)), winner(told) if told else None)

    def forget(self, path: RelPath) -> None:
        """What is here is as new as all that was heard."""
        self.changes += 1
        self._heard.forget(path)

    def overtook_flood(self, path: RelPath, version: Version) -> None:
        """It was found out by asking: the flood that tells of it, which may be still to come, must not end here for that."""
        self._unflooded[path] = version

    def was_flooded(self, path: RelPath) -> None:
        """This peer has begun a flood about it itself: one that is still to come may end here."""
        self._unflooded.forget(path)

    def is_late_flood(self, record: Record) -> bool:
        """Whether this is the first word of a flood about what was found out by asking."""
        is_late = self._unflooded.get(record.path) == record.version
        if is_late:
            self._unflooded.forget(record.path)
        return is_late

    def version(self, path: RelPath) -> Version | None:
        """The version that none that was heard of is newer than."""
        heard = self._heard.get(path)
        return None if heard is None else heard[0]

    def record(self, path: RelPath) -> Record | None:
        """The record of it that stands, where one was told."""
        heard = self._heard.get(path)
        return None if heard is None else heard[1]


def disbelief(record: Record, held: Version | None, *, me: str) -> str:
    """Why `record` cannot be true where a copy of version `held` stands and author `me` writes; "" if it can."""
    counters = dict(record.version.counters)
    if record.author and counters and record.author not in counters:
        return "its author made no step of its version"
    if held is not None and counters.get(me, 0) > dict(held.counters).get(me, 0):
        return "a version that only this peer could have made, and did not"
    return ""
