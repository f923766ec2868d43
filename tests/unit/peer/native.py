"""Native talk for the tests of a peer: records, the bytes of messages, and a tracker that says what the test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import gevent

from gsync.core.blocks import digest_of_bytes
from gsync.core.marks import digest_text, record_mark
from gsync.core.model import FileMeta, Fingerprint, Kind, Record
from gsync.core.names import Endpoint, RelPath
from gsync.core.records import tombstone_of
from gsync.core.versions import Version
from gsync.errors import ConnectionBroken
from gsync.net.simulation import World
from gsync.net.transport import Stream
from gsync.peer.agreed import Agreed
from gsync.wire.frames import NATIVE_START, FrameSplitter, frame
from gsync.wire.framing import TRACKER_LIMIT_BYTES, JsonSplitter
from gsync.wire.native import (
    Ack,
    Alive,
    Announce,
    FromTracker,
    Held,
    Join,
    PeerRow,
    Peers,
    Snapshot,
    ToTracker,
    Welcome,
    Withdraw,
    header,
    parse_to_tracker,
)
from gsync.wire.records import wire_record
from tests.unit.peer.world import THEIRS_IP, Lan, path, v

TRACKER = Endpoint(THEIRS_IP, 9000)
SERVING = 2001
YES = b"{\t\t}\n"

M = TypeVar("M")


def record(name: str, *, version: Version | None = None, content: bytes = b"x", deleted: bool = False) -> Record:
    """A file's record, or its tombstone's."""
    return Record(
        path=path(name),
        kind=Kind.FILE,
        version=version or v(5, a=1),
        digest=digest_of_bytes(content),
        size=0 if deleted else len(content),
        author="a",
        deleted=deleted,
    )


def classic(name: str, mtime_s: int = 5) -> Record:
    """What a classic peer announced, as a native tracker spells it."""
    return Record(path=path(name), kind=Kind.FILE, version=Version.from_mtime(mtime_s))


def held(one: Record, *holders: int) -> Held:
    return Held(r=wire_record(one), h=list(holders))


def row(number: int, ip: str = "192.0.2.9", port: int = 2000, speaks: int = 2) -> PeerRow:
    return PeerRow(n=number, ip=ip, port=port, speaks=speaks)


def digest_of(*records: Record) -> str:
    """The digest of a directory with these records."""
    total = 0
    for one in records:
        total ^= record_mark(one)
    return digest_text(total)


def framed(*messages: FromTracker | ToTracker) -> bytes:
    return b"".join(frame(header(message)) for message in messages)


def parsed(data: bytes) -> list[ToTracker]:
    splitter, found = FrameSplitter(), list[ToTracker]()
    splitter.feed(data)
    while (one := splitter.next()) is not None:
        found.append(parse_to_tracker(one))
    assert splitter.pending == 0
    return found


def meta_of(one: Record) -> FileMeta:
    """What stands where a file looks like this."""
    shown = Fingerprint(size=one.size, mtime_ns=one.mtime_ns, ctime_ns=1, inode=1, mode=0o644)
    return FileMeta(fingerprint=shown, version=one.version, digest=one.digest, author=one.author)


class Shelf:
    """What a peer has, for those who announce it."""

    def __init__(self, *records: Record) -> None:
        self.all: dict[RelPath, Record] = {one.path: one for one in records}
        self.is_agreed = False

    def put(self, one: Record) -> RelPath:
        self.all[one.path] = one
        return one.path

    def records(self) -> Iterator[Record]:
        for name in tuple(self.all):
            if name in self.all:
                yield self.all[name]

    def record(self, path: RelPath) -> Record | None:
        return self.all.get(path)

    def agreed(self) -> Agreed | None:
        """All of it, where the test has said that it `is_agreed`."""
        if not self.is_agreed:
            return None
        local = {name: meta_of(one) for name, one in self.all.items() if not one.deleted}
        buried = {name: tombstone_of(one) for name, one in self.all.items() if one.deleted}
        synced = {name: one.version for name, one in self.all.items()}
        return Agreed(local=local, buried=buried, synced=synced, is_told=lambda path, entry: True)


class NativeTracker:
    """Speaks native as its fields say: `directory` is its snapshot, in pieces of `piece`; `acks` answers keepalives.

    `epoch` and `seq` are counted by the test. Everything that it hears it keeps, with the moment.
    """

    def __init__(self, world: World, lan: Lan) -> None:
        self.epoch = "e1"
        self.seq = 1
        self.rows: list[PeerRow] = [row(1)]
        self.directory: list[Held] = []
        self.piece = 100
        self.acks: Callable[[Alive], FromTracker | None] = lambda alive: Ack(seq=alive.seq, digest=alive.digest)
        self.answer = YES
        self.answers_after_s = 0.0
        self.negotiates = True
        self.initials: list[tuple[float, bytes]] = []
        self.heard: list[tuple[float, ToTracker]] = []
        self.connected: list[float] = []
        self.ended: list[str] = []
        self.stream: Stream | None = None
        self._rest = b""
        self.on_message: Callable[[ToTracker], Iterable[FromTracker]] = self.usual
        self._world = world
        self._lan = lan
        self._listener: Any = None

    def open(self) -> None:
        self._listener = self._lan.there.listen(ip="0.0.0.0", port=TRACKER.port, handler=self._serve, limit=10)

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def say(self, *messages: FromTracker) -> None:
        assert self.stream is not None
        self.stream.send(framed(*messages))

    def snapshot(self) -> list[FromTracker]:
        pieces = [self.directory[at : at + self.piece] for at in range(0, len(self.directory), self.piece)] or [[]]
        return [
            Snapshot(seq=self.seq, held=piece, last=number == len(pieces) - 1) for number, piece in enumerate(pieces)
        ]

    def usual(self, message: ToTracker) -> Iterable[FromTracker]:
        """What a good tracker answers."""
        if isinstance(message, Join):
            return [Welcome(epoch=self.epoch, seq=self.seq), Peers(peers=self.rows), *self.snapshot()]
        if isinstance(message, Alive):
            ack = self.acks(message)
            return [ack] if ack is not None else []
        return []

    def of(self, kind: type[M]) -> list[M]:
        return [message for _, message in self.heard if isinstance(message, kind)]

    def told(self) -> list[str]:
        """What was announced, in short: `+name` for a record, `-name` for a withdrawal, `.` for the end of everything."""
        said: list[str] = []
        for _, message in self.heard:
            if isinstance(message, Announce):
                said += [f"+{one.p}" for one in message.records]
                said += ["."] if message.all else []
            if isinstance(message, Withdraw):
                said += [f"-{name}" for name in message.paths]
        return said

    def _serve(self, stream: Stream) -> None:
        self.connected.append(self._now())
        self.stream = stream
        try:
            if not self.negotiates or self._negotiate(stream):
                self._speak(stream)
            self.ended.append("end")
        except ConnectionBroken:
            self.ended.append("broken")

    def _negotiate(self, stream: Stream) -> bool:
        splitter = JsonSplitter(2 * TRACKER_LIMIT_BYTES)
        while data := stream.receive(65536):
            text, switch, self._rest = data.partition(NATIVE_START)
            for message in splitter.feed(text):
                self.initials.append((self._now(), message))
                gevent.sleep(self.answers_after_s)
                stream.send(self.answer)
            if switch:
                assert splitter.pending == 0
                stream.send(NATIVE_START)
                return True
        return False

    def _speak(self, stream: Stream) -> None:
        splitter, data = FrameSplitter(), self._rest
        while True:
            splitter.feed(data)
            while (one := splitter.next()) is not None:
                message = parse_to_tracker(one)
                self.heard.append((self._now(), message))
                stream.send(framed(*self.on_message(message)))
            data = stream.receive(65536)
            if not data:
                return

    def _now(self) -> float:
        return round(self._world.now_s, 3)


def later(seconds: float = 0.01) -> None:
    """Let everything that is on its way arrive."""
    gevent.sleep(seconds)
