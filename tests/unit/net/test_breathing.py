"""A breath lets sockets and timers have their turn, however many callbacks are queued."""

import gevent
from gevent.event import Event

from gsync.net.breathing import breathe
from gsync.net.simulation import simulated
from gsync.net.tasks import TaskGroup


def test_a_timer_that_is_due_runs_within_a_few_breaths() -> None:
    due = Event()
    with TaskGroup() as tasks:
        tasks.spawn(lambda: (gevent.sleep(1e-9), due.set()))
        for _ in range(3):
            breathe()
        assert due.is_set()


def test_others_run_in_turn() -> None:
    heard: list[str] = []

    def say(word: str) -> None:
        for _ in range(3):
            heard.append(word)
            breathe()

    with simulated(), TaskGroup() as tasks:
        tasks.spawn(say, "a")
        tasks.spawn(say, "b")
    assert heard == ["a", "b"] * 3
