"""What this peer may let go, and what it has promised others to keep meanwhile, so that no two free the last two copies of a thing.

Whoever wants to free something leaves it first, then asks another peer to keep it. Who is leaving it promises nothing, and who has
promised does not leave: of two who ask each other at once both are refused. A promise is short: whoever got it acts at once. Pure;
shared by the peer's folder on demand and by whoever answers native links.
"""

from __future__ import annotations

from typing import Final

from gsync.core.names import RelPath

PROMISE_S: Final = 60.0
"""How long what was promised is kept; whoever was promised it frees within half of that, or not at all."""

PROMISES_MAX: Final = 10_000
"""Promises at a time; further ones are refused."""


class Promises:
    """Those of one peer."""

    __slots__ = ("_leaving", "_until")

    def __init__(self) -> None:
        self._leaving: set[RelPath] = set()
        self._until: dict[RelPath, float] = {}

    def leave(self, path: RelPath, *, now: float) -> bool:
        """Whether this may be let go, if somebody else promises to keep it; ends with `stay`."""
        if self._until.get(path, now) > now or path in self._leaving:
            return False
        self._leaving.add(path)
        return True

    def stay(self, path: RelPath) -> None:
        """It is gone, or it stays."""
        self._leaving.discard(path)

    def promise(self, path: RelPath, *, now: float) -> bool:
        """Whether this is kept for the next `PROMISE_S`, as far as it is up to gsync: a person may still delete it."""
        if path in self._leaving:
            return False
        if len(self._until) >= PROMISES_MAX and path not in self._until:
            self._until = {kept: until for kept, until in self._until.items() if until > now}
            if len(self._until) >= PROMISES_MAX:
                return False
        self._until[path] = now + PROMISE_S
        return True
