"""The links of the overlay: dials whom it is told to, takes in who dials, and keeps one link for each pair.

Of two links between the same two peers the one stays that the lower name has dialled, so both ends agree without a word; the higher
name lets the lower one try first. A neighbour that is away is dialled again with backoff for ever. Who is to be a neighbour is not
decided here, nor what is said: `wanted` comes from the overlay, messages go to its ears. A bad neighbour costs its link.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import gevent
from gevent.event import Event
from msgspec import Struct

from gsync.core.backoff import Random, backoff_s
from gsync.core.hits import NeighbourSeen
from gsync.core.names import Endpoint, PeerName
from gsync.errors import ConnectionBroken, GsyncError, NameRefused, NoAnswer, RemoteProtocolError, Stalled
from gsync.net.clock import Clock
from gsync.net.tasks import Task, TaskGroup
from gsync.net.transport import Network, Stream
from gsync.peer.overlay_link import HEADER_MAX_BYTES, RECEIVE, OverlayLink
from gsync.wire.frames import NATIVE_START, FrameSplitter, frame
from gsync.wire.native import Message, header
from gsync.wire.overlay import Hello, OnOverlayLink, Poll, Verdict, parse_on_overlay_link

log = logging.getLogger(__name__)

CONNECT_S: Final = 5.0
HELLO_S: Final = 5.0
RETRY_BASE_S: Final = 0.25
RETRY_CAP_S: Final = 10.0

COURTESY_S: Final = 2.0
"""So long the higher name of a pair waits for the lower one to dial."""

LINKS_MAX: Final = 1024
"""Neighbours at a time; further ones are turned away."""

VISIT_S: Final = 5.0
"""A visitor's question and its answer."""


class Me(Struct, frozen=True, kw_only=True):
    """Who this peer is to its neighbours; `life` is new at each start."""

    name: PeerName
    author: str
    life: str


class Ears(Protocol):
    """Whoever hears what neighbours say; nothing here may wait for long."""

    @property
    def flooded(self) -> int:
        """Invalidates that this life has made so far."""

    def linked(self, link: OverlayLink) -> None: ...

    def parted(self, name: PeerName) -> None: ...

    def heard(self, link: OverlayLink, message: OnOverlayLink) -> None: ...

    def polled(self, poll: Poll) -> Verdict: ...


class _Target(Struct):
    """Somebody to be linked with; `name` is not known of an address that a person gave, before it said Hello."""

    endpoint: Endpoint
    name: PeerName | None
    due: float
    failures: int = 0
    reason: str = ""
    task: Task | None = None


class Neighbours:
    """All overlay links of one peer; `fixed` are addresses that are dialled whatever the names say."""

    def __init__(
        self,
        *,
        me: Me,
        ears: Ears,
        network: Network,
        clock: Clock,
        rng: Random,
        port: Callable[[], int],
        fixed: Sequence[Endpoint] = (),
    ) -> None:
        self._me = me
        self._ears = ears
        self._network = network
        self._clock = clock
        self._rng = rng
        self._port = port
        self._targets: dict[PeerName | Endpoint, _Target] = {
            endpoint: _Target(endpoint, None, due=clock.monotonic()) for endpoint in fixed
        }
        self._links: dict[PeerName, OverlayLink] = {}
        self._news = Event()
        self.counts: Final = Counter[str]()
        """Messages so far: `query sent`, `query heard` and so on."""

    @property
    def names(self) -> tuple[PeerName, ...]:
        """Whom a link stands to."""
        return tuple(self._links)

    def authors(self) -> Iterator[tuple[str, PeerName]]:
        """Under which ids those make their versions whom a link stands to."""
        return ((link.hello.author, name) for name, link in self._links.items())

    def link(self, name: PeerName) -> OverlayLink | None:
        """The link to this neighbour, if one stands."""
        return self._links.get(name)

    def tell(self, names: Iterable[PeerName], message: Message) -> None:
        """Say the same to all of these that are linked."""
        spelled: bytes | None = None
        for name in names:
            link = self._links.get(name)
            if link is not None:
                spelled = spelled or frame(header(message))
                link.say(message, spelled)

    def want(self, wanted: Mapping[PeerName, Endpoint]) -> None:
        """From now on these are to be neighbours, reached there; whom we dialled and who is not among them is let go."""
        for key, target in list(self._targets.items()):
            if isinstance(key, PeerName) and key not in wanted:
                del self._targets[key]
                if target.task is not None:
                    target.task.cancel()
        for name, endpoint in wanted.items():
            known = self._targets.get(name)
            if known is None:
                courtesy_s = COURTESY_S if name < self._me.name else 0.0
                self._targets[name] = _Target(endpoint, name, due=self._clock.monotonic() + courtesy_s)
            elif known.endpoint != endpoint:
                known.endpoint, known.failures, known.due = endpoint, 0, self._clock.monotonic()
        self._news.set()

    def run(self) -> None:
        """Dial whoever is missing; never returns."""
        with TaskGroup() as tasks:
            while True:
                now = self._clock.monotonic()
                waiting = [target for target in self._targets.values() if self._is_missing(target)]
                for target in waiting:
                    if target.due <= now:
                        target.task = tasks.spawn(self._try, target)
                next_due = min((target.due for target in waiting if target.due > now), default=None)
                self._news.wait(None if next_due is None else next_due - now)
                self._news.clear()

    def serve(self, stream: Stream, hello: Hello, frames: FrameSplitter) -> None:
        """Somebody has dialled us and said Hello; returns when the link is over. Raises TransportError, ProtocolError."""
        stream.send(frame(header(self._hello())))
        if hello.visit:
            self._host(stream, frames)
            return
        try:
            link = OverlayLink(stream, hello, dialled_by=PeerName.parse(hello.name), counts=self.counts)
        except NameRefused as error:
            raise RemoteProtocolError(f"a neighbour called {hello.name!r}: {error.reason}") from error
        self._live(link, frames)

    def visit(self, endpoint: Endpoint, poll: Poll) -> Verdict:
        """Ask somebody who is no neighbour. Raises TransportError, ProtocolError."""
        with (
            gevent.Timeout(VISIT_S, Stalled(f"no answer within {VISIT_S:.0f} s")),
            self._network.dial(endpoint) as stream,
        ):
            stream.send(NATIVE_START + frame(header(self._hello(visit=True))) + frame(header(poll)))
            self.counts["poll sent"] += 1
            frames = FrameSplitter(header_max_bytes=HEADER_MAX_BYTES)
            if not isinstance(_next(stream, frames), Hello):
                raise RemoteProtocolError("it does not greet a visitor")
            verdict = _next(stream, frames)
            self.counts["verdict heard"] += 1
        if not isinstance(verdict, Verdict) or verdict.id != poll.id:
            raise RemoteProtocolError("it does not answer a poll")
        return verdict

    def seen(self) -> tuple[NeighbourSeen, ...]:
        """All that are neighbours or ought to be, by name."""
        seen = {
            name: NeighbourSeen(name=name, endpoint=link.endpoint, is_up=True) for name, link in self._links.items()
        }
        for target in self._targets.values():
            name = target.name or PeerName(str(target.endpoint))
            seen.setdefault(
                name, NeighbourSeen(name=name, endpoint=target.endpoint, reason=target.reason or "not linked yet")
            )
        return tuple(seen[name] for name in sorted(seen))

    def _is_missing(self, target: _Target) -> bool:
        if target.task is not None and not target.task.done:
            return False
        return target.name is None or target.name not in self._links

    def _try(self, target: _Target) -> None:
        try:
            self._dial(target)
        except (GsyncError, NameRefused) as error:
            log.info("neighbour.down name=%r at=%s reason=%s", target.name, target.endpoint, error)
            target.reason = str(error)
        target.failures += 1
        target.due = self._clock.monotonic() + backoff_s(
            target.failures, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, rng=self._rng
        )
        self._news.set()

    def _dial(self, target: _Target) -> None:
        with gevent.Timeout(CONNECT_S, NoAnswer(f"no answer within {CONNECT_S:.0f} s")):
            stream = self._network.dial(target.endpoint, alive_probes=True)
        with stream:
            frames = FrameSplitter(header_max_bytes=HEADER_MAX_BYTES)
            with gevent.Timeout(HELLO_S, Stalled(f"no Hello within {HELLO_S:.0f} s")):
                stream.send(NATIVE_START + frame(header(self._hello())))
                hello = _next(stream, frames)
            if not isinstance(hello, Hello):
                raise RemoteProtocolError("it does not greet")
            if hello.life == self._me.life:
                self._targets.pop(target.endpoint, None)
                raise RemoteProtocolError("that is this peer itself")
            link = OverlayLink(stream, hello, dialled_by=self._me.name, counts=self.counts)
            if target.name is not None and link.name != target.name and target.endpoint not in self._targets:
                raise RemoteProtocolError(f"{link.name!r} answers there")
            target.name, target.failures, target.reason = link.name, 0, ""
            self._live(link, frames)

    def _live(self, link: OverlayLink, frames: FrameSplitter) -> None:
        """One link from the moment it stands to its end."""
        if link.name == self._me.name:
            raise RemoteProtocolError("a neighbour with this peer's own name")
        if not self._enter(link):
            return
        try:
            self._ears.linked(link)
            link.run(frames, self._ears.heard)
        finally:
            self._leave(link)

    def _enter(self, link: OverlayLink) -> bool:
        """Whether this link is the one that stays, or the first."""
        old = self._links.get(link.name)
        if old is None and len(self._links) >= LINKS_MAX:
            log.warning("neighbour.refused name=%r reason=%d neighbours are enough", link.name, LINKS_MAX)
            return False
        if old is not None:
            if old.dialled_by != link.dialled_by and old.dialled_by < link.dialled_by:
                return False
            self._links[link.name] = link  # before the old one hears of its end
            old.drop("a second link between the same two")
            return True
        self._links[link.name] = link
        log.info("neighbour.up name=%r at=%s", link.name, link.endpoint)
        return True

    def _leave(self, link: OverlayLink) -> None:
        if self._links.get(link.name) is link:
            del self._links[link.name]
            self._ears.parted(link.name)
            self._news.set()

    def _host(self, stream: Stream, frames: FrameSplitter) -> None:
        """Answer a visitor's polls."""
        while True:
            with gevent.Timeout(VISIT_S, Stalled(f"no question within {VISIT_S:.0f} s")):
                question = _next_or_end(stream, frames)
            if question is None:
                return
            if not isinstance(question, Poll):
                raise RemoteProtocolError(f"a {type(question).__name__} from a visitor")
            self.counts["poll heard"] += 1
            self.counts["verdict sent"] += 1
            stream.send(frame(header(self._ears.polled(question))))

    def _hello(self, *, visit: bool = False) -> Hello:
        me = self._me
        return Hello(
            author=me.author, name=str(me.name), port=self._port(), life=me.life, seq=self._ears.flooded, visit=visit
        )


def _next(stream: Stream, frames: FrameSplitter) -> OnOverlayLink:
    message = _next_or_end(stream, frames)
    if message is None:
        raise ConnectionBroken("it ended the link")
    return message


def _next_or_end(stream: Stream, frames: FrameSplitter) -> OnOverlayLink | None:
    while (head := frames.next()) is None:
        data = stream.receive(RECEIVE)
        if not data:
            return None
        frames.feed(data)
    return parse_on_overlay_link(head)
