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
    """All of `file`, read once: its digest and those of its blocks."""
    hasher = ContentHasher()
    while piece := file.read_at(hasher.size, _PIECE):
        hasher.update(piece)
    return hasher
