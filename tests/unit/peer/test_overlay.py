"""When the copies of a peer get timers of their own: once nobody tells what changes, and nobody is about to."""

from __future__ import annotations

import random
from collections.abc import Callable

import gevent
import pytest

from gsync.core.names import PeerName
from gsync.net.simulation import simulated
from gsync.net.tasks import TaskGroup
from gsync.peer.neighbours import Me
from gsync.peer.overlay import AWAY_S, TELLING_S, Overlay
from gsync.peer.settings import Settings
from tests.unit.peer.native_world import hashed_trees
from tests.unit.peer.world import Lan, folder_with


def awake_after_s(*, tells: Callable[[], bool], is_about_to_tell: Callable[[], bool], within_s: float) -> float | None:
    """When the one copy of a peer had a state of its own, to the second; None if it never did."""
    with simulated() as world:
        trees = hashed_trees(folder_with({"a": b"content"}))
        overlay = Overlay(
            me=Me(name=PeerName.parse("ada"), author="0123456789abcdef", life="1"),
            settings=Settings(tracker=None, name="ada"),
            trees=trees,
            network=Lan(world).here,
            clock=world.clock,
            rng=random.Random(1),
            port=lambda: 2001,
            offer=lambda offers: None,
            tells_changes=tells,
            nobody_will_tell=lambda: False,
            is_about_to_tell=is_about_to_tell,
        )
        with TaskGroup() as tasks:
            tasks.spawn(overlay.run)
            for second in range(round(within_s)):
                gevent.sleep(1)
                if list(overlay.fresh.copies()):
                    tasks.cancel()
                    return second + 1
            tasks.cancel()
    return None


@pytest.mark.parametrize(("is_about_to_tell", "expected_s"), [(False, AWAY_S), (True, TELLING_S)])
def test_while_a_tracker_is_about_to_tell_everything_copies_wait_for_it_longer(
    is_about_to_tell: bool, expected_s: float
) -> None:
    awake_s = awake_after_s(tells=lambda: False, is_about_to_tell=lambda: is_about_to_tell, within_s=2 * TELLING_S)
    assert awake_s is not None
    assert expected_s <= awake_s <= expected_s + AWAY_S + 1


def test_while_a_tracker_tells_what_changes_no_copy_costs_anything() -> None:
    assert awake_after_s(tells=lambda: True, is_about_to_tell=lambda: False, within_s=2 * TELLING_S) is None
