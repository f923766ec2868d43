"""What a run of a peer was asked for, and what it came to: `Settings` and `Summary`."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from gsync.core.deletions import HOLD_SHARE
from gsync.core.freshness import JITTER, TTR_S, Mode
from gsync.core.names import Endpoint
from gsync.core.topology import DEFAULT_SHAPE, Shape, Topology
from gsync.errors import GsyncError
from gsync.peer.fetcher import STALL_S

FETCHES: Final = 16
"""Files received at a time from sources that are known to be good (`--fetches`)."""


class Settings(Struct, frozen=True, kw_only=True):
    """What a person can choose; `port` 0 picks a free one, `once` ends when all that can be had is here.

    `classic` speaks edition 1 alone; `stats` tells each second how the peer itself is doing. `name` is what others may call this
    peer; where no person chose it (not `is_named`) the overlay makes one of it that nobody else has. One that does not send serves
    and announces nothing of its own making; one that does not receive leaves its folder alone. The limits
    are bytes a second over all connections, None: none. A scan that finds more than `max_delete` of all files gone (a share) holds
    these deletions back.

    `topology` says who the neighbours are, by name; `neighbours`, if there are any, says it by address instead: then `tracker`
    may be None. `mode` is how copies are kept honest, `ttr_s` for how long others believe what was made here,
    `jitter` by what share of it at most a copy here is believed for less. A folder
    `on_demand` lists everything and fetches only what is asked for.
    """

    tracker: Endpoint | None
    port: int = 0
    fetches: int = FETCHES
    stall_s: float = STALL_S
    once: bool = False
    verify_twice: bool = False
    classic: bool = False
    stats: bool = False
    name: str = ""
    is_named: bool = True
    sends: bool = True
    receives: bool = True
    limit_up: int | None = None
    limit_down: int | None = None
    max_delete: float = HOLD_SHARE
    topology: Topology | Shape = DEFAULT_SHAPE
    neighbours: tuple[Endpoint, ...] = ()
    mode: Mode = Mode.HYBRID
    ttr_s: float = TTR_S
    jitter: float = JITTER
    on_demand: bool = False

    @property
    def listening_ip(self) -> str:
        """Loopback only where the tracker is there, or, without one, all neighbours: then nobody else can be meant to reach us."""
        near = [self.tracker] if self.tracker is not None else list(self.neighbours)
        is_ipv6 = any(":" in endpoint.ip for endpoint in near)
        if near and all(endpoint.is_loopback for endpoint in near):
            return "::1" if is_ipv6 else "127.0.0.1"
        return "::" if is_ipv6 else "0.0.0.0"


class Summary(Struct, frozen=True, kw_only=True):
    """What a run did: files and bytes fetched, files left behind, and why."""

    fetched: int
    bytes: int
    left: int
    heard_tracker: bool
    failures: tuple[GsyncError, ...] = ()
