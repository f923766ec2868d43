"""How offers are spelled in the rows of a tree that outgrew its memory (`spilled.py`); the label is where they were moved from.

The rows are this process's own and nobody else can write them, so the way back checks nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gsync.core.model import Kind, Offer, Record, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.versions import Version
from gsync.storage.spilled import HOT_MAX, Connect, Spilled, in_memory

_KINDS: Final = tuple(Kind)
_SHARED_MAX: Final = 4096
_DIGEST_PREFIX: Final = "b3:"

_Vector = tuple[int, tuple[tuple[str, int], ...]]
_Record = tuple[int, bytes, int, int, bool, bool, str, str, str, _Vector | None]
_Row = tuple[_Vector, bytes, _Record | None]

_ENCODER: Final = msgspec.msgpack.Encoder()
_ROWS: Final = msgspec.msgpack.Decoder(_Row)
_SOURCES: Final = msgspec.msgpack.Decoder(tuple[tuple[str, int, bool, bool], ...])


def offer_tree(connect: Connect = in_memory, *, hot_max: int = HOT_MAX) -> Spilled[Offer]:
    """A tree of offers with nothing in it."""
    return Spilled(OfferRows(), connect, hot_max=hot_max)


class OfferRows:
    """The spelling of offers; equal rows of sources become one value, for most of a tree needs a handful."""

    def __init__(self) -> None:
        self._spelled: dict[tuple[Source, ...], bytes] = {}
        self._sources: dict[bytes, tuple[Source, ...]] = {}

    def label(self, value: Offer) -> str:
        """The path that it was renamed from."""
        return (value.record and value.record.moved_from) or ""

    def spell(self, value: Offer) -> bytes:
        """The bytes of a row."""
        return _ENCODER.encode((_vector(value.version), self._spell_sources(value.sources), _record(value)))

    def read(self, path: RelPath, spelled: bytes) -> Offer:
        """What `spell` spelled, at `path`."""
        vector, sources, said = _ROWS.decode(spelled)
        version = Version(*vector)
        record = None
        if said is not None:
            kind, digest, size, mtime_ns, executable, deleted, target, author, moved_from, own = said
            record = Record(
                path=path,
                kind=_KINDS[kind],
                version=version if own is None else Version(*own),
                digest=_DIGEST_PREFIX + digest.hex() if digest else "",
                size=size,
                mtime_ns=mtime_ns,
                executable=executable,
                target=target,
                author=author,
                deleted=deleted,
                moved_from=RelPath(moved_from) if moved_from else None,
            )
        return Offer(version=version, sources=self._read_sources(sources), record=record)

    def _spell_sources(self, sources: tuple[Source, ...]) -> bytes:
        spelled = self._spelled.get(sources)
        if spelled is None:
            if len(self._spelled) >= _SHARED_MAX:
                self._spelled.clear()
            spelled = self._spelled[sources] = _ENCODER.encode(
                tuple((s.endpoint.ip, s.endpoint.port, s.speaks_gsync, s.speaks_native) for s in sources)
            )
        return spelled

    def _read_sources(self, spelled: bytes) -> tuple[Source, ...]:
        sources = self._sources.get(spelled)
        if sources is None:
            if len(self._sources) >= _SHARED_MAX:
                self._sources.clear()
            sources = self._sources[spelled] = tuple(
                Source(endpoint=Endpoint(ip, port), speaks_gsync=gsync, speaks_native=native)
                for ip, port, gsync, native in _SOURCES.decode(spelled)
            )
        return sources


def _vector(version: Version) -> _Vector:
    return (version.mtime_s, version.counters)


def _record(offer: Offer) -> _Record | None:
    record = offer.record
    if record is None:
        return None
    return (
        _KINDS.index(record.kind),
        bytes.fromhex(record.digest.removeprefix(_DIGEST_PREFIX)),
        record.size,
        record.mtime_ns,
        record.executable,
        record.deleted,
        record.target,
        record.author,
        str(record.moved_from or ""),
        None if record.version == offer.version else _vector(record.version),
    )
