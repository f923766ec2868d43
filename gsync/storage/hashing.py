"""The digest of what an open file holds (core/blocks.py says what a digest is). Called by the scanner and the publisher."""

from __future__ import annotations

from typing import Final

from gsync.core.blocks import BLOCK_BYTES, ContentHasher
from gsync.errors import FileChanged
from gsync.storage.filesystem import OpenFile

_PIECE: Final = BLOCK_BYTES
"""Bytes read at a time: large enough for full speed, small enough to keep memory flat."""


def digest_of(file: OpenFile) -> str:
    """The digest of the whole of `file`; `FileChanged` when it moved while it was read, for the result is then worth nothing."""
    hasher = hashed(file)
    if file.changed():
        raise FileChanged("it was changed while it was read")
    return hasher.digest()


def hashed(file: OpenFile) -> ContentHasher:
    """All of `file` that was there when it was opened, read once: its digest and those of its blocks."""
    hasher = ContentHasher()
    while hash_on(file, hasher, end=file.fingerprint.size, budget=_PIECE):
        pass
    return hasher


def hash_on(file: OpenFile, hasher: ContentHasher, *, end: int, budget: int) -> int:
    """Go on with what comes next in `file`, up to `end`, until at least `budget` bytes were read; how many bytes it went on.

    None if it ends there, or was cut. Holes are not read: they count, but not against the budget.
    """
    begun = hasher.size
    while hasher.size < end and budget > 0:
        if end - hasher.size > BLOCK_BYTES:  # of a small file it is not worth asking
            hasher.update_zeros(min(file.data_at(hasher.size), end) - hasher.size)
        piece = file.read_at(hasher.size, min(_PIECE, end - hasher.size))
        if not piece:
            break
        hasher.update(piece)
        budget -= len(piece)
    return hasher.size - begun
