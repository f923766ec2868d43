"""Searches over the overlay: what neighbours ask is passed on and answered from here, hits find their way back, and own questions.

A question is forwarded before it is answered, for to look through a large folder takes a moment. What comes for a question of our
own is queued for whoever waits, bounded; a hit that nobody waits for is let go. Owned by the overlay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from gevent.queue import Empty, Queue
from msgspec import Struct

from gsync.core.backoff import Random
from gsync.core.copies import CopyState
from gsync.core.flood import (
    HITS_MAX,
    QUERY_TTL,
    TTL_MAX,
    Back,
    Dropped,
    Flood,
    Found,
    MessageId,
    Mine,
    RandomBits,
    new_message_id,
)
from gsync.core.model import Offer, Record, Source
from gsync.core.names import Endpoint, PeerName, RelPath
from gsync.errors import NameRefused
from gsync.net.clock import Clock
from gsync.peer.arrangement import Arrangement
from gsync.peer.neighbours import Neighbours
from gsync.peer.overlay_link import OverlayLink
from gsync.peer.standing import Standing, Standings
from gsync.wire.overlay import TTR_MAX_MS, Hit, PeerAt, Query, parse_place, placed
from gsync.wire.records import parse_record, wire_record

log = logging.getLogger(__name__)


LATE_S: Final = 5.0
"""So long after its query a copy may still answer that had to be asked about first."""

LATE_MAX: Final = 1000
"""Such answers that are owed at a time; further ones are not given."""


class Dice(Random, RandomBits, Protocol):
    """The part of `random.Random` that the overlay needs."""


class HeardOf(Found, frozen=True, kw_only=True):
    """A copy that answered; `source` is None for the one that is here, `origin` for one whose origin nobody told."""

    source: Source | None
    state: CopyState
    origin: PeerName | None = None


class _Late(Struct, frozen=True, kw_only=True):
    """An answer that is owed `to` a neighbour, or to a question of our own, until then."""

    id: MessageId
    to: PeerName | None
    path: RelPath
    until: float


class Searches:
    """The questions and answers of one peer, which is called `me`.

    `load` is how many it serves now; `wake` is called when a poll is due.
    """

    def __init__(
        self,
        *,
        me: PeerName,
        neighbours: Neighbours,
        arrangement: Arrangement,
        standings: Standings,
        clock: Clock,
        rng: Dice,
        here: Callable[[], PeerAt],
        load: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._me = me
        self._wake = wake
        self._neighbours = neighbours
        self._arrangement = arrangement
        self._standings = standings
        self._clock = clock
        self._rng = rng
        self._here = here
        self._load = load
        self._flood = Flood()
        self._late: list[_Late] = []
        self._open: dict[MessageId, tuple[float, Queue[HeardOf]]] = {}

    def search(self, question: str, *, ttl: int, wait_s: float, most: int = HITS_MAX) -> Iterator[HeardOf]:
        """Whoever has a copy of this name, or of names that match this pattern, as answers come; ends after `wait_s`.

        What is here comes first. Raises `ConfigError` for a question that cannot be asked.
        """
        began, id_ = self._clock.monotonic(), new_message_id(self._rng)
        answers: Queue[HeardOf] = Queue(HITS_MAX)
        self._open[id_] = began, answers
        try:
            spread = self._flood.ask(id_, ttl=ttl, neighbours=self._neighbours.names, now=began)
            self._neighbours.tell(spread.to, Query(id=id_, ttl=spread.ttl, q=str(question), most=most))
            for standing in self._standings.matching(question, most=most):
                if standing.copy.state.answers:
                    yield self._own(standing)
                else:
                    self._answer_later(id_, None, standing)
            while (left_s := began + wait_s - self._clock.monotonic()) > 0:
                try:
                    yield answers.get(timeout=left_s)
                except Empty:
                    return
        finally:
            del self._open[id_]
            self._flood.end(id_)

    def other_source(self, offer: Offer | None, path: RelPath, *, wait_s: float) -> Source | None:
        """The first that has it as it is offered, beside those who offer it; None where nobody answers in time."""
        if offer is None:
            return None
        known = {source.endpoint for source in offer.sources}
        for hit in self.search(str(path), ttl=QUERY_TTL, wait_s=wait_s):
            source = hit.source
            if source is not None and hit.record == offer.record and source.endpoint not in known:
                return source
        return None

    def hear_query(self, link: OverlayLink, query: Query) -> None:
        """A neighbour asks, or passes on what others ask."""
        now = self._clock.monotonic()
        spread = self._flood.on_query(
            MessageId(query.id), ttl=query.ttl, came_from=link.name, neighbours=self._neighbours.names, now=now
        )
        if spread.to:
            self._neighbours.tell(spread.to, Query(id=query.id, ttl=spread.ttl, q=query.q, most=query.most))
        if spread.is_new:
            for standing in self._standings.matching(query.q, most=query.most):
                if standing.copy.state.answers:
                    self._neighbours.tell((link.name,), self._hit(query.id, standing))
                else:
                    self._answer_later(MessageId(query.id), link.name, standing)

    def hear_hit(self, link: OverlayLink, hit: Hit) -> None:
        """Somebody has a copy of what was asked for. Raises `NameRefused`."""
        record, holder = parse_record(hit.r), PeerName.parse(hit.at.name)
        way = self._flood.on_hit(MessageId(hit.id), holder=holder, path=record.path, now=self._clock.monotonic())
        match way:
            case Back(to=name):
                self._neighbours.tell((name,), _passed(hit, neighbour_ip=link.remote_ip))
            case Mine():
                self._take(link, hit, record, holder)
            case Dropped(reason=reason):
                log.debug("hit.dropped path=%r reason=%s", record.path, reason)

    def answer_late(self) -> None:
        """Answer with the copies of which it is known by now whether they are the latest."""
        if not self._late:
            return
        now, waiting, self._late = self._clock.monotonic(), self._late, []
        for one in waiting:
            standing = self._standings.of(one.path)
            if standing is None or one.until < now:
                continue
            if not standing.copy.state.answers:
                self._late.append(one)
            elif one.to is not None:
                self._neighbours.tell((one.to,), self._hit(one.id, standing))
            elif one.id in self._open and not self._open[one.id][1].full():
                self._open[one.id][1].put(self._own(standing))

    def _answer_later(self, id_: MessageId, to: PeerName | None, standing: Standing) -> None:
        self._wake()
        if len(self._late) < LATE_MAX:
            until = self._clock.monotonic() + LATE_S
            self._late.append(_Late(id=id_, to=to, path=standing.record.path, until=until))

    def _take(self, link: OverlayLink, hit: Hit, record: Record, holder: PeerName) -> None:
        asked = self._open.get(MessageId(hit.id))
        if asked is None or holder == self._me:
            return
        began, answers = asked
        source = parse_place(hit.at, neighbour_ip=link.remote_ip)
        self._arrangement.met(holder, source.endpoint)
        is_origin = hit.state is CopyState.OWNED
        origin = holder if is_origin else None
        if hit.origin is not None and not is_origin:
            origin = PeerName.parse(hit.origin.name)
            try:
                self._arrangement.met(origin, parse_place(hit.origin, neighbour_ip=link.remote_ip).endpoint)
            except NameRefused as error:
                log.info("origin.refused name=%r reason=%s", origin, error)
        heard_of = HeardOf(
            record=record,
            holder=holder,
            is_origin=is_origin,
            ttr_s=hit.ttr_ms / 1000,
            load=hit.load,
            hops=hit.hops + 1,
            round_trip_s=self._clock.monotonic() - began,
            source=source,
            state=hit.state,
            origin=origin,
        )
        if not answers.full():
            answers.put(heard_of)

    def _own(self, standing: Standing) -> HeardOf:
        is_origin = standing.copy.state is CopyState.OWNED
        return HeardOf(
            record=standing.record,
            holder=self._me,
            is_origin=is_origin,
            ttr_s=standing.ttr_s,
            source=None,
            state=standing.copy.state,
            origin=self._me if is_origin else standing.copy.origin,
        )

    def _hit(self, id_: str, standing: Standing) -> Hit:
        """How a copy here is told to whoever asked for it."""
        origin = standing.copy.origin
        place = self._arrangement.place(origin) if origin is not None else None
        return Hit(
            id=id_,
            r=wire_record(standing.record),
            at=self._here(),
            origin=PeerAt(name=str(origin), port=place.port, ip=_ip_for_others(place)) if origin and place else None,
            state=standing.copy.state,
            ttr_ms=min(int(standing.ttr_s * 1000), TTR_MAX_MS),
            load=self._load(),
        )


def _passed(hit: Hit, *, neighbour_ip: str) -> Hit:
    """`hit` as it is passed on."""
    return Hit(
        id=hit.id,
        r=hit.r,
        at=placed(hit.at, neighbour_ip=neighbour_ip),
        origin=placed(hit.origin, neighbour_ip=neighbour_ip) if hit.origin else None,
        state=hit.state,
        ttr_ms=hit.ttr_ms,
        load=hit.load,
        hops=min(hit.hops + 1, TTL_MAX),
    )


def _ip_for_others(place: Endpoint) -> str:
    """On one machine the place stays open: whoever hears it puts in where it reached us."""
    return "" if place.is_loopback else place.ip
