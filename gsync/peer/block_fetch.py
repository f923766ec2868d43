"""Brings the missing blocks of one large content from several sources at once.

Every source has a greenlet that asks for a few blocks ahead and takes them in as they come, into buffers that the worker hashes
and writes while the next one fills. A source that fails, or sends a wrong block, is told of and left out; the others go on with
what it had. It publishes nothing. Used by `peer/native_fetcher.py`, once for each content.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from gevent.event import Event

from gsync.core.model import Record, Source
from gsync.core.swarm import Swarm
from gsync.errors import ProtocolError, TransportError
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.net.tasks import TaskGroup
from gsync.peer.assembly import Assembly
from gsync.peer.buffers import Buffers
from gsync.peer.causes import FetchError
from gsync.peer.draught import Draught
from gsync.peer.fetcher import NotThere, Witness
from gsync.peer.link import Link, Use
from gsync.peer.links import Links

SOURCES_MAX: Final = 4
"""Sources that one content is fetched from at a time."""


class BlockFetch:
    """What `assembly` misses of one content, from `sources`; `on_failed` hears of those that fail."""

    def __init__(
        self,
        record: Record,
        sources: Sequence[Source],
        assembly: Assembly,
        *,
        links: Links,
        buffers: Buffers,
        witness: Witness,
        clock: Clock,
        on_failed: Callable[[Source, FetchError], None],
    ) -> None:
        self._record = record
        self._waiting = deque(sources)
        self._assembly = assembly
        self._links = links
        self._buffers = buffers
        self._witness = witness
        self._clock = clock
        self._on_failed = on_failed
        self._swarm: Swarm[Source] = Swarm(assembly.missing)
        self._drawing = 0
        self._news = Event()  # a block may be had that could not be had before, or all are here
        self._over = Event()

    def run(self) -> bool:
        """Whether nothing is missing any more; False when every source has failed before. Raises StorageError at once."""
        if self._swarm.is_done or not self._waiting:
            return self._swarm.is_done
        with TaskGroup() as tasks:
            for _ in range(min(SOURCES_MAX, len(self._waiting))):
                self._drawing += 1
                tasks.spawn(self._draw_from_one_after_the_other)
            self._over.wait()
            tasks.cancel()
        return self._swarm.is_done

    def _draw_from_one_after_the_other(self) -> None:
        while self._waiting and not self._swarm.is_done:
            source = self._waiting.popleft()
            try:
                self._draw(source)
            except (TransportError, ProtocolError, NotThere) as error:
                self._on_failed(source, error)
            finally:
                self._swarm.leave(source)
                self._news.set()
        self._drawing -= 1
        if not self._drawing:
            self._over.set()

    def _draw(self, source: Source) -> None:
        """Fetch from `source` whatever falls to it, until nothing is missing."""
        while (number := self._awaited_claim(source)) is not None:
            with self._links.link(source.endpoint, Use.BULK) as link:
                self._draught(link, source).run(number)
            breathe()  # whoever waits for the link has it before we ask again

    def _awaited_claim(self, source: Source) -> int | None:
        """The next block for `source`; None once nothing is missing."""
        while not self._swarm.is_done:
            number = self.claim(source)
            if number is not None:
                return number
            overdue_at = self._swarm.overdue_at(source)
            self._news.wait(None if overdue_at is None else max(overdue_at - self._clock.monotonic(), 0.001))
            self._news.clear()
        return None

    def claim(self, source: Source) -> int | None:
        """For a draught: the next block that `source` should be asked for, if there is one now."""
        return self._swarm.claim(source, now=self._clock.monotonic())

    def claims_too(self, source: Source, number: int) -> bool:
        """For a draught: whether block `number` is what `source` should be asked for next; then it is claimed."""
        return self._swarm.claims_too(source, number, now=self._clock.monotonic())

    def is_link_awaited(self, source: Source) -> bool:
        """For a draught: whether somebody else needs the link."""
        return self._links.is_awaited(source.endpoint, Use.BULK)

    def came(self, number: int) -> None:
        """For a draught: block `number` is here, and is what it should be."""
        self._swarm.done(number)
        self._assembly.missing.found(number)
        if self._swarm.is_done:
            self._news.set()
            self._over.set()

    def _draught(self, link: Link, source: Source) -> Draught:
        return Draught(
            self,
            link,
            source,
            record=self._record,
            assembly=self._assembly,
            buffers=self._buffers,
            witness=self._witness,
            clock=self._clock,
        )
