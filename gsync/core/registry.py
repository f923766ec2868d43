"""The join of all native announcements: for each path who holds which record, which one wins, and what to tell about it.

Each peer holds at most one record of a path, the one that it announced last; the winner of `core/records.py` is told. What classic
peers offer under a name (`core/directory.py`) takes part as a record that has nothing but an mtime:

    winner among natives     latest classic mtime       what is told
    -----------------------  -------------------------  ------------------------------------------------------
    none                     any                        the classic one
    a directory or a link    any                        the native one: classic peers cannot know of it
    a file or a deletion     later than the winner's    the classic one: nobody can know what its author had seen
    a file or a deletion     equal or earlier           the native one

And the other way round: the files that native peers hold at the top of the folder are shown to classic askers through the
directory, as long as the winner is such a file.

A change is told when another record wins, when nobody offers the path any more (lost, not deleted), and when fewer than `ENOUGH` of
those who can give the content have been told while more are there. What was announced together is told together
(`core/untold.py`). Soft state only, and pure. Called by `tracker/`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from gsync.core.capacity import Room, Used
from gsync.core.claimed import Claimed
from gsync.core.claims import (
    UNSEEN,
    Claim,
    Claims,
    Spelling,
    Told,
    claim_of,
    holders_of,
    joined,
    seen,
    settled,
    without,
)
from gsync.core.directory import Admission
from gsync.core.holders import Offered, PeerId
from gsync.core.marks import digest_text, record_mark
from gsync.core.members import Member, Members
from gsync.core.mentions import HELD_MAX, Mentions
from gsync.core.model import Record
from gsync.core.names import RelPath
from gsync.core.pausing import Pause, no_pause, paused
from gsync.core.shown import Shown, show
from gsync.core.untold import Untold

ENOUGH: Final = 4
"""So many holders of a content are worth telling everybody; whoever wants more asks for them."""


class Registry:
    """Who holds what among native peers. Each call leaves it consistent, also at the pauses within and when one raises."""

    def __init__(self, *, spelling: Spelling, shown: Shown, room: Room | None = None) -> None:
        self._spelling = spelling
        self._shown = shown
        self._used = Used(room or Room())
        self._members = Members()
        self._mentions = Mentions(self._members, spelling)
        self._claimed = Claimed()
        self._paths = self._claimed.by_path
        self._marks = 0
        self._turns = 0  # how often another record has won, or none was left
        self._untold = Untold()
        self._better_known: OrderedDict[RelPath, None] = OrderedDict()

    def __len__(self) -> int:
        """How many paths are offered."""
        return len(self._paths)

    @property
    def digest(self) -> str:
        """The digest of all that is to be told (core/marks.py), including what is not told yet."""
        return digest_text(self._marks)

    @property
    def changes(self) -> int:
        """At how many paths another record wins, or none is left, and it was not taken yet, though it may be."""
        return len(self._untold.ready)

    @property
    def is_told(self) -> bool:
        """Whether all that is to be told was taken; what waits for the rest of an announcement was not."""
        return not self._untold

    @property
    def better_known(self) -> int:
        """At how many others further holders are worth telling, and were not taken yet."""
        return len(self._better_known)

    @property
    def laggard(self) -> PeerId | None:
        """One of the native peers that do not have all that is to be told, or something else; None where all have just that."""
        return self._members.laggard()

    # What peers say

    def enter(self, peer: PeerId) -> None:
        """A new native peer has come; it holds nothing."""
        self._members.enter(peer)

    def hold_a_part(self, peer: PeerId) -> None:
        self._members.hold_a_part(peer)

    def announce(
        self,
        peer: PeerId,
        records: Iterable[Record],
        *,
        waits: Callable[[Record], bool] | None = None,
        pause: Pause = no_pause,
    ) -> Admission:
        """Let `peer` hold these records, each instead of what it held of that path. Costs some ten microseconds a record.

        News of those that `waits` names are not told before `complete`. Never call it, `withdraw` or `leave` for a peer whose
        announcement is at a pause.
        """
        member = self._members.known(peer)
        taken, refused, reason = 0, 0, ""
        for record in paused(records, pause):
            refusal = self._hold(member, record, peer if waits is not None and waits(record) else None)
            taken, refused, reason = taken + (not refusal), refused + bool(refusal), refusal or reason
        return Admission(taken=taken, refused=refused, reason=reason)

    def hold_all(self, peer: PeerId, *, pause: Pause = no_pause) -> int:
        """Let `peer`, which holds nothing, hold all that is told now; how many records.

        0 if that changed meanwhile, or not all may be held: then it has to announce them. Costs some two microseconds a record.
        """
        member, turns = self._members.known(peer), self._turns
        for row in paused(range(self._claimed.rows), pause):
            claims = self._claimed.at(row)
            if self._turns != turns:
                return 0
            if claims is not None and self._hold_the_winner(member, claims):
                return 0
        return member.records

    def complete(self, peer: PeerId) -> bool:
        """What `peer` announced that had to wait may be told; whether there is any."""
        return self._untold.complete(peer)

    def withdraw(self, peer: PeerId, paths: Iterable[RelPath], *, pause: Pause = no_pause) -> None:
        """Let `peer` hold nothing of these paths."""
        member = self._members.known(peer)
        for path in paused(paths, pause):
            if (claims := self._paths.get(path)) is not None:
                self._withdraw(member, claims)

    def leave(self, peer: PeerId, *, pause: Pause = no_pause) -> None:
        """Forget `peer` and all that it holds; nothing, if it is not known. Looks at each path there is."""
        member = self._members.get(peer)
        if member is None:
            return
        for row in paused(range(self._claimed.rows), pause):
            if not member.records:
                break
            if (claims := self._claimed.at(row)) is not None:
                self._withdraw(member, claims)
        self._members.leave(peer)
        self._untold.complete(peer)

    def note_classic(self, path: RelPath, offered: Offered | None) -> None:
        """This is what classic peers offer under a name now; their peer ids are told as they are."""
        if offered is not None:
            numbers = tuple(holder.peer.number for holder in offered.holders[:HELD_MAX])
            self._set_classic(self._paths.get(path) or self._claimed.new(path), (offered.mtime_s, numbers))
        elif (claims := self._paths.get(path)) is not None:
            self._set_classic(claims, None)

    # What is told

    def take_changes(self, limit_bytes: int) -> list[Told]:
        """What there is to say of some paths that have changed, the oldest change first: as much as `limit_bytes` hold, or one."""
        return self._take(self._untold.ready, limit_bytes)

    def take_better_known(self, limit_bytes: int) -> list[Told]:
        """The same of paths for which nothing is new but the holders."""
        return self._take(self._better_known, limit_bytes)

    def piece(self, row: int, limit_bytes: int) -> tuple[list[Told], int | None]:
        """What there is to say of all paths, a part from `row` on (0 at first), and the next row, None after the last one.

        Who hears all changes between the parts, too, knows everything at the end.
        """
        said: list[Told] = []
        room = limit_bytes
        while row < self._claimed.rows:
            if (claims := self._claimed.at(row)) is not None:
                told = self._mentions.say(claims)
                room -= told.weight
                if said and room < 0:
                    break
                said.append(told)
            row += 1
        return said, row if row < self._claimed.rows else None

    def holders_of_all(self) -> list[int]:
        """The numbers of a few peers that hold everything that is told."""
        return [member.peer.number for member in islice(self._members.complete(), HELD_MAX)]

    def holders(self, path: RelPath, *, asker: PeerId, most: int) -> tuple[int, ...]:
        """The numbers of up to `most` peers that hold what wins at `path`, other than `asker`; each asker is told others first."""
        claims = self._paths.get(path)
        if claims is None:
            return ()
        if claims.shows_classic(self._spelling):
            return claims.classic[1][:most] if claims.classic else ()
        bits = claims.holders & ~self._members.known(asker).bit
        return tuple([member.peer.number for member in islice(self._members.from_turn(bits, asker.number), most)])

    # Below, one path at a time

    def _hold(self, member: Member, record: Record, waits_for: PeerId | None) -> str:
        """Let the member hold this record; returns why not, if so, and then it holds none of this path."""
        spelled = self._spelling.spell(record)
        claims = self._paths.get(record.path)
        if claims is not None and claims.spelled == spelled and not claims.others:
            return self._hold_the_winner(member, claims)
        if refusal := self._refusal(member, spelled, instead_of=claims):
            if claims is not None:
                self._withdraw(member, claims)
            return refusal
        claims = claims or self._claimed.new(record.path)
        new = claim_of(record, spelled, member.bit)
        now = joined(without(claims.all(), member.bit), new, record, self._spelling)
        self._put(claims, now, winner=record if now[0].spelled == spelled else None, waits_for=waits_for)
        return ""

    def _hold_the_winner(self, member: Member, claims: Claims) -> str:
        """The same as `_hold` where all hold one and the same record, as they mostly do."""
        if claims.holders & member.bit:
            return ""
        if refusal := self._refusal(member, b"", instead_of=None):
            return refusal
        claims.holders |= member.bit
        member.records += 1
        if claims.lives:
            self._members.step(member, 1, is_right=not claims.shows_classic(self._spelling))
        if claims.shown_s != UNSEEN:
            self._shown.hold(member.peer, claims.path, claims.shown_s)
        self._tell_holders(claims)
        return ""

    def _refusal(self, member: Member, spelled: bytes, *, instead_of: Claims | None) -> str:
        is_further = instead_of is None or not instead_of.holds(member.bit)
        return self._used.refusal(len(spelled), held=member.records, is_further=is_further)

    def _withdraw(self, member: Member, claims: Claims) -> None:
        if not claims.holds(member.bit):
            return
        if claims.others or claims.holders == member.bit:
            self._put(claims, settled(without(claims.all(), member.bit), self._spelling))
            return
        claims.holders ^= member.bit  # as it mostly is: others hold the same
        claims.told &= claims.holders
        member.records -= 1
        if claims.lives:
            self._members.step(member, -1, is_right=not claims.shows_classic(self._spelling))
        if claims.shown_s != UNSEEN:
            self._shown.withdraw(member.peer, claims.path, claims.shown_s)
        self._tell_holders(claims)

    def _set_classic(self, claims: Claims, classic: tuple[int, tuple[int, ...]] | None) -> None:
        if classic == claims.classic:
            return
        stance = claims.stance(self._spelling)
        before, claims.classic = claims.classic, classic
        self._members.stand(stance, claims.stance(self._spelling))
        self._tell(claims)
        if before and classic and before[1][:ENOUGH] != classic[1][:ENOUGH] and claims.shows_classic(self._spelling):
            self._better_known[claims.path] = None

    def _put(
        self,
        claims: Claims,
        now: Sequence[Claim],
        *,
        winner: Record | None = None,
        waits_for: PeerId | None = None,
    ) -> None:
        """Let `now` be the claims of this path, and see who must be told what; `winner` is the first, if that was read."""
        before, stance = claims.all(), claims.stance(self._spelling)
        claims.put(now)
        self._members.stand(stance, claims.stance(self._spelling))
        self._used.change(before, now)
        self._members.count(holders_of(before), holders_of(now))
        if "/" not in claims.path:  # classic askers know of nothing else
            show(self._shown, self._members, claims.path, seen(before), seen(now))
        claims.told &= claims.holders
        if not before or not now or before[0].spelled != now[0].spelled or claims.classic:
            self._tell(claims, winner, waits_for)
        self._tell_holders(claims)

    def _tell_holders(self, claims: Claims) -> None:
        """See whether one more holder of the winner is worth telling."""
        enough = min(ENOUGH, claims.holders.bit_count())
        if claims.gives and claims.told.bit_count() < enough and claims.path not in self._untold:
            self._better_known[claims.path] = None

    def _tell(self, claims: Claims, known: Record | None = None, waits_for: PeerId | None = None) -> None:
        """See whether what is told of this path has changed; `known` is the winner, where that was read already. Forget a
        path that nobody offers."""
        spelled = claims.shown(self._spelling)
        if not spelled:
            mark = 0
        elif known is not None and not claims.classic:
            mark = record_mark(known)
        else:
            mark = record_mark(self._spelling.read(spelled))
        if mark != claims.mark:
            self._marks ^= claims.mark ^ mark
            self._turns += 1
            claims.mark, claims.told = mark, 0
            self._untold.add(claims.path, waits_for)
            self._better_known.pop(claims.path, None)
        if not spelled:
            self._claimed.drop(claims)

    def _take(self, paths: OrderedDict[RelPath, None], limit_bytes: int) -> list[Told]:
        said: list[Told] = []
        room = limit_bytes
        while paths:
            path = next(iter(paths))
            claims = self._paths.get(path)
            is_known = paths is self._better_known
            told = self._mentions.say(claims, is_known=is_known) if claims else Told(path=path, spelled=b"")
            room -= told.weight
            if said and room < 0:
                break
            if claims:
                claims.told = self._mentions.named(claims)
            said.append(told)
            del paths[path]
        return said
