"""Both ends of native peer links, for tests: a serving peer with files, and a hand that speaks frames to it or in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import gevent
from msgspec.structs import replace

from gsync.core.blocks import digest_of_bytes
from gsync.core.model import Kind, Record, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.versions import Version
from gsync.net.simulation import World
from gsync.net.throttle import Throttle
from gsync.net.transport import Stream
from gsync.peer.block_lists import BlockLists
from gsync.peer.native_server import NativeServer
from gsync.peer.peer import ACCEPTING
from gsync.peer.trees import Trees
from gsync.peer.uploader import Uploader
from gsync.storage.filesystem import Staged
from gsync.storage.memory import MemoryFolder
from gsync.storage.workers import InlineWorkers
from gsync.wire.frames import NATIVE_START, FrameSplitter, frame
from gsync.wire.native import OnPeerLink, header, parse_on_peer_link
from tests.unit.peer.world import THERE, Lan, path, trees_of

NATIVE = Source(endpoint=THERE, speaks_gsync=True, speaks_native=True)
SAVED_S = 1_700_000_000.0


def pattern(size: int, *, seed: int = 0) -> bytes:
    """`size` bytes, whose blocks all differ."""
    piece = bytes((number * 7 + seed) % 256 for number in range(251))
    body = bytearray((piece * (size // 251 + 1))[:size])
    for start in range(0, size, 1024 * 1024):
        mark = f"{seed}:{start}".encode()[: size - start]
        body[start : start + len(mark)] = mark
    return bytes(body)


def record(name: str, content: bytes) -> Record:
    return Record(
        path=path(name),
        kind=Kind.FILE,
        version=Version.from_mtime(5),
        digest=digest_of_bytes(content),
        size=len(content),
    )


def hashed_trees(folder: MemoryFolder) -> Trees:
    """The trees of a peer that has read all of `folder`."""
    trees = trees_of(folder)
    for name, content in folder.contents().items():
        meta = trees.local[path(name)]
        trees.note_local({path(name): replace(meta, digest=digest_of_bytes(content))})
    return trees


class Shop:
    """A peer that serves `files` at `at` to whoever comes."""

    def __init__(
        self, world: World, lan: Lan, files: Mapping[str, bytes], *, at: Endpoint = THERE, rate: float | None = None
    ) -> None:
        self.folder = MemoryFolder(wall_clock=lambda: SAVED_S)
        for name, body in files.items():
            self.folder.put(name, body)
        self.trees = hashed_trees(self.folder)
        self.lists = BlockLists(InlineWorkers())
        uplink = Throttle(rate, world.clock) if rate else None
        self.native = NativeServer(
            folder=self.folder, trees=self.trees, lists=self.lists, clock=world.clock, uplink=uplink
        )
        self.uploader = Uploader(folder=self.folder, trees=self.trees, native=self.native, uplink=uplink)
        self.listener = lan.network.host(at.ip).listen(
            ip="0.0.0.0", port=at.port, handler=self.uploader, limit=ACCEPTING
        )

    def record(self, name: str) -> Record:
        return record(name, self.folder.contents()[name])

    def close(self) -> None:
        """End as a program does that is killed: all its links break."""
        self.listener.close()


class BlockStage:
    """A `BlockStager` over a folder in memory; `kept` are the downloads that wait for their next try."""

    def __init__(self, folder: MemoryFolder | None = None) -> None:
        self.folder = folder or MemoryFolder()
        self.kept: dict[str, str] = {}
        self.begun: list[tuple[RelPath, int]] = []
        self._digests: dict[str, str] = {}

    def begin(self, path: RelPath, *, expected: int, digest: str = "") -> Staged:
        self.folder.require_space(expected)
        staged = self.folder.stage()
        self.begun.append((path, expected))
        self._digests[staged.name] = digest
        return staged

    def partial(self, digest: str) -> Staged | None:
        name = self.kept.pop(digest, None)
        if name is None:
            return None
        self._digests[name] = digest
        return self.folder.reopen_staged(name)

    def keep(self, staged: Staged) -> None:
        staged.close()
        self.kept[self._digests.pop(staged.name)] = staged.name

    def abandon(self, staged: Staged) -> None:
        del self._digests[staged.name]
        self.folder.unlink_staged(staged.name)

    def leave(self, digest: str, content: bytes) -> None:
        """As if an earlier try had left this."""
        staged = self.folder.stage()
        staged.write(content)
        self.kept[digest] = staged.name


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer, and its body."""

    message: OnPeerLink
    body: bytes = b""


class Talker:
    """Speaks frames over a stream, word by word; `begins` says the NUL first."""

    def __init__(self, stream: Stream, *, begins: bool = False) -> None:
        self.stream = stream
        self._frames = FrameSplitter()
        if begins:
            stream.send(NATIVE_START)

    def say(self, *messages: OnPeerLink, body: bytes = b"") -> None:
        self.stream.send(b"".join(frame(header(message)) for message in messages) + body)

    def hear(self, *, within_s: float = 1000.0) -> Heard:
        """The next answer; raises EOFError at the end of the link."""
        with gevent.Timeout(within_s):
            while (head := self._frames.next()) is None:
                self._more()
            message = parse_on_peer_link(head)
            body = bytearray()
            while len(body) < (due := getattr(message, "body", 0)):
                if not self._frames.pending:
                    self._more()
                body += self._frames.body(due - len(body))
            return Heard(message, bytes(body))

    @property
    def pending(self) -> int:
        """Bytes that came and were not looked at yet."""
        return self._frames.pending

    def _more(self) -> None:
        data = self.stream.receive(65536)
        if not data:
            raise EOFError
        self._frames.feed(data)


def native_script(answer: Callable[[Talker, OnPeerLink], object]) -> Callable[[Stream], None]:
    """A source that takes a native link and answers each question with `answer`."""

    def serve(stream: Stream) -> None:
        assert stream.receive(1) == NATIVE_START
        talker = Talker(stream)
        while True:
            try:
                question = talker.hear().message
            except EOFError:
                return
            answer(talker, question)

    return serve


def wants(*records: Record) -> list[tuple[RelPath, Record]]:
    return [(one.path, one) for one in records]
