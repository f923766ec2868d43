"""Pretended trackers and sources: greenlets of the test's process that say whatever a test wants a gsync peer to hear."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any

from gevent.server import StreamServer

from tests.e2e.cluster import free_port

Json = Mapping[str, Any]


class Listener:
    """A server on 127.0.0.1, at a free port if none is named; a context manager that closes it and every connection."""

    def __init__(self, port: int = 0) -> None:
        self._connections: set[socket.socket] = set()
        self._server = StreamServer(("127.0.0.1", port or free_port()), self._serve)
        self._server.start()
        self.port: int = self._server.server_port

    def handle(self, conn: socket.socket) -> None:
        """What to do with a connection; closed afterwards, whatever is raised by the network."""
        raise NotImplementedError

    def vanish(self) -> None:
        """Stop listening and cut every connection, as a program that is killed."""
        self._server.stop(timeout=0)
        for conn in list(self._connections):
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)  # a bare close waits for whoever reads from it

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc: object) -> None:
        self.vanish()

    def _serve(self, conn: socket.socket, _address: object) -> None:
        self._connections.add(conn)
        try:
            with contextlib.suppress(OSError), conn:
                self.handle(conn)
        finally:
            self._connections.discard(conn)


class PretendedTracker(Listener):
    """Answers each message with `answer`, byte for byte; `messages` are those that came."""

    def __init__(self, answer: bytes = b"{}\n") -> None:
        super().__init__()
        self.answer = answer
        self.messages: list[bytes] = []

    def handle(self, conn: socket.socket) -> None:
        with conn.makefile("rb") as lines:
            for line in lines:  # gsync ends each message with a newline
                self.messages.append(line)
                conn.sendall(self.answer)

    def push(self, answer: bytes) -> None:
        """From now on `answer`, and to everybody at once, unasked."""
        self.answer = answer
        for conn in list(self._connections):
            conn.sendall(answer)

    def initials(self) -> list[dict[str, Any]]:
        """The Initials that came, parsed."""
        return [message for line in self.messages if "files" in (message := json.loads(line))]


class PretendedSource(Listener):
    """Serves as `behave` does, which is given the connection and the bytes of the request that came first."""

    def __init__(self, behave: Callable[[socket.socket, bytes], None]) -> None:
        self.requests: list[bytes] = []
        self._behave = behave
        super().__init__()

    def handle(self, conn: socket.socket) -> None:
        request = conn.recv(65536)
        self.requests.append(request)
        if request:
            self._behave(conn, request)


def contents(files: Mapping[str, bytes]) -> Callable[[socket.socket, bytes], None]:
    """The behaviour of an honest source of edition 1 or 2, whichever it is asked in."""

    def behave(conn: socket.socket, request: bytes) -> None:
        name = request.decode().removesuffix("\n")
        content = files[name]
        header = b"Content-Length: %d\n" % len(content) if request.endswith(b"\n") else b""
        conn.sendall(header + content)

    return behave


def stuck_after(count: int, *, promised: int) -> Callable[[socket.socket, bytes], None]:
    """The behaviour of a source of edition 2 that promises a file, sends the first `count` bytes, and then nothing more."""

    def behave(conn: socket.socket, _request: bytes) -> None:
        conn.sendall(b"Content-Length: %d\n" % promised + bytes(count))
        while conn.recv(65536):
            pass

    return behave


def listing(entries: Mapping[str, tuple[int, object]], *, ours: bool = False) -> bytes:
    """A directory that says, for each name, at which port of 127.0.0.1 it is and of what mtime it is."""
    mark = {"gsync": 1} if ours else {}
    files = {name: {"ip": "127.0.0.1", "port": port, "mtime": mtime, **mark} for name, (port, mtime) in entries.items()}
    return (("{\t" if ours else "{") + json.dumps(files)[1:] + "\n").encode()
