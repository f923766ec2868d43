"""The fetch queue: who is asked for what, when; time is a number that the tests turn."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from gsync.core.actions import Fetch
from gsync.core.model import Kind, Offer, Record, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.places import BATCHES_PER_SOURCE, LONG, PER_SOURCE, PROBES, SILENT_DIALS
from gsync.core.schedule import (
    BATCH_BYTES,
    BATCH_FILES,
    HOPELESS_AFTER,
    SMALL_MAX,
    STUCK_AFTER,
    Assignment,
    Batch,
    Blame,
    FetchQueue,
)
from gsync.core.versions import Version


def source(number: int, *, ip: str = "127.0.0.1") -> Source:
    return Source(endpoint=Endpoint(ip, 2000 + number))


def fetch(name: str, *sources: Source, mtime_s: int = 5) -> Fetch:
    return Fetch(path=RelPath.parse(name), offer=Offer(version=Version.from_mtime(mtime_s), sources=sources))


def native(number: int, *, ip: str = "127.0.0.1") -> Source:
    return Source(endpoint=Endpoint(ip, 2000 + number), speaks_gsync=True, speaks_native=True)


def record_fetch(name: str, *sources: Source, size: int = 100, mtime_s: int = 5, digest: str = "b3:0") -> Fetch:
    version = Version.from_mtime(mtime_s)
    record = Record(path=RelPath.parse(name), kind=Kind.FILE, version=version, digest=digest, size=size)
    return Fetch(path=RelPath.parse(name), offer=Offer(version=version, sources=sources, record=record))


def start_batches(fetches: FetchQueue, now: float = 0.0) -> list[Batch]:
    started = []
    while (batch := fetches.next_batch(now)) is not None:
        started.append(batch)
    return started


def names(batch: Batch) -> list[str]:
    return [str(one.path) for one in batch.fetches]


def queue(limit: int = 16) -> FetchQueue:
    return FetchQueue(limit=limit, rng=random.Random(1))


def start_all(fetches: FetchQueue, now: float = 0.0) -> list[Assignment]:
    started = []
    while (assignment := fetches.next(now)) is not None:
        started.append(assignment)
    return started


def test_an_unproven_source_gets_one_probe_and_a_proven_one_its_full_share() -> None:
    fetches, a = queue(), source(1)
    for i in range(20):
        fetches.put(fetch(f"f{i}", a))
    first = start_all(fetches)
    assert len(first) == 1
    fetches.proved(a.endpoint)
    assert len(start_all(fetches)) == PER_SOURCE - 1
    assert fetches.running == PER_SOURCE


def test_proven_sources_together_stay_within_the_limit() -> None:
    fetches = queue(limit=10)
    sources = [source(i) for i in range(4)]
    for i in range(100):
        fetches.put(fetch(f"f{i}", sources[i % 4]))
    for assignment in start_all(fetches):
        fetches.answered(assignment.source.endpoint)
        fetches.proved(assignment.source.endpoint)
    start_all(fetches)
    assert fetches.running == 10


def test_dead_sources_are_probed_side_by_side_and_do_not_hold_up_a_good_one() -> None:
    fetches = queue()
    fetches.answered(Endpoint("127.0.0.1", 1999))  # this address is known to answer: refused ports are not a scan
    for i in range(PROBES + 50):
        fetches.put(fetch(f"dead{i}", source(i)))
    assert len(start_all(fetches)) == PROBES


def test_an_address_that_never_answered_gets_few_dials_at_a_time() -> None:
    fetches = queue()
    for i in range(20):
        fetches.put(fetch(f"f{i}", source(i, ip="192.0.2.9")))
    started = start_all(fetches)
    assert len(started) == SILENT_DIALS
    fetches.failed(started[0].fetch.path, started[0].source.endpoint, blame=Blame.SOURCE, now=0.0)
    assert len(start_all(fetches)) == 1
    fetches.answered(started[1].source.endpoint)
    assert len(start_all(fetches)) == 20 - SILENT_DIALS - 1


def test_a_failed_path_goes_to_its_next_source_at_once() -> None:
    fetches, a, b = queue(), source(1), source(2)
    fetches.put(fetch("f", a, b))
    (first,) = start_all(fetches)
    fetches.failed(first.fetch.path, first.source.endpoint, blame=Blame.PATH, now=0.0)
    (second,) = start_all(fetches)
    assert {first.source, second.source} == {a, b}


def test_a_path_that_every_source_failed_to_give_rests_and_wakes() -> None:
    fetches, a = queue(), source(1)
    fetches.put(fetch("f", a))
    (first,) = start_all(fetches)
    fetches.failed(first.fetch.path, a.endpoint, blame=Blame.PATH, now=0.0)
    assert start_all(fetches) == []
    wakes_at = fetches.wakes_at(0.0)
    assert wakes_at is not None
    assert len(start_all(fetches, wakes_at)) == 1


def test_a_source_that_fails_is_left_alone_for_a_while_with_all_its_paths() -> None:
    fetches, a = queue(), source(1)
    for i in range(3):
        fetches.put(fetch(f"f{i}", a))
    (first,) = start_all(fetches)
    fetches.failed(first.fetch.path, a.endpoint, blame=Blame.SOURCE, now=0.0)
    assert start_all(fetches, 0.5) == []
    assert len(start_all(fetches, 1.0)) == 1


def test_once_gives_up_when_everything_failed_often_enough() -> None:
    fetches, a, now = queue(), source(1), 0.0
    for i in range(100):
        fetches.put(fetch(f"f{i}", a))
    for _ in range(HOPELESS_AFTER):
        assert not fetches.is_hopeless()
        (one,) = start_all(fetches, now)
        fetches.failed(one.fetch.path, a.endpoint, blame=Blame.SOURCE, now=now)
        now += 60.0
    assert fetches.is_hopeless()


def test_a_running_fetch_is_never_started_twice_whatever_the_directory_says() -> None:
    fetches, a, b = queue(), source(1), source(2)
    fetches.put(fetch("f", a))
    (first,) = start_all(fetches)
    fetches.discard([first.fetch.path])
    fetches.put(fetch("f", b, mtime_s=9))
    assert start_all(fetches) == []
    fetches.failed(first.fetch.path, a.endpoint, blame=Blame.PATH, now=0.0)
    (second,) = start_all(fetches)
    assert second.source == b


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5), st.integers(0, 3)), max_size=200), st.integers(1, 12))
def test_the_books_balance_whatever_happens(steps: list[tuple[int, int, int]], limit: int) -> None:
    fetches, now, running = queue(limit), 0.0, dict[RelPath, Assignment]()
    for kind, number, other in steps:
        now += 0.3
        if kind <= 1:
            fetches.put(fetch(f"f{number}", source(other), source(other + 1), mtime_s=kind))
        elif kind == 2:
            fetches.discard([RelPath.parse(f"f{number}")])
        elif kind == 3:
            for assignment in start_all(fetches, now):
                assert assignment.fetch.path not in running
                running[assignment.fetch.path] = assignment
        elif running:
            path = sorted(running)[number % len(running)]
            assignment = running[path]
            fetches.answered(assignment.source.endpoint)
            if kind == 4:
                fetches.proved(assignment.source.endpoint)
                continue
            del running[path]
            if kind == 5:
                fetches.done(path, assignment.source.endpoint)
            else:
                fetches.failed(path, assignment.source.endpoint, blame=list(Blame)[other % 2], now=now)
        assert fetches.running == len(running)
    for path, assignment in running.items():
        fetches.done(path, assignment.source.endpoint)
    assert fetches.running == 0
    for _ in range(50):  # whatever is left can be fetched in the end: nothing is forgotten in a lane
        now += 30.0
        for assignment in start_all(fetches, now):
            fetches.proved(assignment.source.endpoint)
            fetches.done(assignment.fetch.path, assignment.source.endpoint)
    assert len(fetches) == 0


def test_a_path_that_all_its_sources_failed_to_give_twice_is_stuck_until_it_is_here() -> None:
    fetches, a, now = queue(), source(1), 0.0
    fetches.put(fetch("f", a))
    for _ in range(STUCK_AFTER):
        assert not fetches.is_stuck()
        (one,) = start_all(fetches, now)
        fetches.failed(one.fetch.path, a.endpoint, blame=Blame.PATH, now=now)
        now += 60.0
    assert fetches.is_stuck()
    (one,) = start_all(fetches, now)
    fetches.done(one.fetch.path, a.endpoint)
    assert not fetches.is_stuck()


def test_what_waits_for_sources_that_all_failed_often_is_stuck_with_what_was_tried() -> None:
    """Of a batch that a dead source does not give one path has failed; others should be looked for on behalf of all."""
    fetches, dead, now = queue(), native(1), 0.0
    for name in ("f", "g"):
        fetches.put(record_fetch(name, dead))
    fetches.put(record_fetch("h", dead, native(2)))
    for _ in range(HOPELESS_AFTER):
        assert "g" not in list(fetches.stuck())
        for batch in start_batches(fetches, now):
            if batch.source == dead:
                fetches.broke_off([one.path for one in batch.fetches], dead.endpoint, now=now)
        now += 60.0
    assert {"f", "g"} <= set(fetches.stuck())
    assert "h" not in set(fetches.stuck())


def test_new_sources_of_a_version_are_no_news_but_a_new_version_is() -> None:
    fetches = queue()
    assert fetches.put(fetch("f", source(1)))
    assert not fetches.put(fetch("f", source(1), source(2)))
    assert fetches.put(fetch("f", source(1), mtime_s=9))


# Batches of small files


def test_small_files_of_a_native_source_go_out_together_and_the_others_alone() -> None:
    fetches, a = queue(), native(1)
    fetches.put(record_fetch("small 1", a))
    fetches.put(record_fetch("large", a, size=SMALL_MAX + 1))
    fetches.put(record_fetch("small 2", a, size=SMALL_MAX))
    fetches.put(fetch("only its mtime is known", a))
    fetches.put(record_fetch("only its digest is not", a, digest=""))
    fetches.put(record_fetch("from a classic source", source(2)))
    fetches.answered(a.endpoint)
    (probe,) = start_batches(fetches)
    assert names(probe) == ["small 1", "small 2"]
    fetches.proved(a.endpoint)
    alone = [str(assignment.fetch.path) for assignment in start_all(fetches)]
    assert sorted(alone) == ["from a classic source", "large", "only its digest is not", "only its mtime is known"]


def test_a_batch_is_bounded_in_files_and_in_bytes() -> None:
    fetches, a = queue(), native(1)
    for i in range(BATCH_FILES + 1):
        fetches.put(record_fetch(f"f{i:03}", a, size=1))
    for i in range(100):
        fetches.put(record_fetch(f"g{i:03}", a, size=SMALL_MAX))
    (first,) = start_batches(fetches)
    assert len(first.fetches) == BATCH_FILES
    for one in first.fetches:
        fetches.done(one.path, a.endpoint)
    (second,) = start_batches(fetches)
    size = sum(one.offer.record.size for one in second.fetches if one.offer.record)
    assert BATCH_BYTES - SMALL_MAX < size <= BATCH_BYTES


def test_a_source_gets_a_few_batches_at_a_time_and_each_takes_one_place() -> None:
    fetches, a = queue(), native(1)
    for i in range(10 * BATCH_FILES):
        fetches.put(record_fetch(f"f{i}", a))
    started = start_batches(fetches)
    assert len(started) == 1
    fetches.proved(a.endpoint)
    started += start_batches(fetches)
    assert len(started) == BATCHES_PER_SOURCE == fetches.running
    for one in started[0].fetches[1:]:
        fetches.landed(one.path, a.endpoint)
    assert start_batches(fetches) == []
    fetches.landed(started[0].fetches[0].path, a.endpoint)
    assert len(start_batches(fetches)) == 1
    for one in started[0].fetches:
        fetches.done(one.path, a.endpoint)
    assert fetches.running == BATCHES_PER_SOURCE


def test_batches_count_towards_the_limit_of_all() -> None:
    fetches = queue(limit=3)
    for i in range(4):
        fetches.put(record_fetch(f"f{i}", native(i)))
        fetches.put(record_fetch(f"large{i}", native(i), size=SMALL_MAX + 1))
    for batch in start_batches(fetches):
        fetches.proved(batch.source.endpoint)
    assert start_all(fetches) == []


def test_a_batch_that_breaks_off_blames_its_source_once_and_one_path_alone() -> None:
    fetches, a = queue(), native(1)
    for name in ("came", "did not", "nor did this", "nor this"):
        fetches.put(record_fetch(name, a))
    (batch,) = start_batches(fetches)
    fetches.done(batch.fetches[0].path, a.endpoint)
    fetches.broke_off([one.path for one in batch.fetches[1:]], a.endpoint, now=0.0)
    assert fetches.running == 0
    assert start_batches(fetches, 0.5) == []
    (again,) = start_batches(fetches, 1.0)
    assert names(again) == ["nor did this", "nor this", "did not"]  # whatever breaks it off does not hold the others up
    fetches.broke_off([one.path for one in again.fetches], a.endpoint, now=1.0)
    assert not fetches.is_hopeless()


def test_what_a_broken_batch_did_not_bring_goes_to_other_sources_at_once() -> None:
    fetches, a, b = queue(), native(1), native(2)
    for name in ("f", "g", "h"):
        fetches.put(record_fetch(name, a, b))
    (batch,) = start_batches(fetches)
    fetches.broke_off([one.path for one in batch.fetches], batch.source.endpoint, now=0.0)
    (other,) = start_batches(fetches)
    assert other.source.endpoint != batch.source.endpoint
    assert sorted(names(other)) == ["f", "g", "h"]


def test_a_batch_that_broke_when_all_had_come_still_blames_the_source() -> None:
    fetches, a = queue(), native(1)
    fetches.put(record_fetch("f", a))
    (batch,) = start_batches(fetches)
    fetches.landed(batch.fetches[0].path, a.endpoint)
    fetches.broke_off([], a.endpoint, now=0.0)
    fetches.done(batch.fetches[0].path, a.endpoint)
    fetches.put(record_fetch("g", a))
    assert start_batches(fetches, 0.5) == []


def test_many_failures_of_one_source_at_once_are_one_failure() -> None:
    fetches, a = queue(), native(1)
    for i in range(10):
        fetches.put(record_fetch(f"f{i}", a, native(2)))
    (batch, *_) = start_batches(fetches)
    for one in batch.fetches:
        fetches.failed(one.path, batch.source.endpoint, blame=Blame.SOURCE, now=0.0)
    assert fetches.wakes_at(0.0) is None or not fetches.is_hopeless()
    fetches.put(record_fetch("more", batch.source))
    wakes_at = fetches.wakes_at(0.0)
    assert wakes_at is not None
    assert wakes_at < 2.0


def test_a_source_that_failed_in_the_fetch_of_another_one_is_left_alone_for_a_while() -> None:
    fetches, a = queue(), native(1)
    fetches.blame(a.endpoint, now=0.0)  # nobody waits for it: nothing to do
    fetches.put(record_fetch("f", a))
    fetches.blame(a.endpoint, now=0.0)
    assert start_batches(fetches, 0.5) == []
    assert len(start_batches(fetches, 1.0)) == 1


def test_an_offer_that_nobody_has_waits_without_failing_until_somebody_does() -> None:
    fetches, a = queue(), native(1)
    assert fetches.put(record_fetch("f"))
    assert start_batches(fetches) == []
    assert start_all(fetches) == []
    assert fetches.wakes_at(0.0) is None
    assert fetches.is_hopeless()
    assert not fetches.is_stuck()
    assert not fetches.put(record_fetch("f", a))
    assert not fetches.is_hopeless()
    assert len(start_batches(fetches)) == 1


def test_a_path_follows_its_newer_size_and_its_source_into_the_right_line() -> None:
    fetches, a = queue(), native(1)
    fetches.put(record_fetch("grew", a))
    fetches.put(record_fetch("shrank", a, size=SMALL_MAX + 1))
    fetches.put(record_fetch("grew", a, size=SMALL_MAX + 1, mtime_s=6))
    fetches.put(record_fetch("shrank", a, mtime_s=6))
    fetches.proved(a.endpoint)
    assert [names(batch) for batch in start_batches(fetches)] == [["shrank"]]
    assert [str(one.fetch.path) for one in start_all(fetches)] == ["grew"]

    fetches.put(record_fetch("was offered natively", a))
    fetches.put(fetch("is offered by a classic peer now", source(1)))
    assert start_batches(fetches) == []
    assert sorted(str(one.fetch.path) for one in start_all(fetches)) == [
        "is offered by a classic peer now",
        "was offered natively",
    ]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9), st.integers(0, 3)), max_size=200), st.integers(1, 4))
def test_the_books_balance_with_batches_too(steps: list[tuple[int, int, int]], limit: int) -> None:
    fetches, now, running = queue(limit), 0.0, dict[RelPath, Endpoint]()

    def start_everything() -> None:
        singles = [(one.fetch.path, one.source) for one in start_all(fetches, now)]
        batched = [(one.path, batch.source) for batch in start_batches(fetches, now) for one in batch.fetches]
        for path, at in singles + batched:
            assert path not in running
            running[path] = at.endpoint

    for kind, number, other in steps:
        now += 0.3
        size = SMALL_MAX + 1 if other == 3 else 10
        if kind <= 1:
            sources = [native(other), native(other + 1) if number % 2 else source(other + 1)][: number % 3]
            fetches.put(record_fetch(f"f{number}", *sources, size=size, mtime_s=kind))
        elif kind == 2:
            fetches.discard([RelPath.parse(f"f{number}")])
        elif kind == 3:
            start_everything()
        elif running:
            path = sorted(running)[number % len(running)]
            endpoint = running[path]
            fetches.answered(endpoint)
            if kind == 4:
                fetches.proved(endpoint)
                fetches.landed(path, endpoint)
                continue
            if kind == 5:
                broken = [path for path in running if running[path] == endpoint]
                for path in broken:
                    del running[path]
                fetches.broke_off(broken, endpoint, now=now)
                continue
            del running[path]
            if kind == 6:
                fetches.done(path, endpoint)
            else:
                fetches.failed(path, endpoint, blame=list(Blame)[other % 2], now=now)
        assert fetches.running <= len(running)
    for path, endpoint in running.items():
        fetches.done(path, endpoint)
    running.clear()
    assert fetches.running == 0
    for i in range(10):  # somebody has each of them in the end
        fetches.put(record_fetch(f"f{i}", native(1), mtime_s=9))
    for _ in range(50):
        now += 30.0
        start_everything()
        for path, endpoint in running.items():
            fetches.proved(endpoint)
            fetches.done(path, endpoint)
        running.clear()
    assert len(fetches) == 0


def test_what_is_discarded_while_it_runs_is_not_tried_again_when_it_fails() -> None:
    fetches = queue()
    fetches.put(fetch("x", source(1)))
    started = fetches.next(0)
    assert started is not None
    fetches.discard([RelPath.parse("x")])
    fetches.failed(RelPath.parse("x"), source(1).endpoint, blame=Blame.PATH, now=0)
    assert (len(fetches), fetches.wakes_at(0)) == (0, None)


def test_what_is_wanted_again_while_it_runs_is_tried_again() -> None:
    fetches = queue()
    fetches.put(fetch("x", source(1)))
    fetches.next(0)
    fetches.discard([RelPath.parse("x")])
    fetches.put(fetch("x", source(1)))
    fetches.failed(RelPath.parse("x"), source(1).endpoint, blame=Blame.PATH, now=0)
    assert len(fetches) == 1


def test_it_is_long_while_much_waits_for_a_source_that_is_busy() -> None:
    fetches = queue()
    for number in range(LONG - 1):
        fetches.put(fetch(f"f{number}", source(1)))
    start_all(fetches)
    assert not fetches.is_long
    fetches.put(fetch("one more", source(1)))
    assert fetches.is_long
    fetches.done(RelPath.parse("f0"), source(1).endpoint)
    fetches.put(fetch("in its place", source(1)))
    assert not fetches.is_long  # nothing is under way
    start_all(fetches)
    assert fetches.is_long


def test_what_nobody_can_give_does_not_make_it_long() -> None:
    fetches = queue()
    for number in range(LONG):
        fetches.put(fetch(f"f{number}"))
    fetches.put(fetch("one that can be had", source(1)))
    start_all(fetches)
    assert fetches.running == 1
    assert not fetches.is_long
