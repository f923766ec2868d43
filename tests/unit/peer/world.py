"""What the loops of a peer are given in these tests: a simulated network, a folder in memory, and neighbours that only listen."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import gevent
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore

from gsync.core.blocks import digest_of_bytes
from gsync.core.diff import disk_seconds
from gsync.core.model import FileMeta, Fingerprint, Offer, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.versions import Version
from gsync.core.vouching import Ticket
from gsync.errors import TransportError
from gsync.net.memory import MemoryHost, MemoryNetwork
from gsync.net.memory_stream import MemoryStream
from gsync.net.simulation import World
from gsync.net.transport import Stream
from gsync.peer.events import Event, Events
from gsync.peer.trees import Trees
from gsync.storage.filesystem import Staged
from gsync.storage.memory import MemoryFolder
from gsync.storage.workers import InlineWorkers, Job, Pool

P = ParamSpec("P")
T = TypeVar("T")

OURS_IP, THEIRS_IP = "192.0.2.1", "192.0.2.2"
THERE = Endpoint(THEIRS_IP, 2000)
WALL_S = 1_750_000_000


def path(name: str) -> RelPath:
    return RelPath.parse(name)


def v(mtime_s: int, **counters: int) -> Version:
    return Version.from_vector({**counters, "mtime": mtime_s})


def meta(*, size: int = 1, mtime_s: int = 5, content: bytes | None = None, version: Version | None = None) -> FileMeta:
    """An entry as a scan would make it, or one with the digest of `content`."""
    seen = Fingerprint(
        size=size if content is None else len(content), mtime_ns=mtime_s * 10**9, ctime_ns=0, inode=1, mode=0o644
    )
    digest = "" if content is None else digest_of_bytes(content)
    return FileMeta(fingerprint=seen, version=version or Version.from_mtime(mtime_s), digest=digest)


def offer(mtime_s: int = 5, *endpoints: Endpoint, speaks_gsync: bool = False) -> Offer:
    sources = tuple(Source(endpoint=endpoint, speaks_gsync=speaks_gsync) for endpoint in endpoints or (THERE,))
    return Offer(version=Version.from_mtime(mtime_s), sources=sources)


def folder_with(files: Mapping[str, bytes], *, wall_s: float = WALL_S - 1000) -> MemoryFolder:
    """A folder in memory that holds `files`, saved a while ago."""
    folder = MemoryFolder(wall_clock=lambda: wall_s)
    for name, content in files.items():
        folder.put(name, content)
    return folder


def trees_of(folder: MemoryFolder) -> Trees:
    """The trees of a peer that has scanned `folder` and heard of nobody."""
    local: dict[RelPath, FileMeta] = {}
    for name in folder.contents():
        seen = folder.fingerprint(path(name))
        assert seen is not None
        local[path(name)] = FileMeta(fingerprint=seen, version=Version.from_mtime(disk_seconds(seen)))
    return Trees(local, {})


class Heard:
    """Every event that was told, in order."""

    def __init__(self) -> None:
        self.events = Events()
        self.all: list[Event] = []
        self.events.subscribe(self.all.append)

    def of(self, *kinds: type) -> list[Event]:
        return [event for event in self.all if isinstance(event, kinds)]

    def names(self) -> list[str]:
        return [event.name for event in self.all]


class Lan:
    """Two hosts, ours and theirs, in a simulated world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.network = MemoryNetwork(rng=random.Random(1))
        self.here: MemoryHost = self.network.host(OURS_IP)
        self.there: MemoryHost = self.network.host(THEIRS_IP)

    @contextmanager
    def serving(self, *script: Callable[[Stream], object], port: int = THERE.port) -> Iterator[list[float]]:
        """Their host answers connection after connection with `script`, its last part again and again; when each came."""
        came: list[float] = []

        def handle(stream: Stream) -> None:
            came.append(self.world.now_s)
            script[min(len(came), len(script)) - 1](stream)

        listener = self.there.listen(ip="0.0.0.0", port=port, handler=handle, limit=1000)
        try:
            yield came
        finally:
            listener.close()


def read_all(stream: Stream, *, within_s: float = 1000.0) -> bytes:
    """Everything until the end; raises ConnectionBroken at a reset, after what came before it is lost to the caller."""
    gathered = bytearray()
    with gevent.Timeout(within_s):
        while piece := stream.receive(65536):
            gathered += piece
    return bytes(gathered)


def ending(stream: Stream, *, within_s: float = 1000.0) -> tuple[bytes, str]:
    """What came, and whether it came to an `end`, was `broken`, or stayed `open`."""
    gathered = bytearray()
    try:
        with gevent.Timeout(within_s):
            while piece := stream.receive(65536):
                gathered += piece
            return bytes(gathered), "end"
    except gevent.Timeout:
        return bytes(gathered), "open"
    except TransportError:
        return bytes(gathered), "broken"


class RecordingStream:
    """A `Stream` that notes what was sent through it, write by write."""

    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream
        self.writes: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def send(self, data: bytes | memoryview) -> None:
        self.writes.append(len(data))
        self._stream.send(data)


class Stage:
    """A `Stager` over a folder in memory; `begun` and `abandoned` count."""

    def __init__(self, folder: MemoryFolder | None = None) -> None:
        self.folder = folder or MemoryFolder()
        self.begun: list[RelPath] = []
        self.abandoned: list[str] = []
        self._workers = InlineWorkers()

    def begin(self, path: RelPath, *, expected: int) -> Staged:
        self.begun.append(path)
        return self.folder.stage()

    def write(self, staged: Staged, hasher: object, data: memoryview) -> Job[None]:
        def write() -> None:
            hasher.update(data)  # type: ignore[attr-defined]
            staged.write(data)

        return self._workers.spawn(Pool.TRANSFER, write)

    def abandon(self, staged: Staged) -> None:
        self.abandoned.append(staged.name)
        self.folder.unlink_staged(staged.name)


class Witness:
    """Hears what the fetcher says of its sources."""

    def __init__(self) -> None:
        self.said: list[tuple[str, object]] = []
        self._tickets = 0

    def connected(self, endpoint: Endpoint) -> Ticket:
        self._tickets += 1
        self.said.append(("connected", endpoint))
        return Ticket(self._tickets)

    def gave_bytes(self, endpoint: Endpoint, ticket: Ticket) -> None:
        self.said.append(("gave bytes", ticket.number))

    def fell_quiet(self, endpoint: Endpoint, path: RelPath, *, size: int) -> None:
        self.said.append(("fell quiet", (path, size)))


class SlowWorkers(InlineWorkers):
    """`Workers` whose calls take virtual time: `takes_s` of their pool, half of it before the call and half after it.

    As in the real ones a pool does one thing at a time.
    """

    def __init__(self) -> None:
        self.takes_s: dict[Pool, float] = {}
        self.calls: list[str] = []
        self._doors = {pool: BoundedSemaphore(1) for pool in Pool}

    def run(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._doors[pool]:
            self.calls.append(function.__name__)
            gevent.sleep(self.takes_s.get(pool, 0.0) / 2)
            try:
                return function(*args, **kwargs)
            finally:
                gevent.sleep(self.takes_s.get(pool, 0.0) / 2)

    def spawn(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        if not self.takes_s.get(pool):
            return super().spawn(pool, function, *args, **kwargs)
        result: AsyncResult = AsyncResult()

        def work() -> None:
            try:
                result.set(self.run(pool, function, *args, **kwargs))
            except Exception as error:  # noqa: BLE001  raised where the job is waited for
                result.set_exception(error)

        gevent.spawn(work)
        return result  # type: ignore[return-value]  # it has `get` and `wait`
