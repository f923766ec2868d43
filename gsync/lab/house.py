"""Real peers on real sockets, all in this process, each whole, around a tracker that tells names only.

Only their folders are in memory, so that whoever runs an experiment writes and reads in them at once. A context manager: at its end
all peers have ended in order. Called by `sockets` and `queries`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

import gevent

from gsync.core.copies import Mode
from gsync.core.freshness import JITTER
from gsync.core.names import Endpoint, PeerName, RelPath
from gsync.errors import GsyncError
from gsync.lab.grid import Overlay
from gsync.net.clock import SystemClock
from gsync.net.tcp import TcpNetwork
from gsync.peer import overlay as room
from gsync.peer.events import Events
from gsync.peer.peer import Peer
from gsync.peer.settings import Settings
from gsync.storage.index import Index
from gsync.storage.memory import MemoryFolder
from gsync.storage.memory_watcher import MemoryWatcher
from gsync.storage.publisher import Publisher
from gsync.storage.workers import InlineWorkers
from gsync.tracker.tracker import Tracker

PEERS_MAX: Final = 16
"""Of an experiment in real time: more would measure this machine, not the overlay."""

LOOPBACK: Final = "127.0.0.1"
KINDS: Final = ("invalidate sent", "poll sent", "verdict sent")

QUIET_S: Final = 4.0
"""Who was dialled waits for the other side to begin, if it is to, so that one comparison serves both; longer than that."""

_READY_S: Final = 180.0
_LOOK_S: Final = 0.05


class NotReady(GsyncError):
    """The peers of an experiment did not come up in time."""


class House:
    """The peers of `overlay`, linked; those of one that does not `receive` keep to what they have."""

    def __init__(self, overlay: Overlay, *, ttr_s: float, jitter: float = JITTER, receives: bool = True) -> None:
        self._topology = overlay.topology
        self._ttr_s = ttr_s
        self._jitter = jitter
        self._receives = receives
        self._closing = ExitStack()
        self.clock: Final = SystemClock()
        self.folders: Final = {name: MemoryFolder(wall_clock=self.clock.wall) for name in sorted(overlay.topology)}
        self.overlays: Final[dict[PeerName, room.Overlay]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            base = Path(starting.enter_context(TemporaryDirectory(prefix="gsync-lab-")))
            network = TcpNetwork()
            listener = Tracker(network=network, clock=self.clock, names_only=True).listen(ip=LOOPBACK, port=0)
            starting.callback(listener.close)
            for name in self.folders:
                starting.callback(self._start(name, base / name, network, listener.endpoint))
            wait_until(self._is_linked, "the peers did not find each other")
            wait_until(_Quiet(self._said, self.clock), "the peers did not agree about what they know")
            self._closing = starting.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.close()

    @property
    def messages(self) -> int:
        """What was said so far to keep copies honest: invalidations, polls and the answers to them."""
        return sum(overlay.neighbours.counts[kind] for overlay in self.overlays.values() for kind in KINDS)

    def content(self, name: PeerName, path: RelPath) -> bytes:
        """What stands there; nothing where it has not arrived yet."""
        node = self.folders[name].disk.names.get(path)
        return node.content if node is not None else b""

    def answers(self, name: PeerName, path: RelPath) -> bool:
        """Whether the copy there can be believed."""
        return self.overlays[name].fresh.answers(path)

    def want(self, name: PeerName, path: RelPath) -> bool:
        """The same, for a reader who will wait for it: in lazy mode it is he who makes his peer ask."""
        overlay = self.overlays[name]
        standing = overlay.standings.of(path)
        if standing is None or overlay.standings.asks_about(standing):
            overlay.poke()
        return self.answers(name, path)

    def has_copies(self, path: RelPath) -> bool:
        """Whether each peer keeps a copy of it honest."""
        return all(overlay.fresh.copy(path) is not None for overlay in self.overlays.values())

    def set_mode(self, mode: Mode) -> None:
        """From now on all of them keep their copies honest in this way."""
        for overlay in self.overlays.values():
            overlay.fresh.set_mode(mode, now=self.clock.monotonic())
            overlay.poke()

    def _start(self, name: PeerName, index_at: Path, network: TcpNetwork, tracker: Endpoint) -> Callable[[], None]:
        """Start a peer; returns what ends it."""
        index_at.mkdir()
        folder = self.folders[name]
        index = Index.open(index_at, root_id=folder.root_id)
        publisher = Publisher(folder, index, clock=self.clock.monotonic, wall_clock=self.clock.wall)
        publisher.recover()
        settings = Settings(
            tracker=tracker,
            name=name,
            topology=self._topology,
            ttr_s=self._ttr_s,
            jitter=self._jitter,
            receives=self._receives,
        )
        peer = Peer(
            settings=settings,
            folder=folder,
            index=index,
            publisher=publisher,
            workers=InlineWorkers(),
            network=network,
            clock=self.clock,
            rng=random.Random(),
            events=Events(),
            watcher=MemoryWatcher(folder.disk),
        )
        assert peer.overlay is not None  # it has a name
        self.overlays[name] = peer.overlay
        running = gevent.spawn(peer.run)

        def end() -> None:
            peer.stop()
            running.join()
            index.close()

        return end

    def _said(self) -> int:
        counts = (overlay.neighbours.counts for overlay in self.overlays.values())
        return sum(number for each in counts for kind, number in each.items() if not kind.startswith(("ping", "pong")))

    def _is_linked(self) -> bool:
        return all(
            frozenset(overlay.neighbours.names) == self._topology[name] for name, overlay in self.overlays.items()
        )


class _Quiet:
    """Whether a count stands still: new links are compared over, and until that is done messages come that no edit caused."""

    def __init__(self, counted: Callable[[], int], clock: SystemClock) -> None:
        self._counted = counted
        self._clock = clock
        self._last = -1
        self._since = 0.0

    def __call__(self) -> bool:
        counted, now = self._counted(), self._clock.monotonic()
        if counted != self._last:
            self._last, self._since = counted, now
        return now >= self._since + QUIET_S


def wait_until(condition: Callable[[], bool], complaint: str) -> None:
    """Look until it holds. Raises `NotReady`."""
    clock = SystemClock()
    deadline = clock.monotonic() + _READY_S
    while not condition():
        if clock.monotonic() > deadline:
            raise NotReady(f"{complaint} within {_READY_S:g} s")
        gevent.sleep(_LOOK_S)
