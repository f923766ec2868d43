"""The native messages between neighbours: search, invalidation, polls, and the comparison of what two peers know.

An overlay link is a native peer link whose first frame is Hello, both ways. From then on either side may say anything in here at
any time; `header` and the frames are those of `wire/native.py`, and so is the rule that everything is hostile until `parse_*`
took it. Sans-IO; called by the peer's overlay and its links.

    Query       flooded, never back to its sender; each new one is answered with Hits
    Hit         goes back the way the query came
    Invalidate  flooded by whoever changed something, forwarded as long as it is news
    Poll        answered by a Verdict, in the order of its questions
    Reconcile   "this is what I know, in short", answered by Digests, and by Invalidates
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct, field

from gsync.core.copies import CopyState
from gsync.core.flood import HITS_MAX, TTL_MAX
from gsync.core.model import Source
from gsync.core.names import PEER_NAME_MAX, Endpoint, RelPath
from gsync.core.polls import POLL_MAX
from gsync.core.reconcile import Answer, Span
from gsync.errors import NameRefused
from gsync.wire.foreign import dialled_endpoint
from gsync.wire.native import Id, Message, OnPeerLink, Ping, Pong, parsed
from gsync.wire.records import Mark, Number, Text, Vector, WireRecord

RANGES_MAX: Final = 64
"""Ranges of paths in one message; core/reconcile.py."""

MARKS_MAX: Final = 1024
"""Paths with their marks in one message, or paths that are wanted."""

TTR_MAX_MS: Final = 30 * 24 * 3600 * 1000
"""A month: nobody has to believe in a copy for longer."""

QuestionId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Hops = Annotated[int, Meta(ge=1, le=TTL_MAX)]
Ttr = Annotated[int, Meta(ge=0, le=TTR_MAX_MS)]


class PeerAt(Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A peer, and where it serves. An `ip` of "" means: on the machine of whoever sent this frame (`placed`)."""

    name: Annotated[str, Meta(min_length=1, max_length=PEER_NAME_MAX)]
    port: Annotated[int, Meta(ge=1, le=65535)]
    ip: Annotated[str, Meta(max_length=64)] = ""


class Hello(Message, tag="hello"):
    """First, both ways: who this is. `life` is random and new at each start, `seq` counts the Invalidates of this life.

    Who `visit`s is no neighbour: it polls, and is told nothing else. So an origin need not be a neighbour to be asked.
    """

    author: Mark
    name: Annotated[str, Meta(min_length=1, max_length=PEER_NAME_MAX)]
    port: Annotated[int, Meta(ge=1, le=65535)]
    life: Mark
    seq: Id = 0
    visit: bool = False


class Query(Message, tag="query"):
    """Who holds what is called `q`, a path or a pattern? At most `most` hits of each peer are of use."""

    id: QuestionId
    ttl: Hops
    q: Annotated[str, Meta(min_length=1, max_length=4096)]
    most: Annotated[int, Meta(ge=1, le=HITS_MAX)] = 100


class Hit(Message, tag="hit"):
    """`at` holds this. `origin` is who made it, left out where that is `at`; `ttr_ms` is what is left of its time to refresh."""

    id: QuestionId
    r: WireRecord
    at: PeerAt
    origin: PeerAt | None = None
    state: CopyState = CopyState.VALID
    ttr_ms: Ttr = 0
    load: Number = 0
    hops: Annotated[int, Meta(ge=0, le=TTL_MAX)] = 0


class Invalidate(Message, tag="invalidate"):
    """What was made of this path before is old, says `at`, its origin, in message `seq` of its `life`; `hops` more are allowed."""

    r: WireRecord
    at: PeerAt
    life: Mark
    seq: Id
    hops: Hops = TTL_MAX
    ttr_ms: Ttr = 0


class Ask(Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """Is version `v` of `p` still the latest?"""

    p: Text
    v: Vector


class Poll(Message, tag="poll"):
    """Answered by a Verdict."""

    id: Id
    asks: Annotated[list[Ask], Meta(max_length=POLL_MAX)]


class WireRuling(Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """`ok`: still the latest, for `ttr_ms` more. `r`: this is newer. Neither: nothing is known here."""

    p: Text
    ok: bool = False
    ttr_ms: Ttr = 0
    r: WireRecord | None = None


class Verdict(Message, tag="verdict"):
    """The answer to Poll: a ruling for each question that it could be given for, in order."""

    id: Id
    rulings: Annotated[list[WireRuling], Meta(max_length=POLL_MAX)]


class WireRange(Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """The paths from `start` up to, not including, `end` ("" for no end): how many are known, and the digest of their records."""

    start: Text = ""
    end: Text = ""
    digest: Mark = ""
    count: Number = 0


class WireMark(Struct, gc=False, forbid_unknown_fields=True):
    """A path and the mark of its record (core/marks.py), in hex."""

    p: Text
    m: Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]


class Reconcile(Message, tag="reconcile"):
    """This is what is known here, range by range; and the records of `wants` are asked for, as Invalidates.

    One at a time: the next one may follow when the last Digests of this one has come.
    """

    id: Id
    ranges: Annotated[list[WireRange], Meta(max_length=RANGES_MAX)] = field(default_factory=list)
    wants: Annotated[list[Text], Meta(max_length=MARKS_MAX)] = field(default_factory=list)


class Digests(Message, tag="digests"):
    """The answer to Reconcile, after what was wanted: the ranges that differ, divided where they are long, else `marks`.

    `listed` are the ranges that `marks` are all of. With `more` another one follows; the last one may say nothing.
    """

    id: Id
    ranges: Annotated[list[WireRange], Meta(max_length=RANGES_MAX)] = field(default_factory=list)
    listed: Annotated[list[WireRange], Meta(max_length=RANGES_MAX)] = field(default_factory=list)
    marks: Annotated[list[WireMark], Meta(max_length=MARKS_MAX)] = field(default_factory=list)
    more: bool = False


OnOverlayLink = Hello | Query | Hit | Invalidate | Poll | Verdict | Reconcile | Digests | Ping | Pong

_ON_OVERLAY_LINK: Final[msgspec.json.Decoder[OnOverlayLink]] = msgspec.json.Decoder(OnOverlayLink)
_FIRST: Final[msgspec.json.Decoder[OnPeerLink | Hello]] = msgspec.json.Decoder(OnPeerLink | Hello)


def parse_on_overlay_link(header: bytes) -> OnOverlayLink:
    """What is said between two neighbours. Raises `RemoteProtocolError`."""
    return parsed(_ON_OVERLAY_LINK, header)


def parse_first(header: bytes) -> OnPeerLink | Hello:
    """What stands first on a native link that was accepted; a Hello makes it an overlay link. Raises `RemoteProtocolError`."""
    return parsed(_FIRST, header)


def placed(at: PeerAt, *, neighbour_ip: str) -> PeerAt:
    """`at` as it can be passed on to other machines, told by a neighbour who was reached at `neighbour_ip`.

    On one machine the place stays open: there the next one, too, has to put in where it reached us.
    """
    if at.ip or Endpoint.parse(neighbour_ip, at.port).is_loopback:
        return at
    return PeerAt(name=at.name, port=at.port, ip=neighbour_ip)


def parse_place(at: PeerAt, *, neighbour_ip: str) -> Source:
    """How `at`, told by a neighbour who was reached at `neighbour_ip`, is reached. Raises `NameRefused`.

    Loopback is believed only of a neighbour who is there, too: nobody elsewhere aims our dials at this machine.
    """
    endpoint = dialled_endpoint(at.ip or neighbour_ip, at.port)
    if endpoint.is_loopback and not Endpoint.parse(neighbour_ip, at.port).is_loopback:
        raise NameRefused("a loopback address, from a neighbour who is elsewhere")
    return Source(endpoint=endpoint, speaks_gsync=True, speaks_native=True)


def wire_range(span: Span) -> WireRange:
    """How `span` is spelled."""
    return WireRange(start=span.start, end=span.end, digest=span.digest, count=span.count)


def parse_range(wire: WireRange) -> Span:
    """The span that `wire` spells; it may name any text, because nothing but an order is made of it."""
    return Span(start=wire.start, end=wire.end, digest=wire.digest, count=wire.count)


def digests(id_: int, answer: Answer, *, more: bool = False) -> Digests:
    """The message that says `answer`; `more` if it is not the last."""
    return Digests(
        id=id_,
        more=more,
        ranges=[wire_range(span) for span in answer.spans],
        listed=[wire_range(span) for span in answer.listed],
        marks=[WireMark(p=str(path), m=mark) for path, mark in answer.marks],
    )


def parse_digests(message: Digests) -> Answer:
    """The answer that `message` says; a path that is no name is passed over."""
    marks: list[tuple[RelPath, str]] = []
    for wire in message.marks:
        with suppress(NameRefused):
            marks.append((RelPath.parse(wire.p), wire.m))
    return Answer(
        spans=tuple(map(parse_range, message.ranges)),
        listed=tuple(map(parse_range, message.listed)),
        marks=tuple(marks),
    )
