"""Who has the latest version of a name, and which of them an asker is told.

Holders are spread over the askers, so that the first of them does not serve everybody. An asker keeps the holder that it
was told until that one leaves, so that a response changes only when something has happened. Askers are put in a few
groups, the slots; a slot is answered with one and the same bytes. Pure; called by `tracker/responses.py`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from gsync.core.names import Endpoint

SLOTS: Final = 4
"""Groups of askers; four for peers of ours and four for others make at most eight encodings of the directory."""

ALSO_MAX: Final = 7
"""How many further holders a peer of ours is told: enough that one good holder is found behind several dead ones that came
first, few enough that an entry stays short. One who needs others yet connects anew, and is told of other ones."""

FRONT: Final = 32
"""How many holders of a version a response may choose from; those behind change no response, so that the thousandth peer
with the same files costs nobody a new encoding."""


class PeerId(Struct, frozen=True, order=True):
    """One peer among those of a directory; the number is its caller's choice."""

    number: int


class Holder(Struct, frozen=True, kw_only=True, eq=False):
    """A peer from which files can be fetched, as it announced itself; the same only as itself, so that rows of them hash fast."""

    peer: PeerId
    endpoint: Endpoint
    speaks_gsync: bool
    speaks_native: bool = False


class Offered(Struct, frozen=True, kw_only=True):
    """The latest version of a name, and up to `FRONT` of its holders; at least one, the longest there first."""

    mtime_s: int
    holders: tuple[Holder, ...]


class HolderRow:
    """The peers that hold one version, as small whole numbers: the first `FRONT` in order, the others as bits of an integer.

    A thousand holders take 200 bytes, and to add or remove one takes half a microsecond wherever it stands.
    """

    __slots__ = ("_rest", "front")

    def __init__(self) -> None:
        self.front = array("I")
        self._rest = 0

    def __contains__(self, number: int) -> bool:
        return number in self.front or bool(self._rest >> number & 1)

    def bits(self) -> int:
        """All that stand in the row, a bit for each."""
        bits = self._rest
        for number in self.front:
            bits |= 1 << number
        return bits

    def add(self, number: int) -> bool:
        """Let one more stand in the row; returns whether that changed the front."""
        if len(self.front) < FRONT:
            self.front.append(number)
            return True
        self._rest |= 1 << number
        return False

    def remove(self, number: int) -> bool:
        """Take one out, and let one of the others move up; returns whether that changed the front."""
        if number not in self.front:
            self._rest &= ~(1 << number)
            return False
        self.front.remove(number)
        if self._rest:
            lowest = self._rest & -self._rest
            self._rest ^= lowest
            self.front.append(lowest.bit_length() - 1)
        return True


def numbers_of(bits: int) -> Iterator[int]:
    """The numbers whose bits are set, from the lowest on."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def first_told(holders: Sequence[Holder], *, slot: int, kept: PeerId | None) -> Holder:
    """The holder that askers of `slot` are told: the `kept` one if it is still among them, else the slot's turn."""
    for holder in holders:
        if holder.peer == kept:
            return holder
    return holders[slot % len(holders)]


def also_told(holders: Sequence[Holder], *, slot: int, first: Holder) -> tuple[Holder, ...]:
    """Up to `ALSO_MAX` further holders that speak gsync: each fourth, from the slot's own on, then the earliest others.

    Once `SLOTS * ALSO_MAX` others are there, one more changes nothing.
    """
    others = [holder for holder in holders if holder.speaks_gsync and holder.endpoint != first.endpoint]
    if not others:
        return ()
    chosen = others[slot % len(others) :: SLOTS][:ALSO_MAX]
    rest = [holder for holder in others if holder not in chosen]
    return (*chosen, *rest[: ALSO_MAX - len(chosen)])
