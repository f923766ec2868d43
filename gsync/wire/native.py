"""The native messages: what our own peers and trackers say to each other, and how it is spelled. PROTOCOL.md, "Native".

A header is one JSON object; its "t" says which message it is. Unknown messages and unknown fields are refused. Everything
that comes in is hostile until `parse_*` took it: names are judged here, numbers are bounded here, nothing else may trust it.
Sans-IO; called by `tracker/` and `peer/`.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from gsync.core.model import Source
from gsync.errors import RemoteProtocolError
from gsync.wire.foreign import dialled_endpoint
from gsync.wire.messages import SPEAKS_CLASSIC, SPEAKS_GSYNC, SPEAKS_NATIVE
from gsync.wire.records import (
    Mark,
    Number,
    Text,
    Vector,
    WireRecord,
    parse_paths,
    parse_record,
    parse_records,
    wire_record,
)

__all__ = [
    "parse_paths",
    "parse_record",
    "parse_records",
    "wire_record",
]  # of wire/records.py, for those who say messages

WANTS_MAX: Final = 1024
"""Things asked for in one request."""

PIECE_BYTES: Final = 64 * 1024
"""A snapshot, an announcement or a delta that grows longer goes in pieces; only a single record may fill more."""

Id = Annotated[int, Meta(ge=0, le=2**53)]


class Held(Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A record and the numbers of the peers that hold it (`PeerRow.n`), the best choice first."""

    r: WireRecord
    h: list[Id] = []


class PeerRow(Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A peer that later messages name by its number; `ip` is "" for one on the tracker's own machine.

    `speaks` is one of SPEAKS_CLASSIC, SPEAKS_GSYNC and SPEAKS_NATIVE; `name` and `author` are those of its Join.
    """

    n: Id
    ip: Annotated[str, Meta(max_length=64)]
    port: Annotated[int, Meta(ge=1, le=65535)]
    speaks: Annotated[int, Meta(ge=SPEAKS_CLASSIC, le=SPEAKS_NATIVE)] = SPEAKS_CLASSIC
    name: Mark = ""
    author: Mark = ""


class Message(Struct, tag_field="t", omit_defaults=True, forbid_unknown_fields=True):
    """What the header of a frame spells; those between neighbours stand in `wire/overlay.py`."""


# Tracker link, peer to tracker


class Join(Message, tag="join"):
    """First: who this is. `author` is the author id of its index, `name` what a person calls it.

    With a `digest`, that of all that it has, it waits for a `Same` or a `Snapshot` before it announces anything.
    """

    author: Mark
    name: Mark = ""
    part: bool = False
    """Its folder is kept on demand: that it does not hold all that others have means nothing."""
    digest: Mark = ""


class Announce(Message, tag="announce"):
    """What this peer holds now, or has deleted. `all` marks the last piece of everything.

    With `more` the changes of one scan go on in the next piece: they are told to others together, so that a rename of thousands of
    files is not taken for so many deletions.
    """

    records: list[WireRecord] = []
    all: bool = False
    more: bool = False


class Withdraw(Message, tag="withdraw"):
    """Paths whose content this peer can no longer give; nothing is said about their being deleted."""

    paths: list[Text]


class Alive(Message, tag="alive"):
    """Each 5 s: the last `seq` that came, and the digest of the directory as it is known here."""

    seq: Id
    digest: Mark


class Locate(Message, tag="locate"):
    """Who else holds these paths?"""

    id: Id
    paths: Annotated[list[Text], Meta(max_length=WANTS_MAX)]


# Tracker link, tracker to peer


class Welcome(Message, tag="welcome"):
    """The answer to Join: this tracker's life (`epoch`), and how many changes it has told so far.

    With `names_only` it will never tell any: it says who is there, and nothing of what they hold.
    """

    epoch: Mark
    seq: Id
    names_only: bool = False


class Peers(Message, tag="peers"):
    """Peers that messages after this one name by number; those `gone` have left. A number is never used again in an epoch."""

    peers: list[PeerRow] = []
    gone: list[Id] = []


class Snapshot(Message, tag="snapshot"):
    """A piece of the whole directory as of `seq`; what is not in any piece up to the `last` is offered by nobody."""

    seq: Id
    held: list[Held]
    last: bool = False


class Same(Message, tag="same"):
    """Instead of a snapshot: the directory as of `seq` is what the Join claimed; these peers hold all of it, and now the asker."""

    seq: Id
    holders: Annotated[list[Id], Meta(max_length=WANTS_MAX)]


class Delta(Message, tag="delta"):
    """What changed from `prev` to `seq`: records that win now, with holders, and `lost` paths, which nobody offers any more.

    With `more` the next delta belongs to it: nothing is to be done before that is here.
    """

    prev: Id
    seq: Id
    held: list[Held] = []
    lost: list[Text] = []
    more: bool = False


class Ack(Message, tag="ack"):
    """The answer to Alive: the tracker's own `seq` and digest; equal `seq` and another digest mean: take a snapshot.

    An empty digest claims nothing: changes are about to be told. `lags` is a native peer that does not hold all of it, or holds
    something else; none where all have the same.
    """

    seq: Id
    digest: Mark
    lags: Id | None = None


class Resync(Message, tag="resync"):
    """Peer to tracker: send a snapshot. Tracker to peer: announce everything again."""


class Located(Message, tag="located"):
    """The answer to Locate: holders by path, in the order of the question."""

    id: Id
    holders: list[list[Id]]


# Peer link


class Want(Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A content, or `count` bytes of it from `offset` (0 of 0: all of it); `p` is where its record says it stands."""

    p: Text
    d: Mark
    offset: Number = 0
    count: Number = 0


class Get(Message, tag="get"):
    """Answered by a Block for each want, in order."""

    id: Id
    wants: Annotated[list[Want], Meta(max_length=WANTS_MAX)]


class Block(Message, tag="block"):
    """The answer to want number `want` of request `id`: `body` bytes follow. With `gone` nothing does: it is not here."""

    id: Id
    want: Id
    body: Number = 0
    gone: bool = False


class GetBlocks(Message, tag="get-blocks"):
    """The digests of the blocks of a content, please."""

    id: Id
    p: Text
    d: Mark


class BlockList(Message, tag="blocks"):
    """The answer: `body` bytes follow, 32 for each block, in order. With `gone`: it is not here."""

    id: Id
    body: Number = 0
    gone: bool = False


class Keep(Message, tag="keep"):
    """Whoever asks is about to let go its copy of version `v` of `p`, with digest `d` ("" for a directory). Is it kept there?"""

    id: Id
    p: Text
    v: Vector
    d: Mark = ""


class Kept(Message, tag="kept"):
    """The answer: with `ok` it stands here, and gsync does not let it go for a minute."""

    id: Id
    ok: bool = False


class Busy(Message, tag="busy"):
    """Request `id` is not answered now: too many are being served. Try others, or later."""

    id: Id


class Ping(Message, tag="ping"):
    """Answered by Pong; keeps an idle link alive."""

    id: Id


class Pong(Message, tag="pong"):
    """The answer to Ping."""

    id: Id


ToTracker = Join | Announce | Withdraw | Alive | Locate | Resync
FromTracker = Welcome | Peers | Snapshot | Same | Delta | Ack | Resync | Located
OnPeerLink = Get | Block | GetBlocks | BlockList | Keep | Kept | Busy | Ping | Pong

M = TypeVar("M")

_ENCODER: Final = msgspec.json.Encoder()
_TO_TRACKER: Final[msgspec.json.Decoder[ToTracker]] = msgspec.json.Decoder(ToTracker)
_FROM_TRACKER: Final[msgspec.json.Decoder[FromTracker]] = msgspec.json.Decoder(FromTracker)
_ON_PEER_LINK: Final[msgspec.json.Decoder[OnPeerLink]] = msgspec.json.Decoder(OnPeerLink)


def header(message: Message) -> bytes:
    """The JSON header that spells `message`."""
    return _ENCODER.encode(message)


def parse_to_tracker(header: bytes) -> ToTracker:
    """What a peer says to its tracker. Raises `RemoteProtocolError`."""
    return parsed(_TO_TRACKER, header)


def parse_from_tracker(header: bytes) -> FromTracker:
    """What a tracker says to its peer. Raises `RemoteProtocolError`."""
    return parsed(_FROM_TRACKER, header)


def parse_on_peer_link(header: bytes) -> OnPeerLink:
    """What is said between two peers. Raises `RemoteProtocolError`."""
    return parsed(_ON_PEER_LINK, header)


def parse_peer(row: PeerRow, *, tracker_ip: str) -> Source:
    """Where and how the peer of `row` is reached, from where the tracker is `tracker_ip`. Raises `NameRefused`."""
    return Source(
        endpoint=dialled_endpoint(row.ip or tracker_ip, row.port),
        speaks_gsync=row.speaks >= SPEAKS_GSYNC,
        speaks_native=row.speaks >= SPEAKS_NATIVE,
    )


def parsed(decoder: msgspec.json.Decoder[M], header: bytes) -> M:
    """What `decoder` makes of `header`. Raises `RemoteProtocolError`."""
    try:
        return decoder.decode(header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a header that makes no sense: {error}") from error
