"""The control socket: serves the local API to the person who owns the folder, at `.gsync/control`.

Bounded in every direction: how many connections, how long a request may be, how long it may take to arrive, how long a reader may
take; one request a connection. Nothing but the file system decides who may ask: the directory is 0700 and the socket 0600.
Opened and closed by `cli.run`.
"""

from __future__ import annotations

import logging
from http.client import HTTPException
from typing import Any, Final

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from gsync.net.clock import Clock
from gsync.net.tasks import end_all
from gsync.net.unix import Door
from gsync.web.answers import SOCKET
from gsync.web.api import BODY_MAX_BYTES, api
from gsync.web.controls import Controls

log = logging.getLogger(__name__)

CONNECTIONS: Final = 32
"""Requests at a time; the next ones wait in the kernel's line."""

HEAD_MAX_BYTES: Final = 64 * 1024
"""The header of a request; a name in a query takes up to 12 KiB as percent signs."""

ARRIVAL_S: Final = 5.0
"""A request's header must be here within this time."""

SILENCE_S: Final = 30.0
"""A body that stops coming, or a reader that takes nothing, for so long is dropped."""

GRACE_S: Final = 1.0
"""What runs when the peer ends gets so long to end by itself; then it is cut."""


class ControlServer:
    """The local API at `.gsync/control`, from the moment it is made until `close`. Raises `ConnectFailed`."""

    def __init__(self, controls: Controls, *, own_fd: int, clock: Clock) -> None:
        application = api(controls, clock=clock)
        self._answering = Pool(CONNECTIONS)
        self._door = Door.open(own_fd, SOCKET)
        self._server = _Server(
            self._door.socket,
            application,
            spawn=self._answering,
            handler_class=_Handler,
            log=None,
            error_log=None,
        )
        self._server.start()

    @property
    def requests(self) -> int:
        """How many are being answered."""
        return len(self._answering)

    def close(self) -> None:
        """Answer no more; returns when every request has ended."""
        self._server.close()
        end_all(list(self._answering), grace_s=GRACE_S)
        self._door.close()


class _Server(WSGIServer):  # type: ignore[misc]  # gevent says nothing of its types
    def handle(self, sock: Any, address: Any) -> None:
        sock.settimeout(SILENCE_S)
        super().handle(sock, address)


class _Handler(WSGIHandler):  # type: ignore[misc]
    """One request, then the end; what is longer or slower than it may be is dropped without an answer."""

    # A reader that takes nothing is no defect, as little as one that went away.
    ignored_socket_errors = (*WSGIHandler.ignored_socket_errors, "timed out")
    _arrival: gevent.Timeout

    def handle(self) -> None:
        self._arrival = gevent.Timeout(ARRIVAL_S)
        self._arrival.start()
        try:
            super().handle()
        except gevent.Timeout as hit:
            if hit is not self._arrival:
                raise
            log.debug("control.dropped reason=slow")
        finally:
            self._arrival.close()

    def MessageClass(self, *args: Any) -> Any:  # noqa: N802 - gevent's name
        try:
            return super().MessageClass(_Head(args[0]), *args[1:])
        except HTTPException as error:  # too many lines; as a ValueError it is answered without a traceback
            raise ValueError(str(error)) from error

    def read_request(self, raw_requestline: str) -> bool:
        super().read_request(raw_requestline)
        self.close_connection = True
        if (self.content_length or 0) > BODY_MAX_BYTES or self.headers.get("transfer-encoding"):
            raise ValueError("the body is longer than it may be, or of unknown length")
        return True

    def run_application(self) -> None:
        self._arrival.cancel()
        super().run_application()


class _Head:
    """The lines of a request's header, as far as they may go."""

    def __init__(self, rfile: Any) -> None:
        self._rfile = rfile
        self._left = HEAD_MAX_BYTES

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._rfile.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise ValueError("the header is longer than it may be")
        return line
