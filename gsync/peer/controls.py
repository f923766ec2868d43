"""A running peer as it looks to a person, and the orders that it takes: what the commands ask for through the control socket.

Given: the rooms of one peer. Remembers: the last events (event_log.py). Decides nothing: pictures are built by core/view.py and
core/explanation.py from the trees as they are now, orders go to whoever carries such things out. Fulfils `web.controls.Controls`;
one greenlet a request, several at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from gsync.core.explanation import Explanation, explain
from gsync.core.keeping import ConflictWaiting, Keep, Kept, copies_meant, original_of, waiting
from gsync.core.model import Kind
from gsync.core.names import Endpoint, RelPath
from gsync.core.pausing import paused
from gsync.core.planner import Policy
from gsync.core.status import (
    Dialect,
    ListedEntry,
    LogLine,
    PeerSeen,
    Pending,
    Restored,
    Settled,
    Status,
    TrackerSeen,
    Trashed,
    behind,
)
from gsync.core.view import View, conflict_copies, known_paths, listed, peers_seen, status_of
from gsync.errors import UnknownName
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.peer import events as ev
from gsync.peer.applier import Applier
from gsync.peer.demand import Demand
from gsync.peer.event_log import EventLog
from gsync.peer.hearing import Hearing
from gsync.peer.indexer import Indexer
from gsync.peer.links import Links
from gsync.peer.neighbourhood import THIS_PEER
from gsync.peer.overlay import Overlay
from gsync.peer.overlay_orders import OverlayOrders
from gsync.peer.settings import Settings
from gsync.peer.syncer import Syncer
from gsync.peer.trees import Trees
from gsync.peer.voice import Voice
from gsync.storage.restoring import Restorer
from gsync.storage.settling import Settler
from gsync.storage.workers import Pool, Workers


class Facts(Struct, frozen=True, kw_only=True):
    """What of a peer never changes while it runs."""

    folder: str
    name: str
    tracker: Endpoint | None
    """None: it does without one."""
    sends: bool
    receives: bool
    began: float
    """On the monotonic clock."""

    @classmethod
    def of(cls, settings: Settings, *, folder: str, began: float) -> Facts:
        """Those of a peer with these settings."""
        return cls(
            folder=folder,
            name=settings.name,
            tracker=settings.tracker,
            sends=settings.sends,
            receives=settings.receives,
            began=began,
        )


class PeerControls(OverlayOrders):
    """Looks at, and gives orders to, the rooms that it is given."""

    def __init__(
        self,
        *,
        facts: Facts,
        trees: Trees,
        syncer: Syncer,
        indexer: Indexer,
        applier: Applier,
        voice: Voice,
        serving: Callable[[], Endpoint | None],
        restorer: Restorer,
        settler: Settler,
        workers: Workers,
        events: ev.Events,
        clock: Clock,
        policy: Callable[[], Policy],
        stop: Callable[[], None],
        links: Links,
        overlay: Overlay | None,
        demand: Demand,
        hearing: Hearing,
    ) -> None:
        super().__init__(
            overlay=overlay,
            trees=trees,
            applier=applier,
            links=links,
            workers=workers,
            clock=clock,
            failure=syncer.why_not_here,
            demand=demand,
            replan=syncer.replan,
        )
        self._facts = facts
        self._trees = trees
        self._syncer = syncer
        self._indexer = indexer
        self._applier = applier
        self._voice = voice
        self._hearing = hearing
        self._serving = serving
        self._restorer = restorer
        self._settler = settler
        self._workers = workers
        self._clock = clock
        self._policy = policy
        self._stop = stop
        self._log = EventLog(wall_clock=clock.wall)
        events.subscribe(self._log.observe, but=EventLog.WITHOUT)

    def status(self) -> Status:
        """The whole peer in one picture."""
        facts = self._facts
        return status_of(
            self._view(),
            folder=facts.folder,
            pid=os.getpid(),
            name=facts.name,
            serving=self._serving(),
            tracker=self._tracker(),
            uptime_s=self._clock.monotonic() - facts.began,
            pending=self._pending(),
            left=self._syncer.left,
            left_bytes=self._syncer.left_bytes,
            sends=facts.sends,
            receives=facts.receives,
            pause=breathe,
        )

    def settled(self) -> Settled:
        """Whether an independent comparison of the folders would find them equal now, and why not."""
        if (pending := self._pending()).reason:
            return Settled(settled=False, reason=pending.reason, stuck=pending.is_stuck)
        if self._indexer.look().changed:  # everything, now: what no hint told is found, too
            return Settled(settled=False, reason="changes were just found in the folder")
        announcer = self._voice.announcer
        if announcer is not None and announcer.agrees() is False:
            return Settled(
                settled=False, reason="the tracker knows something that this peer does not, or the other way round"
            )
        if (pending := self._pending()).reason:
            return Settled(settled=False, reason=pending.reason, stuck=pending.is_stuck)
        if announcer is not None and (laggard := announcer.laggard):
            is_this_peer = laggard == THIS_PEER
            leaves_out = is_this_peer and self._leaves_something_out()
            return behind("" if is_this_peer else laggard, leaves_something_out=leaves_out)
        return Settled(settled=True)

    def listing(self, *, beneath: RelPath | None = None) -> Iterator[ListedEntry]:
        """Every path that is known, in path order; or only those in this directory, at any depth, and itself."""
        return listed(known_paths(self._view(), beneath=beneath, pause=breathe), self._view(), pause=breathe)

    def peers(self) -> Sequence[PeerSeen]:
        """Who offers anything now."""
        return peers_seen(self._trees.remote, pause=breathe)

    def explain(self, path: RelPath) -> Explanation:
        """What is known of `path` and what will become of it; raises `UnknownName` where nothing is."""
        planned = self._trees.plan([path], self._policy())
        action = next((action for action in planned.actions if action.path == path), None)
        waits = self._syncer.why_waiting(path)
        explained = explain(
            path, self._view(), action=action, waiting=waits, failure=self._syncer.outcomes.last_failure(path) or ""
        )
        if explained is None:
            raise UnknownName(f"nothing is known of {path}", advice="see what is: gsync ls")
        return explained

    def log(self, *, last: int) -> Sequence[LogLine]:
        """The last events, oldest first."""
        return self._log.last(last)

    def conflicts(self) -> Sequence[ConflictWaiting]:
        """What waits for a person to choose."""
        return list(waiting(conflict_copies(self._trees.local, pause=breathe), self._trees.local))

    def keep(self, choice: Keep, names: Sequence[RelPath]) -> Iterator[Kept]:
        """Settle these conflicts one by one."""
        for copy in copies_meant(names, self._trees.local):
            path = original_of(copy, self._trees.local)
            kept = self._workers.run(Pool.DISK, self._settler.keep, choice, copy, path, known=dict(self._trees.local))
            self._indexer.hint([copy, path, *([kept.stands_at] if kept.stands_at else [])])
            yield kept

    def trashed(self, *, beneath: RelPath | None = None) -> Iterator[Trashed]:
        """What lies in the trash, newest box first."""
        yield from self._workers.run(Pool.SCAN, self._restorer.listed, beneath=beneath)

    def restore(self, names: Sequence[RelPath], *, box: str = "") -> Iterator[Restored]:
        """Copy back the newest of each name, or the one in this box, as an edit."""
        for one in self._workers.run(Pool.SCAN, self._restorer.meant, names, box=box):
            restored = self._workers.run(Pool.DISK, self._restorer.restore, one)
            self._indexer.hint([restored.path])
            yield restored

    def release(self) -> int:
        """Let the deletions that are held back travel; how many there were."""
        return self._indexer.release()

    def pause(self) -> None:
        """Change nothing in the folder, and tell nobody of changes in it, until `resume`."""
        self._syncer.pause()
        self._voice.pause()

    def resume(self) -> None:
        """Go on."""
        self._voice.resume()
        self._syncer.resume()

    def scan(self) -> int:
        """Look at the whole folder now; how many paths had changed."""
        return self._indexer.look().changed

    def stop(self) -> None:
        """End in order, soon after this has returned."""
        self._stop()

    def _view(self) -> View:
        trees = self._trees
        return View(
            local=trees.local,
            buried=trees.buried,
            remote=trees.remote,
            synced=trees.synced,
            fetching=self._syncer.fetching(),
            held=self._indexer.held,
            ignored_by=self._indexer.rule_for,
            on_demand=trees.on_demand,
        )

    def _leaves_something_out(self) -> bool:
        """Whether this peer does not take all that others have, or not tell all that is here: by its role, or by its rules."""
        if not (self._facts.receives and self._facts.sends):
            return True
        return any(
            self._indexer.is_ignored(path, offer.record.kind if offer.record is not None else Kind.FILE)
            for path, offer in paused(self._trees.remote.items(), breathe)
        )

    def _tracker(self) -> TrackerSeen | None:
        announcer = self._voice.announcer
        if self._facts.tracker is None:
            return None
        if announcer is None:
            return TrackerSeen(endpoint=self._facts.tracker, is_up=False, reason="it was not dialled yet")
        return announcer.seen()

    def _pending(self) -> Pending:
        announcer, tracker = self._voice.announcer, self._tracker()
        is_classic = tracker is not None and tracker.dialect is Dialect.CLASSIC
        return Pending(
            has_tracker=tracker is not None,
            tracker_is_up=tracker is not None and tracker.is_up,
            has_heard=self._hearing.is_up_to_date,
            paused=self._syncer.is_paused,
            to_look_at=self._indexer.unfinished(),
            to_fetch=self._syncer.left,
            to_publish=self._syncer.to_publish + self._applier.waiting,
            to_announce=self._voice.kept + (announcer.waiting if announcer is not None else 0),
            held=len(self._indexer.held),
            kept_back=self._trees.kept_back(),
            refused=len(self._syncer.outcomes.refusals),
            refusal=self._refusal(),
            unusable=len(self._hearing.unusable),
            untold=self._trees.untold_by_classic() if is_classic else 0,
            same_directory=self._same_directory(tracker.dialect) if tracker is not None else None,
        )

    def _refusal(self) -> str:
        for path, reason in self._syncer.outcomes.refusals.items():
            return f"{str(path)!r}: {reason}"
        for refusal in self._hearing.unusable:
            return f"{refusal.name!r}: {refusal.reason}"
        return ""

    def _same_directory(self, dialect: Dialect) -> bool | None:
        """Whether what the tracker tells is what stands here; None where it tells too little to say."""
        announcer = self._voice.announcer
        if dialect is Dialect.CLASSIC:
            return self._trees.holds_what_is_offered(self._indexer.is_ignored, pause=breathe)
        if dialect is not Dialect.NATIVE or announcer is None or not announcer.tells_changes:
            return None
        if not self._facts.receives or not self._facts.sends:
            return None
        return self._trees.agrees_with_remote(self._indexer.is_ignored, pause=breathe)
