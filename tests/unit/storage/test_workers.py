"""Calls that leave the loop, and how they come back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import gevent
import pytest

from gsync.errors import StorageError
from gsync.storage.workers import SWITCH_S, InlineWorkers, Pool, ThreadWorkers, Workers


@pytest.fixture(params=["threads", "inline"])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    workers: Workers = ThreadWorkers() if request.param == "threads" else InlineWorkers()
    yield workers
    workers.close()


def divide(a: int, *, by: int) -> float:
    return a / by


def test_values_go_in_and_come_out(workers: Workers) -> None:
    assert workers.run(Pool.DISK, divide, 6, by=4) == 1.5


def test_what_a_call_raises_is_raised_where_it_was_asked_for(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        workers.run(Pool.SCAN, divide, 1, by=0)


def test_an_error_that_a_call_returns_is_a_value(workers: Workers) -> None:
    error = StorageError("a value")
    assert workers.run(Pool.DISK, lambda: error) is error


def test_a_job_can_be_waited_for_and_asked_later(workers: Workers) -> None:
    job = workers.spawn(Pool.TRANSFER, divide, 1, by=2)
    broken = workers.spawn(Pool.TRANSFER, divide, 1, by=0)
    broken.wait()
    job.wait()
    assert job.get() == 0.5
    with pytest.raises(ZeroDivisionError):
        broken.get()


@pytest.fixture
def threads() -> Iterator[ThreadWorkers]:
    threads = ThreadWorkers()
    yield threads
    threads.close()


def test_each_pool_is_one_thread_of_its_own(threads: ThreadWorkers) -> None:
    idents = {pool: {threads.run(pool, threading.get_ident) for _ in range(5)} for pool in Pool}
    assert all(len(seen) == 1 for seen in idents.values())
    assert len(set.union(*idents.values(), {threading.get_ident()})) == len(Pool) + 1


def test_the_loop_goes_on_while_a_call_blocks(threads: ThreadWorkers) -> None:
    release = threading.Event()
    waiting = gevent.spawn(threads.run, Pool.DISK, release.wait)
    gevent.sleep(1e-9)
    assert not waiting.ready()
    release.set()
    assert waiting.get() is True


def test_calls_to_one_pool_keep_their_order(threads: ThreadWorkers) -> None:
    release = threading.Event()
    seen: list[int] = []
    jobs = [gevent.spawn(threads.run, Pool.DISK, release.wait)]
    for number in range(10):
        gevent.sleep(1e-9)
        jobs.append(gevent.spawn(threads.run, Pool.DISK, seen.append, number))
    gevent.sleep(1e-9)
    release.set()
    gevent.joinall(jobs)
    assert seen == list(range(10))


def test_a_greenlet_that_is_killed_while_it_waits_leaves_the_pool_usable(threads: ThreadWorkers) -> None:
    release = threading.Event()
    ended: list[bool] = []
    waiting = gevent.spawn(threads.run, Pool.DISK, lambda: ended.append(release.wait()))
    gevent.sleep(1e-9)
    waiting.kill()
    release.set()
    assert threads.run(Pool.DISK, divide, 4, by=2) == 2
    assert ended == [True]


def test_closing_ends_the_threads() -> None:
    before = threading.active_count()
    threads = ThreadWorkers()
    for pool in Pool:
        threads.run(pool, threading.get_ident)
    threads.close()
    assert threading.active_count() == before


def test_threads_wait_for_each_other_no_longer_than_a_loop_may_be_late() -> None:
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.005)
        ThreadWorkers().close()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    finally:
        sys.setswitchinterval(before)
