"""One link to a neighbour, after both sides have said Hello: messages out through a bounded queue, messages in as they come.

It never waits for whoever speaks on it: a neighbour that does not take what it is told is dropped, and told what it missed when it
is back. Made by `neighbours.py`, which decides who is one; what the messages mean is the overlay's.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Final, NoReturn

import gevent
from gevent.event import Event

from gsync.core.names import Endpoint, PeerName
from gsync.errors import ConnectionBroken, RemoteProtocolError, Stalled
from gsync.net.breathing import breathe
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Stream
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.native import Message, Ping, Pong, header
from gsync.wire.overlay import Hello, OnOverlayLink, parse_on_overlay_link

QUEUE_FRAMES: Final = 20_000
QUEUE_BYTES: Final = 8 * 1024 * 1024
"""What waits for a neighbour that reads slowly; with more it is dropped."""

PING_S: Final = 10.0
SILENCE_S: Final = 30.0
"""A neighbour of which nothing is heard is pinged; one that answers no Ping, or takes nothing for as long, is gone."""

TOGETHER_BYTES: Final = 64 * 1024
RECEIVE: Final = 64 * 1024
HEADER_MAX_BYTES: Final = 512 * 1024
"""The longest message of neighbours: a poll or a list of marks of long paths."""

_MESSAGES_A_BREATH: Final = 64

Heard = Callable[["OverlayLink", OnOverlayLink], None]


class OverlayLink:
    """`name` is the neighbour, `endpoint` where it serves, `dialled_by` which of the two has made the connection."""

    def __init__(self, stream: Stream, hello: Hello, *, dialled_by: PeerName, counts: Counter[str]) -> None:
        self.name: Final = PeerName.parse(hello.name)
        self.hello: Final = hello
        self.dialled_by: Final = dialled_by
        self.remote_ip: Final = stream.remote.ip
        self.endpoint: Final = Endpoint.parse(stream.remote.ip, hello.port)
        self._stream = stream
        self._counts = counts
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._has_more = Event()
        self._reason = ""

    def say(self, message: Message, spelled: bytes | None = None) -> None:
        """Send it soon; `spelled` is its frame, where several neighbours are told the same."""
        data = frame(header(message)) if spelled is None else spelled
        if len(self._queue) >= QUEUE_FRAMES or self._queued_bytes + len(data) > QUEUE_BYTES:
            self.drop("it does not take what it is told")
            return
        self._counts[f"{tag(message)} sent"] += 1
        self._queue.append(data)
        self._queued_bytes += len(data)
        self._has_more.set()

    def drop(self, reason: str) -> None:
        """Break it off; `run` ends with this reason."""
        self._reason = self._reason or reason
        self._queue.clear()
        self._queued_bytes = 0
        self._stream.reset()

    def run(self, frames: FrameSplitter, heard: Heard) -> NoReturn:
        """Speak and listen until the link ends, which raises; `frames` holds what has come already."""
        try:
            with TaskGroup() as tasks:
                tasks.spawn(self._speak)
                self._listen(frames, heard)
        except (ConnectionBroken, Stalled) as error:
            if self._reason:
                raise Stalled(self._reason) from error
            raise

    def _listen(self, frames: FrameSplitter, heard: Heard) -> NoReturn:
        while True:
            messages = 0
            while (head := frames.next()) is not None:
                self._hear(parse_on_overlay_link(head), heard)
                messages += 1
                if messages % _MESSAGES_A_BREATH == 0:
                    breathe()
            frames.feed(self._received())

    def _received(self) -> bytes:
        """What comes next. Who says nothing is asked for a word, however much we say: an honest listener need not speak."""
        with gevent.Timeout(SILENCE_S, Stalled(f"no word for {SILENCE_S:.0f} s")):
            while True:
                try:
                    with gevent.Timeout(PING_S) as patience:
                        data = self._stream.receive(RECEIVE)
                except gevent.Timeout as over:
                    if over is not patience:
                        raise
                    self.say(Ping(id=0))
                    continue
                if not data:
                    raise ConnectionBroken("it ended the link")
                return data

    def _hear(self, message: OnOverlayLink, heard: Heard) -> None:
        self._counts[f"{tag(message)} heard"] += 1
        match message:
            case Ping():
                self.say(Pong(id=message.id))
            case Pong():
                pass
            case Hello():
                raise RemoteProtocolError("a second Hello")
            case _:
                heard(self, message)

    def _speak(self) -> None:
        while True:
            self._has_more.wait()
            self._has_more.clear()
            while self._queue:
                together = bytearray()
                while self._queue and len(together) < TOGETHER_BYTES:
                    together += self._queue.popleft()
                self._queued_bytes = max(0, self._queued_bytes - len(together))
                with gevent.Timeout(SILENCE_S, Stalled(f"it takes nothing for {SILENCE_S:.0f} s")):
                    self._stream.send(bytes(together))


def tag(message: Message) -> str:
    """The word that says on the wire which message it is."""
    return str(type(message).__struct_config__.tag)
