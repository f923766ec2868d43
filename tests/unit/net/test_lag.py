"""How late the loop is, seen from inside a simulated world, where only what a test does takes time."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from gsync.net.lag import LOOK_S, LoopLag
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup


class SlowClock:
    """The world's clock, on which `busy_s` goes by without a wait."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.busy_s = 0.0

    def monotonic(self) -> float:
        return self._world.clock.monotonic() + self.busy_s

    def wall(self) -> float:
        return self._world.clock.wall()


@pytest.fixture
def world() -> Iterator[World]:
    with simulated() as world:
        yield world


def test_a_loop_with_nothing_to_do_is_never_late(world: World) -> None:
    lag = LoopLag(world.clock)
    with TaskGroup() as tasks:
        tasks.spawn(lag.run)
        gevent.sleep(100.5 * LOOK_S)
        tasks.cancel()
    late_ms = lag.take()
    assert len(late_ms) == 100
    assert max(late_ms) < 0.001


def test_a_greenlet_that_keeps_the_loop_is_seen_by_the_next_look(world: World) -> None:
    clock = SlowClock(world)
    lag = LoopLag(clock)
    with TaskGroup() as tasks:
        tasks.spawn(lag.run)
        gevent.sleep(1.5 * LOOK_S)
        clock.busy_s = 0.25
        gevent.sleep(2 * LOOK_S)
        tasks.cancel()
    assert [round(ms) for ms in lag.take()] == [0, 250, 0]


def test_what_was_taken_is_not_told_again_and_what_nobody_takes_is_bounded(world: World) -> None:
    lag = LoopLag(world.clock)
    with TaskGroup() as tasks:
        tasks.spawn(lag.run)
        gevent.sleep(1000.5 * LOOK_S)
        assert len(lag.take()) == 500
        assert lag.take() == ()
        tasks.cancel()
