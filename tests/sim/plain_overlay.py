"""An overlay of plain peers on a heap: `core.flood` and `core.freshness` with nothing around them but delays, losses and a clock.

Links deliver in order, each message after a delay of its own, and may lose any. Polls and contents go straight to whom they are
for, neighbour or not, and fail when he is down. After each event the peer that it happened to is judged.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from gsync.core.copies import CopyState, Mode
from gsync.core.flood import QUERY_TTL, Back, Flood, MessageId, Mine, Spread, new_message_id
from gsync.core.freshness import Freshness
from gsync.core.model import Kind, Record
from gsync.core.names import PeerName, RelPath
from gsync.core.polls import PollBatch
from gsync.core.topology import Topology
from gsync.core.versions import Order as VersionOrder
from gsync.core.versions import Version, compare_vectors


@dataclass(slots=True)
class Weather:
    """What messages go through."""

    delay_s: tuple[float, float] = (0.001, 0.05)
    loss: float = 0.0


@dataclass(slots=True)
class Peer:
    """One peer: its decisions, and the records of what it holds."""

    name: PeerName
    freshness: Freshness
    flood: Flood = field(default_factory=Flood)
    shelf: dict[RelPath, Record] = field(default_factory=dict)
    is_down: bool = False
    wakes_at: float | None = None


class PlainOverlay:
    """All peers, and what is on its way between them."""

    def __init__(
        self,
        topology: Topology,
        *,
        seed: int,
        mode: Mode = Mode.HYBRID,
        ttr_s: float = 60.0,
        jitter: float = 0.2,
        weather: Weather | None = None,
    ) -> None:
        self.topology = topology
        self.now = 0.0
        self.sent = Counter[str]()
        self.forwarded: dict[tuple[PeerName, object], list[int]] = {}
        self.found: dict[MessageId, list[PeerName]] = {}
        self.stale_s, self.valid_s = 0.0, 0.0
        self._ttr_s = ttr_s
        self._rng = Random(f"overlay {seed}")
        self._weather = weather or Weather()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0
        self._busy_until: dict[tuple[PeerName, PeerName], float] = {}
        self._superseded: dict[tuple[RelPath, Version], float] = {}
        self.peers = {
            name: Peer(name, Freshness(rng=self._rng, author=name, mode=mode, ttr_s=ttr_s, jitter=jitter))
            for name in topology
        }
        for name, neighbours in topology.items():
            self.peers[name].freshness.set_neighbours(sorted(neighbours))

    # What people do

    def edit(self, name: PeerName, path: RelPath) -> Record:
        """`name` makes a new version of what it holds of `path`."""
        peer = self.peers[name]
        before = peer.shelf.get(path)
        version = (before.version if before else Version.from_mtime(0)).edited_by(name, int(self.now))
        record = Record(path=path, kind=Kind.FILE, version=version, digest=f"b3:{name}{version.mtime_s}", author=name)
        if before is not None:
            self._superseded[path, before.version] = self.now
        peer.shelf[path] = record
        peer.freshness.own(path, version, now=self.now)
        if peer.freshness.mode.sends_push:
            self._forward(peer, record, came_from=None)
        return record

    def search(self, name: PeerName, *, ttl: int = QUERY_TTL) -> MessageId:
        """`name` asks who holds anything; the answers are gathered in `found`."""
        id_ = new_message_id(self._rng)
        self.found[id_] = []
        peer = self.peers[name]
        self._spread(peer, id_, peer.flood.ask(id_, ttl=ttl, neighbours=self._neighbours(peer), now=self.now))
        return id_

    def fetch(self, name: PeerName, path: RelPath, source: PeerName) -> None:
        """`name` fetches `path` from `source`, if that holds it."""
        peer, asked_at = self.peers[name], self.now
        peer.freshness.fetching(path, now=self.now)
        self._directly(
            source, lambda giver: self._give(giver, peer, path, asked_at), lambda: self._no_fetch(peer, path)
        )

    def take_down(self, name: PeerName) -> None:
        """`name` hears and says nothing until it is brought up."""
        self.peers[name].is_down = True

    def bring_up(self, name: PeerName) -> None:
        """`name` goes on."""
        self.peers[name].is_down = False
        self._settle(self.peers[name])

    def later(self, delay_s: float, act: Callable[[], object]) -> None:
        """Let it happen then."""
        self._serial += 1
        heapq.heappush(self._events, (self.now + delay_s, self._serial, lambda: (act(), None)[1]))

    def run(self, until: float) -> None:
        """Let everything happen that happens up to `until`."""
        while self._events and self._events[0][0] <= until:
            at, _, act = heapq.heappop(self._events)
            self._pass_time(at)
            act()
        self._pass_time(until)

    def run_dry(self) -> None:
        """Let everything happen that is on its way; only for overlays without timers."""
        while self._events:
            self.run(self._events[0][0])

    # What peers do

    def _forward(self, peer: Peer, record: Record, *, came_from: PeerName | None) -> None:
        self.forwarded.setdefault((peer.name, (record.path, record.version)), []).append(1)
        for other in self._neighbours(peer):
            if other != came_from:
                self._send(peer, other, "invalidate", lambda to: self._on_invalidate(to, record, peer.name))
        self._settle(peer)

    def _on_invalidate(self, peer: Peer, record: Record, came_from: PeerName) -> None:
        heard = peer.freshness.hear(record, now=self.now)
        if heard.is_news:
            self._forward(peer, record, came_from=came_from)
        if heard.changed and heard.state is CopyState.INVALID:
            self.fetch(peer.name, record.path, PeerName(record.author))

    def _spread(self, peer: Peer, id_: MessageId, spread: Spread) -> None:
        if spread.to:
            self.forwarded.setdefault((peer.name, id_), []).append(spread.ttl)
        for other in spread.to:
            self._send(peer, other, "query", lambda to: self._on_query(to, id_, spread.ttl, peer.name))

    def _on_query(self, peer: Peer, id_: MessageId, ttl: int, came_from: PeerName) -> None:
        neighbours = self._neighbours(peer)
        spread = peer.flood.on_query(id_, ttl=ttl, came_from=came_from, neighbours=neighbours, now=self.now)
        self._spread(peer, id_, spread)
        for path in peer.shelf if spread.is_new else ():
            if peer.freshness.answers(path):
                self._on_hit(peer, id_, peer.name, path)

    def _on_hit(self, peer: Peer, id_: MessageId, holder: PeerName, path: RelPath) -> None:
        match peer.flood.on_hit(id_, holder=holder, path=path, now=self.now):
            case Mine():
                self.found[id_].append(holder)
            case Back(to=to):
                self._send(peer, to, "hit", lambda other: self._on_hit(other, id_, holder, path))

    def _settle(self, peer: Peer) -> None:
        """Do what is due at `peer`, see to it that it wakes in time, and judge it."""
        if peer.is_down:
            return
        for batch in peer.freshness.due(self.now):
            self._poll(peer, batch)
        at = peer.freshness.next_due()
        if at is not None and at != peer.wakes_at:
            peer.wakes_at = at
            self.later(max(0.0, at - self.now), lambda: self._settle(peer))
        self._judge(peer)

    def _poll(self, peer: Peer, batch: PollBatch) -> None:
        self.sent["poll"] += 1

        def failed() -> None:
            peer.freshness.unanswered(batch.source, now=self.now)
            self._settle(peer)

        self._directly(batch.source, lambda giver: self._rule(giver, peer, batch), failed)

    def _rule(self, giver: Peer, peer: Peer, batch: PollBatch) -> None:
        rulings = []
        for path, version in batch.asks:
            ruling = giver.freshness.answer(path, version, now=self.now)
            rulings.append(replace(ruling, newer=giver.shelf[path]) if ruling.is_newer_here else ruling)
        newer = {ruling.path: ruling.newer for ruling in rulings}

        def told() -> None:
            for path in peer.freshness.judge(rulings, source=giver.name, now=self.now):
                record = newer.get(path)
                self.fetch(peer.name, path, PeerName(record.author) if record else giver.name)
            self._settle(peer)

        self.later(self._delay(), told)

    def _give(self, giver: Peer, peer: Peer, path: RelPath, asked_at: float) -> None:
        record = giver.shelf.get(path)
        if record is None:
            self.later(0.0, lambda: self._no_fetch(peer, path))
            return
        ttr_s = giver.freshness.remaining_s(path, now=self.now)

        def came() -> None:
            held = peer.shelf.get(path)
            if held is None or compare_vectors(record.version, held.version) is VersionOrder.NEWER:
                peer.shelf[path] = record
            origin = PeerName(record.author)
            left_s = ttr_s - (self.now - asked_at)
            peer.freshness.fetched(
                path, record.version, origin=origin, holders=[giver.name], ttr_s=left_s, now=self.now
            )
            self._settle(peer)

        self.later(self._delay(), came)

    def _no_fetch(self, peer: Peer, path: RelPath) -> None:
        peer.freshness.fetch_failed(path)
        self._settle(peer)

    # What carries it

    def _neighbours(self, peer: Peer) -> list[PeerName]:
        return sorted(self.topology[peer.name])

    def _send(self, peer: Peer, to: PeerName, kind: str, act: Callable[[Peer], None]) -> None:
        self.sent[kind] += 1
        if self._rng.random() < self._weather.loss:
            return
        at = max(self.now + self._delay(), self._busy_until.get((peer.name, to), 0.0))
        self._busy_until[peer.name, to] = at
        self.later(at - self.now, lambda: self._arrive(self.peers[to], act))

    def _arrive(self, peer: Peer, act: Callable[[Peer], None]) -> None:
        if not peer.is_down:
            act(peer)
            self._settle(peer)

    def _directly(self, to: PeerName, act: Callable[[Peer], None], failed: Callable[[], None]) -> None:
        def arrive() -> None:
            if self.peers[to].is_down:
                self.later(self._delay(), failed)
            else:
                act(self.peers[to])

        self.later(self._delay(), arrive)

    def _delay(self) -> float:
        return self._rng.uniform(*self._weather.delay_s)

    # What must hold

    def _valid(self) -> Iterator[tuple[Peer, RelPath, Version]]:
        for peer in self.peers.values():
            for path, copy in peer.freshness.copies():
                if copy.state is CopyState.VALID and copy.version is not None:
                    yield peer, path, copy.version

    def _pass_time(self, at: float) -> None:
        for _, path, version in self._valid() if len(self.peers) <= 2 else ():
            self.valid_s += at - self.now
            if (path, version) in self._superseded:
                self.stale_s += at - self.now
        self.now = at

    def _judge(self, peer: Peer) -> None:
        if not peer.freshness.mode.has_timers:
            assert peer.freshness.timers == 0
            return
        timed = [(path, copy) for path, copy in peer.freshness.copies() if copy.until is not None]
        assert peer.freshness.timers == len(timed)  # valid copies, and valid ones that are being fetched anew
        for path, copy in timed:
            moved_on = self._superseded.get((path, copy.version)) if copy.version else None
            assert moved_on is None or self.now <= moved_on + self._ttr_s + 1e-9, (
                f"{peer.name} believes in {path} for too long"
            )
