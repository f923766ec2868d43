"""`Throttle`: lets no more bytes a second through than a person allowed, all connections together.

A token bucket that is kept as a moment: each taker is given the next stretch of time that is free, in the order of asking,
so nobody is overtaken and nobody starves. It moves no bytes and opens no connection; whoever is about to send or receive some
takes them here first. One for each direction of a peer, made by `cli/`; called by the uploaders and the fetchers.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

import gevent

from gsync.net.clock import Clock

BURST_S: Final = 0.1
"""How long a pause may be made up for at once: a tenth of a second's worth of bytes, and no more, comes in one piece."""

PORTION_MIN_BYTES: Final = 4096
"""Smaller pieces would cost more than they smooth."""


class Throttle:
    """Allows `rate_bytes_per_s` on the long run; without a rate everything passes at once."""

    def __init__(self, rate_bytes_per_s: float | None, clock: Clock) -> None:
        if rate_bytes_per_s is not None and rate_bytes_per_s <= 0:
            raise ValueError("a rate is more than nothing")
        self._rate = rate_bytes_per_s
        self._clock = clock
        self._free_at = clock.monotonic() - BURST_S  # until then all time is given away

    @property
    def is_open(self) -> bool:
        """Whether everything passes at once."""
        return self._rate is None

    def portion(self, most: int) -> int:
        """How many of `most` bytes to take next, so that many connections share the rate evenly and none of them waits long."""
        if self._rate is None:
            return most
        return min(most, max(PORTION_MIN_BYTES, int(self._rate * BURST_S)))

    def take(self, count: int) -> None:
        """Wait until `count` more bytes may pass; more than a burst takes as long as it takes.

        Whoever is killed or timed out here has taken nothing; only where others wait behind him his time passes unused.
        """
        if self._rate is None or count <= 0:
            return
        now = self._clock.monotonic()
        takes_s = count / self._rate
        mine = self._free_at = max(self._free_at, now - BURST_S) + takes_s
        if mine <= now:
            return
        with ExitStack() as undo:  # of a Timeout or a kill, which wakes it early: what was reserved is free then
            undo.callback(self._give_back, mine, takes_s)
            gevent.sleep(mine - now)
            undo.pop_all()

    def _give_back(self, mine: float, takes_s: float) -> None:
        if self._free_at == mine:
            self._free_at = mine - takes_s
