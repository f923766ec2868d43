"""The fetch queue: who is asked for what, when; time is a number that the tests turn."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from gsync.core.actions import Fetch
from gsync.core.model import Offer, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.schedule import (
    HOPELESS_AFTER,
    PER_SOURCE,
    PROBES,
    SILENT_DIALS,
    STUCK_AFTER,
    Assignment,
    Blame,
    FetchQueue,
)
from gsync.core.versions import Version


def source(number: int, *, ip: str = "127.0.0.1") -> Source:
    return Source(endpoint=Endpoint(ip, 2000 + number))


def fetch(name: str, *sources: Source, mtime_s: int = 5) -> Fetch:
    return Fetch(path=RelPath.parse(name), offer=Offer(version=Version.from_mtime(mtime_s), sources=sources))


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


def test_new_sources_of_a_version_are_no_news_but_a_new_version_is() -> None:
    fetches = queue()
    assert fetches.put(fetch("f", source(1)))
    assert not fetches.put(fetch("f", source(1), source(2)))
    assert fetches.put(fetch("f", source(1), mtime_s=9))
