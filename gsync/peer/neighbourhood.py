"""Whom the numbers of a native tracker link mean: peers with their addresses, each judged once, this peer itself left out.

A tracker aims our dials, so an address must be one where a peer can be, and loopback is believed only where the tracker is on
loopback, too. A peer on the tracker's own machine is told without address: it is where we reached the tracker. Decides
nothing about files; called by `mirror.py`.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct

from gsync.core.model import Source
from gsync.core.names import Endpoint, PeerName
from gsync.errors import NameRefused, RemoteProtocolError
from gsync.wire.messages import Refusal
from gsync.wire.native import PeerRow, parse_peer

log = logging.getLogger(__name__)

ROWS_MAX: Final = 64 * 1024
"""Peers that a tracker may name on one connection; one more ends it, and the next one begins with those who are there."""

HOLDERS_MAX: Final = 32
"""Holders of a record that are looked at; a good one stands among the first."""

THIS_PEER: Final = "this peer"

_SHARED_MAX: Final = 4096
"""Rows of sources that are shared by the offers that name them; most of a directory needs a handful."""


class Whereabouts(Struct, frozen=True, kw_only=True):
    """Where this peer serves and how it reached its tracker: what turns the tracker's rows into addresses."""

    own: Endpoint
    """Our own end of the connection, with the port on which this peer serves."""

    tracker_ip: str
    is_own_address: Callable[[str], bool]
    allows: Callable[[Source], bool] = lambda source: True
    """Whether this peer may dial it."""

    def source(self, row: PeerRow) -> Source | None:
        """How `row` is reached; None for this peer itself and whom it may not dial. Raises `NameRefused` where nobody can be."""
        source = parse_peer(row, tracker_ip=self.tracker_ip)
        tracker_is_near = ipaddress.ip_address(self.tracker_ip).is_loopback or self.own.is_loopback
        if source.endpoint.is_loopback and not tracker_is_near:
            raise NameRefused("a loopback address, from a tracker that is elsewhere")
        if self._is_own(source.endpoint, tracker_is_near=tracker_is_near) or not self.allows(source):
            return None
        return source

    def _is_own(self, endpoint: Endpoint, *, tracker_is_near: bool) -> bool:
        # A peer whose tracker is on loopback serves at that one address; others may have the same port at another.
        if endpoint.port != self.own.port:
            return False
        return endpoint.ip == self.own.ip or (not tracker_is_near and self.is_own_address(endpoint.ip))


class Named(Struct, frozen=True, kw_only=True):
    """A peer that has a name: whom a person, or a topology, means by it."""

    name: PeerName
    author: str
    endpoint: Endpoint


class Neighbourhood:
    """The peers that one connection has named."""

    def __init__(self, whereabouts: Whereabouts) -> None:
        self._whereabouts = whereabouts
        self._rows: dict[int, Source | None] = {}
        self._named: dict[int, Named] = {}
        self._self: int | None = None
        self._shared: dict[tuple[int, ...], tuple[Source, ...]] = {}

    def add(self, rows: Iterable[PeerRow]) -> tuple[Refusal, ...]:
        """From now on these may be named; those that nobody can reach, with the reason. Raises `RemoteProtocolError`."""
        refused: list[Refusal] = []
        for row in rows:
            try:
                source = self._rows[row.n] = self._whereabouts.source(row)
                self._self = row.n if source is None else self._self
            except NameRefused as error:
                self._rows[row.n] = None
                refused.append(Refusal(name=f"{row.ip}:{row.port}", reason=error.reason))
            if row.name:
                self._learn_name(row)
        if len(self._rows) > ROWS_MAX:
            raise RemoteProtocolError(f"more than {ROWS_MAX} peers named on one connection")
        self._shared.clear()
        return tuple(refused)

    def part(self, numbers: Iterable[int]) -> None:
        """These have left; records that named them will be told anew."""
        for number in numbers:
            self._named.pop(number, None)

    def spoken(self, number: int) -> str:
        """Whom this number means, in a person's words."""
        if number == self._self:
            return THIS_PEER
        source, named = self._rows.get(number), self._named.get(number)
        if source is None:
            return "another peer"
        return str(source.endpoint) if named is None else f"{named.name} ({source.endpoint})"

    def named(self) -> dict[PeerName, Named]:
        """Who is there under which name; whoever came last, where several have one name. Never this peer itself."""
        return {self._named[number].name: self._named[number] for number in sorted(self._named)}

    def sources(self, numbers: Sequence[int]) -> tuple[Source, ...]:
        """Those of the first `HOLDERS_MAX` that are known and can be reached, in their order; never this peer itself."""
        key = tuple(islice(numbers, HOLDERS_MAX))
        found = self._shared.get(key)
        if found is None:
            if len(self._shared) >= _SHARED_MAX:
                self._shared.clear()
            known = map(self._rows.get, key)
            found = self._shared[key] = tuple(dict.fromkeys(source for source in known if source is not None))
        return found

    def _learn_name(self, row: PeerRow) -> None:
        source = self._rows[row.n]
        if source is None or not source.speaks_native:
            return
        try:
            name = PeerName.parse(row.name)
        except NameRefused as error:  # it can be fetched from all the same
            log.info("name.refused name=%r reason=%s", row.name, error)
            return
        self._named[row.n] = Named(name=name, author=row.author, endpoint=source.endpoint)
