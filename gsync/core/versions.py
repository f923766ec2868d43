"""The one order between versions of a file, for both dialects.

A `Version` is a vector {author: counter}. Author ids are random per index lifetime; no wall clock decides between two
machines of ours. One key is special: `mtime`, the value that classic peers are told. An entry that is known only by its
mtime (found by a scan without history, or announced by a classic peer) has the vector {"mtime": seconds} and nothing else.

    a has       b has       order of a to b
    ----------  ----------  ------------------------------------------------------------------
    the same    the same    SAME
    authors     authors     NEWER or OLDER when one vector dominates, else CONCURRENT
    mtime only  anything    by mtime alone: the classic rule, "the latest mtime wins"

The last row is why a classic edit of a file that we once edited is not for ever concurrent with it: a classic peer cannot say
what it had seen. `docs/decisions/0003-one-version-order.md` has the reasons. That row is not transitive, so records, which are
joined in any order, are compared by `compare_vectors`: there the mtime is a counter like any other. Pure; called by the planner,
`core.records` and the indexer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import Final, Self

from msgspec import Struct

MTIME: Final = "mtime"
"""The key of the value that classic peers are told, in whole seconds."""

MTIME_MAX: Final = 4_102_444_800
"""2100-01-01 UTC; an announced mtime lies in 0..MTIME_MAX (protocol, classic)."""


class Order(Enum):
    """How one version stands to another."""

    SAME = auto()
    OLDER = auto()
    NEWER = auto()
    CONCURRENT = auto()


class Version(Struct, frozen=True, gc=False):
    """An immutable version vector; `counters` is sorted by author, `mtime_s` is what classic peers are told."""

    mtime_s: int
    counters: tuple[tuple[str, int], ...] = ()

    @classmethod
    def from_mtime(cls, mtime_s: int) -> Self:
        """The version of an entry of which only the mtime is known."""
        return cls(mtime_s)

    @classmethod
    def from_vector(cls, vector: Mapping[str, int]) -> Self:
        """The version that the vector {author: counter, "mtime": seconds} spells."""
        counters = [one for one in vector.items() if one[0] != MTIME]
        if len(counters) > 1:
            counters.sort()
        return cls(vector.get(MTIME, 0), tuple(counters))

    def vector(self) -> dict[str, int]:
        """The vector {author: counter, "mtime": seconds}, as stored and sent."""
        return {**dict(self.counters), MTIME: self.mtime_s}

    @property
    def is_mtime_only(self) -> bool:
        """Whether nobody of ours has edited it: only its mtime is known."""
        return not self.counters

    def edited_by(self, author: str, disk_mtime_s: int) -> Version:
        """The version after one more edit by `author`, whose disk says `disk_mtime_s`; its mtime always grows."""
        mtime_s = clamp_mtime(max(disk_mtime_s, self.mtime_s + 1))
        if not self.counters:  # told apart for speed: a directory that is renamed has an edit for each file in it
            return Version(mtime_s, ((author, 1),))
        vector = dict(self.counters)
        vector[author] = vector.get(author, 0) + 1
        return Version(mtime_s, tuple(sorted(vector.items())))


def clamp_mtime(mtime_s: int) -> int:
    """`mtime_s` moved into the range that may be announced."""
    return min(max(mtime_s, 0), MTIME_MAX)


def compare(a: Version, b: Version) -> Order:
    """How `a` stands to `b`; see the table of the module."""
    if a.is_mtime_only or b.is_mtime_only:
        return _by_mtime(a.mtime_s, b.mtime_s)
    mine, theirs = a.vector(), b.vector()
    authors = mine.keys() | theirs.keys()
    ahead = any(mine.get(x, 0) > theirs.get(x, 0) for x in authors)
    behind = any(mine.get(x, 0) < theirs.get(x, 0) for x in authors)
    if ahead and behind:
        return Order.CONCURRENT
    if ahead:
        return Order.NEWER
    return Order.OLDER if behind else Order.SAME


def compare_vectors(a: Version, b: Version) -> Order:
    """How the vector of `a` stands to that of `b`, the mtime being one of its counters: a partial order, in every mixture."""
    if a.counters == b.counters:
        return _by_mtime(a.mtime_s, b.mtime_s)
    mine, theirs = dict(a.counters), dict(b.counters)
    ahead = a.mtime_s > b.mtime_s or any(n > theirs.get(author, 0) for author, n in a.counters)
    behind = a.mtime_s < b.mtime_s or any(n > mine.get(author, 0) for author, n in b.counters)
    if ahead and behind:
        return Order.CONCURRENT
    if ahead:
        return Order.NEWER
    return Order.OLDER if behind else Order.SAME


def join(versions: Iterable[Version]) -> Version:
    """The smallest version that no one of `versions` is newer than: the larger counter of each author."""
    joined: dict[str, int] = {MTIME: 0}
    for version in versions:
        for author, counter in version.vector().items():
            joined[author] = max(joined.get(author, 0), counter)
    return Version.from_vector(joined)


def _by_mtime(a: int, b: int) -> Order:
    if a == b:
        return Order.SAME
    return Order.NEWER if a > b else Order.OLDER
