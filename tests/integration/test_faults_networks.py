"""faults.md row 11: the network breaks between real machines (namespaces); when it is whole again, all are equal within 30 s.

One swarm goes through all faults, one after the other. While each lasts, persons go on working on every machine, and a large file
is on its way; nothing of that may be lost, and no absence may be taken for a deletion.
"""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.e2e import folders, live
from tests.e2e.cluster import GSYNC, Cluster, Peer, Program
from tests.integration.networks import Machine, Network, network
from tests.integration.sizes import limit_s, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300)), pytest.mark.root("make networks")]

HEALED_S = 30.0
PORT = 9000
LARGE = 6 * 1024**2
UPLINK = "4M"
"""So that a large file is on its way for a second or two."""

LASTS_S = (2.0, 3.0)
LASTS_LONG_S = (5.0, 20.0, 28.0, 45.0, 60.0)
"""How long a fault lasts: in CI; and in long runs, below and above what a peer takes for silence."""


class World:
    """A tracker and three peers, each on its own machine."""

    def __init__(self, cluster: Cluster, net: Network) -> None:
        self.cluster = cluster
        self.net = net
        self.hub, *self.homes = net.machines
        self.tracker = self._start_tracker()
        self.peers = [self._start_peer(machine) for machine in self.homes]
        self._numbers = itertools.count()
        self.kept: dict[str, bytes] = {}
        """Files that must stand in every folder in the end."""

    def work(self) -> None:
        """On each machine: a new file, an edit of its own, a rename, a deletion; on one of them a large file."""
        for peer in self.peers:
            number, name, folder = next(self._numbers), peer.folder.name, peer.folder
            self._write(folder, f"new {number}", folders.noise(3000, seed=number))
            self._write(folder, f"of {name}", f"edit {number} of {name}\n".encode())
            (folder / "deep" / name).mkdir(parents=True, exist_ok=True)
            self._write(folder, f"deep/{name}/{number}", b"%d" % number)
            for pattern, do in (("renamed *", Path.unlink), ("new *", lambda p: p.rename(p.with_name(f"re{p.name}d")))):
                for path in [p for p in sorted(folder.glob(pattern)) if self._is_old(p, number)][:1]:
                    content = self.kept.pop(path.name, None)
                    do(path)
                    if content is not None and pattern == "new *":
                        self.kept[f"re{path.name}d"] = content
        number = next(self._numbers)
        self._write(self.peers[0].folder, "large", folders.noise(LARGE, seed=number))

    def _is_old(self, path: Path, number: int) -> bool:
        digits = "".join(filter(str.isdigit, path.name))
        return bool(digits) and int(digits) < number - 8 and int(digits) % 3 == number % 3

    def _write(self, folder: Path, name: str, content: bytes) -> None:
        folders.write(folder, name, content, mtime_s=folders.OLD + next(self._numbers))
        self.kept[name] = content

    def restart_tracker(self) -> None:
        self.tracker.kill()
        self.tracker = self._start_tracker()

    def restart(self, place: int) -> None:
        self.peers[place].kill()
        self.peers[place] = self._start_peer(self.homes[place])

    def heals(self, *, within_s: float) -> None:
        """All are equal in time, and everything that persons made is there."""
        self.cluster.until(lambda: len({peer.code for peer in self.peers}) == 1, "every peer alive")
        found = live.settle(self.peers, within_s=within_s)
        here = {str(name): (self.peers[0].folder / name).read_bytes() for name in self.kept if name in found}
        assert here == self.kept
        assert not any(peer.events("file.conflict") for peer in self.peers)

    def _start_tracker(self) -> Program:
        words = ["tracker", str(PORT), f"--listen={self.hub.ip}"]
        return self.cluster.run([*self.hub.inside, *GSYNC, *words])

    def _start_peer(self, machine: Machine) -> Peer:
        name = machine.namespace.rpartition("-")[2]
        options = ["--no-tracker", "--timeout=5", f"--limit-up={UPLINK}", "-v"]
        return self.cluster.peer(name, PORT, *options, within=machine.inside, tracker_ip=self.hub.ip)


def parted(world: World, lasts_s: float) -> None:
    """Two machines stay with the tracker, two are alone."""
    world.net.part([world.hub, world.homes[0]], world.homes[1:])
    world.work()
    gevent.sleep(lasts_s)
    world.net.heal()


def deaf_on_one_side(world: World, lasts_s: float) -> None:
    """What one machine says to the tracker is lost, what the tracker says to another, and what a third says to the first."""
    world.net.drop(world.homes[0], world.hub)
    world.net.drop(world.hub, world.homes[1])
    world.net.drop(world.homes[2], world.homes[0])
    world.work()
    gevent.sleep(lasts_s)
    world.net.heal()


def half_open(world: World, lasts_s: float) -> None:
    """A peer and the tracker die and come back while nobody can be told of it: the others believe in connections that are none."""
    world.net.part([world.hub], world.homes)
    world.net.part(world.homes[1:2], [world.homes[0], world.homes[2]])
    world.work()
    gevent.sleep(lasts_s)
    world.restart_tracker()
    world.restart(1)
    world.net.heal()


def without_a_memory(world: World, lasts_s: float) -> None:
    """The tracker is killed, and comes back empty."""
    world.tracker.kill()
    world.work()
    gevent.sleep(lasts_s)
    world.restart_tracker()


def stopped(world: World, lasts_s: float) -> None:
    """A peer and then the tracker stand still, as on a machine that sleeps."""
    for program in (world.peers[0], world.tracker):
        program.signal(signal.SIGSTOP)
        world.work()
        gevent.sleep(lasts_s)
        program.signal(signal.SIGCONT)


def unplugged(world: World, lasts_s: float) -> None:
    """A cable is out."""
    world.net.unplug(world.homes[2])
    world.work()
    gevent.sleep(lasts_s)
    world.net.plug_in(world.homes[2])


FAULTS = (parted, deaf_on_one_side, half_open, without_a_memory, stopped, unplugged)


@pytest.fixture
def net() -> Iterator[Network]:
    with network(["hub", "ann", "ben", "cleo"]) as net:
        yield net


def test_all_are_equal_soon_after_the_network_is_whole_again(net: Network, cluster: Cluster) -> None:
    count = times(len(FAULTS))
    rng = random.Random(11)
    world = World(cluster, net)
    try:
        world.heals(within_s=90)
        took: list[float] = []
        for number in range(count):
            fault = FAULTS[number % len(FAULTS)]
            lasts_s = rng.choice(LASTS_S if count == len(FAULTS) else LASTS_LONG_S)
            world.work()
            fault(world, lasts_s)
            began = time.monotonic()
            world.heals(within_s=HEALED_S)
            took.append(time.monotonic() - began)
            assert took[-1] < HEALED_S, fault.__name__
            print(f"row 11: {fault.__name__} for {lasts_s:g} s: healed in {took[-1]:.1f} s")
        took.sort()
        print(f"row 11: {count} faults, healed in {took[len(took) // 2]:.1f} s (median), {took[-1]:.1f} s (longest)")
    finally:
        cluster.close()  # before their namespaces go
