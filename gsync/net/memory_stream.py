"""`MemoryStream`: a `transport.Stream` between two hosts of a `MemoryNetwork`, with TCP's manners where they matter.

Its bytes travel with the link's latency, wait while the link is down, and fill a bounded buffer, so that a sender feels a
slow receiver. As with TCP: what arrived before a reset can still be received; to send to an end that was closed brings a
reset back; and so does closing an end while something that came was not received.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol, Self

import gevent
from gevent.event import Event

from gsync.core.names import Endpoint
from gsync.errors import ConnectionBroken
from gsync.net.transport import Readable, send_pieces

PIPE_BYTES: Final = 64 * 1024
"""What one direction holds, on its way and unread together."""


class Link(Protocol):
    """The way from one host to another."""

    def delay_s(self) -> float:
        """How long the next piece takes."""
        ...

    def is_up(self) -> bool: ...

    def once_up(self, deliver: Callable[[], None]) -> None:
        """Call `deliver` when the link is up again."""
        ...


class _Mark(Enum):
    END = "end"
    RESET = "reset"


class Pipe:
    """One direction of a connection; `other` is the opposite one."""

    other: Pipe

    def __init__(self, link: Link) -> None:
        self._link = link
        self._flying: deque[bytes | _Mark] = deque()
        self._size = 0
        self.arrived = bytearray()
        self.ended = False  # the end has arrived: nothing comes after it
        self.broken = False
        self.sealed = False  # the sender said that no more comes
        self.abandoned = False  # the receiver has closed its stream
        self._left = False  # the sender has closed its stream
        self.readable = Event()  # each of these is set for as long as it is true
        self.writable = Event()
        self.landed = Event()
        self._refresh()

    @property
    def room(self) -> int:
        return PIPE_BYTES - self._size

    def push(self, piece: bytes) -> None:
        self._size += len(piece)
        self._send(piece)

    def seal(self) -> None:
        if not self.sealed:
            self.sealed = True
            self._send(_Mark.END)

    def take(self, count: int) -> bytes:
        piece = bytes(self.arrived[:count])
        del self.arrived[:count]
        self._size -= len(piece)
        self._refresh()
        return piece

    def abandon(self) -> None:
        """The receiver wants no more; whoever waits to receive is woken."""
        self.abandoned = True
        self._refresh()

    def leave(self) -> None:
        """The sender has gone; whoever waits to have sent is woken."""
        self._left = True
        self._refresh()

    def send_reset(self) -> None:
        self.sealed = True
        self._send(_Mark.RESET)

    def shatter(self) -> None:
        """Break it at once; what was on its way is lost."""
        self._size -= sum(len(item) for item in self._flying if isinstance(item, bytes))
        self._flying.clear()
        self.broken = True
        self._refresh()

    def _send(self, item: bytes | _Mark) -> None:
        self._flying.append(item)
        delay_s = self._link.delay_s()
        if delay_s:
            timer = gevent.get_hub().loop.timer(delay_s)
            timer.start(self._land_by, timer)
        else:
            self._land()
        self._refresh()

    def _land_by(self, timer: object) -> None:
        timer.close()  # type: ignore[attr-defined]  # gevent's own, which has no type
        self._land()

    def _land(self) -> None:
        # Whichever timer fires first brings the piece that was sent first: latency varies, order does not.
        if not self._flying:
            return
        if not self._link.is_up():
            self._link.once_up(self._land)
            return
        item = self._flying.popleft()
        if item is _Mark.RESET:
            self.broken = True
            self.other.shatter()
        elif item is _Mark.END:
            self.ended = True
        elif self.abandoned:
            self._size -= len(item)
            self.other.send_reset()
        else:
            self.arrived += item
        self._refresh()

    def _refresh(self) -> None:
        _show(self.readable, bool(self.arrived) or self.ended or self.broken or self.abandoned)
        _show(self.writable, self.room > 0 or self.broken or self.sealed)
        _show(self.landed, not self._flying or self.broken or self._left)


class MemoryStream:
    """One end of a connection; fulfils `transport.Stream`."""

    def __init__(self, *, local: Endpoint, remote: Endpoint, inward: Pipe, outward: Pipe) -> None:
        self.local: Final = local
        self.remote: Final = remote
        self._inward = inward
        self._outward = outward
        self._closed = False
        self.bytes_sent = 0

    def receive(self, limit: int) -> bytes:
        while True:
            self._check_open()
            if self._inward.arrived:
                return self._inward.take(limit)
            if self._inward.ended:
                return b""
            if self._inward.broken:
                raise self._broken()
            self._inward.readable.wait()

    def receive_into(self, buffer: memoryview) -> int:
        received = self.receive(len(buffer))
        buffer[: len(received)] = received
        return len(received)

    def is_readable(self) -> bool:
        self._check_open()
        return bool(self._inward.readable.is_set())

    def send(self, data: bytes | memoryview) -> None:
        view = memoryview(data).cast("B")
        while view:
            self._check_open()
            if self._outward.broken or self._outward.sealed:
                raise self._broken()
            if self._outward.room <= 0:
                self._outward.writable.wait()
                continue
            room = self._outward.room
            self._outward.push(bytes(view[:room]))
            self.bytes_sent += len(view[:room])
            view = view[room:]

    def send_file(self, file: Readable, *, offset: int, count: int, mappable: bool = False) -> int:
        return send_pieces(self.send, file, offset=offset, count=count, piece_bytes=PIPE_BYTES)

    def wait_sent(self) -> None:
        self._check_open()
        self._outward.landed.wait()
        self._check_open()
        if self._outward.broken:
            raise self._broken()

    def end_sending(self) -> None:
        self._check_open()
        if self._outward.broken:
            raise self._broken()
        self._outward.seal()

    def reset(self) -> None:
        if not self._closed:
            self._closed = True
            self._inward.abandon()
            self._outward.send_reset()
            self._outward.leave()

    def close(self) -> None:
        if self._inward.arrived:
            self.reset()
        elif not self._closed:
            self._closed = True
            self._inward.abandon()
            self._outward.seal()
            self._outward.leave()

    def sever(self) -> None:
        """Break the connection under both ends at once; for the network, when it cuts it."""
        self._inward.shatter()
        self._outward.shatter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object, /) -> None:
        if exc is None:
            self.close()
        else:
            self.reset()

    @property
    def closed(self) -> bool:
        return self._closed

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionBroken(f"the connection with {self.remote} is already closed on our side")

    def _broken(self) -> ConnectionBroken:
        return ConnectionBroken(f"the connection with {self.remote} broke")


def connect(*, near: Endpoint, far: Endpoint, there: Link, back: Link) -> tuple[MemoryStream, MemoryStream]:
    """The two ends of a new connection, first the one at `near`; `there` leads from near to far."""
    outward, inward = Pipe(there), Pipe(back)
    outward.other, inward.other = inward, outward
    return (
        MemoryStream(local=near, remote=far, inward=inward, outward=outward),
        MemoryStream(local=far, remote=near, inward=outward, outward=inward),
    )


def _show(event: Event, true: bool) -> None:
    if true:
        event.set()
    else:
        event.clear()
