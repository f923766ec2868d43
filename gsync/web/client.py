"""Asking the peer that runs in a folder: the other end of `web.control`, for the commands.

Blocking and short-lived: one connection a question. Raises `NotRunning` where no peer answers, `Unresponsive` where one does not
end its answer, and whatever error the peer says. What it says is shown to people: escaped there, not here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from gsync.errors import ConnectFailed, GsyncError
from gsync.net.unix import dial
from gsync.web.answers import SOCKET, Answer, raised

ANSWER_S: Final = 60.0
"""A question that is not answered within this is given up."""

ORDER_S: Final = 3600.0
"""An order may copy large files first."""


T = TypeVar("T")


class NotRunning(GsyncError):
    """No gsync runs in this folder."""


class Unresponsive(GsyncError):
    """A gsync runs in this folder, but it does not answer."""

    def __init__(self, what: str, *, advice: str = "") -> None:
        super().__init__(what)
        self.advice = advice


class Client:
    """Questions to the peer whose `.gsync/` is open at `own_fd` (which stays the caller's)."""

    def __init__(self, own_fd: int) -> None:
        self._own_fd = own_fd

    def get(self, question: str, **query: str) -> Answer:
        """The object that answers `question`."""
        with _Asked(self._own_fd, "GET", _path(question, query), timeout_s=ANSWER_S) as asked:
            return asked.object()

    def list(self, question: str, **query: str) -> Iterator[Answer]:
        """The objects that answer `question`, as they come."""
        with _Asked(self._own_fd, "GET", _path(question, query), timeout_s=ANSWER_S) as asked:
            yield from asked.objects()

    def order(self, what: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Give the order, and return what came of it."""
        with _Asked(self._own_fd, "POST", _path(what, {}), timeout_s=ORDER_S, body=body) as asked:
            return asked.object()

    def carry_out(self, what: str, body: Mapping[str, Any]) -> Iterator[Answer]:
        """Give the order, and return what comes of it, one by one."""
        with _Asked(self._own_fd, "POST", _path(what, {}), timeout_s=ORDER_S, body=body) as asked:
            yield from asked.objects()


class _Asked:
    """One request on its way, and its answer."""

    def __init__(
        self, own_fd: int, method: str, path: str, *, timeout_s: float, body: Mapping[str, Any] | None = None
    ) -> None:
        self._connection = _Connection(own_fd, timeout_s)
        self._method = method
        self._path = path
        self._body = b"" if body is None else json.dumps(body).encode("utf-8")

    def __enter__(self) -> _Asked:
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()

    def object(self) -> Answer:
        """The one object of the answer."""
        return _understood(_reading(self._respond().read))

    def objects(self) -> Iterator[Answer]:
        """The objects of the answer, a line each, without the last one, which ends it."""
        response = self._respond()
        while True:
            line = _reading(response.readline)
            if not line:
                raise Unresponsive("the gsync in this folder ended in the middle of its answer")
            said = _understood(line)
            if "end" in said:
                return
            yield said

    def _respond(self) -> HTTPResponse:
        return _reading(self._exchange)

    def _exchange(self) -> HTTPResponse:
        headers = {"Content-Type": "application/json", "Connection": "close"}
        self._connection.request(self._method, self._path, body=self._body, headers=headers)
        return self._connection.getresponse()


class _Connection(HTTPConnection):
    def __init__(self, own_fd: int, timeout_s: float) -> None:
        super().__init__("gsync")
        self._own_fd = own_fd
        self._timeout_s = timeout_s

    def connect(self) -> None:
        try:
            self.sock = dial(self._own_fd, SOCKET, timeout_s=self._timeout_s)
        except ConnectFailed as error:
            raise NotRunning(str(error)) from error


def _path(question: str, query: Mapping[str, str]) -> str:
    return f"/v1/{question}" + (f"?{urlencode(query)}" if query else "")


def _reading(read: Callable[[], T]) -> T:
    """What `read` brings; the ways in which a connection can end or hang become our own."""
    try:
        return read()
    except TimeoutError as error:
        raise Unresponsive("the gsync in this folder does not answer") from error
    except (OSError, HTTPException) as error:
        raise Unresponsive(f"the gsync in this folder ended in the middle of its answer ({error})") from error


def _understood(raw: bytes) -> Answer:
    try:
        said: Answer = json.loads(raw)
        error = raised(said) if "error" in said else None
    except (ValueError, TypeError, LookupError, AttributeError) as nonsense:
        raise Unresponsive("what answers in this folder is no gsync of this version") from nonsense
    if error is not None:
        raise error
    return said
