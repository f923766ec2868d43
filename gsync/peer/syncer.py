"""Plan, hand out, agree: brings what others have into the folder.

Paths whose trees changed gather; this loop plans them, puts the fetches into the queue and everything else into the local works,
and starts as many fetches as the queue and the applier allow. A failure takes the smallest rung: this file from this source,
then this source, never the peer. It holds no to-do list of its own: after a restart the trees say again what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from gevent.event import Event

from gsync.core.actions import Adopt, Fetch, Refuse
from gsync.core.backoff import Random
from gsync.core.model import Tombstone
from gsync.core.names import RelPath
from gsync.core.planner import Policy
from gsync.core.schedule import Assignment, FetchQueue
from gsync.core.versions import Version
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.net.tasks import TaskGroup
from gsync.peer import events as ev
from gsync.peer.applier import Applier
from gsync.peer.classic_deliveries import ClassicDeliveries
from gsync.peer.due import Due
from gsync.peer.fetcher import Fetcher
from gsync.peer.local_works import LocalAction, LocalWorks
from gsync.peer.native_deliveries import NativeDeliveries, VerifiedFetcher, speaks_native
from gsync.peer.outcomes import Outcomes, Tally
from gsync.peer.progress import Speaker
from gsync.peer.sweep import Sweep
from gsync.peer.trees import Trees
from gsync.peer.voucher import Voucher
from gsync.storage.filesystem import Folder

IN_FLIGHT: Final = 1024
"""Files between their first dial and the end of their batch: two full batches, so that the publisher never waits."""

WALL_CLOCK_S: Final = 60.0
"""Who waits for a time of the wall clock looks at it so often."""


class Syncer:
    """The loop between what others have and the folder. `on_idle` is called each time all that can be done now is done.

    `record` writes deletions and agreed versions into the index; `hint` asks for a look at paths, `look_again` looks at once;
    `on_moved` hears of entries that moved without the disk.
    """

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
        rng: Random,
        record: Callable[[Mapping[RelPath, Tombstone], Mapping[RelPath, Version]], None],
        look_again: Callable[[], object],
        on_idle: Callable[[], None],
        native: VerifiedFetcher | None = None,
        author: str = "",
        policy: Callable[[], Policy] | None = None,
        hint: Callable[[Iterable[RelPath]], None] = lambda paths: None,
        on_moved: Callable[[Sequence[RelPath]], None] = lambda paths: None,
        verify_twice: bool = False,
    ) -> None:
        self._trees = trees
        self._queue = queue
        self._fetcher = fetcher
        self._applier = applier
        self._events = events
        self._clock = clock
        self._on_idle = on_idle
        self._policy = policy or (lambda: Policy(now_s=clock.wall()))
        self.outcomes: Final = Outcomes(queue=queue, events=events, clock=clock)
        self._works = LocalWorks(
            trees=trees,
            applier=applier,
            outcomes=self.outcomes,
            events=events,
            clock=clock,
            rng=rng,
            author=author,
            record=record,
            hint=hint,
            replan=lambda paths: self.replan([one for one in paths if one in queue or not trees.is_settled(one)]),
            moved=on_moved,
            wake=self.wake,
        )
        self._classic = ClassicDeliveries(
            folder=folder,
            queue=queue,
            fetcher=fetcher,
            voucher=voucher,
            applier=applier,
            outcomes=self.outcomes,
            events=events,
            clock=clock,
            look_again=look_again,
            replan=self.replan,
            wake=self.wake,
            verify_twice=verify_twice,
        )
        self._native_fetcher = native
        self._native: NativeDeliveries | None = None
        if native is not None:
            self._native = NativeDeliveries(
                queue=queue,
                fetcher=native,
                applier=applier,
                outcomes=self.outcomes,
                events=events,
                clock=clock,
                hint=hint,
                replan=lambda paths: self.replan(path for path in paths if not trees.is_settled(path)),
                rests=self._works,
                ended=self._ended,
            )
        self._due = Due(trees, is_plenty=lambda: queue.is_long, is_wanted=queue.__contains__)
        self._wake = Event()
        self._in_flight = 0
        self._planning = False
        self._paused = False
        self._round_began: float | None = None
        self._announced_round = False
        self._speaker = Speaker(
            outcomes=self.outcomes,
            bytes_received=self.bytes_received,
            left=lambda: self.left,
            events=events,
            clock=clock,
        )

    @property
    def left(self) -> int:
        """How many files are still to be fetched, about, where nobody has looked yet whether they are."""
        return len(self._queue) + self._due.held_back

    @property
    def left_bytes(self) -> int:
        """How many bytes these have, as far as anybody tells."""
        return self._queue.bytes_left

    @property
    def to_publish(self) -> int:
        """How many paths are being planned, carried out, or wait to be tried again."""
        return len(self._due) + self._planning + self._works.pending

    def fetching(self) -> frozenset[RelPath]:
        """The paths whose content is on its way now."""
        return frozenset(self._queue.active())

    def why_not_here(self, path: RelPath) -> str | None:
        """Why `path` could not be fetched lately; None where nothing failed, or another source is just giving it."""
        return None if path in self._queue.active() else self.outcomes.last_failure(path)

    def why_waiting(self, path: RelPath) -> str:
        """What stands between a plan for `path` and its being carried out; "" where nothing does, or nothing is to be done."""
        if self._paused:
            return "paused until `gsync resume`"
        offer = self._trees.remote.get(path)
        if path in self._queue and offer is not None and not offer.sources:
            return "nobody who has its content can be reached now"
        return "it waits for its turn" if path in self._queue else ""

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing waits to be planned, fetched, applied or tried again."""
        return not (self._planning or self._due or self._in_flight or self._works.pending or len(self._queue))

    @property
    def is_idle(self) -> bool:
        """Whether nothing is pending, or nothing of it can be had."""
        if self._planning or self._due or self._in_flight or self._works.pending:
            return False
        return not len(self._queue) or self._queue.is_hopeless()

    def bytes_received(self) -> int:
        """Content that came since the start, unfinished files included."""
        native = self._native_fetcher.bytes_received if self._native_fetcher is not None else 0
        return self._fetcher.bytes_received + native

    def begin_round(self) -> None:
        """The first directory is here: whatever it brings, being in sync with it is worth a word."""
        if self._round_began is None:
            self._round_began = self._clock.monotonic()
            self.outcomes.round = Tally()
            self._speaker.begin_round()

    def replan(self, paths: Iterable[RelPath]) -> None:
        """The trees have changed at `paths`: the loop will see what should be done about them. Never waits."""
        self._due.add(paths)
        self._announced_round = False
        self._wake.set()

    def here_changed(self, paths: Iterable[RelPath]) -> None:
        """What stands at `paths` has changed on this disk: mostly it is newer now than all that others have, and needs no plan.

        But a directory around it may have waited for that.
        """
        worth: dict[RelPath, None] = {}
        for path in paths:
            is_ahead = path not in self._queue and self._trees.is_ahead(path)
            worth.update(dict.fromkeys(path.ancestors[-1:] if is_ahead else (path,)))
        self.replan(worth)

    def sweep(self, sweep: Sweep) -> None:
        """The remote tree was replaced: the loop will see what should be done about that. Never waits."""
        if self._due.sweep(sweep):  # what a directory wanted that was passed over may be wanted by none
            self._due.add([path for path in (*self._queue, *self.outcomes.refusals) if path not in self._trees.remote])
        self._announced_round = False
        self._wake.set()

    def wake(self) -> None:
        """Look whether more may start now."""
        self._wake.set()

    def pause(self) -> None:
        """Start nothing until `resume`; what is under way ends."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._wake.set()

    @property
    def is_paused(self) -> bool:
        return self._paused

    def run(self) -> None:
        """Carry out what is to be done; never returns."""
        with TaskGroup() as tasks:
            tasks.spawn(self._speaker.run)
            while True:
                now = self._clock.monotonic()
                if not self._paused:
                    self._due.add(self._works.take_due(now))
                    self._due.add(self.outcomes.take_timely(self._clock.wall()))
                    self._plan_some()
                    self._start_fetches(tasks, now)
                self._judge()
                if self._due.is_ready and not self._paused:
                    breathe()
                    continue
                self._wake.wait(self._patience_s(now))
                self._wake.clear()

    def _patience_s(self, now: float) -> float | None:
        times = [
            at for at in (self._queue.wakes_at(now), self._works.wakes_at(), self._timely_at(now)) if at is not None
        ]
        return max(min(times) - now, 0.001) if times and not self._paused else None

    def _timely_at(self, now: float) -> float | None:
        """When to look at the wall clock for what was refused until some time; a person may set it meanwhile."""
        at_s = self.outcomes.reconsider_at()
        return None if at_s is None else now + min(max(at_s - self._clock.wall(), 0.0), WALL_CLOCK_S)

    def _plan_some(self) -> None:
        """Plan what has gathered, or a piece of it."""
        self._due.add(self._trees.take_unnamed())
        if not self._due or not (paths := self._due.take()):
            return
        self._planning = True  # to record what was agreed may wait: until then this is not idle
        try:
            self._plan(paths)
        finally:
            self._planning = False

    def _plan(self, paths: Sequence[RelPath]) -> None:
        planned = self._trees.plan(paths, self._policy(), pause=breathe)
        self._due.add(planned.again)
        self.outcomes.reconsidered(paths)
        wanted = set(planned.again)  # the next plan of these says whether they are
        works: list[LocalAction] = []
        with self._events.together():
            for action in planned.actions:
                match action:
                    case Fetch():
                        wanted.add(action.path)
                        self._due.wants(action.path, action.offer)
                        if self._queue.put(action):
                            self._events.tell(ev.FileStale(path=action.path))
                    case Refuse():
                        self.outcomes.refused(action.path, action.reason, until_s=action.until_s)
                    case _:
                        works.append(action)
        self._queue.discard(path for path in paths if path not in wanted)
        if len(self._queue) or any(not isinstance(work, Adopt) for work in works):
            self.begin_round()
        if works:
            self._works.put(works)

    def _start_fetches(self, tasks: TaskGroup, now: float) -> None:
        while self._may_start():
            if self._native is not None and (batch := self._queue.next_batch(now)) is not None:
                self._begin(len(batch.fetches))
                tasks.spawn(self._native.deliver_batch, batch)
            elif (assignment := self._queue.next(now)) is not None:
                self._begin(1)
                tasks.spawn(self._deliver, assignment)
            else:
                return

    def _may_start(self) -> bool:
        return self._in_flight < IN_FLIGHT and not self._applier.is_full

    def _deliver(self, assignment: Assignment) -> None:
        if self._native is not None and speaks_native(assignment.fetch, assignment.source):
            self._native.deliver(assignment)
            return
        try:
            self._classic.deliver(assignment)
        finally:
            self._ended()

    def _begin(self, count: int) -> None:
        self._in_flight += count
        self._speaker.busy.set()

    def _ended(self, count: int = 1) -> None:
        self._in_flight -= count
        if not self._in_flight:
            self._speaker.busy.clear()
        self._wake.set()

    def _judge(self) -> None:
        """Say when everything is here, and when no more can be had now."""
        if not self.is_idle:
            return
        if self._round_began is not None and not len(self._queue):
            seconds = self._clock.monotonic() - self._round_began
            self._round_began = None
            done = self.outcomes.round
            self._events.tell(ev.SyncDone(fetched=done.fetched, bytes=done.bytes, seconds=seconds))
        if not self._announced_round:
            self._announced_round = True
            self._works.tidy()
            self._on_idle()
