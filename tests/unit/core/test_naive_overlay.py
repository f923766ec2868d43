"""What a naive overlay gets wrong: one test for each mistake, named after it."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from gsync.core.copies import CopyState, Mode, Ruling
from gsync.core.flood import Back, Dropped, Flood, MessageId, Spread, new_message_id
from gsync.core.freshness import TTR_S, Freshness
from gsync.core.hearsay import HEARD_MAX, Hearsay
from gsync.core.model import Kind, Record
from gsync.core.names import PeerName, RelPath
from gsync.core.topology import parse_topology
from gsync.core.versions import Order, Version, compare_vectors
from gsync.errors import ConfigError

ANNA, BEN, CLEO, DORA = (PeerName.parse(name) for name in ("anna", "ben", "cleo", "dora"))
PATH = RelPath.parse("song")
ID = MessageId("0" * 32)
ONE = Record(path=PATH, kind=Kind.FILE, version=Version.from_vector({"a": 1, "mtime": 1}), digest="b3:1", author="a")
TWO = replace(ONE, version=Version.from_vector({"a": 2, "mtime": 2}), digest="b3:2")


def holder(mode: Mode = Mode.HYBRID, *, jitter: float = 0.0, seed: int = 1) -> Freshness:
    """Somebody who has version 1 of anna's song for ten seconds more."""
    freshness = Freshness(rng=Random(seed), author="h", mode=mode, jitter=jitter)
    freshness.fetched(PATH, ONE.version, origin=ANNA, ttr_s=10.0, now=0.0)
    return freshness


def test_message_ids_that_collide_or_restart_at_0() -> None:
    """Peer 1 with message 11 is not peer 11 with message 1, and who starts again does not begin again."""
    made = [new_message_id(Random(f"{peer} {start}")) for peer in range(100) for start in range(100)]
    assert len(set(made)) == len(made)
    rng = Random(1)
    assert new_message_id(rng) != new_message_id(rng)


def test_the_flood_sent_back_to_its_sender() -> None:
    for sender in (BEN, CLEO, DORA):
        spread = Flood().on_query(ID, ttl=9, came_from=sender, neighbours=(BEN, CLEO, DORA), now=0.0)
        assert sender not in spread.to
        assert len(spread.to) == 2


def test_nested_calls() -> None:
    """What to forward is known at once, before any neighbour answered; on a cycle the query ends where it was seen before."""
    ring = {ANNA: (BEN, CLEO), BEN: (ANNA, CLEO), CLEO: (ANNA, BEN)}
    floods = {name: Flood() for name in ring}
    spread = floods[ANNA].ask(ID, ttl=99, neighbours=ring[ANNA], now=0.0)
    under_way = [(ANNA, name, spread.ttl) for name in spread.to]
    said = 0
    while under_way:
        sender, name, ttl = under_way.pop(0)
        spread = floods[name].on_query(ID, ttl=ttl, came_from=sender, neighbours=ring[name], now=0.0)
        under_way += [(name, other, spread.ttl) for other in spread.to]
        said += 1
    assert said == 4


def test_invalidation_without_comparing_versions() -> None:
    """A late duplicate does not kill a fresh copy."""
    freshness = holder()
    assert freshness.hear(TWO, now=1.0).is_news
    freshness.fetched(PATH, TWO.version, origin=ANNA, ttr_s=10.0, now=2.0)
    for late in (TWO, ONE):
        assert not freshness.hear(late, now=3.0).is_news
    assert freshness.state(PATH) is CopyState.VALID


def test_a_flood_that_ends_where_its_news_was_found_out_by_asking() -> None:
    """Who only asks, and did so a moment before, still passes it on; who pushes has told it by then."""
    freshness = holder(Mode.PULL)
    freshness.due(10.0)
    freshness.judge([Ruling(path=PATH, newer=TWO)], source=ANNA, now=11.0)
    assert [freshness.hear(TWO, now=12.0).is_news for _ in range(2)] == [True, False]


def test_a_flood_that_goes_on_where_its_news_was_told_on_already() -> None:
    freshness = holder(Mode.HYBRID)
    freshness.due(10.0)
    freshness.judge([Ruling(path=PATH, newer=TWO)], source=ANNA, now=11.0)
    freshness.hearsay.was_flooded(PATH)
    assert not freshness.hear(TWO, now=12.0).is_news


def test_a_flood_that_ends_where_the_newest_was_got_before_it_came() -> None:
    freshness = holder()
    freshness.fetched(PATH, TWO.version, origin=ANNA, ttr_s=10.0, now=1.0)
    assert [freshness.hear(TWO, now=2.0).is_news for _ in range(2)] == [True, False]
    assert freshness.state(PATH) is CopyState.VALID
    mine = replace(TWO, version=TWO.version.edited_by("h", 3), author="h")
    freshness.own(PATH, mine.version, now=3.0)
    assert not freshness.hear(mine, now=4.0).is_news


def test_invalidation_accepted_from_anybody() -> None:
    """Only a version counts, and nobody but this peer makes this peer's versions."""
    freshness = holder()
    forged = replace(TWO, author="z")
    assert freshness.hear(forged, now=1.0).reason == "its author made no step of its version"
    assert freshness.state(PATH) is CopyState.VALID
    freshness.own(PATH, Version.from_vector({"a": 1, "h": 3, "mtime": 3}), now=2.0)
    stolen = replace(ONE, version=Version.from_vector({"a": 1, "h": 4, "mtime": 4}), author="h")
    heard = freshness.hear(stolen, now=3.0)
    assert (heard.is_news, heard.reason) == (False, "a version that only this peer could have made, and did not")
    assert freshness.state(PATH) is CopyState.OWNED


def test_a_verdict_accepted_from_anybody() -> None:
    freshness = holder(Mode.PULL)
    assert freshness.judge([Ruling(path=PATH, newer=TWO)], source=BEN, now=1.0) == ()
    freshness.due(10.0)
    freshness.judge([Ruling(path=PATH, is_valid=True, ttr_s=99.0)], source=BEN, now=11.0)
    assert freshness.state(PATH) is CopyState.EXPIRED


def test_a_poll_that_only_works_when_the_origin_is_a_neighbour() -> None:
    freshness = holder(Mode.PULL)
    freshness.set_neighbours([BEN, CLEO])
    (batch,) = freshness.due(10.0)
    assert (batch.source, batch.asks) == (ANNA, ((PATH, ONE.version),))
    freshness.unanswered(ANNA, now=11.0)
    assert [batch.source for batch in freshness.due(11.0)] == [BEN]


def test_a_failed_poll_that_ends_the_timer_so_the_copy_stays_valid_for_ever() -> None:
    freshness = holder(Mode.PULL)
    now = 10.0
    asked = 0
    while now < 3600:
        for batch in freshness.due(now):
            asked += 1
            freshness.unanswered(batch.source, now=now)
        assert freshness.state(PATH) is CopyState.EXPIRED
        at = freshness.next_due()
        assert at is not None
        now = max(at, now + 0.001)
    assert asked > 50
    freshness.due(now)
    freshness.judge([Ruling(path=PATH, is_valid=True, ttr_s=10.0)], source=ANNA, now=now)
    assert freshness.state(PATH) is CopyState.VALID


def test_a_poll_whose_answer_never_comes_and_whose_link_never_breaks() -> None:
    freshness = holder(Mode.PULL)
    freshness.set_neighbours([BEN])
    assert [batch.source for batch in freshness.due(10.0)] == [ANNA]
    at = freshness.next_due()
    assert at is not None
    assert [batch.source for batch in freshness.due(at)] == [BEN]


def test_timers_that_chain_twice_after_a_redownload_and_are_never_cancelled() -> None:
    freshness = holder(Mode.PULL)
    for second in range(1, 6):
        freshness.fetched(PATH, ONE.version, origin=ANNA, ttr_s=10.0, now=float(second))
    assert freshness.timers == 1
    assert freshness.next_due() == 15.0
    assert freshness.due(14.9) == ()
    assert [batch.asks for batch in freshness.due(15.0)] == [((PATH, ONE.version),)]
    assert freshness.due(15.0) == ()
    freshness.forget(PATH)
    assert (freshness.timers, freshness.polls, freshness.next_due()) == (0, 0, None)


def test_an_answer_about_a_copy_that_was_replaced_meanwhile() -> None:
    freshness = holder(Mode.PULL)
    freshness.due(10.0)
    freshness.fetched(PATH, TWO.version, origin=ANNA, ttr_s=10.0, now=11.0)
    freshness.judge([Ruling(path=PATH, is_valid=True, ttr_s=99.0)], source=ANNA, now=12.0)
    assert freshness.next_due() == 21.0


def test_a_toggle_without_a_version_step() -> None:
    freshness = holder()
    with pytest.raises(ConfigError, match="was not made here") as told:
        freshness.marked(PATH, disk_mtime_s=9)
    assert told.value.advice == "mark it at anna, its origin"
    mine = Version.from_vector({"a": 1, "h": 1, "mtime": 5})
    freshness.own(PATH, mine, now=1.0)
    assert compare_vectors(freshness.marked(PATH, disk_mtime_s=5), mine) is Order.NEWER


def test_a_toggle_of_what_was_here_before_gsync_was_and_has_no_origin() -> None:
    freshness, old = Freshness(rng=Random(1), author="h"), Version.from_mtime(5)
    freshness.fetched(PATH, old, origin=None, ttr_s=10.0, now=0.0)
    assert compare_vectors(freshness.marked(PATH, disk_mtime_s=5), old) is Order.NEWER
    freshness.fetched(PATH, old, origin=ANNA, ttr_s=10.0, now=0.0)
    with pytest.raises(ConfigError, match="was not made here"):
        freshness.marked(PATH, disk_mtime_s=5)
    freshness.fetched(PATH, TWO.version, origin=None, ttr_s=10.0, now=0.0)  # its author is away: nobody knows his name
    with pytest.raises(ConfigError, match="was not made here"):
        freshness.marked(PATH, disk_mtime_s=5)


def test_a_known_name_that_can_never_be_searched_or_refreshed_again() -> None:
    flood, rng = Flood(), Random(1)
    for second in range(3):
        spread = flood.on_query(new_message_id(rng), ttl=2, came_from=BEN, neighbours=(BEN, CLEO), now=float(second))
        assert spread == Spread(is_new=True, to=(CLEO,), ttl=1)
    freshness = holder(Mode.PASSIVE)
    for second in range(20, 23):
        assert freshness.due(float(second)) == ()
        freshness.refresh([PATH], now=float(second))
        assert [batch.source for batch in freshness.due(float(second))] == [ANNA]
        freshness.judge([Ruling(path=PATH, is_valid=True, ttr_s=10.0)], source=ANNA, now=float(second))
        assert freshness.state(PATH) is CopyState.VALID
    freshness.forget(PATH)
    assert freshness.fetched(PATH, ONE.version, origin=ANNA, ttr_s=10.0, now=30.0) is CopyState.VALID


def test_a_hit_for_a_forgotten_id_that_raises() -> None:
    flood = Flood(seen_s=5.0)
    flood.on_query(ID, ttl=4, came_from=BEN, neighbours=(BEN, CLEO), now=0.0)
    assert flood.on_hit(ID, holder=ANNA, path=PATH, now=1.0) == Back(to=BEN)
    assert isinstance(flood.on_hit(ID, holder=DORA, path=PATH, now=5.0), Dropped)
    assert isinstance(flood.on_hit(MessageId("1" * 32), holder=DORA, path=PATH, now=5.0), Dropped)


def test_tables_that_grow_for_ever() -> None:
    """Of queries and hits see `test_flood.py`."""
    hearsay = Hearsay(heard_max=100)
    for number in range(500):
        hearsay.add(RelPath(f"invented{number}"), ONE.version, ONE)
    assert len(hearsay) == 100
    assert HEARD_MAX < 10**6
    freshness = holder(Mode.PULL)
    for second in range(1000):
        freshness.fetched(PATH, ONE.version, origin=ANNA, ttr_s=10.0, now=float(second))
    assert freshness.timers == 1


def test_topology_read_without_checking_symmetry() -> None:
    with pytest.raises(ConfigError, match=r"^house:1: 'anna' has the neighbour 'ben', but not the other way round"):
        parse_topology("anna,ben\nben", source="house")


@pytest.mark.parametrize("mode", list(Mode))
def test_an_invalidation_that_arrives_before_the_file(mode: Mode) -> None:
    freshness = Freshness(rng=Random(1), mode=mode)
    assert freshness.hear(TWO, now=0.0).is_news
    assert freshness.fetched(PATH, ONE.version, origin=ANNA, ttr_s=10.0, now=1.0) is CopyState.INVALID
    assert not freshness.answers(PATH)
    assert freshness.fetched(PATH, TWO.version, origin=ANNA, ttr_s=10.0, now=2.0) is CopyState.VALID


def test_ttr_restarted_on_relay() -> None:
    """Through however many hands a copy goes, it is believed no longer than its origin said."""
    now, ttr_s = 0.0, 10.0
    for seed in range(8):
        relay = holder(Mode.PULL, jitter=0.2, seed=seed)
        relay.fetched(PATH, ONE.version, origin=ANNA, ttr_s=ttr_s, now=now)
        now += 1.0
        ttr_s = relay.remaining_s(PATH, now=now)
        assert ttr_s <= 10.0 - now
        assert relay.answer(PATH, ONE.version, now=now) == Ruling(path=PATH, is_valid=ttr_s > 0, ttr_s=ttr_s)


def test_a_relay_that_has_no_time_left_gives_none() -> None:
    relay = holder(Mode.PUSH)
    assert relay.answers(PATH)
    assert relay.answer(PATH, ONE.version, now=11.0) == Ruling(path=PATH)
    late = Freshness(rng=Random(1), mode=Mode.PULL)
    assert late.fetched(PATH, ONE.version, origin=ANNA, ttr_s=0.0, now=11.0) is CopyState.EXPIRED
    assert [batch.source for batch in late.due(11.0)] == [ANNA]


def test_all_ttrs_expiring_together() -> None:
    freshness = Freshness(rng=Random(1), mode=Mode.PULL)
    paths = [RelPath(f"n{number}") for number in range(1000)]
    for path in paths:
        freshness.fetched(path, ONE.version, origin=ANNA, ttr_s=TTR_S, now=0.0)
    ends = sorted(copy.until or 0.0 for _, copy in freshness.copies())
    assert 0.8 * TTR_S <= ends[0] < 0.81 * TTR_S
    assert 0.99 * TTR_S < ends[-1] <= TTR_S
    busiest = max(sum(end <= at < end + 1.0 for at in ends) for end in ends)
    assert busiest < 100


def test_a_query_whose_first_copy_came_with_a_low_ttl() -> None:
    flood = Flood()
    flood.on_query(ID, ttl=2, came_from=BEN, neighbours=(BEN, CLEO, DORA), now=0.0)
    again = flood.on_query(ID, ttl=5, came_from=CLEO, neighbours=(BEN, CLEO, DORA), now=0.1)
    assert again == Spread(is_new=False, to=(BEN, DORA), ttl=4)
