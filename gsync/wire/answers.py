"""Reads what a source sends back for a file: eats the header of edition 2 and lets the body pass by, uncopied.

    asked with          answer begins with           it is
    ------------------  ---------------------------  -----------------------------------------------------------
    edition 2           `Content-Length: <n>` line   edition 2: exactly n bytes follow
    edition 2           anything else                a `RemoteProtocolError`: this source is no edition 2
    edition 1           anything                     edition 1: raw bytes until the end
    either (undecided)  `Content-Length: <n>` line   edition 2, as the bytes that follow must bear out
    either (undecided)  anything else                edition 1

Undecided is the answer to a bare name after which, in a silence of 1 s, the newline was sent. Bytes that do not bear the
header out end as in edition 2: fewer are SHORT, more are an error. A raw file that happens to begin with such a line, from
a source that is unknown and slow, is thus not fetched; the other way round a stump would be published. Sans-IO; the caller
streams what `body` gives straight to disk. Called by the peer's fetcher.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from gsync.errors import RemoteProtocolError
from gsync.wire.requests import Edition

_HEADER_LIMIT_BYTES: Final = 64
"""`Content-Length: `, the digits of 2**63, tolerated blanks and the line's end."""

_HEADER: Final = re.compile(rb"content-length:[ \t]*([0-9]{1,19})[ \t]*\r?\n", re.IGNORECASE)
_HEADER_START: Final = re.compile(rb"content-length:[ \t]*[0-9]{0,19}[ \t]*\r?", re.IGNORECASE)
_FIELD: Final = b"content-length:"
_NOTHING: Final = memoryview(b"")


class Ending(Enum):
    """What the end of an answer means."""

    WHOLE = auto()
    """Exactly the bytes that were promised have come."""

    SHORT = auto()
    """Fewer than promised: broken off."""

    UNTOLD = auto()
    """Edition 1: nobody told the length, so a killed sender looks the same; the source must vouch."""

    NOTHING = auto()
    """Not one byte came: "I have it not", and in edition 1 it may as well be an empty file."""


class AnswerReader:
    """The answer to one request; give each piece to `body`, and call `finish` when the source has ended."""

    __slots__ = ("_any", "_expected", "_held", "_in_body", "_received", "_undecided")

    def __init__(self, edition: Edition) -> None:
        self._undecided = False
        self._in_body = edition is Edition.ONE
        self._expected: int | None = None
        self._received = 0
        self._held = b""
        self._any = False

    @classmethod
    def undecided(cls) -> AnswerReader:
        """For a source of which it is not known what it understands, and which was asked in both ways."""
        reader = cls(Edition.TWO)
        reader._undecided = True
        return reader

    @property
    def expected(self) -> int | None:
        """The size of the body in bytes, once a header has told it; None in edition 1."""
        return self._expected

    @property
    def remaining(self) -> int | None:
        """How many bytes of the body are still to come, where that is known; at 0 the caller need not wait for the close."""
        return None if self._expected is None else self._expected - self._received

    @property
    def edition(self) -> Edition | None:
        """How the source answers, to be remembered for its address; None while that is open."""
        if self._expected is not None:
            return Edition.TWO
        return Edition.ONE if self._in_body else None

    def body(self, data: memoryview) -> memoryview:
        """The part of the body in `data`, which is `data` itself once the header is past.

        Raises `RemoteProtocolError` where no header is although one is due, or more comes than it promised.
        """
        self._any = self._any or len(data) > 0
        if not self._in_body:
            data = self._after_header(data)
        self._received += len(data)
        if self._expected is not None and self._received > self._expected:
            raise RemoteProtocolError(f"more than the {self._expected} bytes that were promised")
        return data

    def finish(self) -> tuple[Ending, memoryview]:
        """What the end means, and the last bytes of the body: such as might still have become a header, mostly none."""
        if not self._any:
            return Ending.NOTHING, _NOTHING
        if self._expected is not None:
            return (Ending.SHORT if self._received < self._expected else Ending.WHOLE), _NOTHING
        if self._in_body or self._undecided:
            rest, self._held = memoryview(self._held), b""
            self._received += len(rest)
            self._in_body = True
            return Ending.UNTOLD, rest
        return Ending.SHORT, _NOTHING

    def _after_header(self, data: memoryview) -> memoryview:
        """What follows the header; nothing while it is not whole; all that came if there is none and need not be."""
        start = self._held + bytes(data[: _HEADER_LIMIT_BYTES - len(self._held)])
        header = _HEADER.match(start)
        if header:
            self._expected = int(header[1])
            self._in_body = True
            past = header.end() - len(self._held)
            self._held = b""
            return data[past:]
        if len(start) < _HEADER_LIMIT_BYTES and _may_become_header(start):
            self._held = start
            return _NOTHING
        if not self._undecided:
            raise RemoteProtocolError(f"{start[:20]!r} where a Content-Length line should be")
        self._in_body = True
        held, self._held = self._held, b""
        return memoryview(held + data) if held else data


def _may_become_header(start: bytes) -> bool:
    return _FIELD.startswith(start.lower()) or _HEADER_START.fullmatch(start) is not None
