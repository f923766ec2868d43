"""Plan, hand out, agree: brings what the directory offers into the folder, one greenlet a file.

It plans the paths that changed, puts the fetches into the queue, starts as many as the queue and the applier allow, and gives
each outcome back to the queue. A failure takes the smallest rung: this file from this source, then this source, never the
peer. It holds no to-do list of its own: after a restart the trees say again what is missing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import gevent
from gevent.event import Event

from gsync.core.actions import Adopt, Fetch, Refuse
from gsync.core.model import Kind, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.planner import Policy, plan
from gsync.core.recent import Recent
from gsync.core.schedule import Assignment, Blame, FetchQueue
from gsync.core.versions import Version
from gsync.errors import GsyncError, NoSpace, PathRefused, ProtocolError, StorageError, TransportError
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.net.tasks import TaskGroup
from gsync.peer import events as ev
from gsync.peer.applier import Applier
from gsync.peer.causes import FetchError, SeemsEmpty, Unvouched, cause_of
from gsync.peer.fetcher import Fetcher, NotThere, Received
from gsync.peer.intake import abandon
from gsync.peer.trees import Trees
from gsync.peer.voucher import Voucher
from gsync.storage.downloads import Download, Overtaken, Published, Unpublished
from gsync.storage.filesystem import Folder

log = logging.getLogger(__name__)

IN_FLIGHT: Final = 1024
"""Files between their first dial and the end of their batch: two full batches, so that the publisher never waits."""

REMEMBERED: Final = 10_000
PROGRESS_S: Final = 0.25

REPLANNED_AT_A_TIME: Final = 500
"""Paths planned between two breaths: some 5 ms of work."""


@dataclass(slots=True)
class Tally:
    """What has been done since the peer started."""

    fetched: int = 0
    bytes: int = 0


class Syncer:
    """The loop between directory and folder. `on_idle` is called each time everything that can be done now is done."""

    def __init__(
        self,
        *,
        folder: Folder,
        trees: Trees,
        queue: FetchQueue,
        fetcher: Fetcher,
        voucher: Voucher,
        applier: Applier,
        events: ev.Events,
        clock: Clock,
        record_synced: Callable[[dict[RelPath, Version | None]], None],
        look_again: Callable[[], object],
        on_idle: Callable[[], None],
        verify_twice: bool = False,
    ) -> None:
        self._folder = folder
        self._trees = trees
        self._queue = queue
        self._fetcher = fetcher
        self._voucher = voucher
        self._applier = applier
        self._events = events
        self._clock = clock
        self._record_synced = record_synced
        self._look_again = look_again
        self._on_idle = on_idle
        self._verify_twice = verify_twice
        self._wake = Event()
        self._in_flight = 0
        self._planning = 0
        self._adopted: dict[RelPath, Version | None] = {}
        self._told: Recent[RelPath, str] = Recent(REMEMBERED)
        self._came_empty: Recent[RelPath, Version] = Recent(REMEMBERED)
        self._round_began: float | None = None
        self._round = Tally()
        self._bytes_before = 0
        self._announced_round = False
        self._busy = Event()
        self.total = Tally()
        self.failures: list[GsyncError] = []
        self.failed: Counter[ev.Cause] = Counter()

    @property
    def left(self) -> int:
        """How many files are still to be fetched."""
        return len(self._queue)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is pending, or nothing of it can be had."""
        if self._planning or self._in_flight or self._adopted:
            return False
        return not len(self._queue) or self._queue.is_hopeless()

    def begin_round(self) -> None:
        """The first directory is here: whatever it brings, being in sync with it is worth a word."""
        if self._round_began is None:
            self._round_began, self._round = self._clock.monotonic(), Tally()
            self._bytes_before = self._fetcher.bytes_received

    def replan(self, paths: Iterable[RelPath]) -> None:
        """The trees have changed at `paths`: see what should be done about them now."""
        ordered = sorted(paths)
        self._planning += 1  # what is planned in part is not idle, however little the first part asks for
        try:
            for start in range(0, len(ordered), REPLANNED_AT_A_TIME):
                if start:
                    breathe()
                self._replan(ordered[start : start + REPLANNED_AT_A_TIME])
        finally:
            self._planning -= 1
            self._announced_round = False
            self._wake.set()

    def _replan(self, paths: Sequence[RelPath]) -> None:
        wanted = set()
        policy = Policy(now_s=self._clock.wall())
        trees = self._trees
        for action in plan(paths, local=trees.local, remote=trees.remote, synced=trees.synced, policy=policy).actions:
            match action:
                case Fetch():
                    wanted.add(action.path)
                    if self._queue.put(action):
                        self._events.tell(ev.FileStale(path=action.path))
                case Adopt():
                    trees.synced[action.path] = action.version
                    self._adopted[action.path] = action.version
                case Refuse():
                    self._tell_skipped(action.path, None, ev.Cause.UNWANTED, action.reason, again=False)
        self._queue.discard(path for path in paths if path not in wanted)
        if len(self._queue):
            self.begin_round()
        self._wake.set()

    def wake(self) -> None:
        """Look whether more fetches may start now."""
        self._wake.set()

    def run(self) -> None:
        """Carry out what is planned; never returns."""
        with TaskGroup() as tasks:
            tasks.spawn(self._show_progress)
            while True:
                self._agree()
                now = self._clock.monotonic()
                while self._may_start() and (assignment := self._queue.next(now)) is not None:
                    self._in_flight += 1
                    self._busy.set()
                    tasks.spawn(self._carry_out, assignment)
                self._judge()
                wakes_at = self._queue.wakes_at(now)
                self._wake.wait(None if wakes_at is None else max(wakes_at - now, 0.001))
                self._wake.clear()

    def _may_start(self) -> bool:
        return self._in_flight < IN_FLIGHT and not self._applier.is_full

    def _agree(self) -> None:
        """Record what both sides turned out to have already, all of it in one transaction."""
        if not self._adopted:
            return
        adopted, self._adopted = self._adopted, {}
        try:
            self._record_synced(adopted)
        except StorageError as error:  # the trees know it; after a restart it turns out once more
            log.warning("agree.unrecorded files=%d reason=%s", len(adopted), error)

    def _carry_out(self, assignment: Assignment) -> None:
        """One file from one source, from the dial to the folder. Ends by itself; failures go to the queue."""
        fetch, source = assignment.fetch, assignment.source
        began = self._clock.monotonic()
        self._events.tell(ev.FileFetching(path=fetch.path, source=source.endpoint))
        try:
            self._require_a_free_spot(fetch)
            received = self._fetcher.fetch(fetch.path, source)
            self._queue.landed(fetch.path, source.endpoint)
            self._wake.set()
            self._require_good_content(fetch, source, received)
            self._apply(fetch, received, began)
        except (TransportError, ProtocolError) as error:
            self._failed(fetch.path, source.endpoint, Blame.SOURCE, error)
        except (NotThere, SeemsEmpty, StorageError) as error:
            self._failed(fetch.path, source.endpoint, Blame.PATH, error)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._busy.clear()
            self._voucher.stir()
            self._wake.set()

    def _require_a_free_spot(self, fetch: Fetch) -> None:
        """Raise PathRefused where a directory or a link stands: before anything is fetched for nothing."""
        there = self._folder.fingerprint(fetch.path)
        if there is not None and there.kind is not Kind.FILE:
            raise PathRefused(f"{fetch.path}: a {there.kind}")

    def _require_good_content(self, fetch: Fetch, source: Source, received: Received) -> None:
        """Where the source told no size, it must vouch; raises, with nothing left staged, when it is not to be trusted."""
        good = received.told_size
        try:
            if not good:
                self._require_a_voucher(fetch, received)
                if self._verify_twice:
                    self._require_the_same_again(fetch, source, received)
                good = True
        finally:
            if not good:
                abandon(received.content, self._applier)

    def _require_a_voucher(self, fetch: Fetch, received: Received) -> None:
        size = received.content.size
        if not self._voucher.vouched(received.source, fetch.path, size=size):
            raise Unvouched("it vanished after it had sent the file, which may be cut short")
        had = fetch.expected.fingerprint.size if fetch.expected else 0
        if not size and had and self._came_empty.get(fetch.path) != fetch.offer.version:
            self._came_empty[fetch.path] = fetch.offer.version
            raise SeemsEmpty("it came empty; asked once more before that replaces a file with content")

    def _require_the_same_again(self, fetch: Fetch, source: Source, received: Received) -> None:
        again = self._fetcher.fetch(fetch.path, source)
        abandon(again.content, self._applier)
        if again.content.digest != received.content.digest:
            raise Unvouched("fetched twice, it was not the same")

    def _apply(self, fetch: Fetch, received: Received, began: float) -> None:
        size = received.content.size
        download = Download(
            path=fetch.path,
            version=fetch.offer.version,
            content=received.content.held,
            digest=received.content.digest,
            mtime_ns=fetch.offer.version.mtime_s * 10**9,
            expected=fetch.expected.fingerprint if fetch.expected else None,
            displaced=fetch.displaced,
            loser=fetch.expected,
        )
        match self._applier.apply(download):
            case Published():
                self._queue.done(fetch.path, received.source)
                self._count(size)
                seconds = self._clock.monotonic() - began
                self._events.tell(
                    ev.FileFetched(
                        path=fetch.path,
                        source=received.source,
                        size=size,
                        seconds=seconds,
                        first_byte_s=received.first_byte_s,
                    )
                )
                self._told.forget(fetch.path)
                self.replan([fetch.path])  # the directory may have moved on meanwhile
            case Overtaken():
                log.info("fetch.overtaken path=%r reason=it was changed here meanwhile", fetch.path)
                self._look_again()  # before it is done: if this fails, the fetch has failed
                self._queue.done(fetch.path, received.source)
                self.replan([fetch.path])
            case Unpublished(error=error):
                raise error

    def _count(self, size: int) -> None:
        for tally in (self.total, self._round):
            tally.fetched += 1
            tally.bytes += size

    def _failed(self, path: RelPath, source: Endpoint, blame: Blame, error: FetchError) -> None:
        self._queue.failed(path, source, blame=blame, now=self._clock.monotonic())
        self.failures = [*self.failures[-99:], error]
        cause = cause_of(error)
        self.failed[cause] += 1
        log.info("fetch.failed path=%r source=%s reason=%s", path, source, error)
        if isinstance(error, NoSpace):
            self._events.tell(ev.Trouble(what=f"no space for {path!r}: {error}", advice="free some; it is tried again"))
        self._tell_skipped(path, source, cause, str(error), again=True)

    def _tell_skipped(
        self, path: RelPath, source: Endpoint | None, cause: ev.Cause, reason: str, *, again: bool
    ) -> None:
        """Say it once, not at each try."""
        if self._told.get(path) == reason:
            return
        self._told[path] = reason
        self._events.tell(ev.FileSkipped(path=path, source=source, cause=cause, reason=reason, again=again))

    def _judge(self) -> None:
        """Say when everything is here, and when no more can be had now."""
        if not self.is_idle:
            return
        if self._round_began is not None and not len(self._queue):
            seconds = self._clock.monotonic() - self._round_began
            self._round_began = None
            self._events.tell(ev.SyncDone(fetched=self._round.fetched, bytes=self._round.bytes, seconds=seconds))
        if not self._announced_round:
            self._announced_round = True
            self._on_idle()

    def _show_progress(self) -> None:
        """While files are being fetched, tell four times a second how far it is."""
        while True:
            self._busy.wait()
            before, since = self._fetcher.bytes_received, self._clock.monotonic()
            gevent.sleep(PROGRESS_S)
            now = self._clock.monotonic()
            rate = (self._fetcher.bytes_received - before) / max(now - since, 1e-6)
            if self._busy.is_set() and len(self._queue):
                done = ev.Progress(
                    files_left=len(self._queue),
                    files_done=self._round.fetched,
                    bytes_done=self._fetcher.bytes_received - self._bytes_before,
                    bytes_per_s=rate,
                )
                self._events.tell(done)
