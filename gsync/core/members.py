"""The native peers of a registry, each with a bit of its own, so that all who hold a record are one whole number.

A bit is given again when its peer has left; the number of a peer (`PeerId`) never is. Pure; called by `core/registry.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from gsync.core.holders import PeerId, numbers_of


class Member:
    """A native peer: its bit among holders, and how many records it holds."""

    __slots__ = ("bit", "peer", "records")

    def __init__(self, peer: PeerId, bit: int) -> None:
        self.peer = peer
        self.bit = bit
        self.records = 0


class Members:
    """All native peers, by their ids and by their bits."""

    def __init__(self) -> None:
        self._by_peer: dict[PeerId, Member] = {}
        self._by_place: list[Member | None] = []

    def enter(self, peer: PeerId) -> None:
        """A new one has come; it gets the lowest bit that is free."""
        place = next((place for place, member in enumerate(self._by_place) if member is None), len(self._by_place))
        self._by_peer[peer] = member = Member(peer, 1 << place)
        self._by_place[place : place + 1] = [member]

    def leave(self, peer: PeerId) -> None:
        """It is gone; nobody counts it as a holder any more."""
        member = self._by_peer.pop(peer)
        self._by_place[member.bit.bit_length() - 1] = None

    def get(self, peer: PeerId) -> Member | None:
        """The member with this id, if it is one."""
        return self._by_peer.get(peer)

    def known(self, peer: PeerId) -> Member:
        """The member with this id, which must be one."""
        return self._by_peer[peer]

    def of(self, bits: int) -> Iterator[Member]:
        """Those whose bits are set."""
        return self.at(numbers_of(bits))

    def from_turn(self, bits: int, turn: int) -> Iterator[Member]:
        """The same, beginning with another one at each `turn`."""
        start = turn % bits.bit_length() if bits else 0
        late = bits >> start << start
        return self.at(chain(numbers_of(late), numbers_of(bits & ~late)))

    def at(self, places: Iterable[int]) -> Iterator[Member]:
        """Those whose bits stand at these places."""
        for place in places:
            member = self._by_place[place]
            if member is not None:
                yield member
