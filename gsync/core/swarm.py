"""Which block is asked of which source: each source works through a stretch of its own, and takes from others' when it is done.

A source that leaves gives back what it had not delivered. Only a block that is overdue is asked for twice, so that a slow
source holds nothing up, and fast ones carry nothing in vain. Pure: time is an argument. Kept by `peer/block_fetch.py`, one for
each large content on its way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from msgspec import Struct, field

STEAL_MIN: Final = 8
"""A stretch is shared when at least so many blocks of it are left: a second connection for less does not pay."""

OVERDUE_S: Final = 2.0
"""A block that did not come for so long may be asked of a source that has nothing else to do."""

ASKERS_MAX: Final = 2
"""Sources that one block is asked of at a time."""

S = TypeVar("S")


class _Asked(Struct, Generic[S]):
    when: float
    sources: list[S] = field(default_factory=list)


class Swarm(Generic[S]):
    """The blocks that are still to be fetched."""

    def __init__(self, missing: Iterable[int]) -> None:
        self._left = set(missing)
        self._free = _stretches(self._left)
        self._own: dict[S, range] = {}
        self._asked: dict[int, _Asked[S]] = {}  # in the order of asking

    @property
    def is_done(self) -> bool:
        """Whether all blocks are here."""
        return not self._left

    def claim(self, source: S, *, now: float) -> int | None:
        """The block that `source` should be asked for next; None: nothing for it now."""
        block = self._next_of(source)
        if block is None:
            return self._overdue(source, now)
        self._asked[block] = _Asked(now, [source])
        return block

    def claims_too(self, source: S, block: int, *, now: float) -> bool:
        """Whether `block` is the next one of the stretch of `source`; if so, it is claimed as by `claim`."""
        stretch = self._own.get(source)
        if not stretch or stretch[0] != block:
            return False
        self._own[source] = stretch[1:]
        self._asked[block] = _Asked(now, [source])
        return True

    def overdue_at(self, source: S) -> float | None:
        """When `claim` may have something for `source` that it has not now, by itself; None: never."""
        times = [asked.when + OVERDUE_S for asked in self._asked.values() if _may_ask_too(asked, source)]
        return min(times, default=None)

    def done(self, block: int) -> None:
        """`block` is here."""
        self._left.discard(block)
        self._asked.pop(block, None)

    def leave(self, source: S) -> None:
        """`source` gives nothing any more: what it was asked for goes to others."""
        given_back = set(self._own.pop(source, ()))
        for block, asked in list(self._asked.items()):
            if source in asked.sources:
                asked.sources.remove(source)
                if not asked.sources:
                    del self._asked[block]
                    given_back.add(block)
        self._free = _stretches(given_back.union(*self._free))

    def _next_of(self, source: S) -> int | None:
        if not self._own.get(source):
            self._own[source] = self._stretch_for(source)
        stretch = self._own[source]
        if not stretch:
            return None
        self._own[source] = stretch[1:]
        return stretch[0]

    def _stretch_for(self, source: S) -> range:
        """Something that nobody works on, else the back half of the longest stretch that is worth sharing."""
        if self._free:
            return self._free.pop(0)
        longest = max(self._own, key=lambda other: len(self._own[other]), default=source)
        stretch = self._own.get(longest, range(0))
        if len(stretch) < STEAL_MIN:
            return range(0)
        middle = len(stretch) // 2
        self._own[longest] = stretch[:middle]
        return stretch[middle:]

    def _overdue(self, source: S, now: float) -> int | None:
        """What a slow source has not been asked for yet, else a block that it was."""
        for block, asked in self._asked.items():
            if now - asked.when < OVERDUE_S or not _may_ask_too(asked, source):
                continue
            for slow in asked.sources:
                if stretch := self._own.pop(slow, None):
                    self._own[source] = stretch[1:]
                    self._asked[stretch[0]] = _Asked(now, [source])
                    return stretch[0]
            asked.sources.append(source)
            asked.when = now
            return block
        return None


def _may_ask_too(asked: _Asked[S], source: S) -> bool:
    return source not in asked.sources and len(asked.sources) < ASKERS_MAX


def _stretches(blocks: Iterable[int]) -> list[range]:
    """`blocks` as ranges without gaps, in order."""
    stretches: list[range] = []
    for block in sorted(blocks):
        if stretches and stretches[-1].stop == block:
            stretches[-1] = range(stretches[-1].start, block + 1)
        else:
            stretches.append(range(block, block + 1))
    return stretches
