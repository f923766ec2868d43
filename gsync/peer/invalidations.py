"""Invalidations: those that this peer floods, those that it hears and passes on, and those by which it tells what others missed.

Whether one is believed says `core.freshness`; it is passed on if and only if it is news, whatever comes of it here. What is news to
the folder is offered to the planner, unless copies heed no push or a native tracker tells the same: a moment later, so that a file
which all are about to fetch holds up nobody's hearing of it. Owned by the overlay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NoReturn

import gevent
from gevent.event import Event

from gsync.core.freshness import Freshness
from gsync.core.gaps import Gaps
from gsync.core.model import Record, Source
from gsync.core.names import PeerName, RelPath
from gsync.net.clock import Clock
from gsync.peer.arrangement import Arrangement
from gsync.peer.neighbours import Me, Neighbours
from gsync.peer.overlay_link import OverlayLink
from gsync.peer.standing import Standings
from gsync.wire.overlay import TTR_MAX_MS, Invalidate, PeerAt, parse_place, placed
from gsync.wire.records import parse_record, wire_record

log = logging.getLogger(__name__)

PASS_ON_S: Final = 0.005
"""So long news are passed on before what they tell of is fetched."""

NEWS_MAX: Final = 1000
"""News that wait for that; with one more they are offered at once."""


class Invalidations:
    """Those of one peer, which is reached at `here()`; `offer` is told what should come, `missed` by whom a gap was shown."""

    def __init__(
        self,
        *,
        me: Me,
        fresh: Freshness,
        standings: Standings,
        neighbours: Neighbours,
        arrangement: Arrangement,
        clock: Clock,
        here: Callable[[], PeerAt],
        offer: Callable[[Record, tuple[Source, ...]], None],
        missed: Callable[[OverlayLink, PeerName], None],
    ) -> None:
        self._me = me
        self._fresh = fresh
        self._standings = standings
        self._neighbours = neighbours
        self._arrangement = arrangement
        self._clock = clock
        self._here = here
        self._offer = offer
        self._missed = missed
        self._gaps: Final = Gaps()
        self._waiting: list[tuple[Record, tuple[Source, ...]]] = []  # news that are to be offered
        self._has_news = Event()
        self.flooded = 0

    def run(self) -> NoReturn:
        """Offer what is news, a moment after it was passed on; never returns."""
        while True:
            self._has_news.wait()
            gevent.sleep(PASS_ON_S)
            self._has_news.clear()
            self._offer_waiting()

    def flood(self, record: Record) -> None:
        """Tell everybody of what was made here, and of nothing else."""
        if record.author != self._me.author or not self._fresh.mode.sends_push:
            return
        self.flooded += 1
        said = Invalidate(
            r=wire_record(record),
            at=self._here(),
            life=self._me.life,
            seq=self.flooded,
            ttr_ms=_ms(self._fresh.ttr_s),
        )
        self._neighbours.tell(self._neighbours.names, said)

    def told(self, path: RelPath) -> Invalidate | None:
        """What is known of `path`, for somebody who knows something else; it counts nothing, because others made it."""
        record = self._standings.newest(path)
        return None if record is None else self._second_hand(record)

    def relay(self, record: Record, *, besides: PeerName) -> None:
        """A poll has told of `record` before any invalidation did: tell the others, or they would wait for it until their TTR ends.

        What comes later of it is no news here, and goes no further.
        """
        if self._fresh.mode.sends_push:
            self._fresh.hearsay.was_flooded(record.path)
            self._neighbours.tell(
                (name for name in self._neighbours.names if name != besides), self._second_hand(record)
            )

    def linked(self, link: OverlayLink) -> None:
        """A neighbour has said how far it is."""
        self._gaps.met(link.name, link.hello.life, link.hello.seq)

    def hear(self, link: OverlayLink, said: Invalidate) -> None:
        """One has come. Raises `NameRefused`, `RemoteProtocolError`."""
        record, origin = parse_record(said.r), PeerName.parse(said.at.name)
        source = parse_place(said.at, neighbour_ip=link.remote_ip)
        self._standings.feed_unknown(record.path)
        verdict = self._fresh.hear(record, now=self._clock.monotonic())
        if verdict.reason:
            log.info("invalidate.refused path=%r from=%r reason=%s", record.path, link.name, verdict.reason)
        if self._gaps.saw(origin, said.life, said.seq):
            self._missed(link, origin)
        if verdict.is_news:
            self._pass_on(link, said)
            self._arrangement.met(origin, source.endpoint, author=record.author)
            self._standings.told(record.path, origin, said.ttr_ms / 1000)
        if verdict.reason or not self._standings.takes_news():
            return
        if not said.seq:
            # It was not known here, or not to the planner. The origin may be gone: whoever tells of it probably has it.
            teller = Source(endpoint=link.endpoint, speaks_gsync=True, speaks_native=True)
            self._offer_soon(record, (source,) if teller.endpoint == source.endpoint else (source, teller))
        elif verdict.is_news:
            self._offer_soon(record, (source,))

    def _offer_soon(self, record: Record, sources: tuple[Source, ...]) -> None:
        self._waiting.append((record, sources))
        self._has_news.set()
        if len(self._waiting) > NEWS_MAX:
            self._offer_waiting()

    def _offer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for record, sources in waiting:
            self._offer(record, sources)

    def _second_hand(self, record: Record) -> Invalidate:
        """What others made, with what is left of its TTR."""
        origin, ttr_s = self._standings.origin_of(record)
        place = self._arrangement.place(origin) if origin is not None and origin != self._me.name else None
        at = self._here()
        if origin is not None and place is not None:
            at = PeerAt(name=str(origin), ip="" if place.is_loopback else place.ip, port=place.port)
        return Invalidate(r=wire_record(record), at=at, life="", seq=0, ttr_ms=_ms(ttr_s))

    def _pass_on(self, link: OverlayLink, said: Invalidate) -> None:
        if said.hops == 1:
            return
        passed = Invalidate(
            r=said.r,
            at=placed(said.at, neighbour_ip=link.remote_ip),
            life=said.life,
            seq=said.seq,
            hops=said.hops - 1,
            ttr_ms=said.ttr_ms,
        )
        self._neighbours.tell((name for name in self._neighbours.names if name != link.name), passed)


def _ms(seconds: float) -> int:
    return min(int(seconds * 1000), TTR_MAX_MS)
