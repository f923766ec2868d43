"""Compares what is known here with what a neighbour knows, when something may have been missed, so that both know the newest.

A new or healed link and a jump in what an origin counted are such moments. One neighbour is asked at a time, step by step, while
others may ask here; both are answered by one greenlet, out of one ledger of all records. That serves all until a record changes,
and is made anew at most so often that the rest of the peer hardly feels it. It must never wait on a link, and decides nothing:
`core.reconcile` says what differs, and what is told in consequence is heard as any invalidation is. Owned by the overlay.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import Final

import gevent
from gevent.event import Event
from msgspec import Struct

from gsync.core.marks import record_mark
from gsync.core.names import PeerName, RelPath
from gsync.core.pausing import paused
from gsync.core.recent import Recent
from gsync.core.reconcile import Answer, Comparison, Ledger
from gsync.errors import NameRefused, RemoteProtocolError
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.peer.neighbours import LINKS_MAX, Neighbours
from gsync.peer.overlay_link import OverlayLink
from gsync.peer.standing import Standings
from gsync.wire.overlay import Digests, Invalidate, Reconcile, digests, parse_digests, parse_range, wire_range

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
"""At least so long between two comparisons that are begun with one neighbour, however often something is missed."""

COURTESY_S: Final = 3.0
"""So long whoever was dialled waits for the other side to begin: one comparison serves both."""

GATHER_S: Final = 0.5
"""Of what is missed within this time one comparison is made."""

ANSWER_S: Final = 30.0
"""So long the answer to one step is waited for."""

RETRY_S: Final = 60.0
"""After a neighbour that did not answer; what it has is found out by polls meanwhile."""

QUESTIONS_A_LINK: Final = 16
"""Messages of one neighbour about this that wait to be dealt with; who sends more does not wait for answers, and is dropped."""

ANSWERS_MAX: Final = 8
"""Messages in answer to one; an honest question needs no more."""

LEDGER_REST_S: Final = 1.0
"""At least so long, and twice as long as it took, no new ledger is made."""

LEDGER_KEPT_S: Final = 10.0
"""One that nobody uses is dropped then: it takes as much room as the names of the folder."""

Said = Reconcile | Digests


class _Asking(Struct):
    """The comparison that is under way; `id` is that of its last step."""

    link: OverlayLink
    comparison: Comparison
    id: int
    deadline: float


class Reconciling:
    """The comparisons of one peer. Nothing is begun unless it `is_needed`: a tracker that tells everything has said it all.

    `told` makes the message that tells what is known of a path; None for nothing.
    """

    def __init__(
        self,
        *,
        neighbours: Neighbours,
        standings: Standings,
        clock: Clock,
        is_needed: Callable[[], bool],
        told: Callable[[RelPath], Invalidate | None],
    ) -> None:
        self._neighbours = neighbours
        self._standings = standings
        self._clock = clock
        self._is_needed = is_needed
        self._told = told
        self._due: dict[PeerName, float] = {}
        self._begun: Recent[PeerName, float] = Recent(LINKS_MAX)
        self._asking: _Asking | None = None
        self._numbers = count(1)
        self._heard: deque[tuple[OverlayLink, Said, float]] = deque()
        self._waiting: Counter[OverlayLink] = Counter()
        self._ledger: Ledger | None = None
        self._stamp: tuple[int, int, bool] | None = None
        self._made_at = self._used_at = self._next_ledger_at = float("-inf")
        self._news = Event()
        self.comparisons = 0
        """How many were begun here so far."""

    def run(self) -> None:
        """Compare, and answer those who do; never returns."""
        while True:
            self._news.wait(self._until_due())
            self._news.clear()
            while self._heard:
                link, said, at = self._heard.popleft()
                self._deal_with(link, said, at)
            self._give_up_if_late()
            self._begin_if_due()
            if self._asking is None and self._clock.monotonic() >= self._used_at + LEDGER_KEPT_S:
                self._ledger = None

    def linked(self, link: OverlayLink, *, has_dialled: bool) -> None:
        """A link stands that did not before."""
        self._want(link.name, 0.0 if has_dialled else COURTESY_S)

    def missed(self, link: OverlayLink) -> None:
        """What this neighbour says shows that something was missed."""
        self._want(link.name, GATHER_S)

    def everybody(self) -> None:
        """Nobody tells any more what changes, or nothing of it was wanted before: compare with all who are there."""
        for name in self._neighbours.names:
            self._want(name, GATHER_S)

    def heard(self, link: OverlayLink, said: Said) -> None:
        """A neighbour asks, or answers. Raises `RemoteProtocolError` if it does not wait for its answers."""
        if self._waiting[link] >= QUESTIONS_A_LINK:
            raise RemoteProtocolError("more comparisons than one at a time")
        self._waiting[link] += 1
        self._heard.append((link, said, self._clock.monotonic()))
        self._news.set()

    # Answering

    def _deal_with(self, link: OverlayLink, said: Said, at: float) -> None:
        self._waiting[link] -= 1
        if not self._waiting[link]:
            del self._waiting[link]
        if self._neighbours.link(link.name) is not link:
            return
        try:
            if isinstance(said, Reconcile):
                self._answer(link, said, at)
            elif self._asking is not None and (self._asking.link, self._asking.id) == (link, said.id):
                self._go_on(self._asking, said)
        except RemoteProtocolError as error:
            log.info("reconcile.failed peer=%r reason=%s", link.name, error)
            link.drop(str(error))
            self._asking = None if self._asking is not None and self._asking.link is link else self._asking

    def _answer(self, link: OverlayLink, said: Reconcile, at: float) -> None:
        spans = [parse_range(wire) for wire in said.ranges]
        begins = any(not span.start and not span.end for span in spans)
        ledger = self._ledger_since(at if begins else float("-inf"))
        if begins:
            self._due.pop(link.name, None)
        self._tell(link, _paths(said.wants))
        answers = ledger.answers(spans)[:ANSWERS_MAX] or (Answer(),)
        for number, answer in enumerate(answers, 1):
            link.say(digests(said.id, answer, more=number < len(answers)))

    # Asking

    def _begin_if_due(self) -> None:
        now = self._clock.monotonic()
        for name in [name for name, due in self._due.items() if due <= now]:
            if self._asking is not None:
                return
            del self._due[name]
            link = self._neighbours.link(name)
            if link is None or not self._is_needed():
                continue
            self.comparisons += 1
            self._begun[name] = now
            self._ledger_since(now)
            self._asking = _Asking(link, Comparison(), 0, 0.0)
            self._ask_on(self._asking)

    def _go_on(self, asking: _Asking, said: Digests) -> None:
        asking.comparison.hear(self._ledger_since(float("-inf")), parse_digests(said))
        asking.deadline = self._clock.monotonic() + ANSWER_S
        if not said.more:
            self._ask_on(asking)

    def _ask_on(self, asking: _Asking) -> None:
        step = asking.comparison.next(self._ledger_since(float("-inf")))
        if step is None:
            log.info("reconcile.done peer=%r", asking.link.name)
            self._asking = None
            return
        asking.id, asking.deadline = next(self._numbers), self._clock.monotonic() + ANSWER_S
        self._tell(asking.link, step.tell)
        wants = [str(path) for path in step.wants]
        asking.link.say(Reconcile(id=asking.id, ranges=[wire_range(span) for span in step.spans], wants=wants))

    def _give_up_if_late(self) -> None:
        asking, now = self._asking, self._clock.monotonic()
        if asking is None:
            return
        if self._neighbours.link(asking.link.name) is not asking.link:
            self._asking = None  # whatever link comes instead is compared over
        elif now >= asking.deadline:
            log.info("reconcile.failed peer=%r reason=no answer", asking.link.name)
            self._asking = None
            self._due.setdefault(asking.link.name, now + RETRY_S)

    def _want(self, name: PeerName, wait_s: float) -> None:
        now = self._clock.monotonic()
        begun = self._begun.get(name)
        at = now + wait_s if begun is None else max(now + wait_s, begun + EVERY_S)
        self._due[name] = min(at, self._due.get(name, at))
        for gone in self._due.keys() - set(self._neighbours.names) if len(self._due) > LINKS_MAX else ():
            del self._due[gone]
        self._news.set()

    def _until_due(self) -> float | None:
        times = list(self._due.values()) if self._asking is None else [self._asking.deadline]
        if self._ledger is not None and self._asking is None:
            times.append(self._used_at + LEDGER_KEPT_S)
        return max(0.0, min(times) - self._clock.monotonic()) if times else None

    # What is known here

    def _tell(self, link: OverlayLink, paths: Iterable[RelPath]) -> None:
        for path in paused(paths, breathe):
            said = self._told(path)
            if said is not None:
                link.say(said)

    def _ledger_since(self, needed_at: float) -> Ledger:
        """What is known here, with all that was known at `needed_at`; waits until one may be made."""
        began = self._used_at = self._clock.monotonic()
        if self._ledger is not None and (self._made_at >= needed_at or self._stamp == self._standings.stamp()):
            return self._ledger
        if began < self._next_ledger_at:
            gevent.sleep(self._next_ledger_at - began)
            began = self._clock.monotonic()
        self._stamp = self._standings.stamp()  # before: what changes while it is made may be missing in it
        marks = {record.path: record_mark(record) for record in paused(self._standings.known(), breathe)}
        self._ledger = Ledger(marks, pause=breathe)
        ended = self._used_at = self._clock.monotonic()
        self._made_at, self._next_ledger_at = began, ended + max(LEDGER_REST_S, 2 * (ended - began))
        return self._ledger


def _paths(texts: Iterable[str]) -> Iterable[RelPath]:
    for text in texts:
        try:
            yield RelPath.parse(text)
        except NameRefused:
            continue
