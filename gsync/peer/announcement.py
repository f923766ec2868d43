"""Cuts what this peer has into messages for a tracker of ours, each short enough to be read between two keepalives.

Lazily: a piece is made when the one before is on its way, so that a folder of any size costs one piece of memory. The order of
the records is kept. What the wire cannot carry is left out with a word in the log: a tracker would drop the connection for it,
and again after each new one. Called by `tracker_link.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from gsync.core.model import Record
from gsync.core.names import RelPath
from gsync.wire.native import PIECE_BYTES, Announce, Withdraw
from gsync.wire.records import WireRecord, wire_record

log = logging.getLogger(__name__)

PIECE_RECORDS: Final = 500
"""Records of one piece: some milliseconds of work for both sides."""

_BYTES_OF_PATHS: Final = 2
"""What a path in a list takes beside its own bytes, at least; quotes in it are rare."""

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(WireRecord)


def everything(records: Iterable[Record]) -> Iterator[Announce]:
    """All that this peer has; the last piece says so, and is there even if there is nothing."""
    before: list[WireRecord] = []
    for piece in _pieces(records):
        if before:
            yield Announce(records=before)
        before = piece
    yield Announce(records=before, all=True)


def changes(records: Iterable[Record]) -> Iterator[Announce]:
    """What changed, to be told to others together."""
    before: list[WireRecord] = []
    for piece in _pieces(records):
        if before:
            yield Announce(records=before, more=True)
        before = piece
    if before:
        yield Announce(records=before)


def withdrawals(paths: Iterable[RelPath]) -> Iterator[Withdraw]:
    """Paths of which nothing can be had here any more."""
    piece, size = list[str](), 0
    for path in paths:
        piece.append(str(path))
        size += len(path.encode("utf-8")) + _BYTES_OF_PATHS
        if size >= PIECE_BYTES or len(piece) == PIECE_RECORDS:
            yield Withdraw(paths=piece)
            piece, size = [], 0
    if piece:
        yield Withdraw(paths=piece)


def _pieces(records: Iterable[Record]) -> Iterator[list[WireRecord]]:
    piece, size = list[WireRecord](), 0
    for record in records:
        wire = wire_record(record)
        length = _length(wire)
        if not length:
            continue
        if piece and (size + length > PIECE_BYTES or len(piece) == PIECE_RECORDS):
            yield piece
            piece, size = [], 0
        piece.append(wire)
        size += length
    if piece:
        yield piece


def _length(wire: WireRecord) -> int:
    """How long it is as it is spelled; 0 if nobody would take it, which is logged."""
    try:
        spelled = _ENCODER.encode(wire)
        _DECODER.decode(spelled)
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        log.warning("announce.left_out path=%r reason=%s", wire.p, error)
        return 0
    return len(spelled)
