"""What became of the fetches: counted, told once, and given back to the queue.

Given: each end of a fetch, good or bad, by whoever carried it out. Remembers: how much came since the start and in this round,
which failures were told already. Tells: observers, and the queue, which decides what is tried next.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from gsync.core.actions import Fetch
from gsync.core.names import Endpoint, RelPath
from gsync.core.recent import Recent
from gsync.core.schedule import Blame, FetchQueue
from gsync.errors import GsyncError, NoSpace, StorageError
from gsync.net.clock import Clock
from gsync.peer import events as ev
from gsync.peer.causes import FetchError, cause_of

log = logging.getLogger(__name__)

REMEMBERED: Final = 10_000
"""Paths whose last failure is remembered, so that it is said once and not at each try."""

FAILURES_KEPT: Final = 100


class Tally(Struct):
    """What has been done since the peer started."""

    fetched: int = 0
    bytes: int = 0


class Outcomes:
    """Where every fetch of a peer ends."""

    def __init__(self, *, queue: FetchQueue, events: ev.Events, clock: Clock) -> None:
        self._queue = queue
        self._events = events
        self._clock = clock
        self._told: Recent[RelPath, str] = Recent(REMEMBERED)
        self.total = Tally()
        self.round = Tally()
        self.refusals: dict[RelPath, str] = {}
        """The offers that are left alone until a person does something about it, and why."""
        self._until: dict[RelPath, float] = {}
        self._next_until: float | None = None
        self.failures: list[GsyncError] = []
        self.failed: Counter[ev.Cause] = Counter()

    def published(self, fetch: Fetch, source: Endpoint, *, size: int, seconds: float, first_byte_s: float) -> None:
        """The file of `fetch` stands in the folder."""
        self._queue.done(fetch.path, source)
        for tally in (self.total, self.round):
            tally.fetched += 1
            tally.bytes += size
        self._told.forget(fetch.path)
        self._events.tell(
            ev.FileFetched(path=fetch.path, source=source, size=size, seconds=seconds, first_byte_s=first_byte_s)
        )

    def overtaken(self, fetch: Fetch, source: Endpoint) -> None:
        """What was fetched is not wanted in that place any more: a person was quicker."""
        log.info("fetch.overtaken path=%r reason=it was changed here meanwhile", fetch.path)
        self._queue.done(fetch.path, source)

    def fetch_failed(self, path: RelPath, source: Endpoint, blame: Blame, error: FetchError) -> None:
        """A fetch ended badly: it goes to the next source, or rests."""
        self._queue.failed(path, source, blame=blame, now=self._clock.monotonic())
        self.failed[cause_of(error)] += 1
        log.info("fetch.failed path=%r source=%s reason=%s", path, source, error)
        self._failed(path, source, error, cause_of(error))

    def broke_off(self, paths: Sequence[RelPath], source: Endpoint, error: FetchError) -> None:
        """A conversation broke in which these were asked for: the source is blamed once, not once a file."""
        self._queue.broke_off(paths, source, now=self._clock.monotonic())
        cause = cause_of(error)
        self.failed[cause] += 1
        log.info("fetch.failed files=%d source=%s reason=%s", len(paths), source, error)
        for path in paths[:1]:  # the others were not reached
            self._failed(path, source, error, cause)

    def work_failed(self, path: RelPath, error: StorageError) -> None:
        """Our own disk refused something that needs no source."""
        log.info("work.failed path=%r reason=%s", path, error)
        self._failed(path, None, error, ev.Cause.DISK)

    def reconsidered(self, paths: Iterable[RelPath]) -> None:
        """These are being planned again: what was refused there may not be any more."""
        for path in paths:
            self.refusals.pop(path, None)
            self._until.pop(path, None)

    def refused(self, path: RelPath, reason: str, *, until_s: float | None = None) -> None:
        """What is offered is nothing to be taken; or not before `until_s`, by the wall clock."""
        self.refusals[path] = reason
        if until_s is not None:
            self._until[path] = until_s
            self._next_until = until_s if self._next_until is None else min(until_s, self._next_until)
        self.skipped(path, None, ev.Cause.UNWANTED, reason, again=until_s is not None)

    def reconsider_at(self) -> float | None:
        """When, by the wall clock, something that was refused should be planned again; or a little earlier."""
        return self._next_until

    def take_timely(self, now_s: float) -> list[RelPath]:
        """What was refused until now, by the wall clock: to be planned again."""
        if self._next_until is None or now_s < self._next_until:
            return []
        timely = [path for path, until_s in self._until.items() if until_s <= now_s]
        for path in timely:
            del self._until[path]
        self._next_until = min(self._until.values(), default=None)
        return timely

    def skipped(self, path: RelPath, source: Endpoint | None, cause: ev.Cause, reason: str, *, again: bool) -> None:
        """Say it once, not at each try."""
        if self._told.get(path) == reason:
            return
        self._told[path] = reason
        self._events.tell(ev.FileSkipped(path=path, source=source, cause=cause, reason=reason, again=again))

    def last_failure(self, path: RelPath) -> str | None:
        """What was last said about `path`, if it has not been put right since."""
        return self._told.get(path)

    def _failed(self, path: RelPath, source: Endpoint | None, error: FetchError, cause: ev.Cause) -> None:
        self.failures = [*self.failures[-(FAILURES_KEPT - 1) :], error]
        if isinstance(error, NoSpace):
            self._events.tell(ev.Trouble(what=f"no space for {path!r}: {error}", advice="free some; it is tried again"))
        self.skipped(path, source, cause, str(error), again=True)
