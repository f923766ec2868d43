"""A tracker in the simulated world, and peers that say to it what a test wants said."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import gevent

from gsync.core.marks import digest_text, record_mark
from gsync.core.model import Record
from gsync.core.names import Endpoint
from gsync.net.memory import MemoryHost, MemoryNetwork
from gsync.net.simulation import World, simulated
from gsync.net.transport import Listener, Stream
from gsync.tracker.connections import Limits
from gsync.tracker.events import TrackerEvent
from gsync.tracker.tracker import Tracker
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.framing import DIRECTORY_LIMIT_BYTES, JsonSplitter
from gsync.wire.native import (
    Announce,
    Delta,
    FromTracker,
    Held,
    Join,
    PeerRow,
    Peers,
    Same,
    Snapshot,
    ToTracker,
    header,
    parse_from_tracker,
)
from gsync.wire.records import parse_record, wire_record

M = TypeVar("M")

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


class NativeCaller(Caller):
    """A connection of a peer that speaks native, and what such a peer knows after what it was told."""

    def __init__(self, stream: Stream, *, port: int = 9000) -> None:
        super().__init__(stream)
        self._frames = FrameSplitter()
        self.port = port
        self.heard: list[FromTracker] = []
        self.rows: dict[int, PeerRow] = {}
        self.gone: set[int] = set()
        self.known: dict[str, Held] = {}
        self.seq = -1
        self.is_whole = False
        self._gathered: dict[str, Held] = {}

    def negotiate(self, files: dict[str, Any] | None = None) -> None:
        """Go native, as one who has these files might say at first."""
        entries = [{"name": name, "mtime": mtime} for name, mtime in (files or {}).items()]
        self.say(b"{\t\t" + json.dumps({"port": self.port, "files": entries}).encode()[1:] + b"\n")
        assert self.answer_bytes() == b"{\t\t}"
        self.say(b"\0")
        assert self._byte() == b"\0"

    def join(self, *records: Record, author: str = "", name: str = "") -> None:
        """Go native, say who this is, and all that it has."""
        self.negotiate()
        self.tell(Join(author=author, name=name))
        self.announce_records(*records, is_all=True)

    def tell(self, *messages: ToTracker) -> None:
        self.say(b"".join([frame(header(message)) for message in messages]))

    def announce_records(self, *records: Record, is_all: bool = False) -> None:
        self.tell(Announce(records=[wire_record(record) for record in records], all=is_all))

    def hear(self, *, within_s: float = 2.0) -> list[FromTracker]:
        """All that comes until nothing has come for a while."""
        came: list[FromTracker] = []
        while True:
            with gevent.Timeout(within_s, False):
                data = self.stream.receive(1024 * 1024)
                assert data, "the tracker closed"
                came += self.take(data)
                continue
            return came

    def take(self, data: bytes) -> list[FromTracker]:
        """Understand these bytes, as a peer does."""
        self._frames.feed(data)
        came = [parse_from_tracker(found) for found in iter(self._frames.next, None)]
        for message in came:
            self._note(message)
        self.heard += came
        return came

    def records(self) -> dict[str, Record]:
        """What wins, by path."""
        return {name: parse_record(held.r) for name, held in self.known.items()}

    def holders(self, name: str) -> set[str]:
        """Who holds it, as their addresses; "" for the tracker's own machine."""
        return {self.rows[number].ip for number in self.known[name].h}

    @property
    def digest(self) -> str:
        marks = 0
        for record in self.records().values():
            marks ^= record_mark(record)
        return digest_text(marks)

    def of(self, kind: type[M]) -> list[M]:
        return [message for message in self.heard if isinstance(message, kind)]

    def answer_bytes(self) -> bytes:
        while not self._answers:
            self._answers += self._splitter.feed(self.stream.receive(65536))
        return self._answers.pop(0)

    def _byte(self) -> bytes:
        byte = self.stream.receive(1)
        return byte if byte.strip() else self._byte()

    def _note(self, message: FromTracker) -> None:
        match message:
            case Peers():
                self.rows |= {row.n: row for row in message.peers}
                self.gone |= set(message.gone)
            case Same():
                self.seq = message.seq
            case Snapshot():
                assert not self._gathered or self.seq == message.seq
                self.seq = message.seq
                self._gathered |= {held.r.p: held for held in message.held}
                self._check(message.held)
                if message.last:
                    self.known, self._gathered, self.is_whole = self._gathered, {}, True
            case Delta():
                assert (message.prev, message.seq) == (self.seq, self.seq + 1)
                self.seq = message.seq
                self.known |= {held.r.p: held for held in message.held}
                self._check(message.held)
                for lost in message.lost:
                    self.known.pop(lost, None)

    def _check(self, held: list[Held]) -> None:
        assert all(number in self.rows for one in held for number in one.h), "a peer that nobody introduced"


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

    def native(self, number: int = 2, *, port: int = 9000) -> NativeCaller:
        """The same, of a peer that speaks native."""
        return NativeCaller(self.network.host(f"192.0.2.{number}").dial(Endpoint(TRACKER_IP, PORT)), port=port)

    def native_neighbour(self) -> NativeCaller:
        """One over loopback."""
        return NativeCaller(self.network.host(TRACKER_IP).dial(Endpoint("127.0.0.1", PORT)))

    def neighbour(self) -> Caller:
        """A connection over loopback, on the tracker's own machine."""
        return Caller(self.network.host(TRACKER_IP).dial(Endpoint("127.0.0.1", PORT)))

    def later(self, seconds: float) -> None:
        gevent.sleep(seconds)


def as_it_is(host: MemoryHost) -> Any:
    return host


@contextmanager
def swarm(
    *,
    limits: Limits | None = None,
    expire_s: float = 180.0,
    through: Callable[[MemoryHost], Any] = as_it_is,
    speaks_native: bool = True,
    names_only: bool = False,
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
            epoch=lambda: "epoch",
            speaks_native=speaks_native,
            names_only=names_only,
        )
        listener = tracker.listen(ip="0.0.0.0", port=PORT)
        yield Swarm(world, network, listener, tracker=tracker, events=events)
        listener.close()
