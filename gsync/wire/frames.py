"""Cuts a native link into frames and spells them: a length, a JSON header, and the body that the header promises.

    u32 big-endian: length of the header | header: one JSON object | body: as many raw bytes as the header's "body" says

Headers stay readable, and bodies go past this module: whoever reads a header takes the body straight from the stream into its
own buffer, and whoever sends one sends it with sendfile. Sans-IO. PROTOCOL.md, "Frames".
"""

from __future__ import annotations

from typing import Final

from gsync.errors import RemoteProtocolError

NATIVE_START: Final = b"\0"
"""A native peer link begins with this byte, which no classic request can; so does the native part of a tracker link."""

HEADER_MAX_BYTES: Final = 1024 * 1024
"""The longest header: a piece of a snapshot or an announcement is at most 64 KiB, a block list of 2 TiB goes in a body."""

LENGTH_BYTES: Final = 4


def frame(header: bytes) -> bytes:
    """The bytes of a frame with this header, as far as its body."""
    return len(header).to_bytes(LENGTH_BYTES, "big") + header


class FrameSplitter:
    """Takes bytes as they come and gives back whole headers; stops at a header whose body the caller has to take.

    `feed`, then `next` until it is None. After a header with a body, take `body(n)` from here first, then from the stream.
    It holds what it is fed: who asks for `next` after each feed holds one header and one feed at most.
    """

    __slots__ = ("_header_max_bytes", "_held")

    def __init__(self, *, header_max_bytes: int = HEADER_MAX_BYTES) -> None:
        self._header_max_bytes = header_max_bytes
        self._held = bytearray()

    @property
    def pending(self) -> int:
        """How many bytes are held."""
        return len(self._held)

    @property
    def wants(self) -> int:
        """How many more bytes the frame that has begun needs; 0 when a header is complete."""
        if len(self._held) < LENGTH_BYTES:
            return LENGTH_BYTES - len(self._held)
        return max(0, LENGTH_BYTES + self._length() - len(self._held))

    def feed(self, data: bytes | memoryview) -> None:
        """Add what came."""
        self._held += data

    def next(self) -> bytes | None:
        """The next whole header; None when more bytes are needed. Raises `RemoteProtocolError` for one that is too long."""
        if len(self._held) < LENGTH_BYTES:
            return None
        length = self._length()
        if not 0 < length <= self._header_max_bytes:
            raise RemoteProtocolError(f"a frame header of {length} bytes (1 to {self._header_max_bytes})")
        end = LENGTH_BYTES + length
        if len(self._held) < end:
            return None
        header = bytes(self._held[LENGTH_BYTES:end])
        del self._held[:end]
        return header

    def body(self, most: int) -> bytes:
        """Up to `most` bytes of the body that are here already."""
        part = bytes(self._held[:most])
        del self._held[:most]
        return part

    def _length(self) -> int:
        return int.from_bytes(self._held[:LENGTH_BYTES], "big")
