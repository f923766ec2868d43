"""The directory of a tracker of ours, as this peer knows it: snapshots and deltas in, offers out.

It keeps count (`seq`) and a digest of all that it was told, so that both sides find out when they have drifted apart; the
offers themselves it hands on and forgets, those of a snapshot in a tree that is filled piece by piece. Nothing that a tracker
says is trusted: what is bad is left out with a reason, and everything that is held has a bound. It speaks to nobody;
`tracker_link.py` does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Final

from msgspec import Struct

from gsync.core.mark_table import MarkTable
from gsync.core.marks import digest_text, record_mark
from gsync.core.model import FILE, Offer, Record
from gsync.core.names import RelPath
from gsync.core.pausing import Pause, no_pause, paused
from gsync.errors import NameRefused, RemoteProtocolError
from gsync.peer.agreed import Agreed
from gsync.peer.neighbourhood import Neighbourhood
from gsync.wire.messages import Refusal
from gsync.wire.native import Delta, Held, Same, Snapshot
from gsync.wire.records import WireRecord, parse_paths, parse_record, says

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
    """Takes the snapshots and deltas of one connection, in order; `neighbourhood` knows whom they name, `here` what stands here,
    `offered` what became of the news that were handed on.
    """

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        *,
        here: Callable[[RelPath], Record | None] = lambda path: None,
        offered: Callable[[RelPath], Offer | None] = lambda path: None,
        new_tree: Callable[[], MutableMapping[RelPath, Offer]] = dict,
        pause: Pause = no_pause,
    ) -> None:
        self._neighbourhood = neighbourhood
        self._here = here
        self._offered = offered
        self._new_tree = new_tree
        self._pause = pause
        self._marks = MarkTable()
        self._gathering: _Whole | None = None
        self._seq = 0
        self._is_whole = False
        self._left_out = (
            False  # whether a record was marked that was no news: then what is offered need not be what is marked
        )
        self._unfinished: _Change | None = None  # what came of a change that goes on in the next delta

    @property
    def seq(self) -> int:
        """The number of the last change that is known here."""
        return self._seq

    @property
    def digest(self) -> str:
        """The digest of the directory as of `seq`."""
        return digest_text(self._marks.total)

    @property
    def is_whole(self) -> bool:
        """Whether a snapshot has come, and every change since; if not, one is needed."""
        return self._is_whole

    def doubt(self) -> None:
        """What is known here is not what the tracker knows: a snapshot is needed."""
        self._is_whole = False

    def take_piece(self, piece: Snapshot) -> News | None:
        """A piece of a snapshot; the news of all pieces with the last one. Raises `RemoteProtocolError`."""
        whole = self._gathering
        if whole is None or whole.seq != piece.seq:  # another snapshot: the tracker has begun anew
            whole = self._gathering = _Whole(piece.seq, self._new_tree())
        self._read(paused(piece.held, self._pause), whole)
        if not piece.last:
            return None
        for delta in whole.deltas:
            if delta.prev == whole.seq:
                self._read(paused(delta.held, self._pause), whole)
                whole.lose(delta.lost)
                whole.seq = delta.seq
        self._gathering = None
        self._marks, self._seq = whole.marks, whole.seq
        self._is_whole = not whole.overflowed
        self._left_out = whole.refusals > 0
        self._unfinished = None
        return whole.news(whole.offers, whole=True)

    def take_same(self, same: Same, agreed: Agreed, marks: MarkTable) -> MutableMapping[RelPath, Offer]:
        """Instead of a snapshot: the directory is what was `agreed`, and these are its `marks`; what others offer."""
        sources, tree = self._neighbourhood.sources(same.holders), self._new_tree()
        for record in agreed.records(self._pause):
            gives = record.kind is FILE and not record.deleted
            tree[record.path] = Offer(version=record.version, sources=sources if gives else (), record=record)
        self._gathering = self._unfinished = None
        self._marks, self._seq = marks, same.seq
        self._is_whole, self._left_out = True, False
        return tree

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
        change = _Change(delta.seq)
        self._read((one for one in paused(delta.held, self._pause) if not self._is_known(one, change)), change)
        self._left_out = self._left_out or change.refusals > 0
        change.lose(delta.lost)
        self._replace(change)
        if self._unfinished is not None:
            change.follow(self._unfinished)
            if len(change.offers) > RECORDS_MAX:
                raise RemoteProtocolError(f"a change of more than {RECORDS_MAX} paths")
        self._unfinished = change if delta.more else None
        return None if delta.more else change.news(change.offers, whole=False)

    def _read(self, held: Iterable[Held], into: _Gathering) -> None:
        for one in held:
            try:
                record = self._record(one.r)
                into.mark(record.path, record_mark(record))
                into.put(record.path, self._offer(record, one.h))
            except NameRefused as error:
                into.refuse(one.r.p, error.reason)
        if into.count > RECORDS_MAX:
            raise RemoteProtocolError(f"a directory of more than {RECORDS_MAX} paths")

    def _is_known(self, one: Held, into: _Change) -> bool:
        """Whether it tells a record that is offered, and marked, already; all that can be new then is who has it.

        Each file that comes here is told again to everybody, its source and ourselves included.
        """
        path = RelPath(one.r.p)  # no name yet, but what is found under it has one
        before = self._unfinished
        if self._left_out or path in into.offers or (before is not None and path in before.offers):
            return False
        offer = self._offered(path)
        if offer is None or offer.record is None or not says(one.r, offer.record):
            return False
        sources = self._neighbourhood.sources(one.h)
        if sources != offer.sources:
            into.put(offer.record.path, Offer(version=offer.version, sources=sources, record=offer.record))
        return True

    def _record(self, wire: WireRecord) -> Record:
        """What `wire` spells; mostly what stands here: then it is no news, and shares its parts with the local tree."""
        record = self._here(RelPath(wire.p))  # no name yet, but what is found under it has one
        return record if record is not None and says(wire, record) else parse_record(wire)

    def _offer(self, record: Record, holders: list[int]) -> Offer | None:
        """The offer of `record`; None where only classic peers have it, and none can be reached.

        Raises `NameRefused` for a content that nobody could prove.
        """
        sources = self._neighbourhood.sources(holders)
        if record.kind is not FILE or record.deleted or record.digest:
            return Offer(version=record.version, sources=sources, record=record)
        if not record.version.is_mtime_only:
            raise NameRefused("a file without a digest")
        RelPath.parse_flat(record.path)
        return Offer(version=record.version, sources=sources) if sources else None

    def _replace(self, told: _Change) -> None:
        """Let what was told take its place; without a pause, so that `seq` and `digest` fit each other at any time."""
        for path, mark in told.marks.items():
            self._marks.put(path, mark)
        self._seq = told.seq
        if self._marks.count > RECORDS_MAX:
            raise RemoteProtocolError(f"a directory of more than {RECORDS_MAX} paths")


class _Gathering(ABC):
    """What a delta, or the pieces of a snapshot so far, have told."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self._refused: list[Refusal] = []
        self.refusals = 0

    @property
    @abstractmethod
    def count(self) -> int:
        """Of how many paths."""

    @abstractmethod
    def mark(self, path: RelPath, mark: int) -> None:
        """A record with this mark; 0: there is none any more."""

    @abstractmethod
    def put(self, path: RelPath, offer: Offer | None) -> None:
        """What is offered there."""

    def lose(self, paths: list[str]) -> None:
        for path in parse_paths(paths):
            self.mark(path, 0)
            self.put(path, None)

    def refuse(self, name: str, reason: str) -> None:
        self.refusals += 1
        if len(self._refused) < REFUSALS_KEPT:
            self._refused.append(Refusal(name=name[:80], reason=reason))

    def news(self, offers: Mapping[RelPath, Offer | None], *, whole: bool) -> News:
        return News(offers=offers, whole=whole, refused=tuple(self._refused), refusals=self.refusals)


class _Change(_Gathering):
    """That of a delta."""

    def __init__(self, seq: int) -> None:
        super().__init__(seq)
        self.marks: dict[RelPath, int] = {}
        self.offers: dict[RelPath, Offer | None] = {}

    @property
    def count(self) -> int:
        return len(self.marks)

    def mark(self, path: RelPath, mark: int) -> None:
        self.marks[path] = mark

    def put(self, path: RelPath, offer: Offer | None) -> None:
        self.offers[path] = offer

    def follow(self, before: _Change) -> None:
        """It goes on with what `before` has begun."""
        self.offers = {**before.offers, **self.offers}
        self._refused = [*before._refused, *self._refused][:REFUSALS_KEPT]
        self.refusals += before.refusals


class _Whole(_Gathering):
    """That of a snapshot, and of the deltas that come before its end."""

    def __init__(self, seq: int, offers: MutableMapping[RelPath, Offer]) -> None:
        super().__init__(seq)
        self.marks = MarkTable()
        self.offers = offers
        self.deltas: list[Delta] = []
        self.overflowed = False

    @property
    def count(self) -> int:
        return self.marks.count

    def mark(self, path: RelPath, mark: int) -> None:
        self.marks.put(path, mark)

    def put(self, path: RelPath, offer: Offer | None) -> None:
        if offer is None:
            self.offers.pop(path, None)
        else:
            self.offers[path] = offer

    def hold(self, delta: Delta) -> None:
        """It came between two pieces, and counts once the last one is here."""
        if len(self.deltas) < DELTAS_HELD_MAX:
            self.deltas.append(delta)
        else:
            self.overflowed = True
