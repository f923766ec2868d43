"""Which blocks of a wanted content still have to come, and where in local files they may be found instead.

A content that was changed in place, or added to, has most of its blocks at the same offsets as before. One that something was
inserted into near its start has them at offsets counted from its end: so an old file is looked at through two grids, from its
start and from its end. What is found is known by its digest, wherever it lies. Blocks of zeros never have to come: a file of
1 TiB that is nearly all holes is a list of a million digests, but a handful of blocks. Pure; `peer/reuse.py` does the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from gsync.core.blocks import BLOCK_BYTES, BLOCK_DIGEST_BYTES, block_count, block_size, zeros_digest

END_GRID_WORTH: Final = 4
"""With no more blocks missing than this, a second look through the old file costs more than fetching them."""

_STRETCH: Final = 1024
"""Digests that are compared at once."""


class Spot(Struct, frozen=True, kw_only=True):
    """A place in a local file at which a block may be."""

    offset: int
    count: int


class Missing:
    """The blocks of a content of `size` bytes that are not here yet; `blocks` are their digests, joined.

    Those in `zero_runs` are full of zeros, and not counted among them.
    """

    def __init__(self, blocks: bytes, *, size: int) -> None:
        self._blocks = blocks
        self._size = size
        self.zero_runs: Final = tuple(_zero_runs(blocks, size=size))
        self._numbers: set[int] = set()
        at = 0
        for run in (*self.zero_runs, range(block_count(size), block_count(size))):
            self._numbers.update(range(at, run.start))
            at = run.stop
        self._by_digest: dict[bytes, list[int]] = {}
        for number in sorted(self._numbers):
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


def no_holes(offset: int) -> int:
    """Of a file that has data everywhere."""
    return offset


def start_grid(*, old_size: int, data_at: Callable[[int], int] = no_holes) -> Iterator[Spot]:
    """The blocks of a local file, counted from its start; but those in its holes, which `data_at` tells."""
    number = 0
    while (number := max(number, data_at(number * BLOCK_BYTES) // BLOCK_BYTES)) < block_count(old_size):
        yield Spot(offset=number * BLOCK_BYTES, count=block_size(number, size=old_size))
        number += 1


def end_grid(*, old_size: int, size: int, data_at: Callable[[int], int] = no_holes) -> Iterator[Spot]:
    """Where the blocks of a content of `size` bytes lie in a local file, if both end alike; none where that is the start grid."""
    shift = old_size - size
    if shift % BLOCK_BYTES == 0:
        return
    number = max(0, -(shift // BLOCK_BYTES))
    while True:
        number = max(number, (data_at(number * BLOCK_BYTES + shift) - shift) // BLOCK_BYTES)
        if number >= block_count(size):
            return
        yield Spot(offset=number * BLOCK_BYTES + shift, count=block_size(number, size=size))
        number += 1


def _zero_runs(blocks: bytes, *, size: int) -> Iterator[range]:
    """The numbers of the blocks that are full of zeros; what follows each other is one range."""
    zeros = zeros_digest(BLOCK_BYTES)
    stretch = zeros * _STRETCH
    whole, rest = divmod(size, BLOCK_BYTES)
    number = 0
    while number < whole:
        start = number
        while blocks.startswith(stretch, number * BLOCK_DIGEST_BYTES):
            number += _STRETCH
        while blocks.startswith(zeros, number * BLOCK_DIGEST_BYTES):
            number += 1
        number = min(number, whole)  # the last one is shorter: that digest cannot be its own
        if number > start:
            yield range(start, number)
        number += 1
    if rest and blocks[whole * BLOCK_DIGEST_BYTES :] == zeros_digest(rest):
        yield range(whole, whole + 1)
