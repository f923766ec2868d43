"""The native side begins with its first peer, ends with the tracker, and does not hide it when the telling has failed."""

from __future__ import annotations

from typing import NoReturn

import gevent
import pytest

from gsync.core.directory import Directory
from gsync.core.holders import PeerId
from gsync.core.names import Endpoint, RelPath
from gsync.net.simulation import World, simulated
from gsync.tracker.natives import Natives
from gsync.tracker.telling import Telling, row_of
from tests.unit.tracker.world import swarm


def natives(world: World, directory: Directory | None = None) -> Natives:
    return Natives(directory=directory or Directory(), clock=world.clock, epoch="e")


def test_a_tracker_without_native_peers_does_no_work_for_any() -> None:
    with simulated() as world:
        directory = Directory()
        idle = natives(world, directory)
        endpoint = Endpoint("192.0.2.1", 9000)
        directory.announce(PeerId(1), endpoint=endpoint, files={RelPath.parse("a"): 5}, knows_gsync=False)
        idle.meet_classic(1, endpoint, knows_gsync=False)
        idle.note_classic()
        gevent.sleep(1.0)
        assert len(idle._registry) == 0
        idle.leave(PeerId(1))
        idle.close()


def test_a_telling_that_failed_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(telling: Telling) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr(Telling, "run", fail)
    with simulated() as world:
        broken = natives(world)
        broken._begin()
        gevent.sleep(1.0)
        with pytest.raises(RuntimeError, match="nobody tells"):
            broken._begin()
        with pytest.raises(ZeroDivisionError):
            broken.close()


def test_when_the_last_listener_closes_nobody_is_told_any_more() -> None:
    with swarm() as world:
        world.native(2).join()
        world.later(0.1)
        natives = world.tracker._natives
        assert natives._teller is not None
        world.listener.close()
        assert natives._teller.done
        assert world.tracker._natives is not natives


@pytest.mark.parametrize(
    ("ip", "told"), [("127.0.0.1", ""), ("::1", ""), ("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::1")]
)
def test_a_peer_over_loopback_is_introduced_without_address(ip: str, told: str) -> None:
    assert row_of(1, Endpoint(ip, 9000), speaks=0).ip == told
