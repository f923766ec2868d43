"""Which blocks of a wanted content still have to come, and where in local files they may be found instead.

A content that was changed in place, or added to, has most of its blocks at the same offsets as before. One that something was
inserted into near its start has them at offsets counted from its end: so an old file is looked at through two grids, from its
start and from its end. What is found is known by its digest, wherever it lies. Pure; `peer/reuse.py` does the reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from gsync.core.blocks import BLOCK_BYTES, BLOCK_DIGEST_BYTES, block_count, block_digest, block_size

END_GRID_WORTH: Final = 4
"""With no more blocks missing than this, a second look through the old file costs more than fetching them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A place in a local file at which a block may be."""

    offset: int
    count: int


class Missing:
    """The blocks of a content of `size` bytes that are not here yet; `blocks` are their digests, joined."""

    def __init__(self, blocks: bytes, *, size: int) -> None:
        self._blocks = blocks
        self._size = size
        self._numbers = set(range(block_count(size)))
        self._by_digest: dict[bytes, list[int]] = {}
        for number in range(block_count(size)):
            self._by_digest.setdefault(self.digest(number), []).append(number)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, number: object) -> bool:
        return number in self._numbers

    def __iter__(self) -> Iterator[int]:
        """Their numbers, from the start of the content."""
        return iter(sorted(self._numbers))

    def digest(self, number: int) -> bytes:
        """The digest that block `number` must have."""
        return self._blocks[number * BLOCK_DIGEST_BYTES : (number + 1) * BLOCK_DIGEST_BYTES]

    def spot(self, number: int) -> Spot:
        """Where in the content block `number` is."""
        return Spot(offset=number * BLOCK_BYTES, count=block_size(number, size=self._size))

    def wanting(self, digest: bytes) -> list[int]:
        """The missing blocks that have this digest."""
        return [number for number in self._by_digest.get(digest, ()) if number in self._numbers]

    def found(self, number: int) -> None:
        """Block `number` is here."""
        self._numbers.discard(number)

    def zeros(self) -> list[int]:
        """The missing blocks that are full of zeros: nobody has to send them."""
        return self.wanting(zero_block_digest())


def start_grid(*, old_size: int) -> Iterator[Spot]:
    """The blocks of a local file, counted from its start."""
    for number in range(block_count(old_size)):
        yield Spot(offset=number * BLOCK_BYTES, count=block_size(number, size=old_size))


def end_grid(*, old_size: int, size: int) -> Iterator[Spot]:
    """Where the blocks of a content of `size` bytes lie in a local file, if both end alike; none where that is the start grid."""
    shift = old_size - size
    if shift % BLOCK_BYTES == 0:
        return
    for number in range(block_count(size)):
        offset = number * BLOCK_BYTES + shift
        if offset >= 0:
            yield Spot(offset=offset, count=block_size(number, size=size))


@cache
def zero_block_digest() -> bytes:
    """The digest of a whole block of zeros."""
    return block_digest(bytes(BLOCK_BYTES))
