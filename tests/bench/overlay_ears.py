"""Ears: a pretended neighbour of each real peer, which says nothing but what it must and takes down when it heard of which path.

To its peer an ear is one neighbour more, told in the same moment as the others; it passes nothing on. All stand in this process, so
their times are of one clock.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from gsync.wire.frames import NATIVE_START, FrameSplitter, frame
from gsync.wire.native import Ping, Pong, header
from gsync.wire.overlay import Hello, Invalidate, parse_on_overlay_link
from tests.bench.native import WITHIN_S

_PORT_OF_NOBODY: Final = 9


class Ears:
    """One at each of these peers, by its port; to be closed."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._selector = selectors.DefaultSelector()
        self._frames: dict[socket.socket, tuple[int, FrameSplitter]] = {}
        for number, port in enumerate(ports):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            mark = f"{0xEA00 + number:016x}"
            hello = Hello(author=mark, name=f"zz-ear-{number:03}", port=_PORT_OF_NOBODY, life=mark)
            sock.sendall(NATIVE_START + frame(header(hello)))
            self._frames[sock] = number, FrameSplitter()
            self._selector.register(sock, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sock in self._frames:
            sock.close()
        self._selector.close()

    def hear(self, path: str) -> Mapping[int, float]:
        """When each of them heard that `path` has a new version (`time.perf_counter`); those that hear nothing are missing."""
        heard: dict[int, float] = {}
        until = time.perf_counter() + WITHIN_S
        while len(heard) < len(self._frames) and time.perf_counter() < until:
            for number, paths, at in self._listen(1.0):
                if path in paths:
                    heard.setdefault(number, at)
        return heard

    def pause(self, seconds: float) -> None:
        """Listen to whatever comes for so long."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            self._listen(left)

    def _listen(self, seconds: float) -> list[tuple[int, list[str], float]]:
        """Whoever heard something within this time: his number, the paths, and when."""
        heard = []
        for key, _ in self._selector.select(seconds):
            at = time.perf_counter()
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            number, frames = self._frames[sock]
            data = sock.recv(1 << 16)
            assert data, f"peer {number} closed the link to its ear"
            frames.feed(data)
            paths = []
            while (head := frames.next()) is not None:
                message = parse_on_overlay_link(head)
                if isinstance(message, Ping):
                    sock.sendall(frame(header(Pong(id=message.id))))
                elif isinstance(message, Invalidate):
                    paths.append(message.r.p)
            heard.append((number, paths, at))
        return heard
