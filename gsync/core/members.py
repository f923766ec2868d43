"""The native peers of a registry, each with a bit of its own, so that all who hold a record are one whole number.

A bit is given again when its peer has left; the number of a peer (`PeerId`) never is. Pure; called by `core/registry.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from gsync.core.holders import PeerId, numbers_of


class Stance(NamedTuple):
    """How the native peers stand to a path: whether what is told of it is no deletion, who holds that, and who holds something else
    that is none; as bits."""

    lives: bool = False
    right: int = 0
    astray: int = 0


class Member:
    """A native peer: its bit among holders, and how many records it holds.

    Of these `right` are what is told, and `astray` something else, deletions aside. One with `part` need not hold everything.
    """

    __slots__ = ("astray", "bit", "part", "peer", "records", "right")

    def __init__(self, peer: PeerId, bit: int) -> None:
        self.peer = peer
        self.bit = bit
        self.records = 0
        self.right = 0
        self.astray = 0
        self.part = False


class Members:
    """All native peers, by their ids and by their bits."""

    def __init__(self) -> None:
        self._by_peer: dict[PeerId, Member] = {}
        self._by_place: list[Member | None] = []
        self._living = 0
        self._laggard: Member | None = None
        self._is_laggard_known = True

    def enter(self, peer: PeerId) -> None:
        """A new one has come; it gets the lowest bit that is free."""
        place = next((place for place, member in enumerate(self._by_place) if member is None), len(self._by_place))
        self._by_peer[peer] = member = Member(peer, 1 << place)
        self._by_place[place : place + 1] = [member]
        self._is_laggard_known = False

    def hold_a_part(self, peer: PeerId) -> None:
        """It keeps its folder on demand."""
        self._by_peer[peer].part = True
        self._is_laggard_known = False

    def leave(self, peer: PeerId) -> None:
        """It is gone; nobody counts it as a holder any more."""
        member = self._by_peer.pop(peer)
        self._by_place[member.bit.bit_length() - 1] = None
        self._is_laggard_known = False

    def get(self, peer: PeerId) -> Member | None:
        """The member with this id, if it is one."""
        return self._by_peer.get(peer)

    def known(self, peer: PeerId) -> Member:
        """The member with this id, which must be one."""
        return self._by_peer[peer]

    def stand(self, before: Stance, now: Stance) -> None:
        """How they stand to a path has changed."""
        if before == now:
            return
        self._living += now.lives - before.lives
        for member in self.of(before.right ^ now.right):
            member.right += 1 if now.right & member.bit else -1
        for member in self.of(before.astray ^ now.astray):
            member.astray += 1 if now.astray & member.bit else -1
        self._is_laggard_known = False

    def step(self, member: Member, by: int, *, is_right: bool) -> None:
        """One holds one more, or one less, of what lives; nothing else has changed."""
        if is_right:
            member.right += by
        else:
            member.astray += by
        self._is_laggard_known = False

    def count(self, before: int, now: int) -> None:
        """Of one path those of `now` hold a record, and not those of `before`."""
        if before != now:
            for member in self.of(before & ~now):
                member.records -= 1
            for member in self.of(now & ~before):
                member.records += 1

    def laggard(self) -> PeerId | None:
        """The first one that holds something else than what is told, or not all that lives, though it is to; a deletion need not be
        known to whoever has nothing there."""
        if not self._is_laggard_known:
            members = self._by_peer.values()
            lags = (one for one in members if one.astray or (one.right != self._living and not one.part))
            self._laggard, self._is_laggard_known = next(lags, None), True
        return None if self._laggard is None else self._laggard.peer

    def complete(self) -> Iterator[Member]:
        """Those who hold all that lives, as it is told."""
        return (one for one in self._by_peer.values() if one.right == self._living and not one.astray)

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
