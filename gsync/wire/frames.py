"""Cuts a native link into frames and spells them: a length, a JSON header, and the body that the header promises.

    u32 big-endian: length of the header | header: one JSON object | body: as many raw bytes as the header's "body" says

Headers stay readable, and bodies go past this module: whoever reads a header takes the body straight from the stream into its
own buffer, and whoever sends one sends it with sendfile. Sans-IO. PROTOCOL.md, "Frames".
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from gsync.errors import RemoteProtocolError

NATIVE_START: Final = b"\0"
"""A native peer link begins with this byte, which no classic request can; so does the native part of a tracker link."""

HEADER_MAX_BYTES: Final = 1024 * 1024
"""The longest header: a piece of a snapshot or an announcement is at most 64 KiB, a block list of 2 TiB goes in a body."""

LENGTH_BYTES: Final = 4

_LENGTH: Final = Struct(">I")


def frame(header: bytes) -> bytes:
    """The bytes of a frame with this header, as far as its body."""
    return len(header).to_bytes(LENGTH_BYTES, "big") + header


class FrameSplitter:
    """Takes bytes as they come and gives back whole headers; stops at a header whose body the caller has to take.

    `feed`, then `next` until it is None. After a header with a body, take `body(n)` from here first, then from the stream.
    It holds what it is fed: who asks for `next` after each feed holds one header and one feed at most.
    """

    __slots__ = ("_at", "_header_max_bytes", "_held")

    def __init__(self, *, header_max_bytes: int = HEADER_MAX_BYTES) -> None:
        self._header_max_bytes = header_max_bytes
        self._held = bytearray()
        self._at = 0  # what is before it was given back already

    @property
    def pending(self) -> int:
        """How many bytes are held."""
        return len(self._held) - self._at

    @property
    def wants(self) -> int:
        """How many more bytes the frame that has begun needs; 0 when a header is complete."""
        if self.pending < LENGTH_BYTES:
            return LENGTH_BYTES - self.pending
        return max(0, LENGTH_BYTES + self._length() - self.pending)

    def feed(self, data: bytes | memoryview) -> None:
        """Add what came."""
        if self._at:
            del self._held[: self._at]
            self._at = 0
        self._held += data

    def next(self) -> bytes | None:
        """The next whole header; None when more bytes are needed. Raises `RemoteProtocolError` for one that is too long."""
        begin = self._at + LENGTH_BYTES
        if len(self._held) < begin:
            return None
        length = self._length()
        if not 0 < length <= self._header_max_bytes:
            raise RemoteProtocolError(f"a frame header of {length} bytes (1 to {self._header_max_bytes})")
        return None if len(self._held) < begin + length else self._taken(begin, begin + length)

    def body(self, most: int) -> bytes:
        """Up to `most` bytes of the body that are here already."""
        return self._taken(self._at, min(self._at + most, len(self._held)))

    def _taken(self, begin: int, end: int) -> bytes:
        taken = bytes(memoryview(self._held)[begin:end])
        self._at = end
        if end == len(self._held):
            self.feed(b"")  # lets go of the room: a link may be idle for long
        return taken

    def _length(self) -> int:
        length: int = _LENGTH.unpack_from(self._held, self._at)[0]
        return length
