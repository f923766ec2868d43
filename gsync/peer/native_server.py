"""Answers one native peer link: contents and block lists by digest, back to back, in the order of the questions.

Given a stream by the uploader once its NUL has come. One greenlet reads a request, answers it, reads the next: what was asked
for meanwhile waits in the kernel, so nothing piles up here. It serves only what the local tree says to be at a path, with that
digest, and only while the disk shows the file that the index knows; else it says "gone". A file that changes in the middle of a
body ends the link. PROTOCOL.md, "Native peer link".
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import gevent
from gevent.lock import BoundedSemaphore

from gsync.core.model import FileMeta, Kind
from gsync.core.names import RelPath
from gsync.core.promises import Promises
from gsync.errors import FileChanged, NameRefused, RemoteProtocolError, StorageError
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.net.throttle import Throttle
from gsync.net.transport import Stream
from gsync.peer.block_lists import BlockLists
from gsync.peer.sending import send, send_file
from gsync.peer.trees import Trees
from gsync.storage.filesystem import Folder, OpenFile
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.native import (
    Block,
    BlockList,
    Busy,
    Get,
    GetBlocks,
    Keep,
    Kept,
    OnPeerLink,
    Ping,
    Pong,
    Want,
    header,
    parse_on_peer_link,
)
from gsync.wire.overlay import Hello, parse_first

log = logging.getLogger(__name__)

LINK_IDLE_S: Final = 60.0
"""A native link on which nobody asks anything for this long is closed; a Ping is a question, too."""

LINKS_PER_ADDRESS: Final = 32
"""Native links of one address; loopback is exempt, where all peers of a machine share one."""

BUSY_AFTER_S: Final = 5.0
"""Whoever has to wait longer than this for a place is told so, before he takes us for dead."""

WORD_EVERY_S: Final = 3.0
"""While a block list is being made, a Pong now and then says that it will come."""

READ_BODY_MAX: Final = 64 * 1024
"""Up to this size a body is read and goes out with others; a larger one goes straight from the file."""

TOGETHER_BYTES: Final = 256 * 1024
"""So much is sent at once; then others have their turn."""

BREATHE_EVERY: Final = 64
"""Small files opened and read between two breaths: a millisecond or two."""

RECEIVE: Final = 64 * 1024


OnHello = Callable[[Stream, Hello, FrameSplitter], None]
"""Takes over a link that began with a Hello, with what has come behind it, and returns when it is over."""


class NativeServer:
    """Serves native links; all share the `places` that the uploader has. One that begins with a Hello is `on_hello`'s."""

    def __init__(
        self,
        *,
        folder: Folder,
        trees: Trees,
        lists: BlockLists,
        clock: Clock,
        uplink: Throttle | None = None,
        on_hello: OnHello | None = None,
        promises: Promises | None = None,
    ) -> None:
        self._folder = folder
        self._trees = trees
        self._lists = lists
        self._clock = clock
        self._uplink = uplink
        self._on_hello = on_hello
        self._promises = promises or Promises()
        self._links: Counter[str] = Counter()

    def serve(
        self, stream: Stream, rest: bytes, *, places: BoundedSemaphore, on_first_word: Callable[[], None]
    ) -> None:
        """Answer until the other side ends the link, or is silent too long. `rest` is what came after the NUL.

        Raises TransportError, RemoteProtocolError; StorageError when a file changed under a body that had begun.
        """
        address = stream.remote.ip
        if self._links[address] >= LINKS_PER_ADDRESS and not stream.remote.is_loopback:
            log.warning("upload.refused peer=%s reason=too many native links of one address", stream.remote)
            return
        self._links[address] += 1
        try:
            questions, answers = _Questions(stream, rest), _Answers(stream, self._uplink)
            while True:
                question = questions.here()
                if question is None:
                    answers.flush()
                    question = questions.next()
                if question is None:
                    return
                on_first_word()
                if isinstance(question, Hello):
                    self._hand_over(stream, question, questions)
                    return
                self._answer(answers, question, places)
        finally:
            self._links[address] -= 1
            if not self._links[address]:
                del self._links[address]

    def _hand_over(self, stream: Stream, hello: Hello, questions: _Questions) -> None:
        if self._on_hello is None:
            raise RemoteProtocolError("a Hello, where nobody keeps neighbours")
        self._on_hello(stream, hello, questions.rest)

    def _answer(self, answers: _Answers, question: OnPeerLink, places: BoundedSemaphore) -> None:
        match question:
            case Ping():
                answers.say(Pong(id=question.id))
            case Keep():
                answers.say(Kept(id=question.id, ok=self._keeps(question)))
            case Get() | GetBlocks():
                with _a_place(places, before_waiting=answers.flush) as has_place:
                    if not has_place:
                        answers.say(Busy(id=question.id))
                    elif isinstance(question, Get):
                        self._give(answers, question)
                    else:
                        self._give_list(answers, question)
            case _:
                raise RemoteProtocolError(f"a {type(question).__name__} that answers nothing")

    def _keeps(self, question: Keep) -> bool:
        """Whether it stands here as the index knows it, and stays: then that is promised."""
        try:
            path = RelPath.parse(question.p)
            meta, there = self._trees.local.get(path), self._folder.fingerprint(path)
        except (NameRefused, StorageError):
            return False
        if meta is None or there is None or (meta.kind, meta.digest) != (there.kind, question.d):
            return False
        if meta.version.vector() != question.v:
            return False
        if meta.kind is not Kind.DIRECTORY and not (meta.digest and there.same_content_as(meta.fingerprint)):
            return False
        return self._promises.promise(path, now=self._clock.monotonic())

    def _give(self, answers: _Answers, question: Get) -> None:
        for number, want in enumerate(question.wants):
            if number and not number % BREATHE_EVERY:
                breathe()
            if not self._give_one(answers, question.id, number, want):
                answers.say(Block(id=question.id, want=number, gone=True))

    def _give_one(self, answers: _Answers, id_: int, number: int, want: Want) -> bool:
        """Whether it could be given; if not, nothing of it was said."""
        file = self._opened(want.p, want.d)
        if file is None:
            return False
        with file:
            size = file.fingerprint.size
            count = want.count or (size if not want.offset else 0)
            if want.offset + count > size:
                return False
            if count <= READ_BODY_MAX:
                body = file.read_at(want.offset, count)
                if len(body) < count or file.changed():
                    return False
                answers.say(Block(id=id_, want=number, body=count), body)
                return True
            if file.changed():
                return False
            answers.say_file(Block(id=id_, want=number, body=count), file, offset=want.offset, count=count)
            return True

    def _give_list(self, answers: _Answers, question: GetBlocks) -> None:
        blocks = self._lists.known(question.d) or self._made_list(answers, question)
        if blocks is None:
            answers.say(BlockList(id=question.id, gone=True))
            return
        answers.say(BlockList(id=question.id, body=len(blocks)), blocks)

    def _made_list(self, answers: _Answers, question: GetBlocks) -> bytes | None:
        answers.flush()
        last_word = self._clock.monotonic()

        def on_slice() -> None:
            nonlocal last_word
            if self._clock.monotonic() - last_word >= WORD_EVERY_S:
                last_word = self._clock.monotonic()
                answers.say(Pong(id=question.id))
                answers.flush()

        file = self._opened(question.p, question.d)
        if file is None:
            return None
        with file:
            try:
                return self._lists.of(file, question.d, on_slice=on_slice)
            except StorageError as error:
                log.info("upload.failed path=%r reason=%s", question.p, error)
                return None

    def _opened(self, name: str, digest: str) -> OpenFile | None:
        """A file of ours with this content, the one at `name` if it is; None where there is none (any more)."""
        for path, meta in self._holders(name, digest):
            try:
                file = self._folder.open(path)
            except StorageError as error:
                log.info("upload.refused path=%r reason=%s", path, error)
                continue
            if file.fingerprint.same_content_as(meta.fingerprint):
                return file
            file.close()
        return None

    def _holders(self, name: str, digest: str) -> Iterator[tuple[RelPath, FileMeta]]:
        if not digest:
            return
        try:
            path = RelPath.parse(name)
        except NameRefused as error:
            raise RemoteProtocolError(f"a content at {name!r}: {error.reason}") from error
        for holder in (path, *self._trees.holders_of(digest)):
            meta = self._trees.local.get(holder)
            if meta is not None and meta.digest == digest and meta.kind is Kind.FILE:
                yield holder, meta


class _Questions:
    """The requests of one link, one after the other."""

    def __init__(self, stream: Stream, rest: bytes) -> None:
        self._stream = stream
        self._frames = FrameSplitter()
        self._frames.feed(rest)
        self._is_first = True

    @property
    def rest(self) -> FrameSplitter:
        """What has come behind the last one."""
        return self._frames

    def here(self) -> OnPeerLink | Hello | None:
        """The next one, if all of it has come already."""
        head = self._frames.next()
        return None if head is None else self._parsed(head)

    def next(self) -> OnPeerLink | Hello | None:
        """The next one, waited for; None when the other side has ended the link, or has asked nothing for too long."""
        head = None
        with gevent.Timeout(LINK_IDLE_S, False):
            while (head := self._frames.next()) is None:
                data = self._stream.receive(RECEIVE)
                if not data:
                    return None
                self._frames.feed(data)
        return None if head is None else self._parsed(head)

    def _parsed(self, head: bytes) -> OnPeerLink | Hello:
        """A Hello may only come first: it makes this an overlay link."""
        parse = parse_first if self._is_first else parse_on_peer_link
        self._is_first = False
        return parse(head)


class _Answers:
    """What goes out on one link, small things together."""

    def __init__(self, stream: Stream, uplink: Throttle | None) -> None:
        self._stream = stream
        self._uplink = uplink
        self._waiting = bytearray()

    def say(self, message: OnPeerLink, body: bytes = b"") -> None:
        self._waiting += frame(header(message))
        self._waiting += body
        if len(self._waiting) >= TOGETHER_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            send(self._stream, waiting, uplink=self._uplink)

    def say_file(self, message: OnPeerLink, file: OpenFile, *, offset: int, count: int) -> None:
        """Send a body straight from `file`; its last byte waits until the file is known not to have changed meanwhile.

        Raises FileChanged: then the link cannot go on.
        """
        self.say(message)
        self.flush()
        sent = send_file(self._stream, file, offset=offset, count=count - 1, uplink=self._uplink, mappable=True)
        last = file.read_at(offset + count - 1, 1)
        if sent < count - 1 or not last or file.changed():
            raise FileChanged("it was changed while it was sent")
        self._waiting += last


@contextmanager
def _a_place(places: BoundedSemaphore, *, before_waiting: Callable[[], None]) -> Iterator[bool]:
    """One of the places of those who are being served; False where none came free in time."""
    has_place = bool(places.acquire(blocking=False))
    if not has_place:
        before_waiting()
        has_place = bool(places.acquire(timeout=BUSY_AFTER_S))
    try:
        yield has_place
    finally:
        if has_place:
            places.release()
