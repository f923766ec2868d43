"""Which holders are named with a record, and when one of them is all the news."""

from __future__ import annotations

from gsync.core.claims import Claims, Spelling, claim_of
from gsync.core.holders import PeerId
from gsync.core.members import Members
from gsync.core.mentions import HELD_MAX, Mentions
from gsync.core.model import Kind, Record
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.wire.records import read_record, spell_record

SPELLING = Spelling(spell_record, read_record)
RECORD = Record(path=RelPath("a"), kind=Kind.FILE, version=Version.from_mtime(5), digest="b3:" + "0" * 64)


def of_holders(count: int, *, kind: Kind = Kind.FILE) -> tuple[Mentions, Claims]:
    members = Members()
    bits = 0
    for number in range(count):
        peer = PeerId(number)
        members.enter(peer)
        bits |= members.known(peer).bit
    record = RECORD if kind is Kind.FILE else Record(path=RECORD.path, kind=kind, version=RECORD.version)
    claim = claim_of(record, SPELLING.spell(record), bits)
    claims = Claims(b"", 0, claim.shown_s, False, False, RECORD.path, 0)
    claims.put([claim])
    return Mentions(members, SPELLING), claims


def test_all_holders_are_named_while_they_are_few_and_some_of_many() -> None:
    mentions, claims = of_holders(HELD_MAX)
    assert mentions.say(claims).holders == tuple(range(HELD_MAX))
    mentions, claims = of_holders(HELD_MAX + 3)
    assert len(mentions.say(claims).holders) == HELD_MAX


def test_those_whom_everybody_knows_are_named_first() -> None:
    mentions, claims = of_holders(3 * HELD_MAX)
    claims.told = 1 << 2 * HELD_MAX
    assert mentions.named(claims) & claims.told


def test_nobody_is_named_who_could_give_nothing() -> None:
    mentions, claims = of_holders(2, kind=Kind.DIRECTORY)
    assert mentions.say(claims).holders == ()


def test_a_lone_newcomer_is_marked_only_where_the_record_is_known_and_others_were_told() -> None:
    mentions, claims = of_holders(3)
    claims.told = claims.holders & ~0b100
    assert mentions.say(claims).newcomer is None
    assert mentions.say(claims, is_known=True).newcomer == 2
    claims.told = 0b001
    assert mentions.say(claims, is_known=True).newcomer is None
    claims.told = 0
    assert mentions.say(claims, is_known=True).newcomer is None
