"""The digest of what an open file holds: `b3:` and 64 hex digits of BLAKE3. Called by the scanner and the publisher."""

from __future__ import annotations

from typing import Final

from blake3 import blake3

from gsync.errors import FileChanged
from gsync.storage.filesystem import OpenFile

DIGEST_PREFIX: Final = "b3:"

_PIECE: Final = 1024 * 1024
"""Bytes read at a time: large enough for full speed, small enough to keep memory flat."""


def digest_of(file: OpenFile) -> str:
    """The digest of the whole of `file`; `FileChanged` when it moved while it was read, for the result is then worth nothing."""
    hasher = blake3()
    offset = 0
    while piece := file.read_at(offset, _PIECE):
        hasher.update(piece)
        offset += len(piece)
    if file.changed():
        raise FileChanged("it was changed while it was read")
    return DIGEST_PREFIX + hasher.hexdigest()


def digest_of_bytes(content: bytes) -> str:
    """The digest of `content`."""
    return DIGEST_PREFIX + blake3(content).hexdigest()
