"""Spells what a tracker tells of many records, from records that are spelled already.

To a thousand peers that join, a tracker tells the same records a thousand times. They are kept as bytes (core/claims.py) and put
into the message as they are. What comes out is read by `wire/native.py` like any other `Snapshot` or `Delta`. Sans-IO; called by
`tracker/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct

from gsync.core.claims import Told

_ENCODER: Final = msgspec.json.Encoder()


class _Held(Struct, gc=False, omit_defaults=True):
    """A `Held`."""

    r: Raw
    h: tuple[int, ...] = ()


class _Snapshot(Struct, tag_field="t", tag="snapshot", omit_defaults=True):
    """A `Snapshot`."""

    seq: int
    held: list[_Held]
    last: bool = False


class _Delta(Struct, tag_field="t", tag="delta", omit_defaults=True):
    """A `Delta`."""

    prev: int
    seq: int
    held: list[_Held] = []
    lost: list[str] = []
    more: bool = False


def snapshot_header(seq: int, told: Iterable[Told], *, last: bool) -> bytes:
    """The header of a piece of a snapshot."""
    return _ENCODER.encode(_Snapshot(seq=seq, held=_held(told), last=last))


def delta_header(prev: int, seq: int, told: Sequence[Told], *, more: bool = False) -> bytes:
    """The header of a delta; `more` of the same change follows in the next one."""
    lost = [str(one.path) for one in told if not one.spelled]
    return _ENCODER.encode(_Delta(prev=prev, seq=seq, held=_held(told), lost=lost, more=more))


def _held(told: Iterable[Told]) -> list[_Held]:
    return [_Held(r=Raw(one.spelled), h=one.holders) for one in told if one.spelled]
