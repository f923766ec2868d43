"""The native links to our sources: dialled when they are needed, kept for a while, and given to one fetch at a time.

A link that was used cleanly goes back for the next fetch; one that was left by an error is reset, for nobody knows what would
still come on it. Small files and large ones have links of their own, so that an edit never stands behind a gigabyte. All are
closed when `run` is stopped. Errors are those of `peer/fetcher.py`: TransportError, ProtocolError.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from msgspec import Struct, field

from gsync.core.names import Endpoint
from gsync.errors import NoAnswer
from gsync.net.clock import Clock
from gsync.net.throttle import Throttle
from gsync.net.transport import Network
from gsync.peer.fetcher import CONNECT_S, STALL_S, Witness
from gsync.peer.link import Counts, Link, Use
from gsync.wire.frames import NATIVE_START

LINKS_PER_SOURCE: Final = 2
"""Of each use: with a second one the next answer is on its way while the first is taken in."""

IDLE_S: Final = 30.0
"""A link that nobody used for this long is closed; well before the other side would close it."""

IDLE_MAX: Final = 64
"""Links that stand ready, of all sources together; beyond, the one that was used longest ago is closed."""


class _Shelf(Struct):
    """The links of one source and use: those that nobody has now, how many more there may be, and who has or awaits one."""

    users: int = 0
    idle: list[tuple[Link, float]] = field(default_factory=list)
    places: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(LINKS_PER_SOURCE))


class Links:
    """All native links outward. `witness` hears of connections; `downlink` slows what comes in."""

    def __init__(
        self,
        *,
        network: Network,
        witness: Witness,
        clock: Clock,
        stall_s: float = STALL_S,
        downlink: Throttle | None = None,
    ) -> None:
        self._network = network
        self._witness = witness
        self._clock = clock
        self._stall_s = stall_s
        self._downlink = downlink
        self._shelves: defaultdict[tuple[Endpoint, Use], _Shelf] = defaultdict(_Shelf)
        self._has_idle = Event()
        self._is_over = False
        self.counts: Final = Counts()

    @contextmanager
    def link(self, source: Endpoint, use: Use) -> Iterator[Link]:
        """A link to `source` for this block, which leaves nothing unanswered on it; left by an exception, it is reset.

        Waits while all links of this use are taken. Raises ConnectFailed, NoAnswer.
        """
        shelf = self._shelves[source, use]
        shelf.users += 1
        try:
            with shelf.places:
                link = self._idle(shelf) or self._dial(source, use)
                clean = False
                try:
                    link.begin()
                    yield link
                    clean = link.is_quiet
                finally:
                    self._put_away(link, shelf, clean=clean)
        finally:
            shelf.users -= 1
            self._forget_if_empty(source, use)

    def is_awaited(self, source: Endpoint, use: Use) -> bool:
        """Whether somebody waits for such a link: whoever has had one for long gives it back between two questions."""
        shelf = self._shelves.get((source, use))
        return shelf is not None and shelf.users > LINKS_PER_SOURCE

    def run(self) -> None:
        """Close the links that nobody uses any more; never returns. Stopped, it closes all that are idle."""
        try:
            while True:
                self._has_idle.wait()
                self._has_idle.clear()
                while (oldest := self._oldest()) is not None:
                    gevent.sleep(max(oldest + IDLE_S - self._clock.monotonic(), 0.001))
                    self._close_until(self._clock.monotonic() - IDLE_S)
        finally:
            self._is_over = True
            self._close_until(float("inf"))

    @property
    def idle(self) -> int:
        """How many links stand ready."""
        return sum(len(shelf.idle) for shelf in self._shelves.values())

    def _idle(self, shelf: _Shelf) -> Link | None:
        while shelf.idle:
            link, _ = shelf.idle.pop()
            if link.is_quiet:
                return link
            link.reset()  # it ended, or says what nobody asked: a new one is made
        return None

    def _dial(self, source: Endpoint, use: Use) -> Link:
        limit_s = min(CONNECT_S, self._stall_s)
        with gevent.Timeout(limit_s, NoAnswer(f"no answer within {limit_s:g} s")):
            stream = self._network.dial(source)
        link = Link(
            stream,
            use=use,
            ticket=self._witness.connected(source),
            counts=self.counts,
            clock=self._clock,
            stall_s=self._stall_s,
            downlink=self._downlink,
        )
        with ExitStack() as undo:  # of a Timeout or a kill, too: nobody holds the stream yet
            undo.callback(stream.reset)
            stream.send(NATIVE_START)
            undo.pop_all()
        return link

    def _put_away(self, link: Link, shelf: _Shelf, *, clean: bool) -> None:
        if clean and not self._is_over:
            shelf.idle.append((link, self._clock.monotonic()))
            self._has_idle.set()
            if self.idle > IDLE_MAX and (oldest := self._oldest()) is not None:
                self._close_until(oldest)
        else:
            link.reset()

    def _oldest(self) -> float | None:
        return min((since for shelf in self._shelves.values() for _, since in shelf.idle), default=None)

    def _close_until(self, moment: float) -> None:
        for (source, use), shelf in list(self._shelves.items()):
            for link, since in shelf.idle:
                if since <= moment:
                    link.close()
            shelf.idle = [(link, since) for link, since in shelf.idle if since > moment]
            self._forget_if_empty(source, use)

    def _forget_if_empty(self, source: Endpoint, use: Use) -> None:
        shelf = self._shelves.get((source, use))
        if shelf is not None and not shelf.idle and not shelf.users:
            del self._shelves[source, use]
