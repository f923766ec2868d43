"""`LoopLag`: how late the loop comes round to what is due, which is how long one greenlet keeps all others waiting.

A late loop makes keepalives late, and makes Timeouts strike at sources whose bytes are already here.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import gevent

from gsync.net.clock import Clock

LOOK_S: Final = 0.02
"""Time between looks: 50 a second cost a tenth of a percent of a core, and a stall of 20 ms or more meets at least one."""

_LOOKS_MAX: Final = 500


class LoopLag:
    """Sleeps, and notes how much later than asked it woke; with nobody to `take` them, the newest looks are kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._late_ms: deque[float] = deque(maxlen=_LOOKS_MAX)

    def run(self) -> None:
        """Look again and again; never returns."""
        while True:
            due = self._clock.monotonic() + LOOK_S
            gevent.sleep(LOOK_S)
            self._late_ms.append(max(self._clock.monotonic() - due, 0.0) * 1000)

    def take(self) -> tuple[float, ...]:
        """How late it was at each look since the last call, in milliseconds."""
        taken = tuple(self._late_ms)
        self._late_ms.clear()
        return taken
