"""What happens at a tracker, for whoever watches: the command line prints it, tests assert it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from msgspec import Struct

from gsync.core.names import Endpoint


class PeerJoined(Struct, frozen=True, kw_only=True):
    """A peer announced all that it has for the first time on its connection; `port` is where it serves, if it told one."""

    name: ClassVar[str] = "peer.joined"
    remote: Endpoint
    port: int | None
    files: int
    knows_gsync: bool
    speaks_native: bool = False


class PeerLeft(Struct, frozen=True, kw_only=True):
    """The connection of a peer that had joined is over; its entries are forgotten."""

    name: ClassVar[str] = "peer.left"
    remote: Endpoint
    reason: str


TrackerEvent = PeerJoined | PeerLeft

Observer = Callable[[TrackerEvent], None]
"""Called on the greenlet of the connection; it must be short and must not raise."""


def ignore(event: TrackerEvent) -> None:
    """For a tracker that nobody watches."""
