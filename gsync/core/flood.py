"""How a query spreads over the overlay and how its hits find back: what to forward, to whom, and what to let go.

Each query has an id of 128 random bits. A peer answers an id once, forwards it with one hop less to all neighbours but the one
that it came from, and remembers who that was: hits go back that way. What is remembered is bounded by count and by age.

    a query comes                          is it answered?   is it forwarded?
    -------------------------------------  ----------------  ---------------------------------------------------
    for the first time                     yes               yes, while hops are left
    again, with no more hops than before   no                no
    again, with more hops than before      no                yes: the first copy took a detour and ended too early

Invalidations need none of this: a version that is news nowhere travels no further (core/freshness.py). Pure: time is an argument,
randomness is given. Owned by the peer's overlay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NewType, Protocol, TypeVar

from msgspec import Struct, field

from gsync.core.model import Record
from gsync.core.names import PeerName, RelPath
from gsync.core.records import winner

MessageId = NewType("MessageId", str)
"""32 hex digits."""

QUERY_TTL: Final = 16
"""Hops of a query where nobody says otherwise; `random:4` of a thousand peers has a diameter below it."""

IN_PATTERNS: Final = frozenset("*?[")
"""A question that has one of these means all names that it matches, beside the one that is spelled so."""

TTL_MAX: Final = 255
"""No overlay that a person builds is longer."""

SEEN_MAX: Final = 10_000
SEEN_S: Final = 120.0
"""What is remembered of other people's queries: so many, so long. A query is over in seconds."""

HITS_MAX: Final = 1000
"""Different hits of one query that are passed back; the asker is shown the best of far fewer."""


HITS_KEPT: Final = 100_000
"""The same, of all queries together; then the oldest query is forgotten."""


class RandomBits(Protocol):
    """The part of `random.Random` that makes ids."""

    def getrandbits(self, k: int, /) -> int: ...


class Spread(Struct, frozen=True, kw_only=True):
    """What to do with a query: answer it if it `is_new`, forward it to these with this `ttl`."""

    is_new: bool
    to: tuple[PeerName, ...]
    ttl: int


class Mine(Struct, frozen=True, kw_only=True):
    """A hit for a question of our own."""


class Back(Struct, frozen=True, kw_only=True):
    """A hit to be passed on to this neighbour, from whom its query came."""

    to: PeerName


class Dropped(Struct, frozen=True, kw_only=True):
    """A hit that goes nowhere, which is nobody's fault."""

    reason: str


Way = Mine | Back | Dropped


class _Asked(Struct):
    """What is remembered of a query; `came_from` is None for one of our own."""

    came_from: PeerName | None
    ttl: int
    at: float
    is_over: bool = False
    hits: set[tuple[PeerName, RelPath]] = field(default_factory=set)


class Flood:
    """The queries that one peer has seen, with the way back of each."""

    def __init__(self, *, seen_max: int = SEEN_MAX, seen_s: float = SEEN_S, hits_kept: int = HITS_KEPT) -> None:
        self._seen_max = seen_max
        self._seen_s = seen_s
        self._hits_max = hits_kept
        self._hits = 0
        self._asked: dict[str, _Asked] = {}  # in the order in which they came, so the oldest is the first

    def __len__(self) -> int:
        return len(self._asked)

    @property
    def hits_kept(self) -> int:
        """How many hits are remembered, of all queries."""
        return self._hits

    def ask(self, id_: MessageId, *, ttl: int, neighbours: Iterable[PeerName], now: float) -> Spread:
        """A question of our own, to all neighbours."""
        self._remember(id_, _Asked(None, ttl, now), now)
        return Spread(is_new=True, to=tuple(neighbours), ttl=ttl)

    def on_query(
        self, id_: MessageId, *, ttl: int, came_from: PeerName, neighbours: Iterable[PeerName], now: float
    ) -> Spread:
        """Somebody's question, with `ttl` hops left, this one included."""
        before = self._asked.get(id_)
        if before is None:
            self._remember(id_, _Asked(came_from, ttl, now), now)
        elif before.came_from is None or ttl <= before.ttl:
            return Spread(is_new=False, to=(), ttl=0)
        else:
            before.ttl = ttl
        others = tuple(name for name in neighbours if name != came_from) if ttl > 1 else ()
        return Spread(is_new=before is None, to=others, ttl=ttl - 1)

    def on_hit(self, id_: MessageId, *, holder: PeerName, path: RelPath, now: float) -> Way:
        """Somebody holds what was asked for."""
        self._forget_old(now)
        asked = self._asked.get(id_)
        if asked is None or asked.is_over:
            return Dropped(reason="the question is over, or was never asked here")
        if (holder, path) in asked.hits:
            return Dropped(reason="it was passed on before")
        if len(asked.hits) >= HITS_MAX:
            return Dropped(reason=f"more than {HITS_MAX} hits")
        asked.hits.add((holder, path))
        self._hits += 1
        self._forget_old(now)
        return Mine() if asked.came_from is None else Back(to=asked.came_from)

    def end(self, id_: MessageId) -> None:
        """Nobody waits for hits any more; the id stays known, so that a copy still on its way is not taken for a new question."""
        asked = self._asked.get(id_)
        if asked is not None and asked.came_from is None:
            asked.is_over = True

    def _remember(self, id_: MessageId, asked: _Asked, now: float) -> None:
        self._asked[id_] = asked
        self._forget_old(now)

    def _forget_old(self, now: float) -> None:
        while self._asked:
            oldest = next(iter(self._asked))
            is_full = len(self._asked) > self._seen_max or self._hits > self._hits_max
            if not is_full and now - self._asked[oldest].at < self._seen_s:
                return
            self._hits -= len(self._asked.pop(oldest).hits)


def new_message_id(rng: RandomBits) -> MessageId:
    """An id that nobody else has, whatever his name and however often he was restarted."""
    return MessageId(f"{rng.getrandbits(128):032x}")


class Found(Struct, frozen=True, kw_only=True):
    """A hit as whoever asked weighs it."""

    record: Record
    holder: PeerName
    is_origin: bool = False
    ttr_s: float = 0.0
    load: int = 0
    hops: int = 0
    round_trip_s: float = 0.0


F = TypeVar("F", bound=Found)


def by_preference(found: Iterable[F]) -> tuple[F, ...]:
    """All of `found`, hits for one path: the newest version first; of one version its origin, then by load and round trip."""
    groups: dict[Record, list[F]] = {}
    for one in found:
        groups.setdefault(one.record, []).append(one)
    ranked: list[F] = []
    while groups:
        ranked += sorted(
            groups.pop(winner(groups)), key=lambda one: (not one.is_origin, one.load, one.round_trip_s, one.holder)
        )
    return tuple(ranked)
