"""The throttle: how many bytes pass in what time, and in which order those who ask get theirs."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.net.throttle import BURST_S, PORTION_MIN_BYTES, Throttle

RATE = 1_000_000
BURST = int(RATE * BURST_S)


@pytest.fixture
def world() -> Iterator[World]:
    with simulated() as world:
        yield world


def test_without_a_rate_nobody_waits(world: World) -> None:
    throttle = Throttle(None, world.clock)
    for _ in range(1000):
        throttle.take(1 << 30)
    assert world.now_s == 0.0
    assert throttle.is_open
    assert throttle.portion(1 << 30) == 1 << 30


@pytest.mark.parametrize("rate", [0, -1, -0.5])
def test_a_rate_that_lets_nothing_pass_is_refused(world: World, rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Throttle(rate, world.clock)


def test_a_burst_passes_at_once_and_the_next_byte_waits(world: World) -> None:
    throttle = Throttle(RATE, world.clock)
    throttle.take(BURST)
    assert world.now_s == 0.0
    throttle.take(1)
    assert world.now_s == pytest.approx(1 / RATE)


def test_ten_seconds_bring_ten_times_the_rate(world: World) -> None:
    throttle, passed = Throttle(RATE, world.clock), 0
    while world.now_s < 10:
        throttle.take(64 * 1024)
        passed += 64 * 1024
    assert 10 * RATE - BURST <= passed <= 10 * RATE + BURST + 64 * 1024


def test_more_than_a_burst_takes_as_long_as_it_takes(world: World) -> None:
    throttle = Throttle(RATE, world.clock)
    throttle.take(5 * RATE)
    assert world.now_s == pytest.approx(5 - BURST_S)


def test_a_long_pause_is_made_up_for_by_one_burst_only(world: World) -> None:
    throttle = Throttle(RATE, world.clock)
    throttle.take(BURST)
    gevent.sleep(3600)
    throttle.take(BURST)
    assert world.now_s == 3600
    throttle.take(RATE)
    assert world.now_s == pytest.approx(3601)


def test_nothing_is_taken_by_whoever_asks_for_nothing(world: World) -> None:
    throttle = Throttle(RATE, world.clock)
    throttle.take(BURST)
    throttle.take(0)
    throttle.take(-5)
    assert world.now_s == 0.0


def test_those_who_ask_get_theirs_in_order_and_evenly(world: World) -> None:
    throttle = Throttle(RATE, world.clock)
    order: list[str] = []

    def move(name: str) -> None:
        for _ in range(20):
            throttle.take(BURST)
            order.append(name)

    with TaskGroup() as tasks:
        for name in "abcd":
            tasks.spawn(move, name)
    assert world.now_s == pytest.approx((4 * 20 - 1) * BURST_S)
    assert all(sorted(order[start : start + 4]) == list("abcd") for start in range(4, len(order) - 4, 4))


def test_one_with_a_small_wish_is_not_overtaken_by_later_ones(world: World) -> None:
    throttle, order = Throttle(RATE, world.clock), list[str]()

    def take(name: str, count: int) -> None:
        throttle.take(count)
        order.append(name)

    with TaskGroup() as tasks:
        tasks.spawn(take, "large", 10 * RATE)
        tasks.spawn(take, "small", 1)
        tasks.spawn(take, "medium", BURST)
    assert order == ["large", "small", "medium"]


def test_who_gives_up_has_taken_nothing(world: World) -> None:
    throttle = Throttle(RATE, world.clock)
    patience = gevent.Timeout(1)
    with pytest.raises(gevent.Timeout), patience:
        throttle.take(100 * RATE)
    assert world.now_s == 1
    throttle.take(BURST)
    assert world.now_s == 1


def test_the_time_of_one_who_gives_up_before_others_passes_unused(world: World) -> None:
    throttle, done = Throttle(RATE, world.clock), list[float]()

    def give_up() -> None:
        with gevent.Timeout(0.5, False):
            throttle.take(RATE + BURST)

    def take() -> None:
        throttle.take(RATE)
        done.append(world.now_s)

    with TaskGroup() as tasks:
        tasks.spawn(give_up)
        tasks.spawn(take)
        gevent.sleep(0.75)
        tasks.spawn(take)
    assert done == [pytest.approx(2), pytest.approx(3)]


def test_a_portion_is_a_burst_but_never_a_crumb(world: World) -> None:
    assert Throttle(RATE, world.clock).portion(1 << 30) == BURST
    assert Throttle(RATE, world.clock).portion(10) == 10
    assert Throttle(1024, world.clock).portion(1 << 30) == PORTION_MIN_BYTES
    assert Throttle(1024, world.clock).portion(10) == 10


steps = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 3 * BURST), st.booleans()), max_size=30)


@given(steps)
def test_in_no_stretch_of_time_does_more_pass_than_the_rate_and_a_burst(steps: list[tuple[float, int, bool]]) -> None:
    with simulated() as world:
        throttle = Throttle(RATE, world.clock)
        passed: list[tuple[float, int]] = []

        def take(count: int, gives_up: bool) -> None:
            with gevent.Timeout(0.05 if gives_up else 1000, False):
                throttle.take(count)
                passed.append((world.now_s, count))

        with TaskGroup() as tasks:
            for pause_s, count, gives_up in steps:
                gevent.sleep(pause_s / 10)
                tasks.spawn(take, count, gives_up)
    for first in range(len(passed)):
        began = passed[first][0]
        total = 0
        for when, count in passed[first:]:
            total += count
            assert (
                total - passed[first][1] <= RATE * (when - began) + BURST + 1
            )  # the first piece came before its stretch
