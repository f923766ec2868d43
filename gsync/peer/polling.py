"""Polls: asks whether copies here are still the latest, and answers when others ask.

A neighbour is asked over its link, anybody else is visited; what comes of it, be it nothing, is told to `core.freshness`. While a
native tracker tells what changes no poll leaves this machine: what it offers is the latest. Owned by the overlay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import count
from typing import Final

from gevent.lock import BoundedSemaphore

from gsync.core.copies import Ruling
from gsync.core.freshness import Freshness
from gsync.core.model import Record, Source
from gsync.core.names import Endpoint, PeerName, RelPath
from gsync.core.polls import PollBatch
from gsync.core.versions import Order, compare_vectors
from gsync.errors import NameRefused, ProtocolError, TransportError
from gsync.net.clock import Clock
from gsync.net.tasks import TaskGroup
from gsync.peer.arrangement import Arrangement
from gsync.peer.neighbours import Neighbours
from gsync.peer.standing import Standings
from gsync.peer.trees import Trees
from gsync.wire.overlay import TTR_MAX_MS, Ask, Poll, Verdict, WireRuling
from gsync.wire.records import parse_record, parse_version, wire_record

log = logging.getLogger(__name__)

VISITS: Final = 8
"""Peers that are no neighbours and are asked at a time; the others are asked later."""


class Polling:
    """`offer` is told of newer records and who has them, `relay` of those that nobody else told of, and who did.

    `poke` is told that something may be due earlier.
    """

    def __init__(
        self,
        *,
        trees: Trees,
        fresh: Freshness,
        standings: Standings,
        neighbours: Neighbours,
        arrangement: Arrangement,
        clock: Clock,
        tells_changes: Callable[[], bool],
        offer: Callable[[Record, tuple[Source, ...]], None],
        relay: Callable[[Record, PeerName], None],
        poke: Callable[[], None],
    ) -> None:
        self._trees = trees
        self._fresh = fresh
        self._standings = standings
        self._neighbours = neighbours
        self._arrangement = arrangement
        self._clock = clock
        self._tells_changes = tells_changes
        self._offer = offer
        self._relay = relay
        self._poke = poke
        self._numbers = count(1)
        self._asked: dict[PeerName, int] = {}
        self._visits = BoundedSemaphore(VISITS)

    def polled(self, poll: Poll) -> Verdict:
        """What is known here about what somebody asks."""
        now = self._clock.monotonic()
        rulings = []
        for ask in poll.asks:
            try:
                path, version = RelPath.parse(ask.p), parse_version(ask.v)
            except NameRefused:
                rulings.append(WireRuling(p=ask.p))
                continue
            self._standings.feed_unknown(path)
            ruling = self._fresh.answer(path, version, now=now)
            newer, ttr_s = ruling.newer, ruling.ttr_s
            if ruling.is_newer_here:
                newer, ttr_s = self._trees.record(path), self._fresh.remaining_s(path, now=now)
            rulings.append(
                WireRuling(
                    p=ask.p,
                    ok=ruling.is_valid,
                    ttr_ms=min(int(ttr_s * 1000), TTR_MAX_MS),
                    r=wire_record(newer) if newer else None,
                )
            )
        return Verdict(id=poll.id, rulings=rulings)

    def hear_verdict(self, source: PeerName, verdict: Verdict) -> None:
        """An answer has come. Raises `NameRefused`."""
        if self._asked.pop(source, None) != verdict.id:
            return  # too late: it was given up
        rulings = [
            Ruling(
                path=RelPath.parse(ruling.p),
                is_valid=ruling.ok,
                ttr_s=ruling.ttr_ms / 1000,
                newer=parse_record(ruling.r) if ruling.r is not None else None,
            )
            for ruling in verdict.rulings
        ]
        known = {ruling.path: self._fresh.known(ruling.path) for ruling in rulings if ruling.newer is not None}
        self._fresh.judge(rulings, source=source, now=self._clock.monotonic())
        place = self._arrangement.place(source)
        sources = () if place is None else (Source(endpoint=place, speaks_gsync=True, speaks_native=True),)
        for ruling in rulings:
            if ruling.newer is not None:
                origin = self._arrangement.name_of(ruling.newer.author)
                self._standings.told(ruling.path, origin or source, ruling.ttr_s)
                self._offer(ruling.newer, sources)
                if self._fresh.known(ruling.path) != known[ruling.path] and not self._tells_changes():
                    self._relay(ruling.newer, source)

    def send(self, batch: PollBatch, tasks: TaskGroup) -> None:
        """Ask; a visit is made by a task of `tasks`."""
        link, place = self._neighbours.link(batch.source), self._arrangement.place(batch.source)
        poll = _poll_of(next(self._numbers), batch)
        self._asked[batch.source] = poll.id
        if self._tells_changes():
            self._asked.pop(batch.source)
            self._fresh.judge(self._as_the_tracker_told(batch), source=batch.source, now=self._clock.monotonic())
        elif link is not None:
            link.say(poll)
        elif place is not None and self._visits.acquire(blocking=False):
            tasks.spawn(self._visit, batch.source, place, poll)
        else:
            self.unanswered(batch.source)

    def _visit(self, name: PeerName, place: Endpoint, poll: Poll) -> None:
        try:
            self.hear_verdict(name, self._neighbours.visit(place, poll))
        except (TransportError, ProtocolError, NameRefused) as error:
            log.info("poll.failed peer=%r reason=%s", name, error)
            self.unanswered(name)
        finally:
            self._visits.release()
            self._poke()

    def unanswered(self, name: PeerName) -> None:
        """It cannot be asked, or will not answer any more."""
        self._asked.pop(name, None)
        self._fresh.unanswered(name, now=self._clock.monotonic())

    def _as_the_tracker_told(self, batch: PollBatch) -> list[Ruling]:
        """The answers that need nobody, while a tracker tells what changes: what it offers is the latest."""
        rulings = []
        for path, version in batch.asks:
            offer = self._trees.remote.get(path)
            record = offer.record if offer is not None else None
            is_newer = record is not None and compare_vectors(record.version, version) is Order.NEWER
            rulings.append(
                Ruling(path=path, is_valid=not is_newer, ttr_s=self._fresh.ttr_s, newer=record if is_newer else None)
            )
        return rulings


def _poll_of(id_: int, batch: PollBatch) -> Poll:
    return Poll(id=id_, asks=[Ask(p=str(path), v=version.vector()) for path, version in batch.asks])
