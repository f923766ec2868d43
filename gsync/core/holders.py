"""Who has the latest version of a name, and which of them an asker is told.

Holders are spread over the askers, so that the first of them does not serve everybody. An asker keeps the holder that it
was told until that one leaves, so that a response changes only when something has happened. Askers are put in a few
groups, the slots; a slot is answered with one and the same bytes. Pure; called by `tracker/responses.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gsync.core.names import Endpoint

SLOTS: Final = 4
"""Groups of askers; four for peers of ours and four for others make at most eight encodings of the directory."""

ALSO_MAX: Final = 3
"""How many further holders a peer of ours is told."""


@dataclass(frozen=True, slots=True, order=True)
class PeerId:
    """One peer among those of this directory; the number is the tracker's choice, below 2**32."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A peer from which files can be fetched, as it announced itself."""

    peer: PeerId
    endpoint: Endpoint
    speaks_gsync: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """The latest version of a name, and its first holders in the order in which they announced it; at least one."""

    mtime_s: int
    holders: tuple[Holder, ...]


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
    others = [holder for holder in holders if holder.speaks_gsync and holder is not first]
    if len(others) <= 1:
        return tuple(others)
    chosen = others[slot % len(others) :: SLOTS][:ALSO_MAX]
    rest = [holder for holder in others if holder not in chosen]
    return (*chosen, *rest[: ALSO_MAX - len(chosen)])
