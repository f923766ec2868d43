"""Files from native sources to the folder: many small ones in one conversation, large ones block by block.

What comes is verified against the digest of its record before it gets here, so nobody has to vouch. A batch does not wait for
its files to be published: each is handed on as it comes, and ends when the applier says what became of it. Called by the syncer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, assert_never

from msgspec import Struct

from gsync.core.actions import Fetch
from gsync.core.model import FileMeta, Record, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.schedule import Assignment, Batch, Blame, FetchQueue
from gsync.errors import ProtocolError, StorageError, TransportError
from gsync.net.clock import Clock
from gsync.peer import events as ev
from gsync.peer.applier import Applier
from gsync.peer.causes import FetchError
from gsync.peer.fetcher import NotThere
from gsync.peer.intake import Content
from gsync.peer.outcomes import Outcomes
from gsync.storage.downloads import Download, Freed, Moved, Outcome, Overtaken, Published, Removed, Unpublished
from gsync.storage.filesystem import Staged


class VerifiedFetcher(Protocol):
    """What fetches from native sources; everything it gives has the digest of its record."""

    @property
    def bytes_received(self) -> int: ...

    def fetch_small(
        self, wants: Sequence[tuple[RelPath, Record]], source: Source
    ) -> Iterator[tuple[RelPath, bytes | FetchError]]: ...

    def fetch_large(
        self, path: RelPath, record: Record, sources: Sequence[Source], *, old: FileMeta | None
    ) -> Content: ...


class Ended(Protocol):
    """Called once for each file that a delivery was given, when nothing more is to be done for it now."""

    def __call__(self, count: int = 1) -> None: ...


class Rests(Protocol):
    """Plans a path again later, and later each time; `LocalWorks` does."""

    def rest(self, path: RelPath, *others: RelPath) -> None: ...

    def forget(self, path: RelPath) -> None: ...


class _Landed(Struct, frozen=True, kw_only=True):
    """A content that is here, on its way into the folder; `began` and `at` are the times of the request and of the last byte."""

    fetch: Fetch
    source: Endpoint
    size: int
    began: float
    at: float


class NativeDeliveries:
    """Carries batches and large files out; failures go to the queue, never to the peer."""

    def __init__(
        self,
        *,
        queue: FetchQueue,
        fetcher: VerifiedFetcher,
        applier: Applier,
        outcomes: Outcomes,
        events: ev.Events,
        clock: Clock,
        hint: Callable[[Sequence[RelPath]], None],
        replan: Callable[[list[RelPath]], None],
        rests: Rests,
        ended: Ended,
    ) -> None:
        self._queue = queue
        self._fetcher = fetcher
        self._applier = applier
        self._outcomes = outcomes
        self._events = events
        self._clock = clock
        self._hint = hint
        self._replan = replan
        self._rests = rests
        self._ended = ended

    def deliver_batch(self, batch: Batch) -> None:
        """Fetch the small files of `batch` from its source, each handed on as soon as it is here."""
        left = {fetch.path: fetch for fetch in batch.fetches}
        source = batch.source.endpoint
        began = self._clock.monotonic()
        with self._events.together():
            for path in left:
                self._events.tell(ev.FileFetching(path=path, source=source))
        try:
            wants = [(path, _record(fetch)) for path, fetch in left.items()]
            for path, got in self._fetcher.fetch_small(wants, batch.source):
                fetch = left.pop(path)
                if isinstance(got, bytes):
                    self._queue.landed(path, source)
                    self._hand_on(fetch, source, got, len(got), began)
                else:
                    self._fail(path, source, got)
        except (TransportError, ProtocolError) as error:
            self._break_off(list(left), source, error)

    def deliver(self, assignment: Assignment) -> None:
        """Fetch one large file from this source, and from whoever else has it."""
        fetch, source = assignment.fetch, assignment.source
        record = _record(fetch)
        began = self._clock.monotonic()
        self._events.tell(ev.FileFetching(path=fetch.path, source=source.endpoint))
        try:
            others = [other for other in fetch.offer.sources if other.speaks_native and other != source]
            content = self._fetcher.fetch_large(fetch.path, record, (source, *others), old=fetch.expected)
        except (TransportError, ProtocolError, NotThere, StorageError) as error:
            self._fail(fetch.path, source.endpoint, error)
            return
        self._queue.landed(fetch.path, source.endpoint)
        self._hand_on(fetch, source.endpoint, content.held, content.size, began)

    def _hand_on(self, fetch: Fetch, source: Endpoint, content: bytes | Staged, size: int, began: float) -> None:
        landed = _Landed(fetch=fetch, source=source, size=size, began=began, at=self._clock.monotonic())
        self._applier.submit(_download(fetch, content), partial(self._applied, landed))

    def _applied(self, landed: _Landed, outcome: Outcome) -> None:
        fetch, source = landed.fetch, landed.source
        moved_from = _record(fetch).moved_from
        paths = [fetch.path, *([moved_from] if moved_from else [])]
        match outcome:
            case Published():
                seconds = self._clock.monotonic() - landed.began
                self._outcomes.published(
                    fetch, source, size=landed.size, seconds=seconds, first_byte_s=landed.at - landed.began
                )
                self._rests.forget(fetch.path)
            case Overtaken():
                self._outcomes.overtaken(fetch, source)
                self._hint([fetch.path])
                # Not planned again at once: what is in the applier's hand again nobody looks at, and only a look mends this.
                self._rests.rest(*paths)
            case Unpublished(error=error):
                self._outcomes.fetch_failed(fetch.path, source, Blame.PATH, error)
            case Removed() | Freed() | Moved():
                raise AssertionError("a download is neither a removal nor a move")
            case unreachable:
                assert_never(unreachable)
        self._ended()
        if not isinstance(outcome, Overtaken):
            self._replan(paths)

    def _fail(self, path: RelPath, source: Endpoint, error: FetchError) -> None:
        blame = Blame.SOURCE if isinstance(error, TransportError | ProtocolError) else Blame.PATH
        self._outcomes.fetch_failed(path, source, blame, error)
        self._ended()

    def _break_off(self, paths: Sequence[RelPath], source: Endpoint, error: FetchError) -> None:
        self._outcomes.broke_off(paths, source, error)
        self._ended(len(paths))


def speaks_native(fetch: Fetch, source: Source) -> bool:
    """Whether this fetch from this source can be verified, and so goes the native way."""
    return source.speaks_native and fetch.offer.record is not None


def _record(fetch: Fetch) -> Record:
    assert fetch.offer.record is not None
    return fetch.offer.record


def _download(fetch: Fetch, content: bytes | Staged) -> Download:
    record = _record(fetch)
    expected: FileMeta | None = fetch.expected
    return Download(
        path=fetch.path,
        version=fetch.version,
        content=content,
        digest=record.digest,
        mtime_ns=record.mtime_ns,
        executable=record.executable,
        author=record.author,
        moved_from=record.moved_from,
        expected=expected.fingerprint if expected else None,
        displaced=fetch.displaced,
        loser=expected,
        grave=fetch.grave,
    )
