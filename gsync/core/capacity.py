"""How much a `Registry` holds at most: the tracker's memory is bounded by these, whatever peers announce."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from gsync.core.claims import Claim

RECORDS_MAX: Final = 3_000_000
"""Different records that are held, of all paths."""

RECORDS_PER_PEER: Final = 1_500_000
"""Records that one peer may hold."""

SPELLED_MAX_BYTES: Final = 1024 * 1024 * 1024
"""What all records may take, as they are spelled."""


class Room(Struct, frozen=True, kw_only=True):
    """How much a registry holds at most."""

    records: int = RECORDS_MAX
    records_per_peer: int = RECORDS_PER_PEER
    spelled_bytes: int = SPELLED_MAX_BYTES


class Used:
    """How much of it is taken."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.records = 0
        self.spelled_bytes = 0

    def refusal(self, spelled_bytes: int, *, held: int, is_further: bool) -> str:
        """Why a record is not held, of somebody who holds so many, for whom it is a further one or instead of one; "" if it is."""
        if is_further and held >= self._room.records_per_peer:
            return "one peer may not hold more records"
        is_full = is_further and self.records >= self._room.records
        if is_full or self.spelled_bytes + spelled_bytes > self._room.spelled_bytes:
            return "the tracker holds as many records as it may"
        return ""

    def change(self, before: Iterable[Claim], now: Iterable[Claim]) -> None:
        """These claims are held instead of those."""
        for claim in before:
            self.records -= 1
            self.spelled_bytes -= len(claim.spelled)
        for claim in now:
            self.records += 1
            self.spelled_bytes += len(claim.spelled)
