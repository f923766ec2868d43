"""Who has to go when too many connections have said nothing yet.

A connection is *unproven* until its first valid message. When the house is full, the oldest unproven one goes first, so that
thousands of idle sockets cannot keep a real peer out; one address may hold only a few. Pure: it names the connections to
drop, and the caller drops them. Used by the serving port and by the tracker.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

UNPROVEN_PER_ADDRESS: Final = 32
"""Unproven connections that one address may hold; loopback is exempt, where all peers of a machine share one."""

Key = TypeVar("Key")


class Admission(Generic[Key]):
    """The connections of one port; `limit` bounds all of them together."""

    def __init__(self, *, limit: int, per_address: int = UNPROVEN_PER_ADDRESS) -> None:
        self._limit = limit
        self._per_address = per_address
        self._unproven: dict[Key, str] = {}  # in the order of coming
        self._exempt: set[Key] = set()
        self._proven: set[Key] = set()

    def __len__(self) -> int:
        return len(self._unproven) + len(self._proven)

    def enter(self, key: Key, address: str, *, exempt: bool = False) -> tuple[Key, ...]:
        """Take in a new connection; returns those to drop for it, which may be the new one itself."""
        drop: list[Key] = []
        if not exempt:
            same = [k for k, a in self._unproven.items() if a == address and k not in self._exempt]
            drop += same[: max(0, len(same) + 1 - self._per_address)]
        else:
            self._exempt.add(key)
        self._unproven[key] = address
        for gone in drop:
            self.leave(gone)
        while len(self) > self._limit:
            oldest = next(iter(self._unproven))
            drop.append(oldest)
            self.leave(oldest)
        return tuple(drop)

    def prove(self, key: Key) -> None:
        """The connection has said something valid: it is not dropped for others any more."""
        if self._unproven.pop(key, None) is not None:
            self._proven.add(key)

    def leave(self, key: Key) -> None:
        """The connection has ended."""
        self._unproven.pop(key, None)
        self._proven.discard(key)
        self._exempt.discard(key)
