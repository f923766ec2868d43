"""How much a `Registry` holds at most: the tracker's memory is bounded by these, whatever peers announce."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

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
