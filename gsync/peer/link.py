"""One native link to a source, as the fetch that has it sees it: questions out, headers and bodies in.

It watches that the source neither falls silent nor trickles. Made and kept by `peer/links.py`; it opens nothing itself.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, TypeVar

import gevent
from msgspec import Struct

from gsync.core.vouching import Ticket
from gsync.errors import ConnectionBroken, RemoteProtocolError, SourceBusy, Stalled
from gsync.net.clock import Clock
from gsync.net.throttle import Throttle
from gsync.net.transport import Stream
from gsync.peer.fetcher import RATE_MIN, RATE_WINDOW_S
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.native import Busy, OnPeerLink, header, parse_on_peer_link

A = TypeVar("A", bound=OnPeerLink)


class Use(Enum):
    """What a link is for, and how much of an answer is read together with its header."""

    SMALL = auto()
    BULK = auto()


_RECEIVE: Final = {Use.SMALL: 256 * 1024, Use.BULK: 4096}


class Counts(Struct):
    """What came in over all links, and how often a timeout struck although bytes were here: our own loop was late."""

    bytes_received: int = 0
    late_timeouts: int = 0


class Link:
    """Ask, then take header after header, and each body at once; one greenlet at a time."""

    def __init__(
        self,
        stream: Stream,
        *,
        use: Use,
        ticket: Ticket,
        counts: Counts,
        clock: Clock,
        stall_s: float,
        downlink: Throttle | None,
    ) -> None:
        self.ticket: Final = ticket
        self._counts = counts
        self._stream = stream
        self._clock = clock
        self._stall_s = stall_s
        self._downlink = downlink
        self._frames = FrameSplitter()
        self._room = memoryview(bytearray(_RECEIVE[use]))
        self._id = 0
        self._window_began = clock.monotonic()
        self._window_bytes = 0

    def next_id(self) -> int:
        """A number for a request."""
        self._id += 1
        return self._id

    def ask(self, *questions: OnPeerLink) -> None:
        """Send questions. Raises `Stalled` when the source does not take them."""
        words = b"".join(frame(header(question)) for question in questions)
        with gevent.Timeout(self._stall_s, Stalled("it takes no requests")):
            self._stream.send(words)

    def begin(self) -> None:
        """A fetch begins: the minimum rate counts from now on."""
        self._window_began, self._window_bytes = self._clock.monotonic(), 0

    def next(self) -> OnPeerLink:
        """The next header. Its body, if it promises one, must be taken with `body` or `body_into` before the next call."""
        while (head := self._frames.next()) is None:
            self._frames.feed(self._room[: self._receive_into(self._room)])
        return parse_on_peer_link(head)

    def body(self, count: int) -> bytes:
        """The next `count` bytes of a body that is small."""
        while self._frames.pending < count:
            self._frames.feed(self._room[: self._receive_into(self._room)])
        return self._frames.body(count)

    def body_into(self, room: memoryview) -> None:
        """Fill `room` with the next bytes of a body."""
        here = self._frames.body(len(room))
        room[: len(here)] = here
        filled = len(here)
        while filled < len(room):
            filled += self._receive_into(room[filled:])

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that nobody asked for, its end included."""
        return not self._frames.pending and not self._stream.is_readable()

    def close(self) -> None:
        """Let go of it in order."""
        self._stream.close()

    def reset(self) -> None:
        """Break it off."""
        self._stream.reset()

    def _receive_into(self, room: memoryview) -> int:
        count = self._within(room)
        if count is None:
            if not self._stream.is_readable():
                raise Stalled(f"not a byte for {self._stall_s:g} s")
            self._counts.late_timeouts += 1
            count = self._stream.receive_into(room)  # the bytes were here: it was our own loop that was late
        if not count:
            raise ConnectionBroken("it ended the link")
        self._counts.bytes_received += count
        self._require_pace(count)
        if self._downlink is not None:
            self._downlink.take(count)
        return count

    def _within(self, room: memoryview) -> int | None:
        if self._stream.is_readable():  # on a fast link it nearly always is, and an alarm costs more than the look
            return self._stream.receive_into(room)
        count: int | None = None
        with gevent.Timeout(self._stall_s, False):
            count = self._stream.receive_into(room)
        return count

    def _require_pace(self, count: int) -> None:
        self._window_bytes += count
        now = self._clock.monotonic()
        if now - self._window_began < RATE_WINDOW_S:
            return
        if self._window_bytes < RATE_MIN * RATE_WINDOW_S:
            raise Stalled(f"slower than {RATE_MIN} bytes/s over {RATE_WINDOW_S:.0f} s")
        self._window_began, self._window_bytes = now, 0


def answer_to(id_: int, answer: OnPeerLink, kind: type[A]) -> A:
    """`answer`, if it is the `kind` that request `id_` asked for. Raises SourceBusy, RemoteProtocolError."""
    if isinstance(answer, Busy) and answer.id == id_:
        raise SourceBusy("it is busy with others")
    if not isinstance(answer, kind) or answer.id != id_:
        raise RemoteProtocolError(f"a {type(answer).__name__} where the answer to another question was due")
    return answer
