"""What time it is, given to the rooms as a parameter; waiting is gevent's, which a simulated world replaces by itself."""

from __future__ import annotations

import time
from typing import Protocol

import gevent


class Clock(Protocol):
    """Two times: one for intervals and deadlines, one to be shown, stored and compared between machines."""

    def monotonic(self) -> float:
        """Seconds from some fixed moment; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since 1970, as far as this machine knows; may jump either way."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


class HubClock:
    """The time of the hub that runs now: virtual time in a simulated world.

    `epoch_s` is what `wall` says at the hub's zero; set it to make this machine's clock jump, or be wrong from the start.
    """

    def __init__(self, *, epoch_s: float = 1_750_000_000.0) -> None:
        self.epoch_s = epoch_s

    def monotonic(self) -> float:
        return float(gevent.get_hub().loop.now())

    def wall(self) -> float:
        return self.epoch_s + self.monotonic()
