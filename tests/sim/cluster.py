"""A whole swarm in one process: the real tracker and the real peers, on a disk, a network and a clock that are fakes.

Everything runs unchanged on gevent's hub over a virtual loop, so a minute of the swarm takes as long as its work takes, and
the same seed gives the same run. A test says what happens and asks what the folders hold afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gevent

from gsync.core.names import Endpoint
from gsync.net.clock import HubClock
from gsync.net.memory import MemoryNetwork
from gsync.net.simulation import World, simulated
from gsync.peer.events import Event, Events
from gsync.peer.overlay import Overlay
from gsync.peer.overlay_orders import OverlayOrders
from gsync.peer.peer import Peer
from gsync.peer.settings import Settings, Summary
from gsync.storage.index import Index
from gsync.storage.memory import MemoryFolder
from gsync.storage.memory_watcher import MemoryWatcher
from gsync.storage.offer_rows import offer_tree
from gsync.storage.publisher import Publisher
from gsync.storage.spilled import HOT_MAX
from gsync.storage.workers import InlineWorkers
from gsync.tracker.tracker import Tracker

TRACKER = Endpoint("10.0.0.1", 9000)
PATIENCE_S = 120.0
FEW = 3
"""Offers that every other machine holds in memory: the others of them are rows, as in a large folder."""


class Machine:
    """One machine of the swarm: its folder and index outlive its peer, as on a real one."""

    def __init__(self, cluster: Cluster, number: int, index_at: Path) -> None:
        self._cluster = cluster
        self.ip = f"10.0.0.{number + 10}"
        self.clock = HubClock()
        self.folder = MemoryFolder(wall_clock=self.clock.wall)
        self.index_at = index_at
        self._held_in_memory = FEW if number % 2 else HOT_MAX
        index_at.mkdir()
        self.events: list[Event] = []
        self.summary: Summary | None = None
        self.on_demand = False
        self._peer: Peer | None = None
        self._running: gevent.Greenlet | None = None

    def start(self, *, once: bool = False, tracker: Endpoint | None = TRACKER, **chosen: Any) -> None:
        """Start the peer on whatever the folder holds now, with the settings that are `chosen`."""
        events = Events()
        events.subscribe(self.events.append)
        clock = self.clock
        index = Index.open(self.index_at, root_id=self.folder.root_id, random_hex=self._cluster.random_hex)
        publisher = Publisher(self.folder, index, clock=clock.monotonic, wall_clock=clock.wall)
        publisher.recover()
        self._peer = Peer(
            settings=Settings(tracker=tracker, once=once, **{"on_demand": self.on_demand, **chosen}),
            folder=self.folder,
            index=index,
            publisher=publisher,
            workers=InlineWorkers(),
            network=self._cluster.network.host(self.ip),
            clock=clock,
            rng=self._cluster.rng,
            events=events,
            watcher=MemoryWatcher(self.folder.disk) if self._cluster.watches else None,
            new_tree=partial(offer_tree, hot_max=self._held_in_memory),
        )

        def run(peer: Peer) -> None:
            try:
                self.summary = peer.run()
            finally:
                index.close()

        self._running = gevent.spawn(run, self._peer)

    def stop(self) -> None:
        """End the peer in order, as Ctrl-C does."""
        assert self._peer is not None
        assert self._running is not None
        self._peer.stop()
        self._running.join()

    def kill(self) -> None:
        """End the peer as a power cut does: the disk falls back to what was made durable."""
        assert self._running is not None
        self._running.kill()
        self.folder.crash()

    def lose_index(self) -> None:
        """What the stopped peer remembered of its folder is gone."""
        assert not self.is_running
        for path in self.index_at.iterdir():
            path.unlink()

    @property
    def overlay(self) -> Overlay:
        """That of the running peer."""
        assert self._peer is not None
        assert self._peer.overlay is not None
        return self._peer.overlay

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing waits to be looked at, told, fetched or carried out."""
        assert self._peer is not None
        peer = self._peer
        return peer._syncer.is_at_rest and not peer._indexer.unfinished()

    @property
    def is_running(self) -> bool:
        return self._running is not None and not self._running.dead

    def announced(self) -> dict[str, int]:
        """What the peer tells the tracker: each name with its mtime in seconds."""
        assert self._peer is not None
        return dict(self._peer._trees.announced())

    def files(self) -> dict[str, bytes]:
        """What a person sees in the folder."""
        return {name: content for name, content in self.folder.contents().items() if not name.startswith(".gsync/")}


class Cluster:
    """The swarm: `machines` are made by `machine`, the tracker is started and stopped by its two methods."""

    def __init__(self, world: World, base: Path, *, seed: int, latency_s: tuple[float, float], watches: bool) -> None:
        self.watches = watches
        self.world = world
        self.rng = random.Random(seed)
        self.network = MemoryNetwork(rng=self.rng, latency_s=latency_s)
        self.machines: list[Machine] = []
        self._base = base
        self._listener: object = None
        self.tracker: Tracker | None = None

    def random_hex(self, count: int) -> str:
        """Hex digits of `count` random bytes, the same in each run of a seed."""
        return self.rng.randbytes(count).hex()

    def start_tracker(self, *, names_only: bool = False) -> None:
        """A tracker that knows nothing yet."""
        network = self.network.host(TRACKER.ip)
        self.tracker = Tracker(network=network, clock=self.world.clock, names_only=names_only)
        self._listener = self.tracker.listen(ip=TRACKER.ip, port=TRACKER.port)

    def stop_tracker(self) -> None:
        """The tracker ends; it remembers nothing."""
        self._listener.close()  # type: ignore[attr-defined]

    def machine(self, files: Mapping[str, bytes] | None = None, *, mtime_s: int = 1_000_000) -> Machine:
        """A new machine whose folder holds `files`; its peer is not started."""
        machine = Machine(self, len(self.machines), self._base / f"m{len(self.machines)}")
        for name, content in (files or {}).items():
            machine.folder.put(name, content, mtime_ns=mtime_s * 10**9)
        self.machines.append(machine)
        return machine

    def started(self, count: int, files: Callable[[int], Mapping[str, bytes]]) -> list[Machine]:
        """`count` machines with the files that `files` gives for their number, running."""
        machines = [self.machine(files(number)) for number in range(count)]
        for machine in machines:
            machine.start()
        return machines

    def wait_until(self, condition: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
        """Let virtual time pass until `condition` holds; fails the test when it does not in time."""
        deadline = self.world.now_s + within_s
        while not condition():
            assert self.world.now_s < deadline, f"not within {within_s} virtual seconds; folders: {self._shown()}"
            gevent.sleep(0.25)

    def wait_until_equal(self, *, within_s: float = PATIENCE_S) -> dict[str, bytes]:
        """Until all running machines hold the same files; what they hold."""
        running = [machine for machine in self.machines if machine.is_running]
        self.wait_until(lambda: all(m.files() == running[0].files() for m in running), within_s=within_s)
        return running[0].files()

    def wait_until_agreed(self, *, excused: set[str], within_s: float = PATIENCE_S) -> None:
        """Until the running machines announce the same, and hold the same but for the `excused` names.

        The classic dialect speaks of names and whole seconds alone: two contents that two machines wrote in one second are
        one version to it. Such names are excused from being equal, not from being announced alike.
        """
        running = [machine for machine in self.machines if machine.is_running]

        def view(machine: Machine) -> tuple[dict[str, int], dict[str, bytes]]:
            return machine.announced(), {name: c for name, c in machine.files().items() if name not in excused}

        self.wait_until(lambda: all(view(machine) == view(running[0]) for machine in running), within_s=within_s)

    def rest(self, seconds: float) -> None:
        """Let virtual time pass."""
        gevent.sleep(seconds)

    def _shown(self) -> list[list[str]]:
        return [sorted(machine.files())[:20] for machine in self.machines]


@contextmanager
def cluster(
    base: Path,
    *,
    seed: int = 1,
    latency_s: tuple[float, float] = (0.001, 0.02),
    watches: bool = False,
    names_only: bool = False,
) -> Iterator[Cluster]:
    """A swarm in a simulated world, with a tracker that is already running; its folders are watched if it `watches`."""
    with simulated() as world:
        swarm = Cluster(world, base, seed=seed, latency_s=latency_s, watches=watches)
        swarm.start_tracker(names_only=names_only)
        yield swarm
        for machine in swarm.machines:
            if machine.is_running:
                machine.stop()


def orders(machine: Machine) -> OverlayOrders:
    """What a person may ask of the running peer of this machine."""
    peer = machine._peer
    assert peer is not None
    return OverlayOrders(
        overlay=peer.overlay,
        trees=peer._trees,
        applier=peer._applier,
        links=peer._links,
        workers=peer._workers,
        clock=peer._clock,
        failure=peer._syncer.why_not_here,
        demand=peer._demand,
        replan=peer._syncer.replan,
    )
