"""A tracker in the simulated world, and peers that say to it what a test wants said."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent

from gsync.core.names import Endpoint
from gsync.net.memory import MemoryHost, MemoryNetwork
from gsync.net.simulation import World, simulated
from gsync.net.transport import Listener, Stream
from gsync.tracker.connections import Limits
from gsync.tracker.events import TrackerEvent
from gsync.tracker.tracker import Tracker
from gsync.wire.framing import DIRECTORY_LIMIT_BYTES, JsonSplitter

TRACKER_IP = "192.0.2.1"
PORT = 9000


class Caller:
    """One connection to the tracker."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._splitter = JsonSplitter(DIRECTORY_LIMIT_BYTES)
        self._answers: list[bytes] = []

    def say(self, message: object) -> None:
        """Send a message: bytes as they are, anything else as JSON."""
        self.stream.send(message if isinstance(message, bytes) else json.dumps(message).encode())

    def answer(self) -> dict[str, Any]:
        """The next answer."""
        while not self._answers:
            data = self.stream.receive(65536)
            assert data, "the tracker closed"
            self._answers += self._splitter.feed(data)
        answer: dict[str, Any] = json.loads(self._answers.pop(0))
        return answer

    def ask(self, message: object) -> dict[str, Any]:
        """Say it and hear the answer."""
        self.say(message)
        return self.answer()

    def keepalive(self) -> dict[str, Any]:
        return self.ask({"port": 9000})

    def announce(self, files: dict[str, Any], *, port: object = 9000) -> dict[str, Any]:
        return self.ask({"port": port, "files": [{"name": name, "mtime": mtime} for name, mtime in files.items()]})

    def raw(self, *, within_s: float = 1.0) -> bytes:
        """All bytes that come until none has come for a while, or until the end."""
        gathered = b""
        with gevent.Timeout(within_s, False):
            while data := self.stream.receive(65536):
                gathered += data
        return gathered

    def hears_nothing(self, *, within_s: float = 60.0) -> bool:
        with gevent.Timeout(within_s, False):
            self.stream.receive(1)
            return False
        return True

    def is_closed(self) -> bool:
        """Whether the tracker has ended the connection, after nothing more was said."""
        with gevent.Timeout(0.1, False):
            return self.stream.receive(65536) == b""
        return False

    def leave(self) -> None:
        self.stream.close()


class Swarm:
    """A tracker, and the hosts around it."""

    def __init__(
        self, world: World, network: MemoryNetwork, listener: Listener, *, tracker: Tracker, events: list[TrackerEvent]
    ) -> None:
        self.world = world
        self.network = network
        self.listener = listener
        self.tracker = tracker
        self.events = events

    def caller(self, number: int = 2) -> Caller:
        """A connection from the host 192.0.2.<number>."""
        return Caller(self.network.host(f"192.0.2.{number}").dial(Endpoint(TRACKER_IP, PORT)))

    def neighbour(self) -> Caller:
        """A connection over loopback, on the tracker's own machine."""
        return Caller(self.network.host(TRACKER_IP).dial(Endpoint("127.0.0.1", PORT)))

    def later(self, seconds: float) -> None:
        gevent.sleep(seconds)


def as_it_is(host: MemoryHost) -> Any:
    return host


@contextmanager
def swarm(
    *, limits: Limits | None = None, expire_s: float = 180.0, through: Callable[[MemoryHost], Any] = as_it_is
) -> Iterator[Swarm]:
    """A tracker at 192.0.2.1 port 9000, in a world of virtual time."""
    events: list[TrackerEvent] = []
    with simulated() as world:
        network = MemoryNetwork(rng=random.Random(1))
        tracker = Tracker(
            network=through(network.host(TRACKER_IP)),
            clock=world.clock,
            on_event=events.append,
            expire_s=expire_s,
            limits=limits,
        )
        listener = tracker.listen(ip="0.0.0.0", port=PORT)
        yield Swarm(world, network, listener, tracker=tracker, events=events)
        listener.close()
