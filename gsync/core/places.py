"""The places that fetches take, and the lanes of sources they are taken in: how many may run, and from whom.

A lane whose source has answered before is *proven* and has several places; an unproven one has a single one, for a probe.
A batch of small files takes one place, and keeps it until the last of them has landed or failed. Pure; kept by
`core.schedule`, which says what stands in a lane and what is taken from it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from msgspec import Struct, field

from gsync.core.actions import Fetch
from gsync.core.model import Kind, Source
from gsync.core.names import RelPath

PER_SOURCE: Final = 8
"""Fetches at a time from one ip:port: enough to hide a round trip, few enough for small servers."""

BATCHES_PER_SOURCE: Final = 2
"""Batches at a time from one ip:port: the second is asked for while the first comes in."""

SMALL_MAX: Final = 256 * 1024
"""Up to this size a file that a native source offers goes in a batch; a larger one is fetched alone, in blocks."""

PROBES: Final = 256
"""Sources that are tried for the first time, all together: a dead one costs a socket and a timeout, nothing else."""

SILENT_DIALS: Final = 4
"""Unanswered dials at a time to ports of one address that never answered: a forged directory must not make us a scanner."""

Line = OrderedDict[RelPath, None]
"""An ordered set, from whose front hundred thousands are taken: a dict would pass over the gaps again each time."""


LONG: Final = 20_000
"""Pending fetches from which on a directory is planned no further, while a source has more to do than it can."""


class Lane(Struct):
    """One source, what waits for it, and how it has done so far."""

    source: Source
    waiting: Line = field(default_factory=OrderedDict)  # a path stands in a lane once
    small: Line = field(default_factory=OrderedDict)  # likewise, those that go in batches
    active: int = 0
    batches: int = 0
    proven: bool = False
    failures: int = 0
    not_before: float = 0.0

    @property
    def has_work(self) -> bool:
        """Whether anything waits in it."""
        return bool(self.waiting or self.small)


class Place(Struct):
    """What one fetch, or one batch, takes; free again when nothing is `left` of it."""

    left: int
    is_batch: bool


class Places:
    """All places; `limit` bounds those at proven sources."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._running = 0
        self._probing = 0
        self._silent: dict[str, int] = {}
        self._answering: set[str] = set()

    @property
    def taken(self) -> int:
        """How many are taken, probes included."""
        return self._running + self._probing

    def has_room(self, lane: Lane, *, for_batch: bool) -> bool:
        """Whether one more may start in this lane."""
        if for_batch and lane.batches >= BATCHES_PER_SOURCE:
            return False
        if lane.proven:
            return lane.active < PER_SOURCE and self._running < self._limit
        ip = lane.source.endpoint.ip
        if ip not in self._answering and self._silent.get(ip, 0) >= SILENT_DIALS:
            return False
        return lane.active == 0 and self._probing < PROBES

    def take(self, lane: Lane, *, count: int, is_batch: bool) -> Place:
        """A place for `count` paths together."""
        lane.active += 1
        lane.batches += is_batch
        ip = lane.source.endpoint.ip
        if lane.proven:
            self._running += 1
        else:
            self._probing += 1
            if ip not in self._answering:
                self._silent[ip] = self._silent.get(ip, 0) + 1
        return Place(left=count, is_batch=is_batch)

    def leave(self, lane: Lane, place: Place) -> None:
        """One of its paths needs it no more; with the last one it is free."""
        place.left -= 1
        if place.left:
            return
        lane.active -= 1
        lane.batches -= place.is_batch
        if lane.proven:
            self._running -= 1
        else:
            self._probing -= 1
        ip = lane.source.endpoint.ip
        if (silent := self._silent.get(ip, 0)) > 1:
            self._silent[ip] = silent - 1
        else:
            self._silent.pop(ip, None)

    def answered(self, ip: str) -> None:
        """This address is not one that never answers."""
        self._answering.add(ip)
        self._silent.pop(ip, None)

    def set_proven(self, lane: Lane, *, proven: bool) -> None:
        """The lane's source has shown that it gives, or that it does not; what runs there counts accordingly."""
        if lane.proven == proven:
            return
        moved = lane.active if proven else -lane.active
        self._running += moved
        self._probing -= moved
        lane.proven = proven


def goes_in_batches(fetch: Fetch, source: Source) -> bool:
    """Whether this file may be asked for together with others, and verified when it is here."""
    record = fetch.offer.record
    return (
        source.speaks_native
        and record is not None
        and record.kind is Kind.FILE
        and record.digest != ""
        and record.size <= SMALL_MAX
    )


def size_of(fetch: Fetch) -> int:
    """How many bytes it brings, as far as its record tells."""
    return fetch.offer.record.size if fetch.offer.record is not None else 0
