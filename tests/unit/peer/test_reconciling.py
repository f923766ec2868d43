"""Two neighbours compare what they know: what either lacks is told, at the right moments, in bounded pieces, and in no hurry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import gevent
import pytest

from gsync.core.model import Kind, Record
from gsync.core.names import PeerName, RelPath
from gsync.core.versions import Version
from gsync.errors import RemoteProtocolError
from gsync.net.simulation import World, simulated
from gsync.peer.reconciling import (
    ANSWER_S,
    ANSWERS_MAX,
    COURTESY_S,
    EVERY_S,
    GATHER_S,
    LEDGER_KEPT_S,
    QUESTIONS_A_LINK,
    RETRY_S,
    Reconciling,
)
from gsync.wire.native import Message, header
from gsync.wire.overlay import Digests, Invalidate, PeerAt, Reconcile, WireRange, parse_on_overlay_link
from gsync.wire.records import parse_record, wire_record

ANNA, BEN = PeerName.parse("anna"), PeerName.parse("ben")
DELAY_S = 0.01


def record(name: str, edits: int = 1) -> Record:
    version = Version.from_mtime(5)
    for _ in range(edits):
        version = version.edited_by("author", 5)
    return Record(path=RelPath(name), kind=Kind.FILE, version=version, digest="b3:" + "0" * 64, author="author")


@dataclass(eq=False)
class Link:
    """One end of a link: what is said is heard at the other end after a moment, spelled as on a wire."""

    name: PeerName
    other: Side | None = None
    back: Link | None = None
    said: list[Message] = field(default_factory=list)
    dropped: str = ""

    def say(self, message: Message) -> None:
        self.said.append(message)
        if self.other is not None:
            heard = parse_on_overlay_link(header(message))
            gevent.spawn_later(DELAY_S, self.other.hear, self.back, heard)

    def drop(self, reason: str) -> None:
        self.dropped = self.dropped or reason

    def count(self, kind: type[Message]) -> int:
        return sum(isinstance(message, kind) for message in self.said)


class Side:
    """One peer: its records, its links, and what reconciles them; it is its own neighbours and standings."""

    def __init__(self, world: World, records: dict[str, Record]) -> None:
        self.records = {RelPath(name): one for name, one in records.items()}
        self.links: dict[PeerName, Link] = {}
        self.is_needed = True
        self.ledgers = self.changes = 0
        self.reconciling = Reconciling(
            neighbours=self,  # type: ignore[arg-type]
            standings=self,  # type: ignore[arg-type]
            clock=world.clock,
            is_needed=lambda: self.is_needed,
            told=self.told,
        )

    @property
    def names(self) -> tuple[PeerName, ...]:
        return tuple(self.links)

    def link(self, name: PeerName) -> Link | None:
        return self.links.get(name)

    def known(self) -> Iterator[Record]:
        self.ledgers += 1
        yield from list(self.records.values())

    def stamp(self) -> tuple[int, int, bool]:
        return self.changes, hash(frozenset(self.records.items())), True

    def told(self, path: RelPath) -> Invalidate | None:
        one = self.records.get(path)
        return Invalidate(r=wire_record(one), at=PeerAt(name="x", port=1), life="", seq=0) if one else None

    def hear(self, link: Link, message: Message) -> None:
        if isinstance(message, Invalidate):
            told = parse_record(message.r)
            mine = self.records.get(told.path)
            if mine is None or dict(told.version.counters)["author"] > dict(mine.version.counters)["author"]:
                self.records[told.path] = told
        else:
            self.reconciling.heard(link, message)  # type: ignore[arg-type]


class Pair:
    def __init__(self, world: World, anna: dict[str, Record], ben: dict[str, Record]) -> None:
        self.anna, self.ben = Side(world, anna), Side(world, ben)
        self.to_ben, self.to_anna = Link(BEN), Link(ANNA)
        for side in (self.anna, self.ben):
            gevent.spawn(side.reconciling.run)
        self.join()

    def join(self) -> None:
        self.to_ben, self.to_anna = Link(BEN, self.ben), Link(ANNA, self.anna)
        self.to_ben.back, self.to_anna.back = self.to_anna, self.to_ben
        self.anna.links[BEN], self.ben.links[ANNA] = self.to_ben, self.to_anna

    def linked(self) -> None:
        self.anna.reconciling.linked(self.to_ben, has_dialled=True)  # type: ignore[arg-type]
        self.ben.reconciling.linked(self.to_anna, has_dialled=False)  # type: ignore[arg-type]


@pytest.fixture
def world() -> Iterator[World]:
    with simulated() as world:
        yield world


NEW, OLD = record("a.txt", 2), record("a.txt", 1)


def test_when_a_link_comes_about_either_side_learns_the_newest(world: World) -> None:
    pair = Pair(world, {"a.txt": NEW, "b.txt": record("b.txt")}, {"a.txt": OLD, "c.txt": record("c.txt")})
    pair.linked()
    gevent.sleep(1)
    assert pair.anna.records == pair.ben.records
    assert pair.anna.records[RelPath("a.txt")] == NEW
    assert set(pair.anna.records) == {"a.txt", "b.txt", "c.txt"}


def test_one_comparison_serves_both_and_costs_two_messages_where_nothing_differs(world: World) -> None:
    pair = Pair(world, {"a.txt": NEW}, {"a.txt": NEW})
    pair.linked()
    gevent.sleep(60)
    assert [type(message) for message in (*pair.to_ben.said, *pair.to_anna.said)] == [Reconcile, Digests]
    assert (pair.anna.reconciling.comparisons, pair.ben.reconciling.comparisons) == (1, 0)


def test_whoever_was_dialled_begins_if_the_other_side_sees_no_need(world: World) -> None:
    pair = Pair(world, {}, {"a.txt": NEW})
    pair.anna.is_needed = False
    pair.linked()
    gevent.sleep(COURTESY_S - 0.5)
    assert not pair.anna.records
    gevent.sleep(1)
    assert pair.anna.records == pair.ben.records


def test_many_gaps_make_one_comparison_and_then_one_a_while(world: World) -> None:
    pair = Pair(world, {}, {})
    for moment in range(200):
        pair.anna.reconciling.missed(pair.to_ben)  # type: ignore[arg-type]
        if moment == 100:
            pair.ben.records[RelPath("a.txt")] = NEW
        gevent.sleep(0.1)
    assert pair.anna.records == pair.ben.records != {}
    assert 20 / EVERY_S <= pair.anna.reconciling.comparisons <= 20 / EVERY_S + 1


def test_a_link_that_flaps_is_compared_over_once_a_while(world: World) -> None:
    pair = Pair(world, {}, {})
    for _ in range(20):
        pair.join()
        pair.linked()
        gevent.sleep(1)
    assert pair.anna.reconciling.comparisons <= 20 / EVERY_S + 1


def test_a_large_difference_goes_over_in_bites_one_at_a_time(world: World) -> None:
    many = {f"n{number:05}": record(f"n{number:05}") for number in range(3000)}
    pair = Pair(world, many, {})
    pair.linked()
    gevent.sleep(COURTESY_S - 1)
    assert len(pair.ben.records) == 3000
    on_their_way = most = 0
    for message in pair.to_ben.said:
        on_their_way = 0 if isinstance(message, Reconcile) else on_their_way + 1
        most = max(most, on_their_way)
    assert most <= 500
    assert pair.to_anna.count(Digests) == pair.to_ben.count(Reconcile)


def test_who_lacks_much_wants_it_in_bites(world: World) -> None:
    many = {f"n{number:05}": record(f"n{number:05}") for number in range(3000)}
    pair = Pair(world, {}, many)
    pair.linked()
    gevent.sleep(COURTESY_S - 1)
    assert len(pair.anna.records) == 3000
    assert pair.anna.reconciling.comparisons == 1


def test_who_does_not_answer_is_asked_again_a_minute_later(world: World) -> None:
    pair = Pair(world, {}, {"a.txt": NEW})
    pair.to_ben.other = None
    pair.anna.reconciling.linked(pair.to_ben, has_dialled=True)  # type: ignore[arg-type]
    gevent.sleep(ANSWER_S + RETRY_S - 5)
    assert pair.to_ben.count(Reconcile) == 1
    pair.to_ben.other = pair.ben
    gevent.sleep(10)
    assert pair.anna.records == pair.ben.records


def test_a_link_that_breaks_in_the_middle_does_not_hold_up_the_next_one(world: World) -> None:
    pair = Pair(world, {}, {"a.txt": NEW})
    pair.to_ben.other = None
    pair.anna.reconciling.linked(pair.to_ben, has_dialled=True)  # type: ignore[arg-type]
    gevent.sleep(1)
    pair.join()
    pair.linked()
    gevent.sleep(EVERY_S + 1)
    assert pair.anna.records == pair.ben.records


def test_when_nobody_tells_any_more_all_neighbours_are_compared_with(world: World) -> None:
    pair = Pair(world, {}, {"a.txt": NEW})
    pair.anna.reconciling.everybody()
    gevent.sleep(GATHER_S + 1)
    assert pair.anna.records == pair.ben.records


def test_who_asks_without_waiting_for_answers_is_dropped(world: World) -> None:
    pair = Pair(world, {}, {})
    for number in range(QUESTIONS_A_LINK):
        pair.ben.reconciling.heard(pair.to_anna, Reconcile(id=number))  # type: ignore[arg-type]
    with pytest.raises(RemoteProtocolError, match="one at a time"):
        pair.ben.reconciling.heard(pair.to_anna, Reconcile(id=99))  # type: ignore[arg-type]


def test_whoever_lies_without_end_loses_the_link(world: World) -> None:
    pair = Pair(world, {}, {})
    pair.to_ben.other = None
    pair.anna.reconciling.linked(pair.to_ben, has_dialled=True)  # type: ignore[arg-type]
    gevent.sleep(0.1)
    (asked,) = pair.to_ben.said
    assert isinstance(asked, Reconcile)
    lies = [WireRange(start=f"{number:03}", digest="x", count=5000) for number in range(64)]
    for _ in range(20):
        pair.anna.reconciling.heard(pair.to_ben, Digests(id=asked.id, ranges=lies, more=True))  # type: ignore[arg-type]
        gevent.sleep(0.1)
    assert "grows" in pair.to_ben.dropped


def test_no_question_makes_more_than_so_many_answers(world: World) -> None:
    many = {f"n{number:05}": record(f"n{number:05}") for number in range(900)}
    pair = Pair(world, {}, many)
    ranges = [WireRange(end=f"o{number:03}", digest="x") for number in range(64)]
    pair.to_anna.other = None
    pair.ben.reconciling.heard(pair.to_anna, Reconcile(id=1, ranges=ranges))  # type: ignore[arg-type]
    gevent.sleep(1)
    answers = [message for message in pair.to_anna.said if isinstance(message, Digests)]
    assert len(answers) == ANSWERS_MAX
    assert [answer.more for answer in answers] == [True] * (ANSWERS_MAX - 1) + [False]


def test_however_often_it_is_asked_the_ledger_is_made_once_a_second_at_most_and_not_kept(world: World) -> None:
    pair = Pair(world, {}, {"a.txt": NEW})
    for number in range(100):
        pair.ben.changes += 1
        pair.ben.reconciling.heard(pair.to_anna, Reconcile(id=number, ranges=[WireRange()]))  # type: ignore[arg-type]
        gevent.sleep(0.1)
    assert 5 <= pair.ben.ledgers <= 12
    assert pair.ben.reconciling._ledger is not None
    gevent.sleep(LEDGER_KEPT_S + 2)
    assert pair.ben.reconciling._ledger is None


def test_one_ledger_serves_all_comparisons_until_a_record_changes(world: World) -> None:
    """64 peers that are linked with each other waited a second for a new one 63 times each."""
    pair = Pair(world, {}, {"a.txt": NEW})
    pair.to_anna.other = None

    def ask(times: int) -> None:
        for number in range(times):
            pair.ben.reconciling.heard(pair.to_anna, Reconcile(id=number, ranges=[WireRange()]))  # type: ignore[arg-type]
            gevent.sleep(0.01)

    ask(QUESTIONS_A_LINK)
    assert (pair.ben.ledgers, len(pair.to_anna.said)) == (1, QUESTIONS_A_LINK)
    pair.ben.records[RelPath("b.txt")] = record("b.txt")
    ask(QUESTIONS_A_LINK)
    gevent.sleep(1)
    assert (pair.ben.ledgers, len(pair.to_anna.said)) == (2, 2 * QUESTIONS_A_LINK)
    last = pair.to_anna.said[-1]
    assert isinstance(last, Digests)
    assert {mark.p for mark in last.marks} == {"a.txt", "b.txt"}
