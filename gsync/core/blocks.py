"""The digest of a content, and the blocks that it is verified and re-used by.

A content is cut into blocks of 1 MiB, the last one shorter. Up to one block its digest is the BLAKE3 of the bytes; above, it
is the BLAKE3 of the digests of its blocks, 32 bytes each, one after the other. So a block list proves itself against the
digest of the record, and each block against the list, before a byte of it is believed. Pure; called by whoever reads, receives
or serves content. PROTOCOL.md, "Records".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from blake3 import blake3

BLOCK_BYTES: Final = 1024 * 1024

DIGEST_PREFIX: Final = "b3:"
"""A digest carries its algorithm."""

BLOCK_DIGEST_BYTES: Final = 32

CONTENT_MAX_BYTES: Final = 2 * 1024**4
"""The longest content that has a digest: its block list is 64 MiB. A sparse file that claims more costs nothing to make."""

_ZEROS: Final = bytes(BLOCK_BYTES)


class ContentHasher:
    """Takes a content in pieces of any length, in order; knows its digest and its block digests at the end."""

    __slots__ = ("_block", "_blocks", "_filled", "size")

    def __init__(self) -> None:
        self._block = blake3()
        self._filled = 0
        self._blocks: list[bytes] = []
        self.size = 0

    def update(self, data: bytes | memoryview) -> None:
        """Add the next bytes."""
        rest = memoryview(data)
        self.size += len(rest)
        while rest:
            if self._filled == BLOCK_BYTES:
                self._end_block()
            part = rest[: BLOCK_BYTES - self._filled]
            self._block.update(part)
            self._filled += len(part)
            rest = rest[len(part) :]

    def update_zeros(self, count: int) -> None:
        """The same for so many zeros; whole blocks of them cost next to nothing."""
        while count:
            if self._filled == BLOCK_BYTES:
                self._end_block()
            if not self._filled and count >= BLOCK_BYTES:
                whole = count // BLOCK_BYTES
                self._blocks.extend([zeros_digest(BLOCK_BYTES)] * whole)
                self.size += whole * BLOCK_BYTES
                count -= whole * BLOCK_BYTES
                continue
            part = min(count, BLOCK_BYTES - self._filled)
            self.update(_ZEROS[:part])
            count -= part

    def blocks(self) -> tuple[bytes, ...]:
        """The digest of each block so far, the unfinished last one included; none for an empty content."""
        last = (self._block.digest(),) if self._filled else ()
        return (*self._blocks, *last)

    def digest(self) -> str:
        """The digest of all bytes so far."""
        return digest_of_blocks(self.blocks())

    def _end_block(self) -> None:
        self._blocks.append(self._block.digest())
        self._block = blake3()
        self._filled = 0


def digest_of_blocks(blocks: Sequence[bytes]) -> str:
    """The digest of the content whose blocks have these digests."""
    match blocks:
        case []:
            return DIGEST_PREFIX + blake3(b"").hexdigest()
        case [only]:
            return DIGEST_PREFIX + only.hex()
        case _:
            return DIGEST_PREFIX + blake3(b"".join(blocks)).hexdigest()


def digest_of_joined(blocks: bytes) -> str:
    """The same, of block digests that stand one after the other in `blocks`."""
    return DIGEST_PREFIX + (blocks.hex() if len(blocks) == BLOCK_DIGEST_BYTES else blake3(blocks).hexdigest())


def digest_of_bytes(content: bytes) -> str:
    """The digest of `content`."""
    if len(content) <= BLOCK_BYTES:
        return DIGEST_PREFIX + blake3(content).hexdigest()
    hasher = ContentHasher()
    hasher.update(content)
    return hasher.digest()


def block_digest(data: bytes | memoryview) -> bytes:
    """The digest of one block."""
    return blake3(data).digest()


@lru_cache(maxsize=16)
def zeros_digest(count: int) -> bytes:
    """The digest of a block of so many zeros."""
    return block_digest(_ZEROS[:count])


def is_zeros(data: bytes | memoryview) -> bool:
    """Whether a piece of at most one block is full of zeros; quick where it is not."""
    return len(data) > 0 and not data[0] and not data[-1] and bytes(data) == _ZEROS[: len(data)]


def block_count(size: int) -> int:
    """How many blocks a content of `size` bytes has."""
    return -(-size // BLOCK_BYTES)


def block_size(number: int, *, size: int) -> int:
    """How long block `number` (from 0) of a content of `size` bytes is."""
    return min(BLOCK_BYTES, size - number * BLOCK_BYTES)
