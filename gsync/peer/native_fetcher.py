"""Brings contents over native links: many small files back to back, a large one in blocks from several sources.

Nothing is believed before its digest was compared, and nothing is published here. TransportError and ProtocolError blame the
source, `NotThere` only says that it has not this content (any more), StorageError blames our own disk, as in `peer/fetcher.py`.
Called by the syncer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import Final

from gsync.core.blocks import (
    BLOCK_BYTES,
    BLOCK_DIGEST_BYTES,
    DIGEST_PREFIX,
    block_count,
    digest_of_bytes,
    digest_of_joined,
)
from gsync.core.model import FileMeta, Record, Source
from gsync.core.names import RelPath
from gsync.errors import ProtocolError, RemoteProtocolError, Stalled, StorageError, TransportError, WrongContent
from gsync.net.clock import Clock
from gsync.peer.assembly import Assembly, BlockStager
from gsync.peer.block_fetch import BlockFetch
from gsync.peer.block_lists import BlockLists
from gsync.peer.buffers import Buffers
from gsync.peer.causes import FetchError
from gsync.peer.fetcher import NotThere, Witness
from gsync.peer.intake import Content
from gsync.peer.link import Link, Use, answer_to
from gsync.peer.links import Links
from gsync.peer.reuse import Reuse
from gsync.storage.workers import Workers
from gsync.wire.native import Block, BlockList, Get, GetBlocks, Pong, Want

REQUEST_FILES: Final = 250
REQUEST_BYTES: Final = 8 * 1024 * 1024
REQUEST_TEXT_BYTES: Final = 48 * 1024
"""Of one request: it fits into the buffers of a connection, so that asking never waits for answers to be taken."""

REQUESTS_AHEAD: Final = 2
"""Requests on their way at a time: the next answer begins as soon as the last one ends."""

LIST_MAX_BYTES: Final = 64 * 1024 * 1024
"""A block list for 2 TiB; larger files are not fetched."""

LIST_WAIT_S: Final = 30.0
LIST_RATE_MIN: Final = 20 * 1024 * 1024
"""How long a source may read its file for the block list: so many bytes a second, and a while on top."""

Wanted = tuple[RelPath, Record]
"""Where a content will stand here, and what it is; it stands at the record's own path there."""


class NativeFetcher:
    """Fetches over `links`; `witness` hears of bytes, `on_failed` of sources that failed where others could go on."""

    def __init__(
        self,
        *,
        links: Links,
        witness: Witness,
        stager: BlockStager,
        reuse: Reuse,
        lists: BlockLists,
        workers: Workers,
        clock: Clock,
        on_failed: Callable[[Source, FetchError], None] = lambda source, error: None,
    ) -> None:
        self._links = links
        self._witness = witness
        self._stager = stager
        self._reuse = reuse
        self._lists = lists
        self._workers = workers
        self._clock = clock
        self._on_failed = on_failed
        self._buffers = Buffers()

    @property
    def bytes_received(self) -> int:
        """How many bytes came in so far, over all links."""
        return self._links.counts.bytes_received

    @property
    def late_timeouts(self) -> int:
        """Timeouts that struck although bytes were here: our own loop was late, and no source was blamed."""
        return self._links.counts.late_timeouts

    def fetch_small(self, wants: Sequence[Wanted], source: Source) -> Iterator[tuple[RelPath, bytes | FetchError]]:
        """The contents of `wants`, verified, as they come; or why one of them did not come, where the next ones still may.

        Raises TransportError or ProtocolError when no more will come: then the source is to blame for all that is left.
        """
        requests = deque(_in_requests(wants))
        asked: deque[tuple[int, list[Wanted]]] = deque()
        proven = False
        with self._links.link(source.endpoint, Use.SMALL) as link:
            while requests or asked:
                while requests and len(asked) < REQUESTS_AHEAD:
                    asked.append((_ask(link, requests[0]), requests.popleft()))
                id_, request = asked.popleft()
                for number, (path, record) in enumerate(request):
                    answer = answer_to(id_, link.next(), Block)
                    if not proven:
                        self._witness.gave_bytes(source.endpoint, link.ticket)
                        proven = True
                    yield path, _content(link, answer, number, record)

    def fetch_large(
        self, path: RelPath, record: Record, sources: Sequence[Source], *, old: FileMeta | None = None
    ) -> Content:
        """The content of `record` for `path`, verified block by block, from `sources`, of whom the first one counts.

        `old` is what stands at `path`; blocks that are on this disk are not fetched. What came is kept for the next try when it
        fails. Raises TransportError, ProtocolError or NotThere of the first source, StorageError.
        """
        failures = _Failures(sources[0], self._on_failed)
        blocks = self._block_list(record, sources, failures)
        assembly = Assembly(path, record, blocks, stager=self._stager, workers=self._workers)
        whole = False
        try:
            assembly.begin()
            self._reuse.give_to(assembly, path, record, old=old)
            self._fetch_missing(assembly, record, [one for one in sources if one not in failures.sources], failures)
            content = assembly.finish()
            whole = True
        finally:
            if not whole:
                with suppress(StorageError):  # whatever ended it is told; the next start finds what is left
                    assembly.let_go()
        self._lists.keep_joined(record.digest, blocks)
        return content

    def _fetch_missing(
        self, assembly: Assembly, record: Record, sources: Sequence[Source], failures: _Failures
    ) -> None:
        fetch = BlockFetch(
            record,
            sources,
            assembly,
            links=self._links,
            buffers=self._buffers,
            witness=self._witness,
            clock=self._clock,
            on_failed=failures.note,
        )
        if not fetch.run():
            raise failures.error

    def _block_list(self, record: Record, sources: Sequence[Source], failures: _Failures) -> bytes:
        """The digests of the blocks, proven against that of the whole; from the first source that gives them."""
        if record.size <= BLOCK_BYTES:
            return bytes.fromhex(record.digest.removeprefix(DIGEST_PREFIX)) if record.size else b""
        known = self._lists.known(record.digest)
        if known is not None:
            return known
        for source in sources:
            try:
                return self._asked_list(record, source)
            except (TransportError, ProtocolError, NotThere) as error:
                failures.note(source, error)
        raise failures.error

    def _asked_list(self, record: Record, source: Source) -> bytes:
        due = block_count(record.size) * BLOCK_DIGEST_BYTES
        if due > LIST_MAX_BYTES:
            raise RemoteProtocolError(f"a file of {record.size} bytes")
        deadline = self._clock.monotonic() + LIST_WAIT_S + record.size / LIST_RATE_MIN
        with self._links.link(source.endpoint, Use.BULK) as link:
            id_ = link.next_id()
            link.ask(GetBlocks(id=id_, p=str(record.path), d=record.digest))
            while (answer := link.next()) == Pong(id=id_):  # it reads the file first
                if self._clock.monotonic() > deadline:
                    raise Stalled("it takes too long to read the file")
                link.begin()
            told = answer_to(id_, answer, BlockList)
            self._witness.gave_bytes(source.endpoint, link.ticket)
            if told.gone and not told.body:
                raise NotThere("it has not this content any more")
            if told.gone or told.body != due:
                raise RemoteProtocolError(f"a block list of {told.body} bytes for a file of {record.size}")
            blocks = link.body(due)
            if digest_of_joined(blocks) != record.digest:
                raise WrongContent("the block list that it sent has another digest")
            return blocks


class _Failures:
    """The sources of one content that failed; the error of the first one is the fetch's, the others' are only told."""

    def __init__(self, first: Source, tell: Callable[[Source, FetchError], None]) -> None:
        self._first = first
        self._tell = tell
        self._errors: dict[Source, FetchError] = {}

    @property
    def sources(self) -> Collection[Source]:
        return self._errors

    @property
    def error(self) -> FetchError:
        """What the fetch ends with."""
        return self._errors[self._first]

    def note(self, source: Source, error: FetchError) -> None:
        self._errors[source] = error
        if source != self._first:
            self._tell(source, error)


def _content(link: Link, answer: Block, number: int, record: Record) -> bytes | FetchError:
    if answer.want != number:
        raise RemoteProtocolError(f"content number {answer.want} where number {number} was due")
    if answer.gone and not answer.body:
        return NotThere("it has not this content any more")
    if answer.gone or answer.body != record.size:
        raise RemoteProtocolError(f"{answer.body} bytes for a content of {record.size}")
    body = link.body(record.size)
    if digest_of_bytes(body) != record.digest:
        return WrongContent("what it sent has another digest")
    return body


def _ask(link: Link, wants: Sequence[Wanted]) -> int:
    id_ = link.next_id()
    link.ask(Get(id=id_, wants=[Want(p=str(record.path), d=record.digest) for _, record in wants]))
    return id_


def _in_requests(wants: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """`wants` in the same order, as requests that keep the bounds."""
    request: list[Wanted] = []
    size = text = 0
    for want in wants:
        _, record = want
        words = 2 * len(record.path.encode()) + len(record.digest) + 32  # quoted, at worst
        full = len(request) == REQUEST_FILES or size + record.size > REQUEST_BYTES or text + words > REQUEST_TEXT_BYTES
        if request and full:
            yield request
            request, size, text = [], 0, 0
        request.append(want)
        size += record.size
        text += words
    if request:
        yield request
