"""The only hand on the user's folder: takes what was fetched and has it published, many files at a time.

Whatever has gathered while the disk was busy goes as one batch, so the first file of a quiet time is published at once and
thousands share a flush. It is also the `Stager` of the fetches. Outcomes are taken over into the trees here, before anybody
hears of them; which paths are in hand is known to the indexer, so that a scan never takes our own work for an edit.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeGuard

from gevent.event import AsyncResult, Event
from msgspec import Struct

from gsync.core.blocks import ContentHasher
from gsync.core.model import Entry
from gsync.core.names import RelPath
from gsync.errors import StorageError
from gsync.net.clock import Clock
from gsync.peer.events import Events, FileConflict, Trouble
from gsync.peer.trees import Trees
from gsync.storage.downloads import (
    Change,
    ConflictCopy,
    Download,
    Freed,
    Moved,
    NewDirectory,
    NewLink,
    Outcome,
    Overtaken,
    Published,
    Released,
    Relocation,
    Removed,
)
from gsync.storage.filesystem import Folder, Staged
from gsync.storage.publisher import BATCH_MAX_BYTES, BATCH_MAX_FILES, Publisher
from gsync.storage.workers import Job, Pool, Workers

log = logging.getLogger(__name__)

WAITING_MAX_BYTES: Final = 2 * BATCH_MAX_BYTES
"""Contents held in memory for the publisher: one batch on its way and one that gathers; beyond, fetching pauses."""

GATHER_S: Final = 0.05
"""A batch begins at the earliest so long after the one before: it costs a flush and two transactions, be it ever so small."""

EXPIRE_TRASH_S: Final = 3600.0
"""How often the trash is looked through for what is 30 days old or more than its share of the disk."""

REVIEW_S: Final = 1.0
"""How often displaced files that somebody still writes into are looked at again, in quiet times and in busy ones."""


class _Waiting(Struct):
    change: Change
    size: int
    done: Callable[[Outcome], None]
    is_taken: bool = False
    is_withdrawn: bool = False


class Applier:
    """Publishes through `publisher`; `on_touch` hears of paths just before and just after they are touched.

    `on_applied` hears which entries of the trees moved, once a batch: conflict copies first, so that whoever is told of a winner
    knows already where the loser went.
    """

    def __init__(
        self,
        *,
        folder: Folder,
        publisher: Publisher,
        workers: Workers,
        trees: Trees,
        events: Events,
        clock: Clock,
        on_touch: Callable[[Iterable[RelPath]], None],
        on_applied: Callable[[Sequence[RelPath]], None] = lambda paths: None,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._trash_due = clock.monotonic()
        self._review_due = clock.monotonic() + REVIEW_S
        self._publisher = publisher
        self._workers = workers
        self._trees = trees
        self._events = events
        self._on_touch = on_touch
        self._on_applied = on_applied
        self._queue: deque[_Waiting] = deque()  # bounded by is_full, which the syncer asks before it starts a fetch
        self._queued_bytes = 0
        self._some = Event()  # something waits
        self._waiting_bytes = 0
        self._ended: list[tuple[_Waiting, Outcome]] = []
        self._enough = Event()  # so much waits that nothing is gained by waiting for more
        self._last_ended = -GATHER_S
        self._publishing: frozenset[RelPath] = frozenset()

    @property
    def in_hand(self) -> frozenset[RelPath]:
        """Paths whose file may stand in the folder already, but not yet in the local tree."""
        return self._publishing | self._publisher.busy_paths()

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be published that nothing more should be fetched now."""
        return self._waiting_bytes >= WAITING_MAX_BYTES

    @property
    def waiting(self) -> int:
        """How many changes wait for the publisher, or are with it."""
        return len(self._queue) + len(self._publishing)

    def begin(self, path: RelPath, *, expected: int, digest: str = "") -> Staged:
        """A staged file for a large download of `expected` bytes, 0 where nobody told; with a `digest` it can be kept.

        Raises NoSpace, StorageError.
        """
        return self._workers.run(Pool.DISK, self._publisher.begin, path, digest=digest, size=expected)

    def partial(self, digest: str) -> Staged | None:
        """What an interrupted download of this content left."""
        return self._workers.run(Pool.DISK, self._publisher.partial, digest)

    def keep(self, staged: Staged) -> None:
        """Leave a download for the next try. Raises StorageError."""
        self._workers.run(Pool.DISK, self._publisher.keep, staged)

    def write(self, staged: Staged, hasher: ContentHasher, data: memoryview) -> Job[None]:
        """Hash and append `data` in the transfer worker; the buffer is free again once the job is done."""
        return self._workers.spawn(Pool.TRANSFER, _write, staged, hasher, data)

    def abandon(self, staged: Staged) -> None:
        """Forget a download that is not wanted any more."""
        self._workers.run(Pool.DISK, self._publisher.abandon, staged)

    def submit(self, change: Change, done: Callable[[Outcome], None]) -> None:
        """Have `change` carried out with the next batch; `done` is called in the applier's loop and must not wait.

        What waits when the peer is stopped is never carried out.
        """
        self._put(_Waiting(change, _bytes_held(change), done))

    def apply(self, change: Change) -> Outcome:
        """What became of `change` once its batch was published; waits for it."""
        result: AsyncResult[Outcome] = AsyncResult()
        waiting = _Waiting(change, _bytes_held(change), result.set)
        self._put(waiting)
        try:
            outcome: Outcome = result.get()
        finally:
            if not waiting.is_taken:  # this peer is being stopped: what nobody publishes any more leaves no temp
                waiting.is_withdrawn = True
                if isinstance(change, Download) and not isinstance(change.content, bytes):
                    self.abandon(change.content)
        return outcome

    def _put(self, waiting: _Waiting) -> None:
        self._waiting_bytes += waiting.size
        self._queued_bytes += waiting.size
        self._queue.append(waiting)
        if not self._some.is_set():
            self._some.set()
        if self._waiting_bytes >= BATCH_MAX_BYTES or len(self._queue) >= BATCH_MAX_FILES:
            self._enough.set()

    def run(self) -> None:
        """Publish what gathers; never returns."""
        while True:
            batch = self._gather()
            if batch:
                self._publish(batch)
            is_time_to_review = not batch or self._clock.monotonic() >= self._review_due
            if is_time_to_review or len(self._queue) < BATCH_MAX_FILES:  # else the next batch begins first
                self._hand_back()
            if is_time_to_review:
                self._review_due = self._clock.monotonic() + REVIEW_S
                self._review()

    def _gather(self) -> list[_Waiting]:
        """All that waits, up to the size of a batch; nothing after REVIEW_S of quiet."""
        if not self._queue:
            self._some.clear()
            if not self._some.wait(REVIEW_S):
                return []
        self._let_gather()
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < BATCH_MAX_FILES and size < BATCH_MAX_BYTES:
            batch.append(self._queue.popleft())
            size += batch[-1].size
        self._queued_bytes -= size
        batch = [waiting for waiting in batch if not waiting.is_withdrawn]
        for waiting in batch:
            waiting.is_taken = True
        return batch

    def _let_gather(self) -> None:
        """Wait for more, unless the last batch is long past or a whole one is there already."""
        if len(self._queue) < BATCH_MAX_FILES and self._queued_bytes < BATCH_MAX_BYTES:
            self._enough.wait(max(self._last_ended + GATHER_S - self._clock.monotonic(), 0.0))
        self._enough.clear()

    def _publish(self, batch: list[_Waiting]) -> None:
        """Carry out those that may be, at once; the others were overtaken by a deletion that their plan did not know."""
        right: list[_Waiting] = []
        for waiting in batch:
            if self._is_still_buried_so(waiting.change):
                right.append(waiting)
            else:
                self._give_up(waiting)
        if right:
            self._carry_out(right)

    def _is_still_buried_so(self, change: Change) -> bool:
        """Whether the tombstone at its path is the one that the planner saw there."""
        if not isinstance(change, Download | NewDirectory | NewLink):
            return True
        buried = self._trees.buried.get(change.path)
        return (buried.version if buried else None) == change.grave

    def _give_up(self, waiting: _Waiting) -> None:
        self._waiting_bytes -= waiting.size
        if isinstance(waiting.change, Download) and not isinstance(waiting.change.content, bytes):
            self.abandon(waiting.change.content)
        waiting.done(Overtaken(path=waiting.change.path))

    def _carry_out(self, batch: list[_Waiting]) -> None:
        self._publishing = frozenset(path for waiting in batch for path in _touched(waiting.change))
        self._on_touch(self._publishing)
        job = self._workers.spawn(Pool.DISK, self._publisher.publish, [waiting.change for waiting in batch])
        self._hand_back()
        outcomes = job.get()
        moved: dict[RelPath, None] = {}
        plain = {outcome.path: outcome.meta for outcome in outcomes if _is_plain(outcome)}
        self._trees.note_local(plain)
        self._trees.synced.update({path: meta.version for path, meta in plain.items()})
        for outcome in outcomes:
            if outcome.path in plain:
                moved[outcome.path] = None
            else:
                moved.update(dict.fromkeys(self._take_over(outcome)))
        self._on_touch(self._publishing)
        self._publishing = frozenset()
        self._last_ended = self._clock.monotonic()
        if moved:
            self._on_applied(tuple(moved))
        self._ended += zip(batch, outcomes, strict=True)

    def _hand_back(self) -> None:
        """Tell those who wait what their changes came to: while the next batch is on its way, if there is one already."""
        ended, self._ended = self._ended, []
        with self._events.together():
            for waiting, outcome in ended:
                self._waiting_bytes -= waiting.size
                waiting.done(outcome)

    def _review(self) -> None:
        moved: dict[RelPath, None] = {}
        for outcome in self._workers.run(Pool.DISK, self._publisher.review_limbo):
            self._on_touch([outcome.path])
            moved.update(dict.fromkeys(self._take_over(outcome)))
        if moved:
            self._on_applied(tuple(moved))
        if self._clock.monotonic() >= self._trash_due:
            self._trash_due = self._clock.monotonic() + EXPIRE_TRASH_S
            self._expire_trash()

    def _expire_trash(self) -> None:
        try:
            gone = self._workers.run(Pool.DISK, self._folder.expire_trash)
        except StorageError as error:
            log.warning("trash.kept reason=%s", error)
            return
        if gone:
            log.info("trash.expired boxes=%d", len(gone))

    def _take_over(self, outcome: Outcome | Released) -> list[RelPath]:
        """Let the trees show what was done; the paths whose entries moved, conflict copies first."""
        moved: list[RelPath] = []
        match outcome:
            case Published():
                self._trees.note_local({outcome.path: outcome.meta})
                self._trees.synced[outcome.path] = outcome.meta.version
                moved.append(outcome.path)
            case Removed():
                self._trees.note_local({outcome.path: outcome.tombstone})
                self._trees.synced[outcome.path] = outcome.tombstone.version
                moved.append(outcome.path)
            case Freed():
                self._trees.note_local({}, gone=[outcome.path])
                self._trees.synced[outcome.path] = outcome.version
                moved.append(outcome.path)
            case Moved():
                entries: dict[RelPath, Entry] = {**outcome.buried, **outcome.entries}
                self._trees.note_local(entries)
                self._trees.synced.update({path: entry.version for path, entry in entries.items()})
                moved += [*outcome.entries, *outcome.buried]
        if isinstance(outcome, Published | Released | Removed | Freed) and outcome.conflict_copy is not None:
            self._keep(outcome.path, outcome.conflict_copy)
            moved.insert(0, outcome.conflict_copy[0])
        if isinstance(outcome, Published | Released | Removed | Freed) and outcome.remark:
            self._events.tell(Trouble(what=f"{outcome.path}: {outcome.remark}"))
        return moved

    def _keep(self, path: RelPath, copy: ConflictCopy) -> None:
        kept_as, meta = copy
        self._on_touch([kept_as])
        self._trees.note_local({kept_as: meta})
        log.info("file.conflict path=%r kept_as=%r", path, kept_as)
        self._events.tell(FileConflict(path=path, kept_as=kept_as))


def _write(staged: Staged, hasher: ContentHasher, data: memoryview) -> None:
    hasher.update(data)
    staged.write(data)


def _is_plain(outcome: Outcome) -> TypeGuard[Published]:
    """Whether something was published and nothing else is to be said, as it mostly is."""
    return isinstance(outcome, Published) and outcome.conflict_copy is None and not outcome.remark


def _bytes_held(change: Change) -> int:
    return len(change.content) if isinstance(change, Download) and isinstance(change.content, bytes) else 0


def _touched(change: Change) -> Iterable[RelPath]:
    if isinstance(change, Relocation):
        return (change.path, change.source, *change.entries, *change.buried)
    return (change.path,)
