"""One running gsync: wires the rooms together and sees to an orderly start and end. A switchboard, not a brain.

Given everything it needs (folder, index, publisher, workers, network, clock, randomness), so that the same code runs on real
disks and sockets and in the simulation. It decides only what concerns several loops: who hears of what, and when `--once` has
done what it can.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from gevent.event import Event

from gsync.core.backoff import Random
from gsync.core.model import Kind, Offer, Tombstone
from gsync.core.names import Endpoint, RelPath
from gsync.core.planner import Policy
from gsync.core.schedule import FetchQueue
from gsync.core.versions import Version
from gsync.net.clock import Clock
from gsync.net.lag import LoopLag
from gsync.net.tasks import TaskGroup
from gsync.net.throttle import Throttle
from gsync.net.transport import Network
from gsync.peer.announcer import Announcer
from gsync.peer.applier import Applier
from gsync.peer.block_lists import BlockLists
from gsync.peer.causes import blaming
from gsync.peer.controls import Facts, PeerControls
from gsync.peer.demand import Demand
from gsync.peer.events import Events, PeerServing
from gsync.peer.fetcher import Fetcher
from gsync.peer.hearing import Hearing
from gsync.peer.indexer import FIRST_READ_S, Indexer
from gsync.peer.links import Links
from gsync.peer.meter import Meter
from gsync.peer.namesakes import NameWarner
from gsync.peer.native_fetcher import NativeFetcher
from gsync.peer.native_server import NativeServer
from gsync.peer.overlay_start import overlay_of
from gsync.peer.reuse import Reuse
from gsync.peer.rules import no_local_rules
from gsync.peer.seeker import Seeker
from gsync.peer.settings import Settings, Summary
from gsync.peer.syncer import Syncer
from gsync.peer.trees import Trees
from gsync.peer.uploader import CONNECTIONS, Uploader
from gsync.peer.voice import Voice
from gsync.peer.voucher import Voucher
from gsync.storage.filesystem import Folder
from gsync.storage.index import Index
from gsync.storage.offer_rows import offer_tree
from gsync.storage.publisher import Publisher
from gsync.storage.restoring import Restorer
from gsync.storage.settling import Settler
from gsync.storage.spilled import Spilled
from gsync.storage.watcher import Watcher
from gsync.storage.workers import Pool, Workers

ACCEPTING: Final = CONNECTIONS + 64
"""What the listener takes in; the uploader drops the oldest idle ones down to CONNECTIONS, so the door never blocks."""


class Peer:
    """Made and then `run` once; `stop` ends it from outside."""

    def __init__(
        self,
        *,
        settings: Settings,
        folder: Folder,
        index: Index,
        publisher: Publisher,
        workers: Workers,
        network: Network,
        clock: Clock,
        rng: Random,
        events: Events,
        on_away: Callable[[], None] = lambda: None,
        watcher: Watcher | None = None,
        local_rules: Callable[[], bytes] = no_local_rules,
        new_tree: Callable[[], Spilled[Offer]] = offer_tree,
    ) -> None:
        self._settings = settings
        self._workers = workers
        self._network = network
        self._clock = clock
        self._rng = rng
        self._events = events
        self._on_away = on_away
        self._index = index
        known = index.load()
        self._voice = Voice()
        self._trees = Trees.of(known, sends=settings.sends, on_demand=settings.on_demand, new_tree=new_tree)
        self._demand = Demand(self._trees)
        self._warner = NameWarner(self._trees, events)
        self._warner.look(self._trees.local)
        self._queue = FetchQueue(limit=settings.fetches, rng=rng)
        uplink, downlink = Throttle(settings.limit_up, clock), Throttle(settings.limit_down, clock)
        lists = BlockLists(workers)
        self.overlay: Final = overlay_of(
            settings,
            author=known.author,
            trees=self._trees,
            network=network,
            clock=clock,
            rng=rng,
            port=lambda: self._own_endpoint().port,
            offer=lambda offers: self._hearing.records_came(offers, False),
            voice=self._voice,
            load=lambda: self._uploader.serving,
        )
        native = NativeServer(
            folder=folder,
            trees=self._trees,
            lists=lists,
            clock=clock,
            uplink=uplink,
            on_hello=self.overlay.neighbours.serve if self.overlay else None,
            promises=self._demand.promises,
        )
        self._uploader = Uploader(
            folder=folder, trees=self._trees, native=None if settings.classic else native, uplink=uplink
        )
        self._voucher = Voucher(trees=self._trees, queue=self._queue, clock=clock, on_answer=self._source_answered)
        self._applier = Applier(
            folder=folder,
            publisher=publisher,
            workers=workers,
            trees=self._trees,
            events=events,
            clock=clock,
            on_touch=self._touching,
            on_applied=self._applied,
        )
        self._indexer = Indexer(
            folder=folder,
            index=index,
            workers=workers,
            trees=self._trees,
            events=events,
            clock=clock,
            in_hand=lambda: self._applier.in_hand,
            on_change=self._local_changed,
            watcher=watcher,
            rng=rng,
            native=not settings.classic,
            max_delete=settings.max_delete,
            local_rules=local_rules,
            keep_blocks=lists.keep,
            first_read_s=math.inf if settings.once else FIRST_READ_S,
        )
        self._fetcher = Fetcher(
            network=network,
            stager=self._applier,
            witness=self._voucher,
            clock=clock,
            stall_s=settings.stall_s,
            classic=settings.classic,
            downlink=downlink,
        )
        self._links = Links(
            network=network, witness=self._voucher, clock=clock, stall_s=settings.stall_s, downlink=downlink
        )
        self._syncer = Syncer(
            folder=folder,
            trees=self._trees,
            queue=self._queue,
            fetcher=self._fetcher,
            voucher=self._voucher,
            applier=self._applier,
            events=events,
            clock=clock,
            rng=rng,
            record=self._record,
            look_again=self._indexer.look,
            on_idle=self._nothing_more_to_do,
            native=NativeFetcher(
                links=self._links,
                witness=self._voucher,
                stager=self._applier,
                reuse=Reuse(folder=folder, trees=self._trees, lists=lists),
                lists=lists,
                workers=workers,
                clock=clock,
                on_failed=blaming(self._queue, clock),
            ),
            author=known.author,
            policy=self._policy,
            hint=self._indexer.hint,
            on_moved=self._voice.tell,
            verify_twice=settings.verify_twice,
        )
        self._meter = Meter(
            receivers=(self._fetcher, self._links.counts),
            failed=self._syncer.outcomes.failed,
            events=events,
            lag=LoopLag(clock),
        )
        self._serving: Endpoint | None = None
        self._hearing = Hearing(
            network=network,
            tracker=settings.tracker,
            serving=self._own_endpoint,
            trees=self._trees,
            on_first=self._syncer.begin_round,
            replan=self._syncer.replan,
            sweep=self._syncer.sweep,
        )
        self._end = Event()

    def run(self) -> Summary:
        """Keep the folder in sync until `stop`, or with `once` until all that can be had is here.

        Raises StorageError and FolderUnusable when the folder cannot be used (any more), AddressInUse for a taken port.
        """
        self._indexer.start()
        listener = self._network.listen(
            ip=self._settings.listening_ip, port=self._settings.port, handler=self._uploader, limit=ACCEPTING
        )
        try:
            self._serving = listener.endpoint
            files = sum(meta.kind is Kind.FILE for meta in self._trees.local.values())
            self._events.tell(PeerServing(endpoint=listener.endpoint, files=files))
            loops = [self._applier.run, self._syncer.run, self._indexer.run, self._links.run]
            if self._settings.tracker is not None:
                self._voice.announcer = announcer = self._make_announcer(self._settings.tracker)
                loops.append(announcer.run)
            loops += [self._seeker().run, *([self.overlay.run] if self.overlay else [])]
            loops += [self._meter.run] if self._settings.stats else []
            with TaskGroup() as tasks:
                for loop in loops:
                    tasks.spawn(loop)
                tasks.spawn(self._voucher.run, self._fetcher)
                self._end.wait()
                tasks.cancel()
        finally:
            listener.close()
        return self._summary()

    def controls(self, *, folder: str, restorer: Restorer, settler: Settler) -> PeerControls:
        """What a person may ask of this peer, and tell it to do."""
        return PeerControls(
            facts=Facts.of(self._settings, folder=folder, began=self._clock.monotonic()),
            trees=self._trees,
            syncer=self._syncer,
            indexer=self._indexer,
            applier=self._applier,
            voice=self._voice,
            serving=lambda: self._serving,
            restorer=restorer,
            settler=settler,
            workers=self._workers,
            events=self._events,
            clock=self._clock,
            policy=self._policy,
            stop=self.stop,
            links=self._links,
            overlay=self.overlay,
            demand=self._demand,
            hearing=self._hearing,
        )

    def stop(self) -> None:
        """End `run` in order, soon; may be called from a signal."""
        self._end.set()

    def rescan(self) -> None:
        """Look at the folder now."""
        self._indexer.ask()

    def _seeker(self) -> Seeker:
        return Seeker(
            wanted=self._queue,
            trees=self._trees,
            locates=[one.locate for one in (self._voice.announcer, self.overlay) if one is not None],
            cut=self._hearing.cut,
            replan=self._syncer.replan,
        )

    def _make_announcer(self, tracker: Endpoint) -> Announcer:
        return Announcer(
            network=self._network,
            tracker=tracker,
            port=self._own_endpoint().port,
            trees=self._trees,
            events=self._events,
            clock=self._clock,
            rng=self._rng,
            on_directory=self._hearing.directory_came,
            on_away=self._on_away,
            lacks_sources=self._queue.is_stuck,
            knows_gsync=not self._settings.classic,
            on_records=self._hearing.records_came,
            on_same=self._hearing.same_came,
            allows=self._hearing.allows,
            author=self._index.author,
            name=str(self.overlay.me.name) if self.overlay else "",  # who keeps no neighbours is not to be made one
            on_names=self.overlay.arrangement.names_came if self.overlay else lambda names: None,
        )

    def _policy(self) -> Policy:
        return Policy(
            now_s=self._clock.wall(),
            author=self._index.author,
            receives=self._settings.receives,
            ignored=self._indexer.is_ignored,
            wants=self._demand.wants,
        )

    def _own_endpoint(self) -> Endpoint:
        assert self._serving is not None
        return self._serving

    def _source_answered(self) -> None:
        self._syncer.wake()

    def _touching(self, paths: Iterable[RelPath]) -> None:
        self._indexer.touching(paths)

    def _applied(self, paths: Sequence[RelPath]) -> None:
        self._warner.look(paths)
        self._voice.tell(paths)

    def _local_changed(self, paths: set[RelPath]) -> None:
        # Where nothing is offered nothing can be wanted: a first scan finds 100,000 paths.
        self._syncer.here_changed(paths if len(self._trees.remote) else ())
        self._warner.look(paths)
        self._voice.tell(sorted(paths))  # directories before what is in them: so do others hear of them
        self._voice.tell_news()

    def _record(self, buried: Mapping[RelPath, Tombstone], synced: Mapping[RelPath, Version]) -> None:
        self._workers.run(Pool.DISK, self._index.record, entries=buried, synced=synced)

    def _nothing_more_to_do(self) -> None:
        self._voice.tell_news()
        if self._settings.once and self._hearing.has_heard:
            self._end.set()

    def _summary(self) -> Summary:
        total = self._syncer.outcomes.total
        return Summary(
            fetched=total.fetched,
            bytes=total.bytes,
            left=self._syncer.left,
            heard_tracker=self._hearing.has_heard,
            failures=tuple(self._syncer.outcomes.failures),
        )
