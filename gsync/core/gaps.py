"""Whether something was missed of what another peer flooded: it counts its invalidations, anew in each of its lives.

A link delivers in order, so a number that was jumped over was lost with a link, or held back by somebody to whom it was no news; to
compare what both sides know settles either. Pure; owned by the peer's overlay.
"""

from __future__ import annotations

from typing import Final

from gsync.core.names import PeerName
from gsync.core.recent import Recent

ORIGINS_MAX: Final = 4096
"""Origins whose count is remembered; one that is forgotten is met as if for the first time."""


class Gaps:
    """The last number heard of each origin."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: Recent[PeerName, tuple[str, int]] = Recent(ORIGINS_MAX)

    def met(self, origin: PeerName, life: str, seq: int) -> None:
        """`origin` says itself that it has flooded up to `seq` so far; what that was is found out otherwise."""
        self._last[origin] = (life, seq)

    def saw(self, origin: PeerName, life: str, seq: int) -> bool:
        """`origin` flooded number `seq` of this `life` (from 1). Whether something before it was missed.

        Not so for one that is heard of for the first time: what it said before was compared when our links came about. Number 0
        is what somebody else told when records were compared: it counts nothing.
        """
        if not seq:
            return False
        last = self._last.get(origin)
        if last is not None and last[0] == life and seq <= last[1]:
            return False
        self._last[origin] = (life, seq)
        return last is not None and (last[0] != life or seq > last[1] + 1)
