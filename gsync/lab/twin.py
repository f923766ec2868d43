"""The simulated twin of an overlay: many peers in one process, no sockets, and a clock that jumps to whatever comes next.

What decides is the real thing, `core/freshness.py` on the topologies of `core/topology.py`; what carries messages is a heap of
events with delays from a seed. A folder here is mirrored: a copy that is known to be old is fetched from its origin at once. Of
the messages only invalidations get lost. Where links heal, what was lost was lost with its link: so much later the two neighbours
compare what they know, as real peers do (`core/reconcile.py`). Called by `staleness`.

A read gets the version that the copy here has. If the copy does not answer (it is expired, known to be old, or on its way) the
reader waits until it does, in lazy mode after having asked; in passive mode, where nobody asks, the reader gets what stands there.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, count
from random import Random
from typing import Final

from msgspec import Struct, field

from gsync.core.copies import CopyState, Mode, Ruling
from gsync.core.freshness import Freshness
from gsync.core.model import Kind, Record
from gsync.core.names import PeerName, RelPath
from gsync.core.polls import PollBatch
from gsync.core.versions import Order, Version, compare_vectors
from gsync.lab.grid import Outcome, Point

FILES: Final = 4
READS: Final = 8000
"""Of one run with so many files, of more files more; the error that comes from their number alone is below a percentage point."""

DELAY_S: Final = (0.0005, 0.002)
"""Between these a message is on its way: peers in one building."""

GAPS_WATCHED: Final = (20, 60)
TTRS_WATCHED: Final = (20, 120)
"""A run is watched for 60 gaps; for fewer, but 20, where that would be 120 TTRs; and for 20 TTRs at least, where they alone tell.

A TTR goes before, in which the run forgets how it began.
"""

POSTPONED_S: Final = 0.01


class _Peer(Struct, kw_only=True):
    name: PeerName
    freshness: Freshness
    has: dict[RelPath, Record] = field(default_factory=dict)
    waiting: Counter[RelPath] = field(default_factory=Counter)
    wakes_at: float = float("inf")


class Twin:
    """Made for a point and a seed, and then `run` once; `heals_s` after something was lost on it a link is back, if ever."""

    def __init__(self, point: Point, *, rng: Random, heals_s: float | None = None, files: int = FILES) -> None:
        self._point = point
        self._heals_s = heals_s
        self._rng = rng
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._peers = {name: self._make_peer(name) for name in sorted(point.overlay.topology)}
        self._names = list(self._peers)
        self._files = [RelPath(f"file-{number}") for number in range(1, files + 1)]
        self._popularity = list(accumulate(1 / rank for rank in range(1, files + 1)))  # Zipf
        self._origin = {path: rng.choice(self._names) for path in self._files}
        self._newest: dict[RelPath, Version] = {}
        self._travelling: Counter[RelPath] = Counter()
        self._tally: defaultdict[str, int] = defaultdict(int)
        self._begin_s = point.ttr_s
        self._end_s = self._begin_s + watched_s(point)
        self._read_every_s = read_every_s(point, files=files)

    def run(self) -> Outcome:
        """From copies everywhere, whose timers are anywhere, to what the reads and the messages came to."""
        for path in self._files:
            self._spread(path)
            self._later(self._rng.expovariate(1 / self._point.gap_s), lambda path=path: self._edit(path))  # type: ignore[misc]
        self._later(self._begin_s, self._read)
        while self._events:
            self._now, _, act = heapq.heappop(self._events)
            act()
        return Outcome(
            reads=self._tally["reads"],
            stale=self._tally["stale"],
            updates=self._tally["updates"],
            messages=self._tally["messages"],
        )

    def _make_peer(self, name: PeerName) -> _Peer:
        point = self._point
        rng = Random(self._rng.getrandbits(64))
        freshness = Freshness(rng=rng, author=name, mode=point.mode, ttr_s=point.ttr_s, jitter=point.jitter)
        return _Peer(name=name, freshness=freshness)

    def _spread(self, path: RelPath) -> None:
        """Everybody has it, and the timer of each copy is somewhere on its way."""
        origin = self._origin[path]
        record = self._made(path, Version.from_mtime(0).edited_by(origin, 0))
        for peer in self._peers.values():
            if peer.name != origin:
                left_s = self._point.ttr_s * (1 - self._rng.random())
                self._take(peer, record, ttr_s=left_s)

    def _made(self, path: RelPath, version: Version) -> Record:
        """The origin has made a version, which is the newest one from now on."""
        origin = self._peers[self._origin[path]]
        record = Record(path=path, kind=Kind.FILE, version=version, author=origin.name)
        self._newest[path] = version
        origin.has[path] = record
        origin.freshness.own(path, version, now=self._now)
        return record

    # Edits and what comes of them

    def _edit(self, path: RelPath) -> None:
        """An edit waits until the news of the one before has arrived: so messages can be counted."""
        if self._now >= self._end_s:
            return
        if self._travelling[path]:
            self._later(POSTPONED_S, lambda: self._edit(path))
            return
        self._tally["updates"] += 1
        origin = self._peers[self._origin[path]]
        record = self._made(path, origin.has[path].version.edited_by(origin.name, int(self._now)))
        if self._point.mode.sends_push:
            self._flood(record, sender=origin.name, to=self._point.overlay.topology[origin.name])
        self._later(self._rng.expovariate(1 / self._point.gap_s), lambda: self._edit(path))

    def _flood(self, record: Record, *, sender: PeerName, to: Iterable[PeerName]) -> None:
        for name in sorted(to):
            self._tally["messages"] += 1
            if self._rng.random() < self._point.loss:
                if self._heals_s is not None:
                    self._later(self._heals_s, lambda name=name: self._compare(sender, name))  # type: ignore[misc]
                continue
            self._travelling[record.path] += 1
            self._send(lambda name=name: self._hear(self._peers[name], record, sender=sender))  # type: ignore[misc]

    def _hear(self, peer: _Peer, record: Record, *, sender: PeerName) -> None:
        self._travelling[record.path] -= 1
        heard = peer.freshness.hear(record, now=self._now)
        if heard.is_news:
            self._flood(record, sender=peer.name, to=self._point.overlay.topology[peer.name] - {sender})
        if heard.changed:
            self._fetch(peer, record.path)
        self._look_after(peer)

    def _compare(self, one: PeerName, other: PeerName) -> None:
        """A question and its answer; then each tells the other of what is newer, which may get lost again."""
        self._tally["messages"] += 2
        for here, there in ((one, other), (other, one)):
            for path in self._files:
                heard, known = (
                    self._peers[here].freshness.hearsay.record(path),
                    self._peers[there].freshness.known(path),
                )
                record = heard or self._peers[here].has[path]
                if known is None or compare_vectors(record.version, known) is Order.NEWER:
                    self._flood(record, sender=here, to=[there])

    def _fetch(self, peer: _Peer, path: RelPath) -> None:
        """The content comes from the origin; what that has when it is asked is what comes."""
        peer.freshness.fetching(path, now=self._now)
        origin = self._peers[self._origin[path]]
        self._send(lambda: self._serve(origin, peer, path))

    def _serve(self, origin: _Peer, peer: _Peer, path: RelPath) -> None:
        record, ttr_s = origin.has[path], origin.freshness.remaining_s(path, now=self._now)
        self._send(lambda: self._take(peer, record, ttr_s=ttr_s))

    def _take(self, peer: _Peer, record: Record, *, ttr_s: float) -> None:
        peer.has[record.path] = record
        state = peer.freshness.fetched(
            record.path, record.version, origin=self._origin[record.path], ttr_s=ttr_s, now=self._now
        )
        if state is CopyState.INVALID:
            self._fetch(peer, record.path)
        self._look_after(peer)

    # Time

    def _look_after(self, peer: _Peer) -> None:
        """Whatever happened to a peer: let its readers have what answers now, and see when it wants to be woken."""
        for path in [path for path in peer.waiting if peer.freshness.answers(path)] if peer.waiting else ():
            self._deliver(peer, path, peer.waiting.pop(path))
        due = peer.freshness.next_due()
        if due is not None and max(due, self._now) < peer.wakes_at:
            peer.wakes_at = max(due, self._now)
            self._at(peer.wakes_at, lambda: self._wake(peer))

    def _wake(self, peer: _Peer) -> None:
        if self._now < peer.wakes_at or self._now >= self._end_s:
            return  # an earlier waking did what this one was for; or the run is over
        peer.wakes_at = float("inf")
        for batch in peer.freshness.due(self._now):
            self._tally["messages"] += 1
            self._send(lambda batch=batch: self._answer(self._peers[batch.source], peer, batch))  # type: ignore[misc]
        self._look_after(peer)

    def _answer(self, source: _Peer, peer: _Peer, batch: PollBatch) -> None:
        rulings = tuple(self._ruling(source, path, version) for path, version in batch.asks)
        self._tally["messages"] += 1
        self._send(lambda: self._judge(peer, rulings, source=source.name))

    def _ruling(self, source: _Peer, path: RelPath, version: Version) -> Ruling:
        ruling = source.freshness.answer(path, version, now=self._now)
        return Ruling(path=path, newer=source.has[path]) if ruling.is_newer_here else ruling

    def _judge(self, peer: _Peer, rulings: Sequence[Ruling], *, source: PeerName) -> None:
        newer = [ruling for ruling in rulings if ruling.newer is not None and self._point.mode.sends_push]
        known = {ruling.path: peer.freshness.known(ruling.path) for ruling in newer}
        for path in peer.freshness.judge(rulings, source=source, now=self._now):
            self._fetch(peer, path)
        for ruling in newer:
            if ruling.newer is not None and peer.freshness.known(ruling.path) != known[ruling.path]:
                peer.freshness.hearsay.was_flooded(ruling.path)
                self._flood(ruling.newer, sender=peer.name, to=self._point.overlay.topology[peer.name] - {source})
        self._look_after(peer)

    # Reads

    def _read(self) -> None:
        """Somebody reads a file where it was not made; files are not equally liked."""
        if self._now >= self._end_s:
            return
        self._later(self._rng.expovariate(1 / self._read_every_s), self._read)
        (path,) = self._rng.choices(self._files, cum_weights=self._popularity)
        peer = self._peers[self._rng.choice([name for name in self._names if name != self._origin[path]])]
        if peer.freshness.answers(path) or self._point.mode is Mode.PASSIVE:
            self._deliver(peer, path, 1)
            return
        peer.waiting[path] += 1
        if self._point.mode is Mode.LAZY and peer.freshness.state(path) is CopyState.EXPIRED:
            peer.freshness.refresh([path], now=self._now)
        self._look_after(peer)

    def _deliver(self, peer: _Peer, path: RelPath, readers: int) -> None:
        self._tally["reads"] += readers
        if peer.has[path].version != self._newest[path]:
            self._tally["stale"] += readers

    def _send(self, arrive: Callable[[], None]) -> None:
        self._later(self._rng.uniform(*DELAY_S), arrive)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._at(self._now + seconds, act)

    def _at(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), act))


def read_every_s(point: Point, *, files: int) -> float:
    """How long it is between two reads, on average. Each copy is read as often, however many there are: lazy ones are as stale."""
    return watched_s(point) / READS * FILES / files


def watched_s(point: Point) -> float:
    """How long a run of `point` is watched."""
    gaps, gaps_most = (number * point.gap_s for number in GAPS_WATCHED)
    ttrs, ttrs_most = (number * point.ttr_s for number in TTRS_WATCHED)
    least = gaps if point.mode.hears_push else max(gaps, ttrs)
    return max(least, min(gaps_most, ttrs_most))
