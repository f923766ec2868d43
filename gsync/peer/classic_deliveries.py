"""One file from one classic source, from the dial to the folder; one greenlet for each.

Nobody told its digest, and edition 1 not even its size, so a source may have to vouch for what it sent before it is published.
A failure takes the smallest rung: this file from this source, then this source, never the peer. Called by the syncer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from gsync.core.actions import Fetch
from gsync.core.model import Kind, Source
from gsync.core.names import RelPath
from gsync.core.recent import Recent
from gsync.core.schedule import Assignment, Blame, FetchQueue
from gsync.core.versions import Version
from gsync.errors import PathRefused, ProtocolError, StorageError, TransportError
from gsync.net.clock import Clock
from gsync.peer import events as ev
from gsync.peer.applier import Applier
from gsync.peer.causes import SeemsEmpty, Unvouched
from gsync.peer.fetcher import Fetcher, NotThere, Received
from gsync.peer.intake import abandon
from gsync.peer.outcomes import REMEMBERED, Outcomes
from gsync.peer.voucher import Voucher
from gsync.storage.downloads import Download, Freed, Moved, Overtaken, Published, Removed, Unpublished
from gsync.storage.filesystem import Folder

_NS = 10**9


class ClassicDeliveries:
    """Carries assignments out. `look_again` looks at the folder, `replan` is called when a path is worth a new plan."""

    def __init__(
        self,
        *,
        folder: Folder,
        queue: FetchQueue,
        fetcher: Fetcher,
        voucher: Voucher,
        applier: Applier,
        outcomes: Outcomes,
        events: ev.Events,
        clock: Clock,
        look_again: Callable[[], object],
        replan: Callable[[list[RelPath]], None],
        wake: Callable[[], None],
        verify_twice: bool,
    ) -> None:
        self._folder = folder
        self._queue = queue
        self._fetcher = fetcher
        self._voucher = voucher
        self._applier = applier
        self._outcomes = outcomes
        self._events = events
        self._clock = clock
        self._look_again = look_again
        self._replan = replan
        self._wake = wake
        self._verify_twice = verify_twice
        self._came_empty: Recent[RelPath, Version] = Recent(REMEMBERED)

    def deliver(self, assignment: Assignment) -> None:
        """Fetch and publish; ends by itself, failures go to the queue."""
        fetch, source = assignment.fetch, assignment.source
        began = self._clock.monotonic()
        self._events.tell(ev.FileFetching(path=fetch.path, source=source.endpoint))
        try:
            self._require_a_free_spot(fetch)
            received = self._fetcher.fetch(fetch.path, source)
            self._queue.landed(fetch.path, source.endpoint)
            self._wake()
            self._require_good_content(fetch, source, received)
            self._apply(fetch, received, began)
        except (TransportError, ProtocolError) as error:
            self._outcomes.fetch_failed(fetch.path, source.endpoint, Blame.SOURCE, error)
        except (NotThere, SeemsEmpty, StorageError) as error:
            self._outcomes.fetch_failed(fetch.path, source.endpoint, Blame.PATH, error)
        finally:
            self._voucher.stir()

    def _require_a_free_spot(self, fetch: Fetch) -> None:
        """Raise PathRefused where a directory or a link stands: before anything is fetched for nothing."""
        there = self._folder.fingerprint(fetch.path)
        if there is not None and there.kind is not Kind.FILE:
            raise PathRefused(f"{fetch.path}: a {there.kind}")

    def _require_good_content(self, fetch: Fetch, source: Source, received: Received) -> None:
        """Where the source told no size, it must vouch; raises, with nothing left staged, when it is not to be trusted."""
        good = received.told_size
        try:
            if not good:
                self._require_a_voucher(fetch, received)
                if self._verify_twice:
                    self._require_the_same_again(fetch, source, received)
                good = True
        finally:
            if not good:
                abandon(received.content, self._applier)

    def _require_a_voucher(self, fetch: Fetch, received: Received) -> None:
        size = received.content.size
        if not self._voucher.vouched(received.source, fetch.path, size=size):
            raise Unvouched("it vanished after it had sent the file, which may be cut short")
        had = fetch.expected.fingerprint.size if fetch.expected else 0
        if not size and had and self._came_empty.get(fetch.path) != fetch.offer.version:
            self._came_empty[fetch.path] = fetch.offer.version
            raise SeemsEmpty("it came empty; asked once more before that replaces a file with content")

    def _require_the_same_again(self, fetch: Fetch, source: Source, received: Received) -> None:
        again = self._fetcher.fetch(fetch.path, source)
        abandon(again.content, self._applier)
        if again.content.digest != received.content.digest:
            raise Unvouched("fetched twice, it was not the same")

    def _apply(self, fetch: Fetch, received: Received, began: float) -> None:
        download = Download(
            path=fetch.path,
            version=fetch.version,
            content=received.content.held,
            digest=received.content.digest,
            mtime_ns=fetch.offer.version.mtime_s * _NS,
            expected=fetch.expected.fingerprint if fetch.expected else None,
            displaced=fetch.displaced,
            loser=fetch.expected,
            grave=fetch.grave,
        )
        match self._applier.apply(download):
            case Published():
                seconds = self._clock.monotonic() - began
                self._outcomes.published(
                    fetch,
                    received.source,
                    size=received.content.size,
                    seconds=seconds,
                    first_byte_s=received.first_byte_s,
                )
                self._replan([fetch.path])  # the directory may have moved on meanwhile
            case Overtaken():
                self._look_again()  # before it is done: if this fails, the fetch has failed
                self._outcomes.overtaken(fetch, received.source)
                self._replan([fetch.path])
            case Unpublished(error=error):
                raise error
            case Removed() | Freed() | Moved():
                raise AssertionError("a download is neither a removal nor a move")
            case unreachable:
                assert_never(unreachable)
