"""Brings one file from one source: dial, ask, receive; each step bounded, and nothing published.

A source that does not answer is skipped by a `gevent.Timeout`: `TransportError` blames the source, `NotThere` only says that it
has not this file, `StorageError` blames our own disk. Every connection is closed when its method returns. The bytes of edition
1 end where the connection ends, so what comes back without a `told_size` still needs a voucher (`peer/voucher.py`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Protocol, assert_never

import gevent
from msgspec import Struct

from gsync.core.model import Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.recent import Recent
from gsync.core.vouching import Ticket
from gsync.errors import ConnectionBroken, CutShort, GsyncError, NoAnswer, ProtocolError, Stalled
from gsync.net.clock import Clock
from gsync.net.throttle import Throttle
from gsync.net.transport import Network, Stream
from gsync.peer.intake import Content, Intake, Stager
from gsync.wire.answers import AnswerReader, Ending
from gsync.wire.requests import Edition

CONNECT_S: Final = 5.0
STALL_S: Final = 10.0
"""No byte for this long, and the source is given up for now (`--timeout`)."""

BARE_NAME_S: Final = 1.0
"""A source of unknown edition that says nothing to a bare name for this long is sent the newline of edition 2 after it."""

QUIET_S: Final = 2.0
"""Data came, then quiet, and no end: some servers close only when the next connection comes, so one is made."""

RATE_WINDOW_S: Final = 30.0
RATE_MIN: Final = 4 * 1024
"""A source slower than this many bytes/s over the window is given up: a trickle must not hold a place for ever."""

KNOWN_EDITIONS: Final = 4096
_FIRST_LOOK: Final = 16 * 1024


class NotThere(GsyncError):
    """The source has not this file, or cannot serve it now; others may."""


class Witness(Protocol):
    """Hears of connections and bytes, because they vouch for what came before (`peer.voucher`), or prove a source."""

    def connected(self, endpoint: Endpoint) -> Ticket: ...

    def gave_bytes(self, endpoint: Endpoint, ticket: Ticket) -> None: ...

    def fell_quiet(self, endpoint: Endpoint, path: RelPath, *, size: int) -> None: ...


class Received(Struct, frozen=True, kw_only=True):
    """A whole file as its source gave it; `told_size` says that the source told its size beforehand.

    `first_byte_s` went by from the dial to the first byte, or to the end of an empty file.
    """

    path: RelPath
    source: Endpoint
    content: Content
    told_size: bool
    ticket: Ticket
    first_byte_s: float


class Touch(Struct, frozen=True, kw_only=True):
    """What a touch of a source showed: whether it `gave` a byte on the connection that `ticket` stands for."""

    ticket: Ticket
    gave: bool


class Fetcher:
    """Fetches files through `network`; remembers which edition each source speaks, and with `classic` asks all in edition 1.

    `downlink` slows what comes in.
    """

    def __init__(
        self,
        *,
        network: Network,
        stager: Stager,
        witness: Witness,
        clock: Clock,
        stall_s: float = STALL_S,
        classic: bool = False,
        downlink: Throttle | None = None,
    ) -> None:
        self._network = network
        self._stager = stager
        self._witness = witness
        self._clock = clock
        self._stall_s = stall_s
        self._classic = classic
        self._downlink = downlink
        self._editions: Recent[Endpoint, Edition] = Recent(KNOWN_EDITIONS)
        self.bytes_received = 0
        self.late_timeouts = 0
        """Timeouts that struck although bytes were here: our own loop was late, and no source was blamed."""

    def fetch(self, path: RelPath, source: Source) -> Received:
        """The content of `path` from `source`; leaves nothing staged when it fails.

        Raises TransportError, ProtocolError, NotThere, StorageError.
        """
        try:
            return self._fetch(path, source)
        except (Stalled, ProtocolError, NotThere):
            self._editions.forget(source.endpoint)  # another program may serve there now
            raise

    def touch(self, path: RelPath, endpoint: Endpoint, *, to_the_end: bool) -> Touch:
        """Ask for `path` only to see whether the source still gives. Raises TransportError, ProtocolError.

        The rest is read and dropped when `to_the_end`, else the connection is broken off after the first bytes.
        """
        with self._dial(endpoint) as stream:
            ticket = self._witness.connected(endpoint)
            _, head = self._ask(stream, path, Source(endpoint=endpoint))
            if not head:
                return Touch(ticket=ticket, gave=False)
            self._witness.gave_bytes(endpoint, ticket)
            if not to_the_end:
                stream.reset()
                return Touch(ticket=ticket, gave=True)
            buffer = memoryview(bytearray(_FIRST_LOOK))
            with gevent.Timeout(QUIET_S, False):  # the byte has come; a server that never closes is not waited for
                while stream.receive_into(buffer):
                    pass
            return Touch(ticket=ticket, gave=True)

    def _fetch(self, path: RelPath, source: Source) -> Received:
        began = self._clock.monotonic()
        with self._dial(source.endpoint) as stream:
            ticket = self._witness.connected(source.endpoint)
            answer, head = self._ask(stream, path, source)
            first_byte_s = self._clock.monotonic() - began
            if head:
                self.bytes_received += len(head)
                self._witness.gave_bytes(source.endpoint, ticket)
            intake = Intake(path, stager=self._stager, expected=answer.expected)
            whole = False
            try:
                _pour(head, intake)
                told_size = self._take_rest(stream, answer, intake, path=path, endpoint=source.endpoint)
                content = intake.finish()
                whole = True
            finally:
                if not whole:
                    intake.abandon()
        if answer.edition is not None:
            self._editions[source.endpoint] = answer.edition
        return Received(
            path=path,
            source=source.endpoint,
            content=content,
            told_size=told_size,
            ticket=ticket,
            first_byte_s=first_byte_s,
        )

    def _dial(self, endpoint: Endpoint) -> Stream:
        limit_s = min(CONNECT_S, self._stall_s)
        with gevent.Timeout(limit_s, NoAnswer(f"no answer within {limit_s:g} s")):
            return self._network.dial(endpoint)

    def _ask(self, stream: Stream, path: RelPath, source: Source) -> tuple[AnswerReader, bytes]:
        """Send the request in the edition that the source speaks; the reader of its answer, and the body's first bytes.

        No bytes mean that the answer is empty, or ended before it began: the reader knows which.
        """
        name = path.encode("utf-8")
        edition = self._edition_of(source)
        stream.send(name + b"\n" if edition is Edition.TWO else name)
        answer = AnswerReader(edition or Edition.ONE)
        buffer = memoryview(bytearray(_FIRST_LOOK))
        count: int | None = None
        if edition is None:
            count = _within(stream, buffer, BARE_NAME_S)
            if count is None:
                stream.send(b"\n")
                answer = AnswerReader.undecided()
        while answer.remaining != 0:
            if count is None:
                count = self._patiently(stream, buffer)
            if not count:
                break
            if head := answer.body(buffer[:count]):
                return answer, bytes(head)
            count = None
        return answer, b""

    def _edition_of(self, source: Source) -> Edition | None:
        if self._classic:
            return Edition.ONE
        return Edition.TWO if source.speaks_gsync else self._editions.get(source.endpoint)

    def _take_rest(
        self, stream: Stream, answer: AnswerReader, intake: Intake, *, path: RelPath, endpoint: Endpoint
    ) -> bool:
        """Take the body to its end; whether its size was told beforehand. Raises where it is not whole."""
        pace = _Pace(self._clock, self._downlink)
        nudged = False
        while answer.remaining != 0:
            room = intake.room()
            if answer.remaining is not None:
                room = room[: answer.remaining]
            count: int | None = None
            if answer.remaining is None and intake.size and not nudged:
                count = _within(stream, room, QUIET_S)
                if count is None:
                    self._witness.fell_quiet(
                        endpoint, path, size=intake.size
                    )  # some servers close only when the next connection comes
                    nudged = True
            if count is None:
                count = self._patiently(stream, room)
            if not count:
                break
            took = answer.body(room[:count])
            intake.took(len(took))
            self.bytes_received += count
            pace.require(count)
        _refuse_more(stream, answer)
        ending, rest = answer.finish()
        _pour(rest, intake)
        match ending:
            case Ending.WHOLE:
                return True
            case Ending.UNTOLD:
                return False
            case Ending.SHORT:
                raise CutShort(f"it ended after {intake.size} of {answer.expected} bytes")
            case Ending.NOTHING if answer.edition is Edition.ONE:
                return False
            case Ending.NOTHING:
                raise NotThere("it closed without an answer: it has not this file")
            case unreachable:
                assert_never(unreachable)

    def _patiently(self, stream: Stream, room: memoryview) -> int:
        """What comes into `room` before the source counts as stalled; 0 at the end."""
        count = _within(stream, room, self._stall_s)
        if count is not None:
            return count
        if not stream.is_readable():
            raise Stalled(f"not a byte for {self._stall_s:g} s")
        self.late_timeouts += 1
        return stream.receive_into(room)  # the bytes were here: it was our own loop that was late


class _Pace:
    """Watches that a source keeps above the minimum rate, window by window, and we below what we are allowed."""

    def __init__(self, clock: Clock, downlink: Throttle | None) -> None:
        self._clock = clock
        self._downlink = downlink
        self._since = clock.monotonic()
        self._bytes = 0

    def require(self, count: int) -> None:
        """`count` more bytes came; raises Stalled at the end of a window that had too few."""
        if self._downlink is not None:
            self._downlink.take(count)
        self._bytes += count
        now = self._clock.monotonic()
        if now - self._since < RATE_WINDOW_S:
            return
        if self._bytes < RATE_MIN * RATE_WINDOW_S:
            raise Stalled(f"slower than {RATE_MIN} bytes/s over {RATE_WINDOW_S:.0f} s")
        self._since, self._bytes = now, 0


def _within(stream: Stream, room: memoryview, seconds: float) -> int | None:
    """How many bytes came into `room` within `seconds`, 0 at the end; None when nothing did."""
    came: int | None = None
    with gevent.Timeout(seconds, False):
        came = stream.receive_into(room)
    return came


def _refuse_more(stream: Stream, answer: AnswerReader) -> None:
    """Raise where more than was promised is here already: the file grew, say. The close is not waited for: some never close."""
    if answer.remaining == 0 and stream.is_readable():
        more = b""
        with suppress(ConnectionBroken):  # broken off after the last byte: all that was promised is here
            more = stream.receive(1)
        answer.body(memoryview(more))


def _pour(data: bytes | memoryview, intake: Intake) -> None:
    rest = memoryview(data)
    while rest:
        room = intake.room()
        part = rest[: len(room)]
        room[: len(part)] = part
        intake.took(len(part))
        rest = rest[len(part) :]
