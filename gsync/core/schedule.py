"""Which fetch may start now, and from which source: the queue between the plan and the greenlets that carry it out.

Every pending path stands in the *lane* of each source that offers it. A lane whose source has answered before is *proven*
and takes several fetches at a time; an unproven one takes a single probe, so that hundreds of dead sources cost one timeout
each, side by side, and never the places of good ones. A source that fails is backed off as a whole; a path that every
source failed to give is backed off alone. Pure: time is an argument, randomness is given. Owned by `peer.syncer`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from gsync.core.actions import Fetch
from gsync.core.backoff import Random, backoff_s
from gsync.core.model import Source
from gsync.core.names import Endpoint, RelPath

PER_SOURCE: Final = 8
"""Fetches at a time from one ip:port: enough to hide a round trip, few enough for small servers."""

PROBES: Final = 256
"""Sources that are tried for the first time, all together: a dead one costs a socket and a timeout, nothing else."""

SILENT_DIALS: Final = 4
"""Unanswered dials at a time to ports of one address that never answered: a forged directory must not make us a scanner."""

BACKOFF_BASE_S: Final = 1.0
BACKOFF_CAP_S: Final = 16.0
"""With jitter below 20 s, so that gsync heals within 30 s after a fault ends (promise P7)."""

STUCK_AFTER: Final = 2
HOPELESS_AFTER: Final = 3
"""So many failures in a row make `--once` give up on a source or a path; a running peer goes on trying."""


class Blame(Enum):
    """Who a failed fetch is put down to."""

    SOURCE = auto()
    PATH = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A fetch that should start now, from this source."""

    fetch: Fetch
    source: Source


@dataclass(slots=True)
class _Lane:
    source: Source
    waiting: dict[RelPath, None] = field(default_factory=dict)  # an ordered set: a path stands in a lane once
    active: int = 0
    proven: bool = False
    failures: int = 0
    not_before: float = 0.0


@dataclass(slots=True)
class _Pending:
    fetch: Fetch
    untried: set[Endpoint]
    active_at: Endpoint | None = None
    landed: bool = False
    failures: int = 0
    resting: bool = False


class FetchQueue:
    """Pending fetches; `limit` bounds those from proven sources that run at a time."""

    def __init__(self, *, limit: int, rng: Random) -> None:
        self._limit = limit
        self._rng = rng
        self._pending: dict[RelPath, _Pending] = {}
        self._lanes: dict[Endpoint, _Lane] = {}
        self._turn: deque[Endpoint] = deque()
        self._resting: list[tuple[float, int, RelPath]] = []
        self._serial = 0
        self._running = 0
        self._probing = 0
        self._silent: dict[str, int] = {}
        self._answering: set[str] = set()

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def running(self) -> int:
        """Fetches that were handed out and have not ended."""
        return self._running + self._probing

    def put(self, fetch: Fetch) -> bool:
        """Add or renew the fetch of a path; one that runs goes on, and its outcome is judged against the new offer.

        Returns whether this version was not wanted before; new sources of it are no news.
        """
        old = self._pending.get(fetch.path)
        is_news = old is None or old.fetch.offer.version != fetch.offer.version
        if old is not None and old.fetch == fetch:
            return False
        endpoints = {source.endpoint for source in fetch.offer.sources}
        if old is not None and old.active_at is not None:
            old.fetch, old.untried = fetch, endpoints - {old.active_at}
            return is_news
        self._pending[fetch.path] = _Pending(fetch, endpoints)
        self._enter_lanes(fetch.path, fetch.offer.sources)
        return is_news

    def discard(self, paths: Iterable[RelPath]) -> None:
        """Forget what is no longer wanted; a fetch that runs is left to end."""
        for path in paths:
            pending = self._pending.get(path)
            if pending is not None and pending.active_at is None:
                del self._pending[path]

    def next(self, now: float) -> Assignment | None:
        """The fetch that should start now, or None: nothing is pending, all places are taken, or all is backed off."""
        self._wake(now)
        for _ in range(len(self._turn)):
            endpoint = self._turn[0]
            self._turn.rotate(-1)
            lane = self._lanes[endpoint]
            if not lane.waiting and not lane.active and lane.not_before <= now:
                self._turn.pop()  # idle: forgotten, so that forged sources cannot pile up; a good one proves itself anew
                del self._lanes[endpoint]
                continue
            if self._may_start(lane, now) and (path := self._take(lane)) is not None:
                return self._start(path, lane)
        return None

    def wakes_at(self, now: float) -> float | None:
        """When `next` may have something that it has not now, apart from what endings bring; None: never by itself."""
        times = [lane.not_before for lane in self._lanes.values() if lane.waiting and lane.not_before > now]
        if self._resting:
            times.append(self._resting[0][0])
        return min(times, default=None)

    def answered(self, endpoint: Endpoint) -> None:
        """The source took the connection: its address is not one that never answers."""
        self._answering.add(endpoint.ip)
        self._silent.pop(endpoint.ip, None)

    def proved(self, endpoint: Endpoint) -> None:
        """The source sent something: from now on it takes several fetches at a time."""
        lane = self._lanes.get(endpoint)
        if lane is None or lane.proven:
            return
        lane.failures = 0
        self._set_proven(lane, proven=True)

    def landed(self, path: RelPath, endpoint: Endpoint) -> None:
        """All bytes are here: the place is free for the next fetch, while this path waits to be vouched for and published."""
        pending = self._pending.get(path)
        if pending is not None and pending.active_at == endpoint and not pending.landed:
            self._free_place(endpoint)
            pending.landed = True

    def done(self, path: RelPath, endpoint: Endpoint) -> None:
        """The fetch ended and nothing more is to be done for it now: published, overtaken, or unwanted."""
        self._release(path, endpoint)
        del self._pending[path]
        if (lane := self._lanes.get(endpoint)) is not None:
            lane.failures = 0

    def failed(self, path: RelPath, endpoint: Endpoint, *, blame: Blame, now: float) -> None:
        """The fetch ended badly; the path goes to its next source, or rests when all have failed."""
        self._release(path, endpoint)
        lane = self._lanes.get(endpoint)
        if blame is Blame.SOURCE and lane is not None:
            self._set_proven(lane, proven=False)
            lane.failures += 1
            lane.not_before = now + self._delay(lane.failures)
        pending = self._pending[path]
        pending.untried.discard(endpoint)
        left = tuple(s for s in pending.fetch.offer.sources if s.endpoint in pending.untried)
        if left:
            self._enter_lanes(path, left)
            return
        pending.failures += 1
        pending.resting = True
        self._serial += 1
        heapq.heappush(self._resting, (now + self._delay(pending.failures), self._serial, path))

    def waits_for(self, endpoint: Endpoint) -> bool:
        """Whether a fetch from this source runs or could start next: the connection that vouches comes by itself."""
        lane = self._lanes.get(endpoint)
        return lane is not None and (lane.active > 0 or (bool(lane.waiting) and lane.failures == 0))

    def is_stuck(self) -> bool:
        """Whether some path has been refused by all of its sources, more than once: others should be looked for."""
        return any(pending.failures >= STUCK_AFTER for pending in self._pending.values())

    def is_hopeless(self) -> bool:
        """Whether nothing runs and everything pending has failed so often that `--once` should end."""
        return all(
            p.active_at is None
            and (p.failures >= HOPELESS_AFTER or all(self._has_failed_often(s) for s in p.fetch.offer.sources))
            for p in self._pending.values()
        )

    def _has_failed_often(self, source: Source) -> bool:
        lane = self._lanes.get(source.endpoint)
        return lane is not None and lane.failures >= HOPELESS_AFTER

    def _set_proven(self, lane: _Lane, *, proven: bool) -> None:
        if lane.proven == proven:
            return
        moved = lane.active if proven else -lane.active
        self._running += moved
        self._probing -= moved
        lane.proven = proven

    def _lane(self, source: Source) -> _Lane:
        lane = self._lanes.get(source.endpoint)
        if lane is None:
            lane = self._lanes[source.endpoint] = _Lane(source)
            self._turn.append(source.endpoint)
        return lane

    def _enter_lanes(self, path: RelPath, sources: Iterable[Source]) -> None:
        for source in sources:
            lane = self._lane(source)
            lane.source = source
            lane.waiting[path] = None

    def _may_start(self, lane: _Lane, now: float) -> bool:
        if not lane.waiting or lane.not_before > now:
            return False
        if lane.proven:
            return lane.active < PER_SOURCE and self._running < self._limit
        ip = lane.source.endpoint.ip
        if ip not in self._answering and self._silent.get(ip, 0) >= SILENT_DIALS:
            return False
        return lane.active == 0 and self._probing < PROBES

    def _take(self, lane: _Lane) -> RelPath | None:
        """The next path of the lane that is still wanted from it; what another lane has dealt with is dropped here."""
        while lane.waiting:
            path = next(iter(lane.waiting))
            del lane.waiting[path]
            pending = self._pending.get(path)
            if pending is None or pending.active_at is not None or pending.resting:
                continue
            if lane.source.endpoint in pending.untried:
                return path
        return None

    def _start(self, path: RelPath, lane: _Lane) -> Assignment:
        pending = self._pending[path]
        endpoint = lane.source.endpoint
        pending.active_at = endpoint
        lane.active += 1
        if lane.proven:
            self._running += 1
        else:
            self._probing += 1
            if endpoint.ip not in self._answering:
                self._silent[endpoint.ip] = self._silent.get(endpoint.ip, 0) + 1
        return Assignment(fetch=pending.fetch, source=lane.source)

    def _release(self, path: RelPath, endpoint: Endpoint) -> None:
        pending = self._pending[path]  # it is never dropped while it is active
        if not pending.landed:
            self._free_place(endpoint)
        pending.active_at, pending.landed = None, False

    def _free_place(self, endpoint: Endpoint) -> None:
        lane = self._lanes[endpoint]  # a lane with active fetches is never forgotten
        lane.active -= 1
        if lane.proven:
            self._running -= 1
        else:
            self._probing -= 1
        if (silent := self._silent.get(endpoint.ip, 0)) > 1:
            self._silent[endpoint.ip] = silent - 1
        else:
            self._silent.pop(endpoint.ip, None)

    def _wake(self, now: float) -> None:
        while self._resting and self._resting[0][0] <= now:
            _, _, path = heapq.heappop(self._resting)
            pending = self._pending.get(path)
            if pending is None or not pending.resting:
                continue
            pending.resting = False
            pending.untried = {source.endpoint for source in pending.fetch.offer.sources}
            self._enter_lanes(path, pending.fetch.offer.sources)

    def _delay(self, failures: int) -> float:
        return backoff_s(failures, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S, rng=self._rng)
