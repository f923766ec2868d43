"""Who is to be whose neighbour: keeps the names that the tracker tells, lays the topology over them, and says whom to link with.

Names that are gone are kept for a moment, so that neither a tracker that starts anew nor a peer that does tears the overlay apart.
While the tracker is away the last names stand. It must never compute a topology for each of many names that come at once. Owned by
the overlay; decides by `core.topology` alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import gevent
from gevent.event import Event

from gsync.core.names import Endpoint, PeerName
from gsync.core.recent import Recent
from gsync.core.topology import Shape, Topology, shaped
from gsync.errors import ConfigError
from gsync.net.clock import Clock
from gsync.peer.neighbourhood import Named

log = logging.getLogger(__name__)

GATHER_S: Final = 0.25
"""Names that come this close together are one change."""

REST_S: Final = 1.0
"""The least time between two changes: a shape over a thousand names takes some of it."""

KEPT_S: Final = 20.0
"""How long a name that is gone still counts: a peer, or a tracker, that starts anew is back by then."""

PLACES_MAX: Final = 4096
"""Peers beside the tracker's names whose address is remembered: origins and holders that neighbours told of."""


class Arrangement:
    """`me` is this peer, whose index has this `author`; `want` hears whom it is to be linked with, and where they are."""

    def __init__(
        self,
        *,
        me: PeerName,
        author: str,
        topology: Topology | Shape,
        clock: Clock,
        want: Callable[[Mapping[PeerName, Endpoint]], None],
    ) -> None:
        if not isinstance(topology, Shape) and me not in topology:
            raise ConfigError(
                f"the topology has no line for {me!r}, this peer", advice="add one, or name this peer with --name"
            )
        self._me = me
        self._author = author
        self._topology = topology
        self._clock = clock
        self._want = want
        self._named: dict[PeerName, Named] = {}
        self._gone: dict[PeerName, float] = {}
        self._places: Recent[PeerName, Endpoint] = Recent(PLACES_MAX)
        self._by_author: Recent[str, PeerName] = Recent(PLACES_MAX)
        self._news = Event()
        self._shaped: tuple[frozenset[PeerName], Topology] = frozenset(), {}

    def names_came(self, named: Mapping[PeerName, Named]) -> None:
        """All other peers that the tracker knows now."""
        now = self._clock.monotonic()
        for name in self._named.keys() - named.keys():
            self._gone.setdefault(name, now + KEPT_S)
        for name, one in named.items():
            self._gone.pop(name, None)
            self._named[name] = one
            self.met(name, one.endpoint, author=one.author)
        self._news.set()

    def met(self, name: PeerName, endpoint: Endpoint, *, author: str = "") -> None:
        """A peer of this name is reached there."""
        self._places[name] = endpoint
        if author:
            self._by_author[author] = name

    def place(self, name: PeerName) -> Endpoint | None:
        """Where this peer is, as far as anybody told."""
        return self._places.get(name)

    def name_of(self, author: str) -> PeerName | None:
        """What the author of a record is called."""
        return self._by_author.get(author)

    def elder(self, linked: Iterable[tuple[str, PeerName]]) -> PeerName | None:
        """Who of those that are here, by the tracker's word or by links, has the lowest author id; None if this peer has."""
        named = ((one.author, name) for name, one in self._named.items() if one.author)
        _, name = min([(self._author, self._me), *named, *linked])
        return None if name == self._me else name

    def run(self) -> None:
        """Arrange anew each time that names have changed; never returns."""
        while True:
            self._news.wait(self._until_drop())
            gevent.sleep(GATHER_S)
            self._news.clear()
            self._drop_gone()
            self._want(self.wanted())
            gevent.sleep(REST_S)

    def wanted(self) -> dict[PeerName, Endpoint]:
        """Whom this peer is to be linked with, of those who are there."""
        neighbours = self._laid().get(self._me, frozenset())
        return {name: self._named[name].endpoint for name in sorted(neighbours) if name in self._named}

    def _laid(self) -> Topology:
        if not isinstance(self._topology, Shape):
            return self._topology
        names = frozenset((self._me, *self._named))
        if names != self._shaped[0]:
            try:
                self._shaped = names, shaped(self._topology, names)
            except ConfigError as error:
                log.warning("topology.refused peers=%d reason=%s", len(names), error)
                self._shaped = names, self._shaped[1]
        return self._shaped[1]

    def _until_drop(self) -> float | None:
        if not self._gone:
            return None
        return max(0.0, min(self._gone.values()) - self._clock.monotonic())

    def _drop_gone(self) -> None:
        now = self._clock.monotonic()
        for name in [name for name, at in self._gone.items() if at <= now]:
            del self._gone[name], self._named[name]
