"""The local API: which question is asked where, and what is refused. HTTP with JSON, for the commands and later for a web page.

    GET  /v1/status                      one object
    GET  /v1/why?path=                   one object
    GET  /v1/wait?seconds=               {"settled", "reason", "stuck"}; at once when it is either, else after up to that long
    GET  /v1/ls?beneath=                 lines
    GET  /v1/peers                       lines
    GET  /v1/log?last=                   lines
    GET  /v1/conflicts                   lines
    GET  /v1/trash?beneath=              lines
    GET  /v1/search?pattern=&ttl=&seconds=  lines, as hits come in; ends after that many seconds
    GET  /v1/overlay                     one object
    GET  /v1/copies?beneath=             lines
    POST /v1/keep {"choice", "names"}    lines
    POST /v1/restore {"names", "box"}    lines
    POST /v1/get {"names", "holder", "output"}  lines
    POST /v1/refresh, free {"names"}     lines
    POST /v1/mark {"names", "valid"}     lines
    POST /v1/mode {"mode"}               {}
    POST /v1/ttr {"seconds"}             {}
    POST /v1/release                     {"released"}
    POST /v1/scan                        {"changed"}
    POST /v1/pause, resume, stop         {}

GET looks, POST does. A request that a browser sent for some page says so in `Origin`, and is refused: nobody's page may look at,
or order about, a person's folder. Decides nothing and keeps nothing; served by `web.control`.

bottle keeps its request and response in thread-locals, which greenlets of one thread share. So each handler takes its environ
before it can wait, and returns a whole `HTTPResponse` whose first piece is ready; `bottle.request` and `bottle.response` are
touched nowhere else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Annotated, Any, Final, TypeVar

import bottle
import gevent
import msgspec

from gsync.core.copies import Mode
from gsync.core.flood import QUERY_TTL, TTL_MAX
from gsync.core.hits import Marked
from gsync.core.keeping import Keep
from gsync.core.names import PeerName, RelPath
from gsync.core.status import Settled
from gsync.errors import CutShort, GsyncError, NameRefused
from gsync.net.clock import Clock
from gsync.web.answers import answer, encode, error_answer, lines, status_of
from gsync.web.controls import SEARCH_WAIT_MAX_S, SEARCH_WAIT_S, TTR_MAX_S, TTR_MIN_S, Controls

BODY_MAX_BYTES: Final = 1024 * 1024
"""An order names files; 1 MiB has room for some thousand of them."""

WAIT_MAX_S: Final = 20.0
"""One question waits at most so long; whoever wants more asks again."""

LOG_MAX_LINES: Final = 10_000
LOG_LINES: Final = 100

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5

OrderT = TypeVar("OrderT")


class KeepOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /v1/keep."""

    choice: Keep
    names: list[str]


class RestoreOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /v1/restore."""

    names: list[str]
    box: str = ""


class NamesOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /v1/free, and of /v1/refresh, where no name means all."""

    names: list[str]


class GetOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /v1/get."""

    names: list[str]
    holder: str = ""
    output: str = ""


class MarkOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /v1/mark."""

    names: list[str]
    valid: bool


class ModeOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /v1/mode."""

    mode: Mode


class TtrOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The body of /v1/ttr."""

    seconds: Annotated[float, msgspec.Meta(ge=TTR_MIN_S, le=TTR_MAX_S)]


def api(controls: Controls, *, clock: Clock) -> Any:
    """The application (WSGI) that answers for `controls`."""
    app = bottle.Bottle()
    app.config["catchall"] = False  # a defect goes to the hub's error hook, like any other
    app.default_error_handler = _refusal
    app.add_hook("before_request", _refuse_browsers)

    def route(path: str, method: str, ask: Callable[[Asked], object]) -> None:
        app.route(f"/v1/{path}", method, functools.partial(_respond, ask))

    route("status", "GET", lambda asked: controls.status())
    route("why", "GET", lambda asked: controls.explain(RelPath.parse(asked.text("path"))))
    route("wait", "GET", lambda asked: _wait(controls, clock, asked.number("seconds", default=0, highest=WAIT_MAX_S)))
    route("ls", "GET", lambda asked: controls.listing(beneath=asked.name("beneath")))
    route("peers", "GET", lambda asked: iter(controls.peers()))
    route("log", "GET", lambda asked: iter(controls.log(last=_log_lines(asked))))
    route("conflicts", "GET", lambda asked: iter(controls.conflicts()))
    route("trash", "GET", lambda asked: controls.trashed(beneath=asked.name("beneath")))
    route("search", "GET", lambda asked: _search(controls, asked))
    route("overlay", "GET", lambda asked: controls.overlay())
    route("copies", "GET", lambda asked: controls.copies(beneath=asked.name("beneath")))
    route("keep", "POST", lambda asked: _keep(controls, asked.order(KeepOrder)))
    route("restore", "POST", lambda asked: _restore(controls, asked.order(RestoreOrder)))
    route("get", "POST", lambda asked: _get(controls, asked.order(GetOrder)))
    route("refresh", "POST", lambda asked: controls.refresh(_any_names(asked.order(NamesOrder).names)))
    route("free", "POST", lambda asked: controls.free(_names(asked.order(NamesOrder).names)))
    route("mark", "POST", lambda asked: _mark(controls, asked.order(MarkOrder)))
    route("mode", "POST", lambda asked: _set_mode(controls, asked.order(ModeOrder)))
    route("ttr", "POST", lambda asked: _set_ttr(controls, asked.order(TtrOrder)))
    route("release", "POST", lambda asked: {"released": controls.release()})
    route("scan", "POST", lambda asked: {"changed": controls.scan()})
    route("pause", "POST", lambda asked: _done(controls.pause))
    route("resume", "POST", lambda asked: _done(controls.resume))
    route("stop", "POST", lambda asked: _done(controls.stop))
    return app


class Asked:
    """One request: its query and its body, read from its own environ."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._request = bottle.BaseRequest(environ)

    def text(self, name: str) -> str:
        """What the query says of `name`; "" where it says nothing."""
        return self._request.query.getunicode(name) or ""

    def name(self, name: str) -> RelPath | None:
        """The same as a path, None where it says nothing. Raises NameRefused."""
        text = self.text(name)
        return RelPath.parse(text) if text else None

    def number(self, name: str, *, default: float, highest: float) -> float:
        """The same as a number. Raises NameRefused."""
        text = self.text(name)
        try:
            value = float(text) if text else default
        except ValueError:
            value = -1.0
        if not 0 <= value <= highest:
            raise NameRefused(f"{name} is a number from 0 to {highest:g}")
        return value

    def order(self, kind: type[OrderT]) -> OrderT:
        """The order in the body, whose length `web.control` has bounded. Raises NameRefused, CutShort."""
        if self._request.content_type.partition(";")[0].strip() != "application/json":
            raise NameRefused("the body of an order is application/json")
        try:
            raw = self._request.environ["wsgi.input"].read(BODY_MAX_BYTES)
        except OSError as error:
            raise CutShort("the order did not come in whole") from error
        try:
            return msgspec.json.decode(raw, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NameRefused(f"the body is not such an order: {error}") from error


def _respond(ask: Callable[[Asked], object]) -> bottle.HTTPResponse:
    """The whole response. The first line of a list is made here, so that an error before it has its status."""
    asked = Asked(bottle.request.environ)
    try:
        value = ask(asked)
        if not isinstance(value, Iterator):
            return _response(encode(answer(value)))
        first = list(islice(value, 1))
    except GsyncError as error:
        return _response(encode(error_answer(error)), status=status_of(error))
    return _response(lines(chain(first, value)), content_type="application/x-ndjson")


def _response(
    body: bytes | Iterator[bytes], *, status: int = 200, content_type: str = "application/json"
) -> bottle.HTTPResponse:
    return bottle.HTTPResponse(body, status, {"Content-Type": content_type, "Cache-Control": "no-store"})


def _done(order: Callable[[], None]) -> dict[str, object]:
    order()
    return {}


def _wait(controls: Controls, clock: Clock, seconds: float) -> Settled:
    until = clock.monotonic() + seconds
    pause_s = _FIRST_PAUSE_S
    while True:
        said = controls.settled()
        left_s = until - clock.monotonic()
        if said.settled or said.stuck or left_s <= 0:
            return said
        gevent.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _keep(controls: Controls, order: KeepOrder) -> Iterator[object]:
    return controls.keep(order.choice, _names(order.names))


def _restore(controls: Controls, order: RestoreOrder) -> Iterator[object]:
    return controls.restore(_names(order.names), box=order.box)


def _search(controls: Controls, asked: Asked) -> Iterator[object]:
    pattern = RelPath.parse(asked.text("pattern"))  # a pattern matches paths, so what no path can be matches nothing
    ttl = int(asked.number("ttl", default=QUERY_TTL, highest=TTL_MAX))
    wait_s = asked.number("seconds", default=SEARCH_WAIT_S, highest=SEARCH_WAIT_MAX_S)
    return controls.search(pattern, ttl=ttl, wait_s=wait_s)


def _get(controls: Controls, order: GetOrder) -> Iterator[object]:
    names, output = _names(order.names), order.output
    if output and (not output.startswith("/") or "\0" in output):
        raise NameRefused("the output is an absolute path")
    holder = PeerName.parse(order.holder) if order.holder else None
    return controls.get(names, holder=holder, output=output)


def _mark(controls: Controls, order: MarkOrder) -> Iterator[object]:
    for path in _names(order.names):
        yield Marked(path=path, version=controls.mark(path, valid=order.valid))


def _set_mode(controls: Controls, order: ModeOrder) -> dict[str, object]:
    controls.set_mode(order.mode)
    return {}


def _set_ttr(controls: Controls, order: TtrOrder) -> dict[str, object]:
    controls.set_ttr(order.seconds)
    return {}


def _log_lines(asked: Asked) -> int:
    return int(asked.number("last", default=LOG_LINES, highest=LOG_MAX_LINES))


def _names(texts: list[str]) -> list[RelPath]:
    if not texts:
        raise NameRefused("no name was given")
    return _any_names(texts)


def _any_names(texts: list[str]) -> list[RelPath]:
    return [RelPath.parse(text) for text in texts]


def _refuse_browsers() -> None:
    if "HTTP_ORIGIN" in bottle.request.environ:
        raise bottle.HTTPError(403, "requests from web pages are refused")


def _refusal(error: bottle.HTTPError) -> bytes:
    """What bottle itself refuses: an unknown path, a wrong method."""
    bottle.response.content_type = "application/json"
    return encode(error_answer(NameRefused(str(error.body or error.status_line))))
