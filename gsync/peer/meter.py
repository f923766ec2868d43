"""Tells each second how the peer itself is doing; only with `--stats`, for those who measure (`gsync stress`)."""

from __future__ import annotations

import gc
import operator
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final, Protocol

import gevent

from gsync.net.lag import LoopLag
from gsync.net.tasks import TaskGroup
from gsync.peer.events import Cause, Events, Stats

EVERY_S: Final = 1.0


class Receiver(Protocol):
    """The counts of whoever receives contents: the classic fetcher, or the native links."""

    @property
    def bytes_received(self) -> int: ...

    @property
    def late_timeouts(self) -> int: ...


class Meter:
    """Reads the counts of its neighbours; `failed` goes on growing while this runs."""

    def __init__(
        self, *, receivers: Sequence[Receiver], failed: Mapping[Cause, int], events: Events, lag: LoopLag
    ) -> None:
        self._receivers = receivers
        self._failed = failed
        self._events = events
        self._lag = lag

    def run(self) -> None:
        """Tell each second, and once more when stopped; never returns."""
        with TaskGroup() as tasks:
            tasks.spawn(self._lag.run)
            try:
                while True:
                    gevent.sleep(EVERY_S)
                    self._tell()
            finally:
                self._tell()

    def _tell(self) -> None:
        self._events.tell(
            Stats(
                bytes_received=sum(receiver.bytes_received for receiver in self._receivers),
                failed=dict(self._failed),
                late=sum(receiver.late_timeouts for receiver in self._receivers),
                greenlets=_greenlets(),
                lag_ms=tuple(round(ms, 3) for ms in self._lag.take()),
            )
        )


def _greenlets() -> int:
    """How many greenlets this process holds, whoever spawned them; looks through all objects: 5 ms for 100,000.

    In one call that runs no Python code, so that no other thread has its turn meanwhile: the list of all objects holds tuples which
    those threads are still building, and CPython does not finish a tuple that somebody else holds, but raises SystemError there.
    """
    kinds = {gevent.Greenlet, *gevent.Greenlet.__subclasses__()}
    objects = chain.from_iterable(map(operator.call, (gc.get_objects,)))  # asked for within the sum
    return sum(map(kinds.__contains__, map(type, objects)))
