"""How a `Record` is spelled between our own, and the gate at which a spelled one is judged. PROTOCOL.md, "Records".

A record that breaks a rule costs that record: `parse_records` says why and takes the others. What passed may be trusted: its
path is a `RelPath`, its digest is one or empty, a link leads somewhere, no number is out of range. Sans-IO; called by
`wire/native.py` and by whoever sends or receives records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from gsync.core.model import DIRECTORY, FILE, LINK, Kind, Record
from gsync.core.names import PATH_MAX_BYTES, RelPath
from gsync.core.versions import MTIME, MTIME_MAX, Version
from gsync.errors import NameRefused
from gsync.wire.messages import Refusal

SIZE_MAX: Final = 2**62
AUTHORS_MAX: Final = 1024
"""Authors of one version: machines, and lost indexes, that ever edited one file."""

COUNTER_MAX: Final = 2**53
"""What any reader of JSON holds exactly."""

MTIME_NS_MAX: Final = MTIME_MAX * 10**9 + 10**9 - 1

Number = Annotated[int, Meta(ge=0, le=SIZE_MAX)]
Text = Annotated[str, Meta(max_length=4096)]
Mark = Annotated[str, Meta(max_length=80)]
Vector = dict[Mark, Annotated[int, Meta(ge=0, le=COUNTER_MAX)]]

_DIGEST: Final = re.compile(r"b3:[0-9a-f]{64}")
_REFUSAL_CHARACTERS: Final = 80
_KINDS: Final = {kind.value: kind for kind in Kind}


class WireRecord(
    Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True, rename={"mtime_ns": "m", "executable": "x"}
):
    """A `Record` as it is spelled; `k` is left out for a file, and everything else that is as usual."""

    p: Text
    v: Vector
    d: Mark = ""
    k: Literal["file", "directory", "link"] = "file"
    s: Number = 0
    mtime_ns: Annotated[int, Meta(ge=0, le=MTIME_NS_MAX)] = 0
    executable: bool = False
    to: Text = ""
    by: Mark = ""
    gone: bool = False
    was: Text = ""


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(WireRecord)


def wire_record(record: Record) -> WireRecord:
    """How `record` is spelled; an mtime that cannot be told is moved to the nearest one that can."""
    return WireRecord(
        p=str(record.path),
        v=record.version.vector(),
        d=record.digest,
        k=record.kind.value,
        s=record.size,
        mtime_ns=min(max(record.mtime_ns, 0), MTIME_NS_MAX),
        executable=record.executable,
        to=record.target,
        by=record.author,
        gone=record.deleted,
        was=str(record.moved_from or ""),
    )


def parse_record(wire: WireRecord) -> Record:
    """The record that `wire` spells. Raises `NameRefused` with the reason.

    Size, mtime and exec bit are those of a file that is there; with anything else they mean nothing and are dropped.
    """
    kind = _KINDS[wire.k]
    version = parse_version(wire.v)
    _judge_content(wire, kind)
    is_live_file = kind is FILE and not wire.gone
    return Record(
        path=RelPath.parse(wire.p),
        kind=kind,
        version=version,
        digest=wire.d,
        size=wire.s if is_live_file else 0,
        mtime_ns=wire.mtime_ns if is_live_file else 0,
        executable=wire.executable and is_live_file,
        target=wire.to,
        author=wire.by,
        deleted=wire.gone,
        moved_from=RelPath.parse(wire.was) if wire.was else None,
    )


def says(wire: WireRecord, record: Record) -> bool:
    """Whether `wire` spells `record`, as one of ours does; found out in a third of the time that it takes to parse it."""
    return (
        wire.d == record.digest
        and wire.mtime_ns == record.mtime_ns
        and wire.v == record.version.vector()
        and wire.s == record.size
        and wire.k == record.kind
        and wire.by == record.author
        and wire.p == record.path
        and wire.executable == record.executable
        and wire.gone == record.deleted
        and wire.to == record.target
        and wire.was == (record.moved_from or "")
    )


def spell_record(record: Record) -> bytes:
    """The bytes that spell `record`, as they stand in a message."""
    return _ENCODER.encode(wire_record(record))


def read_record(spelled: bytes) -> Record:
    """The record that `spell_record` spelled; never for bytes of others."""
    return parse_record(_DECODER.decode(spelled))


def parse_records(wires: Iterable[WireRecord]) -> tuple[list[Record], list[Refusal]]:
    """The records that are good, and why the others are left out."""
    good: list[Record] = []
    refused: list[Refusal] = []
    for wire in wires:
        try:
            good.append(parse_record(wire))
        except NameRefused as error:
            refused.append(Refusal(name=wire.p[:_REFUSAL_CHARACTERS], reason=error.reason))
    return good, refused


def parse_paths(texts: Sequence[str]) -> list[RelPath]:
    """The paths that are names; what is none is passed over."""
    paths: list[RelPath] = []
    for text in texts:
        try:
            paths.append(RelPath.parse(text))
        except NameRefused:
            continue
    return paths


def parse_digest(text: str) -> str:
    """`text`, if it is the digest of a content. Raises `NameRefused`."""
    if not _DIGEST.fullmatch(text):
        raise NameRefused("a digest is b3: and 64 hex digits")
    return text


def parse_version(vector: dict[str, int]) -> Version:
    """The version that `vector` spells. Raises `NameRefused`."""
    if len(vector) > AUTHORS_MAX:
        raise NameRefused(f"a version of more than {AUTHORS_MAX} authors")
    if vector.get(MTIME, 0) > MTIME_MAX:
        raise NameRefused(f"an mtime lies in 0..{MTIME_MAX}")
    if 0 in vector.values() and any(count == 0 and author != MTIME for author, count in vector.items()):
        raise NameRefused("an author who made no edit")  # would make an equal version look different
    return Version.from_vector(vector)


def _judge_content(wire: WireRecord, kind: Kind) -> None:
    if wire.d:
        parse_digest(wire.d)
    if kind is FILE and not wire.to:  # as it mostly is
        return
    if kind is DIRECTORY and wire.d:
        raise NameRefused("a directory with a digest")
    if kind is not LINK and wire.to:
        raise NameRefused(f"a {kind} with a target")
    if kind is LINK and not wire.gone:
        _judge_target(wire.to)


def _judge_target(target: str) -> None:
    if not target:
        raise NameRefused("a link that leads nowhere")
    if "\0" in target:
        raise NameRefused("a link to a name with a NUL")
    if len(target.encode("utf-8")) > PATH_MAX_BYTES:
        raise NameRefused(f"a link to a name longer than {PATH_MAX_BYTES} bytes")
