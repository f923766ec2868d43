"""TaskGroup: nobody outlives it, nothing it hears is lost."""

# ruff: noqa: PT012 - what a whole block raises is what is tested here

import random
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event
from gevent.exceptions import LoopExit
from hypothesis import given, settings
from hypothesis import strategies as st

from gsync.errors import ConnectionBroken
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup, end_all


@pytest.fixture(autouse=True)
def world() -> Iterator[World]:
    with simulated() as world:
        yield world


class Defect(Exception):
    pass


def fail(after_s: float = 0.0, error: BaseException | None = None) -> None:
    if after_s:
        gevent.sleep(after_s)
    raise error or Defect("a task failed")


class Sleeper:
    """A task that waits for ever and remembers how it ended; its cleaning up may take time, fail, or hang."""

    def __init__(self, *, cleaning_s: float = 0.0, error: Exception | None = None) -> None:
        self.cleaning_s = cleaning_s
        self.error = error
        self.started = False
        self.asked = False
        self.ended = False

    def __call__(self) -> None:
        self.started = True
        try:
            Event().wait()
        except gevent.GreenletExit:
            self.asked = True
            if self.cleaning_s:
                gevent.sleep(self.cleaning_s)
            if self.error:
                raise self.error from None
            raise
        finally:
            self.ended = True


def test_leaving_the_block_waits_for_every_task(world: World) -> None:
    with TaskGroup() as tasks:
        tasks.spawn(gevent.sleep, 1)
        tasks.spawn(gevent.sleep, seconds=3)
    assert world.now_s == 3
    assert len(tasks) == 0


def test_an_empty_block_is_left_at_once() -> None:
    with TaskGroup():
        pass


def test_a_task_may_spawn_a_sibling(world: World) -> None:
    with TaskGroup() as tasks:

        def first() -> None:
            gevent.sleep(1)
            tasks.spawn(gevent.sleep, 2)

        tasks.spawn(first)
    assert world.now_s == 3


def test_a_failure_stops_the_siblings_and_is_raised_when_they_have_ended(world: World) -> None:
    sibling = Sleeper(cleaning_s=2)
    with pytest.raises(Defect), TaskGroup() as tasks:
        tasks.spawn(sibling)
        tasks.spawn(fail, 1)
    assert sibling.asked
    assert sibling.ended
    assert world.now_s == 3


def test_a_failure_interrupts_the_block_where_it_waits(world: World) -> None:
    with pytest.raises(Defect), TaskGroup() as tasks:
        tasks.spawn(fail, 1)
        Event().wait()
    assert world.now_s == 1


def test_a_failure_keeps_its_own_cause_and_context() -> None:
    def fail_with_a_cause() -> None:
        try:
            fail()
        except Defect as cause:
            raise ConnectionBroken from cause

    with pytest.raises(ConnectionBroken) as caught, TaskGroup() as tasks:
        tasks.spawn(fail_with_a_cause)
        Event().wait()
    assert isinstance(caught.value.__cause__, Defect)
    assert isinstance(caught.value.__context__, Defect)


def test_a_failure_while_the_block_works_is_raised_at_its_end(world: World) -> None:
    def swallow() -> None:
        try:
            gevent.sleep(5)
        except BaseException:  # noqa: BLE001 - the bad manners are the point
            return

    with pytest.raises(Defect), TaskGroup() as tasks:
        tasks.spawn(fail, 1)
        swallow()
    assert world.now_s == 1


def test_an_exception_in_the_block_stops_the_tasks_and_goes_on() -> None:
    sleeper = Sleeper()
    error = ValueError("the block's own")
    with pytest.raises(ValueError, match="own") as caught, TaskGroup() as tasks:
        tasks.spawn(sleeper)
        raise error
    assert caught.value is error
    assert sleeper.ended


def test_a_task_that_was_just_spawned_starts_before_it_is_stopped() -> None:
    sleeper = Sleeper()
    with TaskGroup() as tasks:
        tasks.spawn(sleeper)
        tasks.cancel()
    assert sleeper.started
    assert sleeper.ended


def test_a_group_that_is_stopping_lets_a_new_task_start_and_stops_it() -> None:
    sleeper = Sleeper()
    with TaskGroup() as tasks:
        tasks.cancel()
        tasks.spawn(sleeper)
    assert sleeper.started
    assert sleeper.ended


def test_cancel_leaves_the_block_itself_alone(world: World) -> None:
    with TaskGroup() as tasks:
        tasks.spawn(Sleeper())
        tasks.cancel()
        gevent.sleep(4)
    assert world.now_s == 4


def test_a_task_may_cancel_its_own_group() -> None:
    sleeper = Sleeper()
    with TaskGroup() as tasks:
        tasks.spawn(sleeper)
        tasks.spawn(tasks.cancel)
    assert sleeper.ended


def test_a_task_is_asked_once_so_that_its_cleaning_up_is_not_cut_short(world: World) -> None:
    with TaskGroup() as tasks:
        tasks.spawn(Sleeper(cleaning_s=2))
        gevent.sleep(1)
        tasks.cancel()
        gevent.sleep(1)
        tasks.cancel()
    assert world.now_s == 3


def test_a_timeout_of_the_owner_stops_all_and_goes_on(world: World) -> None:
    sleeper = Sleeper(cleaning_s=1)
    with pytest.raises(gevent.Timeout) as caught, gevent.Timeout(5) as timeout, TaskGroup() as tasks:
        tasks.spawn(sleeper)
    assert caught.value is timeout
    assert sleeper.ended
    assert world.now_s == 6


def test_a_killed_owner_leaves_no_orphan() -> None:
    sleepers = [Sleeper(cleaning_s=1) for _ in range(3)]

    def own() -> None:
        with TaskGroup() as tasks:
            for sleeper in sleepers:
                tasks.spawn(sleeper)

    with TaskGroup() as outer:
        task = outer.spawn(own)
        gevent.sleep(1)
        task.cancel()
        task.join()
        assert all(sleeper.ended for sleeper in sleepers)


def test_a_kill_during_the_stopping_is_not_lost_and_hurries_the_tasks(world: World) -> None:
    def own() -> None:
        with pytest.raises(Defect), TaskGroup() as tasks:
            tasks.spawn(Sleeper(cleaning_s=100))
            tasks.spawn(fail)
        pytest.fail("the kill was lost")

    def report_nothing(*told: object) -> None:
        reported.append(told)

    reported: list[object] = []
    gevent.get_hub().handle_error = report_nothing  # the failure that yields to the kill goes there
    with TaskGroup() as outer:
        task = outer.spawn(own)
        gevent.sleep(1)
        task.cancel()
    assert world.now_s == 1
    assert len(reported) == 1


def test_a_failure_of_an_inner_group_stops_the_outer_one() -> None:
    outer_sibling, inner_sibling = Sleeper(), Sleeper()

    def own() -> None:
        with TaskGroup() as inner:
            inner.spawn(inner_sibling)
            inner.spawn(fail, 1)

    with pytest.raises(Defect), TaskGroup() as outer:
        outer.spawn(outer_sibling)
        outer.spawn(own)
    assert inner_sibling.ended
    assert outer_sibling.ended


def test_an_outer_failure_interrupts_a_block_that_waits_for_an_inner_group() -> None:
    inner_sleeper = Sleeper(cleaning_s=1)
    with pytest.raises(Defect), TaskGroup() as outer:
        outer.spawn(fail, 1)
        with TaskGroup() as inner:
            inner.spawn(inner_sleeper)
    assert inner_sleeper.ended


def test_a_task_that_ends_by_greenlet_exit_has_not_failed(world: World) -> None:
    with TaskGroup() as tasks:
        tasks.spawn(fail, error=gevent.GreenletExit())
        tasks.spawn(gevent.sleep, 2)
    assert world.now_s == 2


@pytest.mark.parametrize("error", [gevent.Timeout(1), KeyboardInterrupt(), SystemExit(3), ConnectionBroken("gone")])
def test_whatever_else_ends_a_task_is_heard(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, TaskGroup() as tasks:
        tasks.spawn(fail, error=error)
        Event().wait()
    assert caught.value is error


@pytest.mark.parametrize(("second", "reported"), [(ConnectionBroken("too"), 0), (ValueError("too"), 1)])
def test_of_two_failures_the_first_is_raised_and_a_second_defect_is_reported(
    second: Exception, reported: int, hub_failures: list[BaseException]
) -> None:
    with pytest.raises(Defect), TaskGroup() as tasks:
        tasks.spawn(Sleeper(error=second))
        tasks.spawn(fail, 1)
    assert len(hub_failures) == reported
    hub_failures.clear()


def test_a_failure_while_being_stopped_is_heard() -> None:
    with pytest.raises(ValueError, match="untidy"), TaskGroup() as tasks:
        tasks.spawn(Sleeper(error=ValueError("untidy")))
        tasks.cancel()


def test_one_task_can_be_ended_and_waited_for(world: World) -> None:
    sleeper = Sleeper(cleaning_s=1)
    with TaskGroup() as tasks:
        task = tasks.spawn(sleeper)
        other = tasks.spawn(gevent.sleep, 10)
        gevent.sleep(1)
        assert not task.done
        task.cancel()
        task.join()
        assert task.done
        assert sleeper.ended
        assert world.now_s == 2
        assert not other.done
    assert world.now_s == 10


def test_stop_ends_a_group_that_lives_as_a_field() -> None:
    sleeper = Sleeper()
    tasks = TaskGroup()
    tasks.spawn(sleeper)
    tasks.stop()
    tasks.stop()
    assert sleeper.ended


def test_join_raises_the_failure_of_a_group_that_lives_as_a_field() -> None:
    tasks = TaskGroup()
    tasks.spawn(Sleeper())
    tasks.spawn(fail, 1)
    with pytest.raises(Defect):
        tasks.join()
    tasks.stop()


def test_stop_raises_a_failure_that_nobody_has_heard() -> None:
    tasks = TaskGroup()
    tasks.spawn(fail)
    gevent.sleep(1)
    assert len(tasks) == 0
    with pytest.raises(Defect):
        tasks.stop()


def test_join_inside_the_block_raises_there() -> None:
    with pytest.raises(Defect), TaskGroup() as tasks:
        tasks.spawn(fail, 1)
        tasks.spawn(Sleeper(cleaning_s=1))
        tasks.join()


@pytest.mark.parametrize("wait", [TaskGroup.join, TaskGroup.stop])
def test_a_task_may_not_wait_for_its_own_group(wait: Callable[[TaskGroup], None]) -> None:
    with pytest.raises(RuntimeError, match="belongs"), TaskGroup() as tasks:
        tasks.spawn(wait, tasks)


def test_a_deadlock_is_told_to_the_owner_and_stops_the_tasks() -> None:
    sleeper = Sleeper()
    with pytest.raises(LoopExit), TaskGroup() as tasks:
        tasks.spawn(sleeper)
    assert sleeper.ended


def test_end_all_waits_out_the_grace_before_it_asks(world: World) -> None:
    greenlets = [gevent.spawn(gevent.sleep, 1), gevent.spawn(gevent.sleep, 100)]
    end_all(greenlets, grace_s=5)
    assert world.now_s == 5
    assert all(greenlet.ready() for greenlet in greenlets)


def test_end_all_asks_at_once_when_it_is_interrupted(world: World) -> None:
    sleeper = Sleeper(cleaning_s=1)
    greenlet = gevent.spawn(sleeper)
    with pytest.raises(gevent.Timeout), gevent.Timeout(2):
        end_all([greenlet], grace_s=50)
    assert sleeper.ended
    assert world.now_s == 3


@given(seed=st.integers(0, 2**32))
@settings(max_examples=100)
def test_whatever_fails_or_is_killed_nobody_outlives_the_group(seed: int) -> None:
    rng = random.Random(seed)
    running = 0
    escaped: list[int] = []

    def live(depth: int) -> None:
        nonlocal running
        running += 1
        try:
            live_on(depth)
        finally:
            try:
                gevent.sleep(rng.random())  # cleaning up may take time, and may be cut short
            finally:
                running -= 1

    def live_on(depth: int) -> None:
        gevent.sleep(rng.random())
        if depth and rng.random() < 0.6:
            with gevent.Timeout(3 * rng.random(), False):
                own(depth - 1)
        if rng.random() < 0.2:
            raise rng.choice([Defect, ConnectionBroken, gevent.GreenletExit])
        gevent.sleep(rng.random())

    def own(depth: int) -> None:
        group = TaskGroup()
        try:
            with group as tasks:
                children = [tasks.spawn(live, depth) for _ in range(rng.randrange(4))]
                gevent.sleep(rng.random())
                if children and rng.random() < 0.3:
                    rng.choice(children).cancel()
                if rng.random() < 0.2:
                    raise Defect("the block's own")
        finally:
            escaped.append(len(group))

    with simulated():
        gevent.get_hub().handle_error = lambda *_: None  # second defects are reported there
        try:
            with gevent.Timeout(4), TaskGroup() as outermost:
                for _ in range(3):
                    outermost.spawn(live, 3)
        except (Defect, ConnectionBroken, gevent.Timeout):
            pass
        assert running == 0
        assert not any(escaped)
