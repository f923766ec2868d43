"""Blocks of one content drawn from one source over one link: a few asked for ahead, each written while the next one comes in.

A source that is quick is asked for several blocks that follow each other in one question: on a fast link it is the questions that
cost, at both ends.

What is claimed and what came is told to its owner, `peer/block_fetch.py`. A wrong block, or a word that the protocol does not
allow, ends it; whatever ends it, blocks that were right count.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Final, Protocol

from msgspec import Struct

from gsync.core.model import Record, Source
from gsync.errors import RemoteProtocolError, StorageError, WrongContent
from gsync.net.clock import Clock
from gsync.peer.assembly import Assembly
from gsync.peer.buffers import Buffers, blocks_in
from gsync.peer.fetcher import NotThere, Witness
from gsync.peer.link import Link, answer_to
from gsync.storage.workers import Job
from gsync.wire.native import Block, Get, Want

DEPTH: Final = 4
"""Blocks asked for ahead on one link; more gain nothing."""

RUN_BLOCKS: Final = 8
RUN_S: Final = 0.02
"""So many blocks are asked for in one question, and no more than the source lately sent in this time."""

TOGETHER_BLOCKS: Final = 4
"""So many blocks of one question are received, and go to the worker, in one call: it is the calls that make both threads wait."""

BUFFERS_A_LINK: Final = 8
"""Blocks of one link that are here and not yet written; then the socket waits for the disk."""

TURN_BLOCKS: Final = 32
"""After so many blocks a link goes to whoever waits for one: a small file is not kept by two huge ones."""


class Claims(Protocol):
    """Says which block is next, and hears which ones are here."""

    def claim(self, source: Source) -> int | None: ...

    def claims_too(self, source: Source, number: int) -> bool: ...

    def is_link_awaited(self, source: Source) -> bool: ...

    def came(self, number: int) -> None: ...


class _Run(Struct, frozen=True):
    """Blocks that one question asks for."""

    id: int
    blocks: range


class _Written(Struct, frozen=True):
    """Blocks on their way to the disk, all in one buffer."""

    blocks: range
    job: Job[list[int]]
    buffer: bytearray


class Draught:
    """What is drawn from one source over one link, until nothing falls to it, or others need the link."""

    def __init__(
        self,
        claims: Claims,
        link: Link,
        source: Source,
        *,
        record: Record,
        assembly: Assembly,
        buffers: Buffers,
        witness: Witness,
        clock: Clock,
    ) -> None:
        self._claims = claims
        self._link = link
        self._source = source
        self._record = record
        self._assembly = assembly
        self._buffers = buffers
        self._witness = witness
        self._clock = clock
        self._turn = 0
        self._length = 1
        self._asked: deque[_Run] = deque()
        self._written: deque[_Written] = deque()

    def run(self, number: int) -> None:
        """Begin with block `number`. Raises TransportError, ProtocolError, NotThere, StorageError."""
        self._ask(number)
        proven = False
        try:
            while self._asked:
                run, began = self._asked.popleft(), self._clock.monotonic()
                while self._ahead < DEPTH - 1 and (more := self._next()) is not None:
                    self._ask(more)
                answer = answer_to(run.id, self._link.next(), Block)
                if not proven:
                    self._witness.gave_bytes(self._source.endpoint, self._link.ticket)
                    proven = True
                self._take(answer, run.blocks)
                self._note_pace(len(run.blocks), self._clock.monotonic() - began)
            while self._written:
                self._settle_oldest()
        finally:
            self._see_to_the_end()

    @property
    def _ahead(self) -> int:
        return sum(len(run.blocks) for run in self._asked)

    def _next(self) -> int | None:
        if self._turn >= TURN_BLOCKS and self._claims.is_link_awaited(self._source):
            return None
        return self._claims.claim(self._source)

    def _note_pace(self, blocks: int, seconds: float) -> None:
        """A slow source is asked for a block at a time: the others may take what it has not been asked for."""
        quick = blocks * RUN_S >= RUN_BLOCKS * seconds
        self._length = RUN_BLOCKS if quick else max(1, int(blocks * RUN_S / seconds))

    def _ask(self, number: int) -> None:
        """Ask for block `number`, and for those behind it that fall to the same source."""
        end = number + 1
        while end - number < self._length and self._claims.claims_too(self._source, end):
            end += 1
        self._turn += end - number
        blocks = range(number, end)
        offset, count = self._place(blocks)
        want = Want(p=str(self._record.path), d=self._record.digest, offset=offset, count=count)
        id_ = self._link.next_id()
        self._link.ask(Get(id=id_, wants=[want]))
        self._asked.append(_Run(id_, blocks))

    def _place(self, blocks: range) -> tuple[int, int]:
        """Where in the content they are: offset and count."""
        first, last = self._assembly.missing.spot(blocks[0]), self._assembly.missing.spot(blocks[-1])
        return first.offset, last.offset + last.count - first.offset

    def _take(self, answer: Block, blocks: range) -> None:
        _, count = self._place(blocks)
        if answer.gone and not answer.body:
            raise NotThere("it has not this content any more")
        if answer.gone or answer.want or answer.body != count:
            raise RemoteProtocolError(f"{answer.body} bytes where {count} were due")
        while blocks:
            buffer = self._room(min(len(blocks), TOGETHER_BLOCKS))
            self._take_some(blocks[: blocks_in(buffer)], buffer)
            blocks = blocks[blocks_in(buffer) :]

    def _take_some(self, blocks: range, buffer: bytearray) -> None:
        room = memoryview(buffer)[: self._place(blocks)[1]]
        whole = False
        try:
            self._link.body_into(room)
            whole = True
        finally:
            if not whole:
                self._buffers.give(buffer)
        self._written.append(_Written(blocks, self._assembly.put(blocks, room), buffer))

    def _room(self, blocks: int) -> bytearray:
        """A free buffer, of so many blocks or fewer; waited for only while none of ours is being written."""
        held = sum(len(written.blocks) for written in self._written)
        buffer = self._buffers.take_now(blocks) if held < BUFFERS_A_LINK else None
        if buffer is not None:
            return buffer
        while buffer is None and self._written:
            self._settle_oldest()
            buffer = self._buffers.take_now(blocks)
        if buffer is None:
            buffer = self._buffers.take()
        self._link.begin()  # it was our disk that was waited for: not the source's fault
        return buffer

    def _settle_oldest(self) -> None:
        """Wait for the oldest write; it counts as under way until it has ended, also if this wait is broken off."""
        oldest = self._written[0]
        right = oldest.job.get()
        self._written.popleft()
        self._buffers.give(oldest.buffer)
        self._note(right)
        if len(right) < len(oldest.blocks):
            raise WrongContent("a block that it sent has another digest")

    def _note(self, right: list[int]) -> None:
        for number in right:
            self._claims.came(number)

    def _see_to_the_end(self) -> None:
        """Whatever happened: what is being written is waited for, and counts if it is right."""
        while self._written:
            one = self._written.popleft()
            one.job.wait()
            self._buffers.give(one.buffer)
            with suppress(StorageError):
                self._note(one.job.get())
