"""The native messages: what our own peers and trackers say to each other, and how it is spelled. PROTOCOL.md, "Native".

A header is one JSON object; its "t" says which message it is. Unknown messages and unknown fields are refused. Everything
that comes in is hostile until `parse_*` took it: names are judged here, numbers are bounded here, nothing else may trust it.
Sans-IO; called by `tracker/` and `peer/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from gsync.core.model import Kind, Record
from gsync.core.names import RelPath
from gsync.core.versions import MTIME, MTIME_MAX, Version
from gsync.errors import NameRefused, RemoteProtocolError
from gsync.wire.messages import Refusal

SIZE_MAX: Final = 2**62
AUTHORS_MAX: Final = 1024
"""Authors of one version: machines, and lost indexes, that ever edited one file."""

MTIME_NS_MAX: Final = MTIME_MAX * 10**9 + 10**9 - 1
WANTS_MAX: Final = 1024
"""Things asked for in one request."""

Number = Annotated[int, Meta(ge=0, le=SIZE_MAX)]
Text = Annotated[str, Meta(max_length=4096)]
Mark = Annotated[str, Meta(max_length=80)]
Id = Annotated[int, Meta(ge=0, le=2**53)]


class WireRecord(Struct, omit_defaults=True, forbid_unknown_fields=True, rename={"mtime_ns": "m", "executable": "x"}):
    """A `Record` as it is spelled; `k` is left out for a file, and everything else that is as usual."""

    p: Text
    v: dict[Mark, Annotated[int, Meta(ge=0, le=2**53)]]
    d: Mark = ""
    k: Annotated[str, Meta(pattern="^(file|directory|link)$")] = "file"
    s: Number = 0
    mtime_ns: Annotated[int, Meta(ge=0, le=MTIME_NS_MAX)] = 0
    executable: bool = False
    to: Text = ""
    by: Mark = ""
    gone: bool = False
    was: Text = ""


class Held(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A record and the numbers of the peers that hold it (`PeerRow.n`), the best choice first."""

    r: WireRecord
    h: list[Id] = []


class PeerRow(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A peer that later messages name by its number; `ip` is "" for one on the tracker's own machine.

    `speaks`: 0 classic, 1 edition 2 of classic, 2 native.
    """

    n: Id
    ip: Annotated[str, Meta(max_length=64)]
    port: Annotated[int, Meta(ge=1, le=65535)]
    speaks: Annotated[int, Meta(ge=0, le=2)] = 0
    name: Mark = ""


class _Message(Struct, tag_field="t", omit_defaults=True, forbid_unknown_fields=True):
    pass


# Tracker link, peer to tracker


class Join(_Message, tag="join"):
    """First: who this is. `author` is the author id of its index, `name` what a person calls it."""

    author: Mark
    name: Mark = ""


class Announce(_Message, tag="announce"):
    """What this peer holds now, or has deleted; a scan's changes stand together. `all` marks the last piece of everything."""

    records: list[WireRecord] = []
    all: bool = False


class Withdraw(_Message, tag="withdraw"):
    """Paths whose content this peer can no longer give; nothing is said about their being deleted."""

    paths: list[Text]


class Alive(_Message, tag="alive"):
    """Each 5 s: the last `seq` that came, and the digest of the directory as it is known here."""

    seq: Id
    digest: Mark


class Locate(_Message, tag="locate"):
    """Who else holds these paths?"""

    id: Id
    paths: list[Text]


# Tracker link, tracker to peer


class Welcome(_Message, tag="welcome"):
    """The answer to Join: this tracker's life (`epoch`), and how many changes it has told so far."""

    epoch: Mark
    seq: Id


class Peers(_Message, tag="peers"):
    """Peers that messages after this one name by number. A number is never used again within an epoch."""

    peers: list[PeerRow]


class Snapshot(_Message, tag="snapshot"):
    """A piece of the whole directory as of `seq`; what is not in any piece up to the `last` is offered by nobody."""

    seq: Id
    held: list[Held]
    last: bool = False


class Delta(_Message, tag="delta"):
    """What changed from `prev` to `seq`: records that win now, with holders, and `lost` paths, which nobody offers any more."""

    prev: Id
    seq: Id
    held: list[Held] = []
    lost: list[Text] = []


class Ack(_Message, tag="ack"):
    """The answer to Alive: the tracker's own `seq` and digest; equal `seq` and another digest mean: take a snapshot."""

    seq: Id
    digest: Mark


class Resync(_Message, tag="resync"):
    """Peer to tracker: send a snapshot. Tracker to peer: announce everything again."""


class Located(_Message, tag="located"):
    """The answer to Locate: holders by path, in the order of the question."""

    id: Id
    holders: list[list[Id]]


# Peer link


class Want(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A content, or `count` bytes of it from `offset` (0 of 0: all of it); `p` is where its record says it stands."""

    p: Text
    d: Mark
    offset: Number = 0
    count: Number = 0


class Get(_Message, tag="get"):
    """Answered by a Block for each want, in order."""

    id: Id
    wants: Annotated[list[Want], Meta(max_length=WANTS_MAX)]


class Block(_Message, tag="block"):
    """The answer to want number `want` of request `id`: `body` bytes follow. With `gone` nothing does: it is not here."""

    id: Id
    want: Id
    body: Number = 0
    gone: bool = False


class GetBlocks(_Message, tag="get-blocks"):
    """The digests of the blocks of a content, please."""

    id: Id
    p: Text
    d: Mark


class BlockList(_Message, tag="blocks"):
    """The answer: `body` bytes follow, 32 for each block, in order. With `gone`: it is not here."""

    id: Id
    body: Number = 0
    gone: bool = False


class Busy(_Message, tag="busy"):
    """Request `id` is not answered now: too many are being served. Try others, or later."""

    id: Id


class Ping(_Message, tag="ping"):
    """Answered by Pong; keeps an idle link alive."""

    id: Id


class Pong(_Message, tag="pong"):
    """The answer to Ping."""

    id: Id


ToTracker = Join | Announce | Withdraw | Alive | Locate | Resync
FromTracker = Welcome | Peers | Snapshot | Delta | Ack | Resync | Located
OnPeerLink = Get | Block | GetBlocks | BlockList | Busy | Ping | Pong

M = TypeVar("M")

_ENCODER: Final = msgspec.json.Encoder()
_TO_TRACKER: Final[msgspec.json.Decoder[ToTracker]] = msgspec.json.Decoder(ToTracker)
_FROM_TRACKER: Final[msgspec.json.Decoder[FromTracker]] = msgspec.json.Decoder(FromTracker)
_ON_PEER_LINK: Final[msgspec.json.Decoder[OnPeerLink]] = msgspec.json.Decoder(OnPeerLink)


def header(message: ToTracker | FromTracker | OnPeerLink) -> bytes:
    """The JSON header that spells `message`."""
    return _ENCODER.encode(message)


def parse_to_tracker(header: bytes) -> ToTracker:
    """What a peer says to its tracker. Raises `RemoteProtocolError`."""
    return _parsed(_TO_TRACKER, header)


def parse_from_tracker(header: bytes) -> FromTracker:
    """What a tracker says to its peer. Raises `RemoteProtocolError`."""
    return _parsed(_FROM_TRACKER, header)


def parse_on_peer_link(header: bytes) -> OnPeerLink:
    """What is said between two peers. Raises `RemoteProtocolError`."""
    return _parsed(_ON_PEER_LINK, header)


def wire_record(record: Record) -> WireRecord:
    """How `record` is spelled."""
    return WireRecord(
        p=str(record.path),
        v=record.version.vector(),
        d=record.digest,
        k=record.kind.value,
        s=record.size,
        mtime_ns=record.mtime_ns,
        executable=record.executable,
        to=record.target,
        by=record.author,
        gone=record.deleted,
        was=str(record.moved_from or ""),
    )


def parse_record(wire: WireRecord) -> Record:
    """The record that `wire` spells. Raises `NameRefused` with the reason."""
    if len(wire.v) > AUTHORS_MAX:
        raise NameRefused(f"a version of more than {AUTHORS_MAX} authors")
    if wire.v.get(MTIME, 0) > MTIME_MAX:
        raise NameRefused(f"an mtime lies in 0..{MTIME_MAX}")
    if "\0" in wire.to:
        raise NameRefused("a link to a name with a NUL")
    return Record(
        path=RelPath.parse(wire.p),
        kind=Kind(wire.k),
        version=Version.from_vector(wire.v),
        digest=wire.d,
        size=wire.s,
        mtime_ns=wire.mtime_ns,
        executable=wire.executable,
        target=wire.to,
        author=wire.by,
        deleted=wire.gone,
        moved_from=RelPath.parse(wire.was) if wire.was else None,
    )


def parse_records(wires: Iterable[WireRecord]) -> tuple[list[Record], list[Refusal]]:
    """The records that are good, and why the others are left out."""
    good: list[Record] = []
    refused: list[Refusal] = []
    for wire in wires:
        try:
            good.append(parse_record(wire))
        except NameRefused as error:
            refused.append(Refusal(name=wire.p[:80], reason=error.reason))
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


def _parsed(decoder: msgspec.json.Decoder[M], header: bytes) -> M:
    try:
        return decoder.decode(header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a header that makes no sense: {error}") from error
