"""The clocks."""

import gevent

from gsync.net.clock import HubClock, SystemClock
from gsync.net.simulation import simulated


def test_the_systems_monotonic_clock_never_goes_back() -> None:
    clock = SystemClock()
    times = [clock.monotonic() for _ in range(100)]
    assert times == sorted(times)


def test_the_systems_wall_clock_is_past_the_year_this_was_written_in() -> None:
    assert SystemClock().wall() > 1_700_000_000


def test_the_hubs_clock_follows_virtual_time_and_its_wall_can_be_set() -> None:
    with simulated():
        clock = HubClock(epoch_s=1000.0)
        gevent.sleep(7)
        assert (clock.monotonic(), clock.wall()) == (7, 1007)
        clock.epoch_s = 500.0
        assert (clock.monotonic(), clock.wall()) == (7, 507)
