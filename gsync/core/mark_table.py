"""`MarkTable`: which mark was told of each path, and what all of them join to; some 30 bytes a path.

It needs the old mark of a path when a new one comes, and never the path: so it is known by its 64-bit hash alone. Two of a million
paths share one with a chance of 1 to 30 million; then the digest is wrong once, and a snapshot is asked for. Tables of arrays, each
grown alone, so that nothing takes more than some milliseconds. Pure; called by `peer.mirror`.
"""

from __future__ import annotations

from array import array
from typing import Final

_TABLES: Final = 256
_TABLE_BITS: Final = 56
_HASH_BITS: Final = (1 << 64) - 1
_SLOTS_MIN: Final = 8


class MarkTable:
    """Marks are 64 bits; 0 stands for none."""

    __slots__ = ("_tables", "count", "total")

    def __init__(self) -> None:
        self._tables: list[_Table | None] = [None] * _TABLES
        self.count = 0
        """Paths with a mark."""
        self.total = 0
        """All marks, joined by exclusive or."""

    def put(self, path: str, mark: int) -> None:
        """From now on `path` has this mark; 0: none any more."""
        key = hash(path) & _HASH_BITS or 1
        table = self._tables[key >> _TABLE_BITS]
        if table is None:
            table = self._tables[key >> _TABLE_BITS] = _Table()
        before = table.put(key, mark)
        self.total ^= before ^ mark
        if not before or not mark:
            self.count += bool(mark) - bool(before)


class _Table:
    """Open addressing: a key at twice its slot, its mark behind it; a key of 0 ends a search. Keys stay until it grows."""

    __slots__ = ("_slots", "_used")

    def __init__(self) -> None:
        self._slots = array("Q", bytes(16 * _SLOTS_MIN))
        self._used = 0

    def put(self, key: int, mark: int) -> int:
        """The mark that it takes the place of."""
        slots = self._slots
        at = _search(slots, key)
        if slots[at]:
            before = slots[at + 1]
            slots[at + 1] = mark
            return before
        if mark:
            slots[at], slots[at + 1] = key, mark
            self._used += 1
            if self._used * 3 > len(slots):
                self._grow()
        return 0

    def _grow(self) -> None:
        old = self._slots
        kept = [(old[at], old[at + 1]) for at in range(0, len(old), 2) if old[at + 1]]
        slots = _SLOTS_MIN
        while len(kept) * 2 > slots:
            slots *= 2
        self._slots = array("Q", bytes(16 * slots))
        self._used = len(kept)
        for key, mark in kept:
            at = _search(self._slots, key)
            self._slots[at], self._slots[at + 1] = key, mark


def _search(slots: array[int], key: int) -> int:
    """Where the key is, or where it may be put."""
    mask = len(slots) - 2
    at = 2 * key & mask
    while slots[at] and slots[at] != key:
        at = (at + 2) & mask
    return at
