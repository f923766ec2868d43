"""The directory of a tracker of ours, as this peer knows it: snapshots and deltas in, offers out.

It keeps count (`seq`) and a digest of all that it was told, so that both sides find out when they have drifted apart; the
offers themselves it hands on and forgets. Nothing that a tracker says is trusted: what is bad is left out with a reason,
and everything that is held has a bound. It speaks to nobody; `tracker_link.py` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from gsync.core.marks import digest_text, record_mark
from gsync.core.model import Kind, Offer, Record
from gsync.core.names import RelPath
from gsync.core.pausing import Pause, no_pause, paused
from gsync.errors import NameRefused, RemoteProtocolError
from gsync.peer.neighbourhood import Neighbourhood
from gsync.wire.messages import Refusal
from gsync.wire.native import Delta, Held, Snapshot
from gsync.wire.records import parse_paths, parse_record

RECORDS_MAX: Final = 2 * 1024 * 1024
"""Paths that a tracker may tell of; one more ends the connection."""

DELTAS_HELD_MAX: Final = 256
"""Deltas that wait for the end of a snapshot; with one more it is needed anew."""

REFUSALS_KEPT: Final = 10
"""Bad records of which the reason is told; of the others only how many there are."""


class News(Struct, frozen=True, kw_only=True):
    """What a message brought: offers by path, None where nobody offers it any more. If `whole`, no other path is offered.

    `refused` tells why the first few of `refusals` bad records were left out.
    """

    offers: Mapping[RelPath, Offer | None]
    whole: bool
    refused: tuple[Refusal, ...] = ()
    refusals: int = 0


class Mirror:
    """Takes the snapshots and deltas of one connection, in order; `neighbourhood` knows whom they name."""

    def __init__(self, neighbourhood: Neighbourhood, *, pause: Pause = no_pause) -> None:
        self._neighbourhood = neighbourhood
        self._pause = pause
        self._marks: dict[RelPath, int] = {}
        self._sum = 0
        self._gathering: _Gathering | None = None
        self._seq = 0
        self._is_whole = False
        self._unfinished: _Gathering | None = None  # what came of a change that goes on in the next delta

    @property
    def seq(self) -> int:
        """The number of the last change that is known here."""
        return self._seq

    @property
    def digest(self) -> str:
        """The digest of the directory as of `seq`."""
        return digest_text(self._sum)

    @property
    def is_whole(self) -> bool:
        """Whether a snapshot has come, and every change since; if not, one is needed."""
        return self._is_whole

    def doubt(self) -> None:
        """What is known here is not what the tracker knows: a snapshot is needed."""
        self._is_whole = False

    def take_piece(self, piece: Snapshot) -> News | None:
        """A piece of a snapshot; the news of all pieces with the last one. Raises `RemoteProtocolError`."""
        gathering = self._gathering
        if gathering is None or gathering.seq != piece.seq:  # another snapshot: the tracker has begun anew
            gathering = self._gathering = _Gathering(piece.seq)
        self._read(piece.held, gathering)
        if not piece.last:
            return None
        for delta in gathering.deltas:
            if delta.prev == gathering.seq:
                self._read(delta.held, gathering)
                gathering.lose(delta.lost)
                gathering.seq = delta.seq
        if gathering.deltas:
            gathering.forget_lost()
        total = 0
        for mark in paused(gathering.marks.values(), self._pause):
            total ^= mark
        self._gathering = None
        self._marks, self._sum, self._seq = gathering.marks, total, gathering.seq
        self._is_whole = not gathering.overflowed
        self._unfinished = None
        return gathering.news(whole=True)

    def take_delta(self, delta: Delta) -> News | None:
        """What changed; None while it goes on in the next delta.

        None, too, if it does not follow on what is known here, which then is not whole any more. Raises `RemoteProtocolError`.
        """
        if self._gathering is not None:
            self._gathering.hold(delta)
        if not self._is_whole:
            return None
        if delta.prev != self._seq:
            self._is_whole = False
            return None
        gathering = _Gathering(delta.seq)
        self._read(delta.held, gathering)
        gathering.lose(delta.lost)
        self._replace(gathering)
        if self._unfinished is not None:
            gathering.follow(self._unfinished)
            if len(gathering.offers) > RECORDS_MAX:
                raise RemoteProtocolError(f"a change of more than {RECORDS_MAX} paths")
        self._unfinished = gathering if delta.more else None
        return None if delta.more else gathering.news(whole=False)

    def _read(self, held: Iterable[Held], into: _Gathering) -> None:
        for one in paused(held, self._pause):
            try:
                record = parse_record(one.r)
                into.marks[record.path] = record_mark(record)
                into.offers[record.path] = self._offer(record, one.h)
            except NameRefused as error:
                into.refuse(one.r.p, error.reason)
        if len(into.marks) > RECORDS_MAX:
            raise RemoteProtocolError(f"a directory of more than {RECORDS_MAX} paths")

    def _offer(self, record: Record, holders: list[int]) -> Offer:
        """The offer of `record`. Raises `NameRefused` for a content that nobody could prove."""
        sources = self._neighbourhood.sources(holders)
        if record.kind is not Kind.FILE or record.deleted or record.digest:
            return Offer(version=record.version, sources=sources, record=record)
        if not record.version.is_mtime_only:
            raise NameRefused("a file without a digest")
        RelPath.parse_flat(record.path)
        return Offer(version=record.version, sources=sources)

    def _replace(self, told: _Gathering) -> None:
        """Let what was told take its place; without a pause, so that `seq` and `digest` fit each other at any time."""
        marks, total = self._marks, self._sum
        for path, mark in told.marks.items():
            total ^= mark ^ marks.get(path, 0)
            if mark:
                marks[path] = mark
            else:
                marks.pop(path, None)
        self._sum, self._seq = total, told.seq
        if len(marks) > RECORDS_MAX:
            raise RemoteProtocolError(f"a directory of more than {RECORDS_MAX} paths")


class _Gathering:
    """What a delta, or the pieces of a snapshot so far, have told."""

    __slots__ = ("deltas", "marks", "offers", "overflowed", "refusals", "refused", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.marks: dict[RelPath, int] = {}  # 0 where nothing is any more
        self.offers: dict[RelPath, Offer | None] = {}
        self.refused: list[Refusal] = []
        self.refusals = 0
        self.deltas: list[Delta] = []
        self.overflowed = False

    def hold(self, delta: Delta) -> None:
        """It came between two pieces, and counts once the last one is here."""
        if len(self.deltas) < DELTAS_HELD_MAX:
            self.deltas.append(delta)
        else:
            self.overflowed = True

    def follow(self, before: _Gathering) -> None:
        """It goes on with what `before` has begun."""
        self.offers = {**before.offers, **self.offers}
        self.refused = [*before.refused, *self.refused][:REFUSALS_KEPT]
        self.refusals += before.refusals

    def lose(self, paths: list[str]) -> None:
        for path in parse_paths(paths):
            self.marks[path] = 0
            self.offers[path] = None

    def forget_lost(self) -> None:
        self.marks = {path: mark for path, mark in self.marks.items() if mark}
        self.offers = {path: offer for path, offer in self.offers.items() if offer is not None}

    def refuse(self, name: str, reason: str) -> None:
        self.refusals += 1
        if len(self.refused) < REFUSALS_KEPT:
            self.refused.append(Refusal(name=name[:80], reason=reason))

    def news(self, *, whole: bool) -> News:
        return News(offers=self.offers, whole=whole, refused=tuple(self.refused), refusals=self.refusals)
