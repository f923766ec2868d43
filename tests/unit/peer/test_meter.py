"""What a peer tells of itself, each second and at its end."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import gevent

from gsync.net.lag import LoopLag
from gsync.net.simulation import simulated
from gsync.net.tasks import TaskGroup
from gsync.peer.events import Cause, Stats
from gsync.peer.meter import Meter, _greenlets
from tests.unit.peer.world import Heard


class Counts:
    """A receiver that only counts."""

    bytes_received = 0
    late_timeouts = 0


def test_counts_are_told_each_second_and_once_more_at_the_end() -> None:
    heard, counts, native, failed = Heard(), Counts(), Counts(), Counter[Cause]()
    with simulated() as world:
        meter = Meter(receivers=(counts, native), failed=failed, events=heard.events, lag=LoopLag(world.clock))
        with TaskGroup() as tasks:
            tasks.spawn(meter.run)
            gevent.sleep(1.1)
            failed[Cause.STALLED] += 1
            counts.bytes_received, counts.late_timeouts = 7, 2
            native.bytes_received, native.late_timeouts = 50, 1
            gevent.sleep(0.4)
            tasks.cancel()
    first, last = heard.of(Stats)
    assert isinstance(first, Stats)
    assert isinstance(last, Stats)
    assert (first.failed, first.bytes_received, first.late, len(first.lag_ms)) == ({}, 0, 0, 49)
    assert (last.failed, last.bytes_received, last.late) == ({Cause.STALLED: 1}, 57, 3)
    assert first.greenlets >= 2


def test_counting_greenlets_disturbs_no_thread_that_builds_a_tuple() -> None:
    counted = threading.Event()

    def build() -> None:
        while not counted.is_set():
            assert len(tuple(number for number in range(50))) == 50

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(max_workers=2) as threads:
            building = [threads.submit(build) for _ in range(2)]
            for _ in range(30):
                _greenlets()
            counted.set()
        assert [done.exception() for done in building] == [None, None]
    finally:
        sys.setswitchinterval(interval)
