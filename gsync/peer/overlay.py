"""The overlay of one peer: what came over its links, the decisions of the core, and what is sent.

Queries are answered from the trees, invalidations are judged and passed on, copies are kept honest by time, by polls, and by
comparing what neighbours know. Where a native tracker tells what changes, that counts as push: nothing is flooded or compared, and
no poll leaves, because the tracker has said it all.
It has no opinion of its own: `core.flood` says where a message goes, `core.freshness` what a copy is worth. It never touches the
folder: what should come is offered to the planner, as if a tracker had told it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from gevent.event import Event

from gsync.core.freshness import Freshness
from gsync.core.model import Offer, Record, Source
from gsync.core.names import PeerName, RelPath
from gsync.core.records import winner
from gsync.core.versions import Order, compare_vectors
from gsync.errors import NameRefused, RemoteProtocolError
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Network
from gsync.peer.arrangement import Arrangement
from gsync.peer.invalidations import Invalidations
from gsync.peer.mirror import RECORDS_MAX
from gsync.peer.neighbours import Me, Neighbours
from gsync.peer.overlay_link import OverlayLink
from gsync.peer.polling import Polling
from gsync.peer.reconciling import Reconciling
from gsync.peer.searches import Dice, Searches
from gsync.peer.settings import Settings
from gsync.peer.standing import Standings
from gsync.peer.trees import Trees
from gsync.wire.overlay import Digests, Hit, Invalidate, OnOverlayLink, PeerAt, Poll, Query, Reconcile, Verdict

log = logging.getLogger(__name__)

TICK_S: Final = 0.02
"""Copies that expire within this time do so together: each by itself woke the loop thousands of times a second."""

ELDER_S: Final = 1.0
"""At most so often it is asked who speaks for what nobody made."""

AWAY_S: Final = 5.0
"""So long nobody tells what changes before copies get timers of their own; a tracker that starts anew is back by then."""

TELLING_S: Final = 60.0
"""The same while a native tracker is there that has begun to say what there is: of a large folder that takes longer."""

UNTOLD_MAX: Final = 10_000
"""Changes of that time that are flooded when it is over; more are found out by polls."""

LOST_S: Final = 10.0
"""After a lost link, or something that was missed, no copy is believed for longer, unasked."""

SOUGHT_S: Final = 5.0
SOUGHT_EACH_S: Final = 0.5
"""How long it is searched for others who have what its told sources do not give: all of it, and each path."""

OnOffers = Callable[[Mapping[RelPath, Offer | None]], None]


class Overlay:
    """Fulfils `neighbours.Ears`. `offer` is told what should come, `tells_changes` asks whether a native tracker does that.

    `nobody_will_tell` is for when there is none, or one that tells names alone: then nothing is gained by waiting for it.
    `is_about_to_tell` is for one that has begun to.
    """

    def __init__(
        self,
        *,
        me: Me,
        settings: Settings,
        trees: Trees,
        network: Network,
        clock: Clock,
        rng: Dice,
        port: Callable[[], int],
        offer: OnOffers,
        tells_changes: Callable[[], bool],
        nobody_will_tell: Callable[[], bool],
        is_about_to_tell: Callable[[], bool] = lambda: False,
        load: Callable[[], int] = lambda: 0,
    ) -> None:
        self.me: Final = me
        self.topology: Final = settings.topology
        self._trees = trees
        self._clock = clock
        self._port = port
        self._offer = offer
        self._tells_changes = tells_changes
        self._nobody_will_tell = nobody_will_tell
        self._is_about_to_tell = is_about_to_tell
        self.fresh: Final = Freshness(
            rng=rng, author=me.author, mode=settings.mode, ttr_s=settings.ttr_s, jitter=settings.jitter
        )
        self.neighbours: Final = Neighbours(
            me=me, ears=self, network=network, clock=clock, rng=rng, port=port, fixed=settings.neighbours
        )
        self.arrangement: Final = Arrangement(
            me=me.name, author=me.author, topology=settings.topology, clock=clock, want=self.neighbours.want
        )
        self.standings: Final = Standings(
            author=me.author,
            trees=trees,
            fresh=self.fresh,
            clock=clock,
            tells_changes=tells_changes,
            name_of=self._name_of,
        )
        self.searches: Final = Searches(
            me=me.name,
            neighbours=self.neighbours,
            arrangement=self.arrangement,
            standings=self.standings,
            clock=clock,
            rng=rng,
            here=self._here,
            load=load,
            wake=self.poke,
        )
        self._polling = Polling(
            trees=trees,
            fresh=self.fresh,
            standings=self.standings,
            neighbours=self.neighbours,
            arrangement=self.arrangement,
            clock=clock,
            tells_changes=tells_changes,
            offer=self.offer,
            relay=lambda record, source: self.invalidations.relay(record, besides=source),
            poke=self.poke,
        )
        self.invalidations: Final = Invalidations(
            me=me,
            fresh=self.fresh,
            standings=self.standings,
            neighbours=self.neighbours,
            arrangement=self.arrangement,
            clock=clock,
            here=self._here,
            offer=self.offer,
            missed=self._missed,
        )
        self.reconciling: Final = Reconciling(
            neighbours=self.neighbours,
            standings=self.standings,
            clock=clock,
            is_needed=lambda: self._is_awake and self.fresh.mode.hears_push and not tells_changes(),
            told=self.invalidations.told,
        )
        self._changed: dict[RelPath, list[Event]] = {}
        self._news = Event()
        self._is_awake = False
        self._elder_due = 0.0
        self._untold: dict[RelPath, None] = {}
        self._quiet_since: float | None = None
        self._sought = 0

    def run(self) -> None:
        """Keep the links and the time; never returns."""
        with TaskGroup() as tasks:
            tasks.spawn(self.neighbours.run)
            tasks.spawn(self.arrangement.run)
            tasks.spawn(self.reconciling.run)
            tasks.spawn(self.invalidations.run)
            while True:
                self._keep_time(tasks)
                self.searches.answer_late()
                due = self.fresh.next_due()
                now = self._clock.monotonic()
                self._news.wait(AWAY_S if due is None else min(max(due - now, TICK_S), AWAY_S))
                self._news.clear()

    @property
    def flooded(self) -> int:
        """Invalidations that this life has made so far."""
        return self.invalidations.flooded

    # What happens here

    def changed(self, paths: Iterable[RelPath]) -> None:
        """The entries at `paths` have moved: the same moment at which a tracker is told."""
        tells = self._tells_changes()
        if tells:
            self._untold.clear()
        for path in paths:
            for event in self._changed.get(path, ()):
                event.set()
            if not self._is_awake and self.fresh.copy(path) is None:
                if not tells and len(self._untold) < UNTOLD_MAX:
                    self._untold[path] = None
                continue
            before = self.fresh.known(path)
            record = self.standings.feed(path)
            if record is None or tells:
                continue
            if before is None or compare_vectors(record.version, before) in (Order.NEWER, Order.CONCURRENT):
                self.invalidations.flood(record)
        self._news.set()

    def await_change(self, path: RelPath) -> Event:
        """An event that is set each time that the entry at `path` moves; to be given back with `let_go`."""
        event = Event()
        self._changed.setdefault(path, []).append(event)
        return event

    def let_go(self, path: RelPath, event: Event) -> None:
        """Nobody waits for this event any more."""
        waiting = self._changed[path]
        waiting.remove(event)
        if not waiting:
            del self._changed[path]

    def awaken(self) -> None:
        """From now on every copy has a state of its own, and its timer."""
        if not self._is_awake:
            self._is_awake = True
            self.standings.feed_all()
            untold, self._untold = self._untold, {}
            for path in untold:
                record = self._trees.record(path)
                if record is not None and not self._tells_changes():
                    self.invalidations.flood(record)
            self.reconciling.everybody()
            self._news.set()

    def offer(self, record: Record, sources: tuple[Source, ...]) -> None:
        """Let the planner know of `record`, unless it knows something that wins over it."""
        known = self._trees.remote.get(record.path)
        if known is None and len(self._trees.remote) >= RECORDS_MAX:
            return
        if known is not None and known.record is not None:
            if winner((known.record, record)) != record:
                return
            if known.record == record:
                sources = tuple(dict.fromkeys((*sources, *known.sources)))
        self._offer({record.path: Offer(version=record.version, sources=sources, record=record)})

    def locate(self, paths: Sequence[RelPath]) -> Mapping[RelPath, tuple[Source, ...]]:
        """Who else has these as they are offered, as searches tell; of some of them, others the next time. Waits for it."""
        found: dict[RelPath, tuple[Source, ...]] = {}
        until = self._clock.monotonic() + SOUGHT_S
        for number in range(len(paths)):
            path = paths[(self._sought + number) % len(paths)]
            if self._tells_changes() or self._clock.monotonic() >= until:
                self._sought += number
                break
            if other := self.searches.other_source(self._trees.remote.get(path), path, wait_s=SOUGHT_EACH_S):
                found[path] = (other,)
        return found

    def poke(self) -> None:
        """Something may be due earlier now."""
        self._news.set()

    # What neighbours say

    def linked(self, link: OverlayLink) -> None:
        """A link stands; what was missed while there was none is found out."""
        self.arrangement.met(link.name, link.endpoint, author=link.hello.author)
        self.fresh.set_neighbours(self.neighbours.names)
        self.invalidations.linked(link)
        self.reconciling.linked(link, has_dialled=link.dialled_by == self.me.name)
        self._news.set()

    def parted(self, name: PeerName) -> None:
        """A link is gone, and with it maybe something that was said."""
        now = self._clock.monotonic()
        self.fresh.set_neighbours(self.neighbours.names)
        self._polling.unanswered(name)
        if self._is_awake:
            self.fresh.shorten(LOST_S, now=now)
        self._news.set()

    def heard(self, link: OverlayLink, message: OnOverlayLink) -> None:
        """One message of a neighbour. Raises `RemoteProtocolError` for what makes no sense."""
        try:
            match message:
                case Query():
                    self.searches.hear_query(link, message)
                case Hit():
                    self.searches.hear_hit(link, message)
                case Invalidate():
                    self.invalidations.hear(link, message)
                case Poll():
                    link.say(self._polling.polled(message))
                case Verdict():
                    self._polling.hear_verdict(link.name, message)
                case Reconcile() | Digests():
                    self.reconciling.heard(link, message)
                case _:
                    pass
        except NameRefused as error:
            raise RemoteProtocolError(f"a {type(message).__name__} that names {error.reason}") from error
        self._news.set()

    def polled(self, poll: Poll) -> Verdict:
        """What is known here about what a visitor asks."""
        return self._polling.polled(poll)

    def _missed(self, link: OverlayLink, origin: PeerName) -> None:
        if self._is_awake:
            self.fresh.shorten(LOST_S, now=self._clock.monotonic(), origin=origin)
            self.reconciling.missed(link)

    def _keep_time(self, tasks: TaskGroup) -> None:
        now = self._clock.monotonic()
        tells = self._tells_changes() and self.fresh.mode.hears_push
        if self._tells_changes():
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now
            if self._is_awake:
                self.fresh.shorten(self.fresh.ttr_s, now=now)  # nobody vouches for them any more
        patience_s = TELLING_S if self._is_about_to_tell() else AWAY_S
        if self._nobody_will_tell() or (self._quiet_since is not None and now >= self._quiet_since + patience_s):
            self.awaken()
        if self._is_awake and now >= self._elder_due:
            self._elder_due = now + ELDER_S
            self.fresh.set_elder(self.arrangement.elder(self.neighbours.authors()), now=now, pause=breathe)
        for batch in self.fresh.due(now, is_vouched=tells):
            self._polling.send(batch, tasks)

    def _name_of(self, author: str) -> PeerName | None:
        return self.arrangement.name_of(author)

    def _here(self) -> PeerAt:
        """This peer; its address is put in by whoever hears it."""
        return PeerAt(name=str(self.me.name), port=self._port())
