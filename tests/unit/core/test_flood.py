"""A query is answered once, forwarded to whom it can help, and hits find back; strangers cannot make the tables grow."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from gsync.core.flood import (
    HITS_MAX,
    SEEN_MAX,
    SEEN_S,
    Back,
    Dropped,
    Flood,
    Found,
    MessageId,
    Mine,
    Spread,
    by_preference,
    new_message_id,
)
from gsync.core.model import Kind, Record
from gsync.core.names import PeerName, RelPath
from gsync.core.versions import Version

A, B, C, D = (PeerName.parse(name) for name in "abcd")
PATH = RelPath.parse("x")
ID = MessageId("0" * 32)


def heard(flood: Flood, *, ttl: int, came_from: PeerName, now: float = 0.0, id_: MessageId = ID) -> Spread:
    return flood.on_query(id_, ttl=ttl, came_from=came_from, neighbours=(B, C, D), now=now)


def test_a_question_of_our_own_goes_to_all_neighbours() -> None:
    assert Flood().ask(ID, ttl=4, neighbours=(B, C), now=0.0) == Spread(is_new=True, to=(B, C), ttl=4)


def test_a_new_query_is_answered_and_forwarded_with_a_hop_less() -> None:
    assert heard(Flood(), ttl=4, came_from=B) == Spread(is_new=True, to=(C, D), ttl=3)


def test_the_flood_is_not_sent_back_to_its_sender() -> None:
    for sender in (B, C, D):
        assert sender not in heard(Flood(), ttl=4, came_from=sender).to


def test_a_query_without_hops_left_is_answered_and_goes_no_further() -> None:
    assert heard(Flood(), ttl=1, came_from=B) == Spread(is_new=True, to=(), ttl=0)


@pytest.mark.parametrize("again", [4, 3, 1])
def test_a_duplicate_with_no_more_hops_is_neither_answered_nor_forwarded(again: int) -> None:
    flood = Flood()
    heard(flood, ttl=4, came_from=B)
    assert heard(flood, ttl=again, came_from=C) == Spread(is_new=False, to=(), ttl=0)


def test_a_query_whose_first_copy_came_with_a_low_ttl_is_forwarded_again_when_a_duplicate_has_a_higher_one() -> None:
    flood = Flood()
    heard(flood, ttl=2, came_from=B)
    assert heard(flood, ttl=5, came_from=C) == Spread(is_new=False, to=(B, D), ttl=4)
    assert heard(flood, ttl=5, came_from=D) == Spread(is_new=False, to=(), ttl=0)


def test_our_own_question_that_comes_round_is_let_go_even_once_it_is_over() -> None:
    flood = Flood()
    flood.ask(ID, ttl=2, neighbours=(B,), now=0.0)
    assert heard(flood, ttl=200, came_from=B) == Spread(is_new=False, to=(), ttl=0)
    flood.end(ID)
    assert heard(flood, ttl=200, came_from=B) == Spread(is_new=False, to=(), ttl=0)


def test_a_hit_goes_back_the_way_its_query_came_and_each_only_once() -> None:
    flood = Flood()
    heard(flood, ttl=4, came_from=B)
    heard(flood, ttl=5, came_from=C)
    assert flood.on_hit(ID, holder=A, path=PATH, now=1.0) == Back(to=B)
    assert isinstance(flood.on_hit(ID, holder=A, path=PATH, now=1.0), Dropped)
    assert flood.on_hit(ID, holder=D, path=PATH, now=1.0) == Back(to=B)
    assert flood.on_hit(ID, holder=A, path=RelPath.parse("y"), now=1.0) == Back(to=B)


def test_a_hit_for_our_own_question_is_ours_until_it_is_over() -> None:
    flood = Flood()
    flood.ask(ID, ttl=4, neighbours=(B, C), now=0.0)
    assert flood.on_hit(ID, holder=A, path=PATH, now=1.0) == Mine()
    flood.end(ID)
    assert isinstance(flood.on_hit(ID, holder=D, path=PATH, now=1.0), Dropped)


def test_a_hit_for_a_forgotten_id_is_dropped_and_raises_nothing() -> None:
    flood = Flood()
    assert isinstance(flood.on_hit(ID, holder=A, path=PATH, now=0.0), Dropped)
    heard(flood, ttl=4, came_from=B)
    assert isinstance(flood.on_hit(ID, holder=A, path=PATH, now=SEEN_S), Dropped)


def test_message_ids_do_not_collide_whoever_makes_them_and_do_not_restart_at_0() -> None:
    rng = Random(7)
    made = {new_message_id(rng) for _ in range(10_000)}
    assert len(made) == 10_000
    assert all(len(id_) == 32 and int(id_, 16) >= 0 for id_ in made)
    assert not made & {new_message_id(Random(seed)) for seed in range(8, 100)}


def test_an_id_with_leading_zeros_has_all_its_digits() -> None:
    class Low:
        def getrandbits(self, k: int, /) -> int:
            assert k == 128
            return 11

    assert new_message_id(Low()) == "0" * 31 + "b"


@pytest.mark.slow
def test_no_table_grows_for_ever() -> None:
    flood = Flood()
    for number in range(SEEN_MAX + 500):
        heard(flood, ttl=2, came_from=B, now=number / 1e6, id_=MessageId(f"{number:032x}"))
    assert len(flood) == SEEN_MAX
    assert heard(flood, ttl=2, came_from=B, now=1.0, id_=MessageId(f"{SEEN_MAX:032x}")).is_new is False
    heard(flood, ttl=2, came_from=B, now=1.0 + SEEN_S, id_=ID)
    assert len(flood) == 1


def test_hits_of_one_query_are_bounded() -> None:
    flood = Flood()
    heard(flood, ttl=4, came_from=B)
    for number in range(HITS_MAX):
        assert flood.on_hit(ID, holder=A, path=RelPath.parse(f"n{number}"), now=1.0) == Back(to=B)
    assert flood.on_hit(ID, holder=A, path=PATH, now=1.0) == Dropped(reason="more than 1000 hits")


def test_all_queries_together_remember_a_bounded_number_of_hits() -> None:
    flood = Flood(hits_kept=50)
    for number in range(20):
        id_ = MessageId(f"{number:032x}")
        heard(flood, ttl=4, came_from=B, id_=id_)
        for hit in range(10):
            flood.on_hit(id_, holder=A, path=RelPath.parse(f"n{hit}"), now=1.0)
    assert flood.hits_kept <= 50
    assert flood.on_hit(id_, holder=D, path=PATH, now=1.0) == Back(to=B)


OLD = Record(path=PATH, kind=Kind.FILE, version=Version.from_vector({"a": 1, "mtime": 5}), digest="b3:1")
NEW = replace(OLD, version=Version.from_vector({"a": 2, "mtime": 6}), digest="b3:2")


def test_the_best_hit_is_the_newest_then_the_origin_then_the_least_loaded_then_the_nearest() -> None:
    best_first = [
        Found(record=NEW, holder=A, is_origin=True, load=9, round_trip_s=1.0),
        Found(record=NEW, holder=B, load=1, round_trip_s=0.1),
        Found(record=NEW, holder=C, load=1, round_trip_s=0.2),
        Found(record=NEW, holder=D, load=2, round_trip_s=0.0),
        Found(record=OLD, holder=A, is_origin=True),
    ]
    for seed in range(20):
        shuffled = Random(seed).sample(best_first, len(best_first))
        assert by_preference(shuffled) == tuple(best_first)


def test_of_two_edits_that_knew_nothing_of_each_other_the_one_that_wins_everywhere_is_first() -> None:
    one = replace(OLD, version=Version.from_vector({"a": 1, "mtime": 9}))
    other = replace(OLD, version=Version.from_vector({"b": 1, "mtime": 5}))
    found = [Found(record=other, holder=A), Found(record=one, holder=B)]
    assert [hit.holder for hit in by_preference(found)] == [B, A]
    assert by_preference([]) == ()
