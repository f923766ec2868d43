"""Stands between peers and their tracker, passes every byte on, and notes when the peers spoke."""

from __future__ import annotations

import re
import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Final, Self

_PORT: Final = re.compile(rb'"port":(\d+)')
_LOOK_S: Final = 0.1
_PIECE: Final = 256 * 1024


class TrackerProxy:
    """Listens at `port` on loopback from `__enter__` to `__exit__`; a thread of its own, so that nobody else makes it late."""

    def __init__(self, tracker_port: int) -> None:
        self._tracker_port = tracker_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._other: dict[socket.socket, socket.socket] = {}
        self._peers: set[socket.socket] = set()
        self._spoke: dict[int, list[float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracker-proxy", daemon=True)
        self.port = int(self._listener.getsockname()[1])

    def spoke(self, serving_port: int) -> tuple[float, ...]:
        """When the peer that serves there said something to its tracker, by `time.monotonic`."""
        return tuple(self._spoke.get(serving_port, ()))

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for sock in (self._listener, *self._other):
            sock.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(_LOOK_S):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._listener:
                    self._accept()
                elif sock in self._other:
                    self._pass_on(sock)

    def _accept(self) -> None:
        peer, _ = self._listener.accept()
        tracker = socket.create_connection(("127.0.0.1", self._tracker_port))
        self._peers.add(peer)
        self._other |= {peer: tracker, tracker: peer}
        for sock in (peer, tracker):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(sock, selectors.EVENT_READ)

    def _pass_on(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_PIECE)
            self._other[sock].sendall(data)
        except ConnectionError:
            data = b""
        if not data:
            self._hang_up(sock)
        elif sock in self._peers and (said := _PORT.search(data)):
            self._spoke.setdefault(int(said[1]), []).append(time.monotonic())

    def _hang_up(self, sock: socket.socket) -> None:
        for end in (sock, self._other[sock]):
            self._selector.unregister(end)
            self._peers.discard(end)
            del self._other[end]
            end.close()
