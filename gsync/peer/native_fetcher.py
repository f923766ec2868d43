"""Brings contents over native links: many small files back to back, a large one in blocks from several sources.

Nothing is believed before its digest was compared, and nothing is published here. TransportError and ProtocolError blame the
source, `NotThere` only says that it has not this content (any more), StorageError blames our own disk, as in `peer/fetcher.py`.
Called by the syncer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from gsync.core.blocks import digest_of_bytes
from gsync.core.model import Record, Source
from gsync.core.names import RelPath
from gsync.errors import RemoteProtocolError, SourceBusy, WrongContent
from gsync.peer.causes import FetchError
from gsync.peer.fetcher import NotThere, Witness
from gsync.peer.link import Link, Use
from gsync.peer.links import Links
from gsync.wire.native import Block, Busy, Get, OnPeerLink, Want

REQUEST_FILES: Final = 250
REQUEST_BYTES: Final = 8 * 1024 * 1024
REQUEST_TEXT_BYTES: Final = 48 * 1024
"""Of one request: it fits into the buffers of a connection, so that asking never waits for answers to be taken."""

REQUESTS_AHEAD: Final = 2
"""Requests on their way at a time: the next answer begins as soon as the last one ends."""

Wanted = tuple[RelPath, Record]
"""Where a content will stand here, and what it is; it stands at the record's own path there."""

A = TypeVar("A", bound=OnPeerLink)


class NativeFetcher:
    """Fetches over `links`; `witness` hears of bytes."""

    def __init__(self, *, links: Links, witness: Witness) -> None:
        self._links = links
        self._witness = witness

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


def answer_to(id_: int, answer: OnPeerLink, kind: type[A]) -> A:
    """`answer`, if it is the `kind` that request `id_` asked for. Raises SourceBusy, RemoteProtocolError."""
    if isinstance(answer, Busy) and answer.id == id_:
        raise SourceBusy("it is busy with others")
    if not isinstance(answer, kind) or answer.id != id_:
        raise RemoteProtocolError(f"a {type(answer).__name__} where the answer to another question was due")
    return answer


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
