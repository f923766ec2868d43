"""Go-betweens of the test's own process: what passes between two programs may be watched, held up or changed there.

A peer of ours tells a tracker its port in JSON before the two go native; `TrackerRelay` tells the tracker another one, so that
everybody who wants something of that peer comes to a relay, too.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time

import gevent

from gsync.wire.frames import NATIVE_START, FrameSplitter
from gsync.wire.native import Alive, parse_to_tracker
from tests.e2e.pretenders import Listener

KIB = 1024
PIECE = 64 * KIB

_PORT = re.compile(rb'"port":\d+')


class Relay(Listener):
    """Passes bytes on to `port` of 127.0.0.1 and back, connection by connection; a subclass looks at them on their way."""

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self._to_port = port
        self._receive_buffer = receive_buffer
        super().__init__()

    def handle(self, conn: socket.socket) -> None:
        with socket.socket() as onward:
            if self._receive_buffer:
                onward.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
            onward.connect(("127.0.0.1", self._to_port))
            for sock in (conn, onward):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            there, back = self.link()
            both = [gevent.spawn(_pass_on, conn, onward, there), gevent.spawn(_pass_on, onward, conn, back)]
            try:
                gevent.joinall(both, count=1)  # whichever side has ended the link, the other hears of it
            finally:
                gevent.killall(both)

    def link(self) -> tuple[Way, Way]:
        """What to do with the bytes of a new connection, on their way there and back."""
        return Way(), Way()


class Way:
    """One direction of one connection."""

    def pass_on(self, data: bytes, to: socket.socket) -> None:
        """Send on what came."""
        to.sendall(data)


class Told(Way):
    """On the way to a tracker the peer's port is another one until the two go native; from then on keepalives are noted."""

    def __init__(self, as_port: int, heard_at: list[float]) -> None:
        self._as_port = as_port
        self._heard_at = heard_at
        self._frames: FrameSplitter | None = None

    def pass_on(self, data: bytes, to: socket.socket) -> None:
        if self._frames is not None:
            frames = data
        else:
            words, nul, frames = data.partition(NATIVE_START)
            if nul:
                self._frames = FrameSplitter()
            if self._as_port:
                data = _PORT.sub(b'"port":%d' % self._as_port, words) + nul + frames
        to.sendall(data)
        if self._frames is not None:
            self._frames.feed(frames)
            while (head := self._frames.next()) is not None:
                if isinstance(parse_to_tracker(head), Alive):
                    self._heard_at.append(time.monotonic())


class TrackerRelay(Relay):
    """Before a tracker: `as_port` (0: none) is what it is told of where the peer serves; `heard_at` notes native keepalives."""

    def __init__(self, port: int, *, as_port: int = 0) -> None:
        self.as_port = as_port
        self.heard_at: list[float] = []
        super().__init__(port)

    def link(self) -> tuple[Way, Way]:
        return Told(self.as_port, self.heard_at), Way()


def _pass_on(source: socket.socket, to: socket.socket, way: Way) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(PIECE):
            way.pass_on(data, to)
