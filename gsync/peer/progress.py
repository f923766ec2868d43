"""Tells four times a second how far it is, while files are being fetched and only then. Spawned by the syncer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import gevent
from gevent.event import Event

from gsync.net.clock import Clock
from gsync.peer.events import Events, Progress
from gsync.peer.outcomes import Outcomes

PROGRESS_S: Final = 0.25


class Speaker:
    """Knows when it is busy; `bytes_received` counts since the start, `left` are the files that are still to come."""

    def __init__(
        self,
        *,
        outcomes: Outcomes,
        bytes_received: Callable[[], int],
        left: Callable[[], int],
        events: Events,
        clock: Clock,
    ) -> None:
        self._outcomes = outcomes
        self._bytes_received = bytes_received
        self._left = left
        self._events = events
        self._clock = clock
        self._bytes_before = 0
        self.busy = Event()
        """Set while something is on its way."""

    def begin_round(self) -> None:
        """Count bytes from here."""
        self._bytes_before = self._bytes_received()

    def run(self) -> None:
        """Tell; never returns."""
        while True:
            self.busy.wait()
            before, since = self._bytes_received(), self._clock.monotonic()
            gevent.sleep(PROGRESS_S)
            if not self.busy.is_set() or not self._left():
                continue
            seconds = self._clock.monotonic() - since
            self._events.tell(
                Progress(
                    files_left=self._left(),
                    files_done=self._outcomes.round.fetched,
                    bytes_done=self._bytes_received() - self._bytes_before,
                    bytes_per_s=(self._bytes_received() - before) / max(seconds, 1e-6),
                )
            )
