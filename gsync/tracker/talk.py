"""One conversation of the tracker with one peer: what comes in, and when the next message is due.

A peer has its time, whatever it does with it: bytes that complete no message buy none. A message that grows long needs
one of a few places to come in; while it waits for one it is not read, so that a thousand peers that announce 10,000 files
at once lie in the kernel's buffers and not in ours. Called by `tracker.py`, on the greenlet of the connection.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import gevent
from gevent.lock import BoundedSemaphore

from gsync.core.holders import PeerId
from gsync.core.names import Endpoint
from gsync.errors import RemoteProtocolError
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.net.transport import Stream
from gsync.tracker.connections import Connection
from gsync.wire.frames import NATIVE_START, FrameSplitter
from gsync.wire.framing import TRACKER_LIMIT_BYTES, JsonSplitter

FIRST_WORD_S: Final = 30.0
"""How long a connection may last without a valid message; some programs speak only after 5 s."""

SHORT_BYTES: Final = 8 * 1024
"""How long a message may grow without a place."""

RECEIVE_BYTES: Final = 64 * 1024
"""How much is read at once of a message that has a place."""

LONG_MESSAGE_S: Final = 10.0
"""How long a long message may take to come in while others wait for its place; 4 MiB at 400 KB/s."""

READ_ANSWER_S: Final = 30.0
"""How long a peer may take to read its answer, or each MiB of a longer one."""

REFUSALS_LOGGED: Final = 5
"""A line for each of the first bad entries of a message, then one for all others."""

_PLACE_LOOK_S: Final = 1.0
"""How often one who has a place looks whether he must make way."""


class Places:
    """The places for long messages, given in the order in which they were asked for."""

    def __init__(self, count: int) -> None:
        self._free = BoundedSemaphore(count)
        self._waiting = 0

    @property
    def are_awaited(self) -> bool:
        """Whether somebody waits for one."""
        return self._waiting > 0

    def take(self) -> None:
        """Wait for a place."""
        self._waiting += 1
        try:
            self._free.acquire()
        finally:
            self._waiting -= 1

    def give_back(self) -> None:
        self._free.release()


class Talk:
    """One connection from its first byte to its last; holds nothing of a message once that has been handed out."""

    def __init__(self, connection: Connection, stream: Stream, *, number: int, clock: Clock, places: Places) -> None:
        self.connection: Final = connection
        self.stream: Final = stream
        self.number: Final = number
        self.peer: Final = PeerId(number)
        self.knows_gsync = False
        self.knows_native = False
        """Whether NUL may come: from then on the messages are headers of frames."""
        self.endpoint: Endpoint | None = None
        """Where the peer serves, as it told last."""
        self.has_joined = False
        self._clock = clock
        self._splitter: JsonSplitter | _Frames = JsonSplitter(TRACKER_LIMIT_BYTES)
        self._due = f"no valid message within {FIRST_WORD_S:g} s"
        self._deadline = clock.monotonic() + FIRST_WORD_S
        self._places = places
        self._place_since: float | None = None

    def receive(self) -> deque[bytes] | None:
        """The messages that the next bytes complete, often none; None when the peer has closed. The NUL with which it goes native
        is one of them.

        Raises `RemoteProtocolError` for bytes that are no messages, and when the time for the next message is over.
        """
        limit = SHORT_BYTES if self._place_since is None else RECEIVE_BYTES
        data = self._bytes(limit)
        messages = deque(self._messages(data))
        if not data:
            return None
        if not messages:
            self._check_time()
        if len(data) == RECEIVE_BYTES:
            breathe()
        return messages

    def expect_next(self, *, within_s: float) -> None:
        """A message was valid and is answered; the next one is due in `within_s`."""
        self._due = f"no message for {within_s:g} s"
        self._deadline = self._clock.monotonic() + within_s

    def wait_for_place_if_long(self) -> None:
        """Wait until the message that has begun may come in, if it is long and has no place yet."""
        if self._splitter.pending < SHORT_BYTES or self._place_since is not None:
            return
        began = self._clock.monotonic()
        self._places.take()
        self._place_since = self._clock.monotonic()
        self._deadline += self._place_since - began

    def give_place_back(self) -> None:
        """Let the next long message of another come in; nothing, if this one has no place."""
        if self._place_since is not None:
            self._place_since = None
            self._places.give_back()

    def _messages(self, data: bytes) -> list[bytes]:
        if not self.knows_native or isinstance(self._splitter, _Frames):
            return self._splitter.feed(data)
        said, switch, frames = data.partition(NATIVE_START)
        found = self._splitter.feed(said)
        if not switch:
            return found
        if self._splitter.pending:
            raise RemoteProtocolError("native begins in the middle of a message")
        self._splitter = _Frames()
        return [*found, NATIVE_START, *self._splitter.feed(frames)]

    def _bytes(self, limit: int) -> bytes:
        while True:
            left_s = max(self._deadline - self._clock.monotonic(), 0.0)
            patience = gevent.Timeout(left_s if self._place_since is None else min(left_s, _PLACE_LOOK_S))
            try:
                with patience:
                    return self.stream.receive(limit)
            except gevent.Timeout as expired:
                if expired is not patience:
                    raise
            if self.stream.is_readable():  # it may be we who were asleep
                return self.stream.receive(limit)
            self._check_time()

    def _check_time(self) -> None:
        now = self._clock.monotonic()
        if now >= self._deadline:
            raise RemoteProtocolError(self._due)
        if self._place_since is not None and self._places.are_awaited and now >= self._place_since + LONG_MESSAGE_S:
            raise RemoteProtocolError("too slow a message while others wait")


class _Frames:
    """The frames of a tracker link, of which none has a body; to be used like a `JsonSplitter`."""

    __slots__ = ("_splitter",)

    def __init__(self) -> None:
        self._splitter = FrameSplitter()

    @property
    def pending(self) -> int:
        return self._splitter.pending

    def feed(self, data: bytes) -> list[bytes]:
        self._splitter.feed(data)
        return list(iter(self._splitter.next, None))
