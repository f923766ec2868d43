"""Room for blocks on their way from the network to the disk: so much for all large downloads together, used again and again.

Whoever waits for a buffer must hold none: he first lets his own come back. Used by `peer/block_fetch.py`.
"""

from __future__ import annotations

from typing import Final

from gevent.lock import BoundedSemaphore

from gsync.core.blocks import BLOCK_BYTES

BUFFERS_MAX: Final = 48
"""Of one block each: enough for a dozen links at full speed."""

SPARE_MAX: Final = 8
"""Kept for the next download when nobody needs them."""


class Buffers:
    """Buffers of one block each, at most `limit` of them in use."""

    def __init__(self, *, limit: int = BUFFERS_MAX) -> None:
        self._places = BoundedSemaphore(limit)
        self._spare: list[bytearray] = []

    def take_now(self) -> bytearray | None:
        """A buffer, if one is free."""
        return self._buffer() if self._places.acquire(blocking=False) else None

    def take(self) -> bytearray:
        """A buffer, waited for."""
        self._places.acquire()
        return self._buffer()

    def give(self, buffer: bytearray) -> None:
        """`buffer` is not needed any more, by anybody."""
        if len(self._spare) < SPARE_MAX:
            self._spare.append(buffer)
        self._places.release()

    def _buffer(self) -> bytearray:
        return self._spare.pop() if self._spare else bytearray(BLOCK_BYTES)
