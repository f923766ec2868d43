"""Which fetch may start now, and from which source: the queue between the plan and the greenlets that carry it out.

Every pending path stands in the *lane* of each source that offers it. A lane whose source has answered before is *proven*
and takes several fetches at a time; an unproven one takes a single probe, so that hundreds of dead sources cost one timeout
each, side by side, and never the places of good ones. A source that fails is backed off as a whole; a path that every
source failed to give is backed off alone. Small files of a source that speaks native go out as a *batch*, which takes one
place, until its last path has landed or failed. Pure: time is an argument, randomness is given. Owned by `peer.syncer`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from gsync.core.actions import Fetch
from gsync.core.backoff import Random, backoff_s
from gsync.core.model import Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.places import LONG, SMALL_MAX, Lane, Line, Place, Places, goes_in_batches, size_of

BATCH_FILES: Final = 250
BATCH_BYTES: Final = 8 * 1024 * 1024
"""Of one batch: two on their way from each of a few sources are no more than what may wait for the publisher."""

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


class Assignment(Struct, frozen=True, kw_only=True, gc=False):
    """A fetch that should start now, from this source."""

    fetch: Fetch
    source: Source


class Batch(Struct, frozen=True, kw_only=True, gc=False):
    """Small files that should be asked for now, together, from this source, which speaks native."""

    fetches: tuple[Fetch, ...]
    source: Source


class _Pending(Struct):
    fetch: Fetch
    untried: set[Endpoint]
    active_at: Endpoint | None = None
    place: Place | None = None
    failures: int = 0
    resting: bool = False
    unwanted: bool = False


class FetchQueue:
    """Pending fetches; `limit` bounds those from proven sources that run at a time, a batch counting as one."""

    def __init__(self, *, limit: int, rng: Random) -> None:
        self._places = Places(limit=limit)
        self._rng = rng
        self._pending: dict[RelPath, _Pending] = {}
        self._lanes: dict[Endpoint, Lane] = {}
        self._turn: deque[Endpoint] = deque()
        self._resting: list[tuple[float, int, RelPath]] = []
        self._serial = 0

    def __contains__(self, path: object) -> bool:
        return path in self._pending

    def __len__(self) -> int:
        return len(self._pending)

    def __iter__(self) -> Iterator[RelPath]:
        return iter(self._pending)

    @property
    def is_long(self) -> bool:
        """Whether so much waits, and some of it only for its source's next place, that nothing more need be planned now."""
        return len(self._pending) >= LONG and any(lane.active and lane.has_work for lane in self._lanes.values())

    @property
    def bytes_left(self) -> int:
        """How many bytes the pending files have, as far as their records tell."""
        return sum(size_of(pending.fetch) for pending in self._pending.values())

    def active(self) -> Iterator[RelPath]:
        """The paths that were handed out and have not ended."""
        return (path for path, pending in self._pending.items() if pending.active_at is not None)

    @property
    def running(self) -> int:
        """Fetches and batches that were handed out and have not ended."""
        return self._places.taken

    def put(self, fetch: Fetch) -> bool:
        """Add or renew the fetch of a path; one that runs goes on, and its outcome is judged against the new offer.

        Returns whether this version was not wanted before; new sources of it are no news.
        """
        old = self._pending.get(fetch.path)
        is_news = old is None or old.fetch.offer.version != fetch.offer.version
        if old is not None and old.fetch == fetch:
            old.unwanted = False
            return False
        endpoints = {source.endpoint for source in fetch.offer.sources}
        if old is not None and old.active_at is not None:
            old.fetch, old.untried, old.unwanted = fetch, endpoints - {old.active_at}, False
            return is_news
        self._pending[fetch.path] = _Pending(fetch, endpoints)
        self._enter_lanes(fetch.path, fetch.offer.sources)
        return is_news

    def discard(self, paths: Iterable[RelPath]) -> None:
        """Forget what is no longer wanted; a fetch that runs is left to end."""
        for path in paths:
            pending = self._pending.get(path)
            if pending is None:
                continue
            if pending.active_at is None:
                del self._pending[path]
            else:
                pending.unwanted = True

    def next(self, now: float) -> Assignment | None:
        """The fetch that should start now, or None: nothing is pending, all places are taken, or all is backed off.

        Small files of native sources are left to `next_batch`.
        """
        for lane in self._in_turn(now):
            if not lane.waiting or lane.not_before > now or not self._places.has_room(lane, for_batch=False):
                continue
            if (path := self._take(lane, lane.waiting)) is not None:
                self._start([path], lane, is_batch=False)
                return Assignment(fetch=self._pending[path].fetch, source=lane.source)
        return None

    def next_batch(self, now: float) -> Batch | None:
        """The small files that should be asked for now, together; None as above. Each path ends by itself, as a fetch does."""
        for lane in self._in_turn(now):
            if not lane.small or lane.not_before > now or not self._places.has_room(lane, for_batch=True):
                continue
            if paths := self._take_batch(lane):
                self._start(paths, lane, is_batch=True)
                return Batch(fetches=tuple(self._pending[path].fetch for path in paths), source=lane.source)
        return None

    def wakes_at(self, now: float) -> float | None:
        """When `next` or `next_batch` may have something that it has not now, apart from what endings bring; None: never."""
        times = [lane.not_before for lane in self._lanes.values() if lane.has_work and lane.not_before > now]
        if self._resting:
            times.append(self._resting[0][0])
        return min(times, default=None)

    def answered(self, endpoint: Endpoint) -> None:
        """The source took the connection: its address is not one that never answers."""
        self._places.answered(endpoint.ip)

    def proved(self, endpoint: Endpoint) -> None:
        """The source sent something: from now on it takes several fetches at a time."""
        lane = self._lanes.get(endpoint)
        if lane is None or lane.proven:
            return
        lane.failures = 0
        self._places.set_proven(lane, proven=True)

    def landed(self, path: RelPath, endpoint: Endpoint) -> None:
        """All bytes are here: the place is free for the next fetch, while this path waits to be vouched for and published."""
        pending = self._pending.get(path)
        if pending is not None and pending.active_at == endpoint:
            self._leave_place(pending, endpoint)

    def done(self, path: RelPath, endpoint: Endpoint) -> None:
        """The fetch ended and nothing more is to be done for it now: published, overtaken, or unwanted."""
        self._release(path, endpoint)
        del self._pending[path]
        if (lane := self._lanes.get(endpoint)) is not None:
            lane.failures = 0

    def failed(self, path: RelPath, endpoint: Endpoint, *, blame: Blame, now: float) -> None:
        """The fetch ended badly; the path goes to its next source, or rests when all have failed."""
        self._release(path, endpoint)
        if blame is Blame.SOURCE:
            self._back_off(endpoint, now)
        self._pending[path].untried.discard(endpoint)
        self._try_next(path, now)

    def broke_off(self, paths: Sequence[RelPath], endpoint: Endpoint, *, now: float) -> None:
        """A batch ended badly before these of its paths came: the source is to blame, once, and the first of them has failed.

        The others were not reached: they wait for this source and for their other ones as before.
        """
        if not paths:
            self._back_off(endpoint, now)
            return
        self.failed(paths[0], endpoint, blame=Blame.SOURCE, now=now)
        for path in paths[1:]:
            self._release(path, endpoint)
            self._pending[path].untried.add(endpoint)
            self._try_next(path, now)

    def blame(self, endpoint: Endpoint, *, now: float) -> None:
        """The source failed in something that another one carries out: it is left alone for a while."""
        self._back_off(endpoint, now)

    def waits_for(self, endpoint: Endpoint) -> bool:
        """Whether a fetch from this source runs or could start next: the connection that vouches comes by itself."""
        lane = self._lanes.get(endpoint)
        return lane is not None and (lane.active > 0 or (lane.has_work and lane.failures == 0))

    def is_stuck(self) -> bool:
        """Whether some path has been refused by all of its sources, more than once: others should be looked for."""
        return any(pending.failures >= STUCK_AFTER for pending in self._pending.values())

    def stuck(self) -> Iterator[RelPath]:
        """Those paths, and the ones that have no source at all, or none that has not failed often."""
        return (p for p, one in self._pending.items() if one.failures >= STUCK_AFTER or self._all_failed_often(one))

    def is_hopeless(self) -> bool:
        """Whether nothing runs and everything pending has failed so often that `--once` should end."""
        return all(
            p.active_at is None and (p.failures >= HOPELESS_AFTER or self._all_failed_often(p))
            for p in self._pending.values()
        )

    def _all_failed_often(self, pending: _Pending) -> bool:
        lanes = (self._lanes.get(source.endpoint) for source in pending.fetch.offer.sources)
        return all(lane is not None and lane.failures >= HOPELESS_AFTER for lane in lanes)

    def _try_next(self, path: RelPath, now: float) -> None:
        """Let the path wait for the sources that were not tried yet, or rest when there are none; unwanted, it is forgotten."""
        pending = self._pending[path]
        if pending.unwanted:
            del self._pending[path]
            return
        left = tuple(s for s in pending.fetch.offer.sources if s.endpoint in pending.untried)
        if left:
            self._enter_lanes(path, left)
            return
        pending.failures += 1
        pending.resting = True
        self._serial += 1
        heapq.heappush(self._resting, (now + self._delay(pending.failures), self._serial, path))

    def _back_off(self, endpoint: Endpoint, now: float) -> None:
        """Leave a source alone for a while; what else was under way there, and fails with it, is the same failure."""
        lane = self._lanes.get(endpoint)
        if lane is None:
            return
        self._places.set_proven(lane, proven=False)
        if lane.not_before > now:
            return
        lane.failures += 1
        lane.not_before = now + self._delay(lane.failures)

    def _lane(self, source: Source) -> Lane:
        lane = self._lanes.get(source.endpoint)
        if lane is None:
            lane = self._lanes[source.endpoint] = Lane(source)
            self._turn.append(source.endpoint)
        return lane

    def _enter_lanes(self, path: RelPath, sources: Iterable[Source]) -> None:
        for source in sources:
            lane = self._lane(source)
            lane.source = source
            queue = lane.small if goes_in_batches(self._pending[path].fetch, source) else lane.waiting
            queue[path] = None

    def _in_turn(self, now: float) -> Iterator[Lane]:
        """Each lane once, going on where the last look ended."""
        self._wake(now)
        for _ in range(len(self._turn)):
            endpoint = self._turn[0]
            self._turn.rotate(-1)
            lane = self._lanes[endpoint]
            if not lane.has_work and not lane.active and lane.not_before <= now:
                self._turn.pop()  # idle: forgotten, so that forged sources cannot pile up; a good one proves itself anew
                del self._lanes[endpoint]
                continue
            yield lane

    def _take(self, lane: Lane, queue: Line) -> RelPath | None:
        """The next path of `queue` that is still wanted from it; what another lane has dealt with is dropped here."""
        while queue:
            path, _ = queue.popitem(last=False)
            pending = self._pending.get(path)
            if pending is None or pending.active_at is not None or pending.resting:
                continue
            if lane.source.endpoint not in pending.untried:
                continue
            if goes_in_batches(pending.fetch, lane.source) == (queue is lane.small):
                return path
            self._enter_lanes(path, [lane.source])  # the version, or what the source speaks, has changed meanwhile
        return None

    def _take_batch(self, lane: Lane) -> list[RelPath]:
        paths: list[RelPath] = []
        size = 0
        while len(paths) < BATCH_FILES and size <= BATCH_BYTES - SMALL_MAX:
            path = self._take(lane, lane.small)
            if path is None:
                break
            paths.append(path)
            size += size_of(self._pending[path].fetch)
        return paths

    def _start(self, paths: Sequence[RelPath], lane: Lane, *, is_batch: bool) -> None:
        place = self._places.take(lane, count=len(paths), is_batch=is_batch)
        for path in paths:
            pending = self._pending[path]
            pending.active_at, pending.place = lane.source.endpoint, place

    def _release(self, path: RelPath, endpoint: Endpoint) -> None:
        pending = self._pending[path]  # it is never dropped while it is active
        self._leave_place(pending, endpoint)
        pending.active_at = None

    def _leave_place(self, pending: _Pending, endpoint: Endpoint) -> None:
        if pending.place is not None:
            self._places.leave(self._lanes[endpoint], pending.place)  # a lane with active fetches is never forgotten
            pending.place = None

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
