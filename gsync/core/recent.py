"""A mapping that remembers only what was used lately, so that strangers cannot make it grow without bound."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """At most `limit` pairs; the one that was neither set nor read for the longest time is forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pairs: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[K]:
        return iter(tuple(self._pairs))

    def __setitem__(self, key: K, value: V) -> None:
        self._pairs.pop(key, None)
        self._pairs[key] = value
        if len(self._pairs) > self._limit:
            del self._pairs[next(iter(self._pairs))]

    def get(self, key: K) -> V | None:
        """The value of `key`, or None if it was never set or is forgotten."""
        if key not in self._pairs:
            return None
        value = self._pairs.pop(key)
        self._pairs[key] = value
        return value

    def forget(self, key: K) -> None:
        """Drop `key`, if it is there."""
        self._pairs.pop(key, None)
