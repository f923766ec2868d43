"""What is said of a path, and who of its holders is named with it: some of many, those whom everybody knows first.

Pure; owned by the registry.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import Final

from gsync.core.claims import Claims, Spelling, Told
from gsync.core.members import Members

HELD_MAX: Final = 8
"""How many holders are named with a record."""


class Mentions:
    """Speaks of holders by the numbers of these members."""

    def __init__(self, members: Members, spelling: Spelling) -> None:
        self._members = members
        self._spelling = spelling

    def say(self, claims: Claims, *, is_known: bool = False) -> Told:
        """What there is to say; where its record `is_known` to everybody, with a lone newcomer marked as such."""
        if claims.classic and claims.shows_classic(self._spelling):
            return Told(path=claims.path, spelled=claims.shown(self._spelling), holders=claims.classic[1])
        named = self.named(claims)
        holders = tuple([member.peer.number for member in self._members.of(named)])
        newcomer = self._newcomer(claims, named) if is_known else None
        return Told(path=claims.path, spelled=claims.spelled, holders=holders, newcomer=newcomer)

    def named(self, claims: Claims) -> int:
        """The holders that are named with the record, as bits: those whom everybody knows first, then others by turns."""
        if not claims.gives:
            return 0
        if claims.holders.bit_count() <= HELD_MAX:
            return claims.holders
        others = self._members.from_turn(claims.holders & ~claims.told, claims.row)
        chosen = chain(self._members.of(claims.told), others)
        return sum([member.bit for member in islice(chosen, HELD_MAX)])

    def _newcomer(self, claims: Claims, named: int) -> int | None:
        """The one further holder that there is, of whom nobody was told, while others of whom all were told are there still."""
        news = named & ~claims.told
        if not claims.told or news.bit_count() != 1:
            return None
        (member,) = self._members.of(news)
        return member.peer.number
