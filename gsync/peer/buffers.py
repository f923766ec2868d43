"""Room for blocks on their way from the network to the disk: so much for all large downloads together, used again and again.

Whoever waits for a buffer must hold none: he first lets his own come back. Used by `peer/block_fetch.py`.
"""

from __future__ import annotations

from typing import Final

from gevent.lock import BoundedSemaphore

from gsync.core.blocks import BLOCK_BYTES

BUFFERS_MAX: Final = 48
"""Blocks in all buffers together: enough for half a dozen links at full speed, and for many slow ones."""

SPARE_MAX: Final = 8
"""Blocks in buffers that are kept for the next download when nobody needs them."""


class Buffers:
    """Buffers of one or more blocks each, of at most `limit` blocks together."""

    def __init__(self, *, limit: int = BUFFERS_MAX) -> None:
        self._places = BoundedSemaphore(limit)
        self._spare: list[bytearray] = []

    def take_now(self, blocks: int) -> bytearray | None:
        """A buffer of so many blocks, or of as many as are free now; None while none is."""
        taken = 0
        while taken < blocks and self._places.acquire(blocking=False):
            taken += 1
        return self._buffer(taken) if taken else None

    def take(self) -> bytearray:
        """A buffer of one block, waited for."""
        self._places.acquire()
        return self._buffer(1)

    def give(self, buffer: bytearray) -> None:
        """`buffer` is not needed any more, by anybody."""
        self._spare.append(buffer)
        while sum(map(blocks_in, self._spare)) > SPARE_MAX:
            del self._spare[0]
        for _ in range(blocks_in(buffer)):
            self._places.release()

    def _buffer(self, blocks: int) -> bytearray:
        for number in reversed(range(len(self._spare))):  # the last one is warm
            if blocks_in(self._spare[number]) == blocks:
                return self._spare.pop(number)
        return bytearray(blocks * BLOCK_BYTES)


def blocks_in(buffer: bytearray) -> int:
    """For how many blocks there is room in `buffer`."""
    return len(buffer) // BLOCK_BYTES
