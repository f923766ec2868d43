"""All that is claimed of one path: which records, by whom, and which of them wins; the registry keeps one `Claims` a path.

Kept small, because there may be a million: the winning claim and its path are one object that Python's collector need not look at,
records are spelled bytes, holders are bits of an integer. Pure; called by `core/registry.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct

from gsync.core.members import Stance
from gsync.core.model import FILE, Kind, Record
from gsync.core.names import RelPath
from gsync.core.records import beats, order, winner
from gsync.core.versions import Order, Version

CLAIMS_MAX: Final = 8
"""Different records of one path that are kept: the winner, then those that no other dominates. Whoever held one that was dropped
is told the winner, as everybody is. With more, a record that one of the dropped dominates could win when it is announced again."""

_AROUND_BYTES: Final = 32
"""What stands around a record in a message, with a few holders."""

UNSEEN: Final = -1
"""Instead of an mtime, for what classic askers are not told."""


class Spelling(Struct, frozen=True):
    """How a record is turned to bytes and back; two of one record may be spelled differently, the bytes of one mean one."""

    spell: Callable[[Record], bytes]
    read: Callable[[bytes], Record]


class Claim(Struct, gc=False):
    """A record, and the numbers of those who hold it as bits.

    `shown_s` is the mtime of a file at the top of the folder, which classic knows, too. `gives`: it has a content to be fetched;
    `lives`: it is no deletion.
    """

    spelled: bytes
    holders: int
    shown_s: int
    gives: bool
    lives: bool


class Claims(Claim, gc=False):
    """The claims of a path: itself the winning one, empty while only classic peers offer the path, and `others`.

    `mark` is that of the record which is told, 0 where nothing is; `told` are the holders whom everybody was told at least.
    `classic` is what classic peers offer: the mtime, and numbers that mean them to whoever asks for holders.
    """

    path: RelPath
    row: int
    others: tuple[Claim, ...] = ()
    mark: int = 0
    told: int = 0
    classic: tuple[int, tuple[int, ...]] | None = None

    def all(self) -> list[Claim]:
        """A copy of each claim, the winning one first."""
        if not self.holders:
            return []
        return [
            Claim(claim.spelled, claim.holders, claim.shown_s, claim.gives, claim.lives)
            for claim in (self, *self.others)
        ]

    def holds(self, holder: int) -> bool:
        """Whether `holder` makes one of these claims."""
        return bool(self.holders & holder) or any(claim.holders & holder for claim in self.others)

    def shows_classic(self, spelling: Spelling) -> bool:
        """Whether what classic peers offer is told, and not the winning claim."""
        if self.classic is None or not self.holders:
            return self.classic is not None
        if self.shown_s != UNSEEN:
            return self.classic[0] > self.shown_s
        record = spelling.read(self.spelled)
        is_file = record.deleted or record.kind is FILE  # else all who have it keep it: classic cannot know of it
        return is_file and self.classic[0] > record.version.mtime_s

    def shown(self, spelling: Spelling) -> bytes:
        """The record that is told, b"" if there is none."""
        if self.classic is None or not self.shows_classic(spelling):
            return self.spelled
        version = Version.from_mtime(self.classic[0])
        return spelling.spell(Record(path=self.path, kind=Kind.FILE, version=version))

    def stance(self, spelling: Spelling) -> Stance:
        """Who has what is told of this path, and who has something else."""
        if not self.others and self.classic is None:  # as it mostly is
            return Stance(True, self.holders) if self.lives else _NOT_THERE
        living = holders_of(claim for claim in (self, *self.others) if claim.lives)
        if self.shows_classic(spelling):
            return Stance(True, 0, living)
        right = self.holders if self.lives else 0
        return Stance(self.lives, right, living & ~right)

    def put(self, claims: Sequence[Claim]) -> None:
        """Let `claims` be all there are, the winning one first."""
        first = claims[0] if claims else _NOTHING
        self.spelled, self.holders, self.shown_s = first.spelled, first.holders, first.shown_s
        self.gives, self.lives = first.gives, first.lives
        self.others = tuple(claims[1:])


_NOT_THERE: Final = Stance()
_NOTHING: Final = Claim(b"", 0, UNSEEN, False, False)


class Told(Struct, frozen=True, kw_only=True):
    """What there is to say about a path: the spelled record that wins, b"" where it is lost, and the numbers of a few holders.

    `newcomer` is the number of the holder that is all the news, where nothing else is: it need not be told.
    """

    path: RelPath
    spelled: bytes
    holders: tuple[int, ...] = ()
    newcomer: int | None = None

    @property
    def weight(self) -> int:
        """About how many bytes it takes in a message."""
        return _AROUND_BYTES + (len(self.spelled) or len(self.path))


def claim_of(record: Record, spelled: bytes, holder: int) -> Claim:
    """The claim that whoever has the bit `holder` makes."""
    gives = record.kind is FILE and not record.deleted
    shown_s = record.version.mtime_s if gives and "/" not in record.path else UNSEEN
    return Claim(spelled, holder, shown_s, gives, not record.deleted)


def without(claims: Sequence[Claim], holder: int) -> list[Claim]:
    """What is left of `claims` when `holder` makes none; those of others are given back as they are, or changed in place."""
    for claim in claims:
        claim.holders &= ~holder
    return [claim for claim in claims if claim.holders]


def holders_of(claims: Iterable[Claim]) -> int:
    """All who make one of these claims."""
    bits = 0
    for claim in claims:
        bits |= claim.holders
    return bits


def joined(claims: Sequence[Claim], new: Claim, record: Record, spelling: Spelling) -> list[Claim]:
    """`claims` and a `new` one, which says `record`: the winner first, at most `CLAIMS_MAX`.

    Two that differ in nothing that has an order are one claim.
    """
    if not claims:
        return [new]
    if claims[0].spelled == new.spelled and len(claims) <= 2:  # one more has what the others have already
        claims[0].holders |= new.holders
        return list(claims)
    known = [(claim, record if claim.spelled == new.spelled else spelling.read(claim.spelled)) for claim in claims]
    for place, (claim, other) in enumerate(known):
        if other is record or order(other, record) is Order.SAME:
            same = winner((other, record))
            claim.holders |= new.holders
            claim.spelled = claim.spelled if same is other else new.spelled
            known[place] = (claim, same)
            return _ranked(known)
    return _ranked([*known, (new, record)])


def settled(claims: Sequence[Claim], spelling: Spelling) -> list[Claim]:
    """The same claims, the winner first."""
    if len(claims) < 2:
        return list(claims)
    return _ranked([(claim, spelling.read(claim.spelled)) for claim in claims])


def _ranked(left: Sequence[tuple[Claim, Record]]) -> list[Claim]:
    """The winner first, then the others that no other dominates, then those that only these do, and so on; as many as are kept.

    A claim that is dominated goes first, because while its better is there it can never win, and one that loses by most next.
    """
    if len(left) == 1:
        return [left[0][0]]
    if len(left) == 2:
        (one, first), (other, second) = left
        match order(first, second):
            case Order.NEWER:
                is_right = True
            case Order.OLDER:
                is_right = False
            case _:
                is_right = beats(first, second)
        return [one, other] if is_right else [other, one]
    ranked: list[Claim] = []
    while left and len(ranked) < CLAIMS_MAX:
        layer = [
            (claim, record)
            for claim, record in left
            if not any(order(record, other) is Order.OLDER for _, other in left)
        ]
        left = [one for one in left if one not in layer]
        while layer:
            best = winner([record for _, record in layer])
            ranked += [claim for claim, record in layer if record is best]
            layer = [(claim, record) for claim, record in layer if record is not best]
    return ranked[:CLAIMS_MAX]


def seen(claims: Sequence[Claim]) -> dict[int, int]:
    """What classic askers may be told of these claims: holders, as bits, by mtime; nothing where the winner is none for them."""
    by_mtime: dict[int, int] = {}
    if claims and claims[0].shown_s != UNSEEN:
        for claim in claims:
            if claim.shown_s != UNSEEN:
                by_mtime[claim.shown_s] = by_mtime.get(claim.shown_s, 0) | claim.holders
    return by_mtime
