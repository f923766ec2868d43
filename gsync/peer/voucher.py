"""Gets sources to vouch for the files whose size nobody told, so that the stump of a killed sender is never published.

Given: who connected, who gave bytes (told by the fetcher as its witness). Remembers: what is held, for which source. Mostly the
next fetch from a source vouches by itself; where none comes, this loop asks for the smallest file that is known to be there,
or, where all are large, for the held one, broken off after its first bytes. Failing that, what is held is worth nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

from gevent.event import AsyncResult, Event

from gsync.core.names import Endpoint, RelPath
from gsync.core.vouching import Ticket, Vouching
from gsync.errors import GsyncError, ProtocolError, TransportError
from gsync.net.clock import Clock
from gsync.net.tasks import TaskGroup
from gsync.peer.fetcher import NotThere, Touch
from gsync.peer.trees import Trees

log = logging.getLogger(__name__)

SMALL_ENOUGH: Final = 1024 * 1024
"""A file up to this size is asked for whole; of a larger one only the first bytes are taken."""

PATIENCE_S: Final = 1.0
"""A held file waits this long for a fetch that vouches by itself, then the source is asked."""


class Asker(Protocol):
    """The part of the fetcher that asks without wanting the answer."""

    def touch(self, path: RelPath, endpoint: Endpoint, *, to_the_end: bool) -> Touch: ...


class Lanes(Protocol):
    """The part of the fetch queue that knows whether a fetch will come to a source by itself, and learns which ones are good."""

    def waits_for(self, endpoint: Endpoint) -> bool: ...

    def answered(self, endpoint: Endpoint) -> None: ...

    def proved(self, endpoint: Endpoint) -> None: ...


class _Held:
    """One file that waits for its voucher."""

    def __init__(self, *, size: int, since: float) -> None:
        self.size = size
        self.since = since
        self.verdict: AsyncResult[bool] = AsyncResult()


class Voucher:
    """The witness of the fetcher, and the loop that asks where no fetch comes by itself.

    `on_answer` is called when a source has answered or given bytes: the queue may then start more.
    """

    def __init__(
        self, *, trees: Trees, queue: Lanes, clock: Clock, on_answer: Callable[[], None] = lambda: None
    ) -> None:
        self._trees = trees
        self._queue = queue
        self._clock = clock
        self._on_answer = on_answer
        self._vouching = Vouching()
        self._held: dict[tuple[Endpoint, RelPath], _Held] = {}
        self._asking: set[Endpoint] = set()
        self._quiet: dict[Endpoint, tuple[RelPath, int]] = {}
        self._stir = Event()

    def connected(self, endpoint: Endpoint) -> Ticket:
        """A connection to `endpoint` was made just now."""
        self._queue.answered(endpoint)
        self._on_answer()
        return self._vouching.now()

    def gave_bytes(self, endpoint: Endpoint, ticket: Ticket) -> None:
        """That connection gave a byte: everything that ended before it was made is vouched for."""
        self._queue.proved(endpoint)
        self._on_answer()
        for path in self._vouching.gave_bytes(endpoint, ticket):
            self._settle(endpoint, path, vouched=True)

    def fell_quiet(self, endpoint: Endpoint, path: RelPath, *, size: int) -> None:
        """`size` bytes of `path` came, and no end: a further connection may make the source close the first."""
        self._quiet[endpoint] = (path, size)
        self._stir.set()

    def vouched(self, endpoint: Endpoint, path: RelPath, *, size: int) -> bool:
        """Wait for the source's voucher for `path`, whose end was read just now; False when there is none to be had."""
        held = _Held(size=size, since=self._clock.monotonic())
        self._held[endpoint, path] = held
        self._vouching.hold(endpoint, path, empty=size == 0)
        self._stir.set()
        verdict: bool = held.verdict.get()
        return verdict

    def stir(self) -> None:
        """Something ended: look whether a source must be asked now."""
        self._stir.set()

    def run(self, asker: Asker) -> None:
        """Ask the sources that nobody else is about to connect to; never returns."""
        with TaskGroup() as tasks:
            while True:
                self._stir.wait(PATIENCE_S if self._held else None)
                self._stir.clear()
                for endpoint in self._due():
                    self._asking.add(endpoint)
                    tasks.spawn(self._ask, asker, endpoint)

    def _due(self) -> list[Endpoint]:
        now = self._clock.monotonic()
        due = [e for e in self._quiet if e not in self._asking]
        for endpoint in self._vouching.sources():
            if endpoint in self._asking or endpoint in due:
                continue
            oldest = min(held.since for (e, _), held in self._held.items() if e == endpoint)
            if not self._queue.waits_for(endpoint) or now - oldest >= PATIENCE_S:
                due.append(endpoint)
        return due

    def _ask(self, asker: Asker, endpoint: Endpoint) -> None:
        quiet = self._quiet.pop(endpoint, None)
        try:
            for path in self._vouching.held_empty(endpoint):
                touch = asker.touch(path, endpoint, to_the_end=False)
                empty_again = not touch.gave and self._vouching.gave_nothing(endpoint, path, touch.ticket)
                self._vouching.discard(endpoint, path)
                self._settle(endpoint, path, vouched=empty_again)
            if quiet is not None or self._vouching.held(endpoint):
                path, size = min([*self._known(endpoint), *([quiet] if quiet else [])], key=lambda known: known[1])
                touch = asker.touch(path, endpoint, to_the_end=size <= SMALL_ENOUGH)
                if not touch.gave:
                    self._give_up(endpoint, "it gave nothing when it was asked again")
        except (TransportError, ProtocolError, NotThere) as error:
            self._give_up(endpoint, error)
        finally:
            self._asking.discard(endpoint)
            self._stir.set()

    def _known(self, endpoint: Endpoint) -> list[tuple[RelPath, int]]:
        """The non-empty files that are known to be there, held ones included, with their sizes."""
        local, remote = self._trees.local, self._trees.remote
        here = [
            (path, local[path].fingerprint.size)
            for path, offer in remote.items()
            if path in local and any(source.endpoint == endpoint for source in offer.sources)
        ]
        held = [(path, self._held[endpoint, path].size) for path in self._vouching.held(endpoint)]
        return held + [(path, size) for path, size in here if size > 0]

    def _give_up(self, endpoint: Endpoint, reason: str | GsyncError) -> None:
        dropped = self._vouching.drop(endpoint)
        if dropped:
            log.info("fetch.unvouched source=%s files=%d reason=%s", endpoint, len(dropped), reason)
        for path in dropped:
            self._settle(endpoint, path, vouched=False)

    def _settle(self, endpoint: Endpoint, path: RelPath, *, vouched: bool) -> None:
        held = self._held.pop((endpoint, path), None)
        if held is not None:
            held.verdict.set(vouched)
