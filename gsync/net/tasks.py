"""`TaskGroup`: greenlets with an owner, so that none outlives the block it was spawned in and no failure goes unheard.

Everything in gsync spawns through a group. gevent's own are not enough: `Group.join(raise_error=True)` says nothing of a
crash while a sibling loops, `joinall` says it but leaves the sibling running, and a killed owner leaves both. It bounds
nothing: whoever spawns for strangers counts them. A group belongs to one thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, ParamSpec, Self

import gevent
from gevent.event import Event
from gevent.exceptions import LoopExit

from gsync.errors import GsyncError

log: Final = logging.getLogger(__name__)

P = ParamSpec("P")


class TaskGroup:
    """The owner of the greenlets that are spawned in it; used in a `with`, or ended by `stop`.

    - Leaving the block waits for every task; so does `join`, for a group that lives as a field.
    - When a task fails, its siblings are stopped and the owner hears: its block is interrupted where it waits, and the
      failure is raised from there, or from `join` or `stop`, once all tasks have ended.
    - An exception in the block, and whatever is thrown at the owner while it waits (a kill, a Timeout), stops all tasks
      and goes on once they have ended.
    - To stop is to raise `GreenletExit` in a task where it waits, once; its cleaning up may wait, and is only cut short
      by a second exception thrown at the waiting owner. A task that ends by `GreenletExit` has not failed.
    - Every task gets as far as its first wait, even in a group that is stopping: a `with` in its first line closes
      what the task was given.

    When two things could be raised, a kill or Timeout thrown at the owner comes first, since a lost one makes somebody
    wait for ever; then whatever came first. A failure that is not raised is logged at debug if it is a `GsyncError`;
    another is a defect, and reaches the hub's error hook.
    """

    def __init__(self) -> None:
        self._tasks: dict[Any, None] = {}  # in the order of spawning, so that a run can be repeated
        self._asked: set[Any] = set()  # those that were asked to end
        self._failure: BaseException | None = None
        self._stopping = False
        self._block_owner: Any = None  # the greenlet that is inside the block, and may be interrupted
        self._settled = Event()  # no task is left, or one failed
        self._empty = Event()  # no task is left

    def __len__(self) -> int:
        """How many tasks have not ended."""
        return len(self._tasks)

    def spawn(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Task:
        """Run `function` in a greenlet of this group; what it returns is dropped."""
        greenlet = gevent.Greenlet(self._run, function, args, kwargs)
        greenlet.name = getattr(function, "__qualname__", repr(function))
        self._tasks[greenlet] = None
        self._empty.clear()
        if self._failure is None:
            self._settled.clear()
        greenlet.rawlink(self._forget)
        greenlet.start()
        if self._stopping:
            self._ask(greenlet)
        return Task(self, greenlet)

    def cancel(self) -> None:
        """Ask all tasks, and any that is still spawned, to end; does not wait, and does not interrupt the block."""
        self._stopping = True
        for greenlet in self._tasks:
            self._ask(greenlet)

    def join(self) -> None:
        """Wait until every task has ended; raises the failure of one, once its siblings are stopped."""
        if gevent.getcurrent() in self._tasks:
            raise RuntimeError("a task cannot wait for the group that it belongs to")
        owner, self._block_owner = self._block_owner, None  # it hears from here, not by an interrupt
        try:
            self._wait_settled()
        finally:
            self._block_owner = owner

    def stop(self) -> None:
        """End all tasks and wait for them; raises the failure of one. A stopped group stays so."""
        self.cancel()
        self.join()

    def __enter__(self) -> Self:
        self._block_owner = gevent.getcurrent()
        return self

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        self._block_owner = None
        if exc is None:
            self.join()
            return
        told = self._finish(None if isinstance(exc, _Interrupt) and exc.group is self else exc)
        if told is not None and told is not exc:
            _raise(told)

    def _wait_settled(self) -> None:
        thrown = None
        try:
            while self._tasks and self._failure is None:
                self._settled.wait()
        except BaseException as exc:  # noqa: BLE001 - goes on below, when the tasks have ended
            thrown = exc
        if thrown is None and self._failure is None:
            return
        told = self._finish(thrown)
        if told is not None:
            _raise(told)

    def _finish(self, exc: BaseException | None) -> BaseException | None:
        """End all tasks; returns what the owner is to hear, of `exc`, the failure, and what was thrown at it meanwhile."""
        failed_before = self._failure is not None
        self.cancel()
        thrown = self._drain()
        failure, self._failure = self._failure, None
        if thrown is not None:
            told: BaseException | None = thrown
        elif exc is not None and (not failed_before or not isinstance(exc, Exception)):
            told = exc
        else:
            told = failure
        if failure is not None and failure is not told:
            self._report(failure)
        return told

    def _drain(self) -> BaseException | None:
        """Wait until no task is left, whatever happens; returns what was thrown at us meanwhile."""
        thrown = None
        while self._tasks:
            try:
                self._empty.wait()
            except LoopExit:
                raise  # nothing in this thread can ever run again, so there is nobody to wait for
            except BaseException as exc:  # noqa: BLE001 - handed to the caller; leaving now would make orphans
                thrown = exc
                self._asked.clear()  # somebody is impatient: cleaning up that hangs is cut short
                self.cancel()
        return thrown

    def _run(self, function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            function(*args, **kwargs)
        except gevent.GreenletExit:
            return
        except BaseException as failure:  # noqa: BLE001 - the owner raises it
            self._record(failure)

    def _record(self, failure: BaseException) -> None:
        if self._failure is not None:
            self._report(failure)
            return
        self._failure = failure
        self._settled.set()
        self.cancel()
        if self._block_owner is not None:
            gevent.get_hub().loop.run_callback(self._interrupt_block)

    def _report(self, failure: BaseException) -> None:
        if isinstance(failure, GsyncError):
            log.debug("task.failed_too reason=%r", failure)
        else:
            gevent.get_hub().handle_error(self, type(failure), failure, failure.__traceback__)

    def _interrupt_block(self) -> None:
        if self._block_owner is not None:  # the owner may have left the block since this was queued
            self._block_owner.throw(_Interrupt(self))

    def _ask(self, greenlet: Any) -> None:
        if greenlet not in self._asked:
            self._asked.add(greenlet)
            ask_to_end(greenlet)

    def _forget(self, greenlet: Any) -> None:
        del self._tasks[greenlet]
        self._asked.discard(greenlet)
        if not self._tasks:
            self._empty.set()
            self._settled.set()


class Task:
    """One greenlet of a group, for those who end it, or wait for it, before the group ends."""

    __slots__ = ("_greenlet", "_group")

    def __init__(self, group: TaskGroup, greenlet: Any) -> None:
        self._group = group
        self._greenlet = greenlet

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return bool(self._greenlet.ready())

    def cancel(self) -> None:
        """Ask it to end; does not wait."""
        self._group._ask(self._greenlet)

    def join(self) -> None:
        """Wait until it has ended; its failure is raised in the group's owner, not here."""
        self._greenlet.join()


def ask_to_end(greenlet: Any) -> None:
    """Raise `GreenletExit` in `greenlet` where it waits; unlike gevent's `kill`, one that was just spawned starts first."""
    # Callbacks run first in, first out, so the start of a greenlet that was spawned before this comes before it.
    gevent.get_hub().loop.run_callback(_throw_exit, greenlet)


def end_all(greenlets: Sequence[Any], *, grace_s: float) -> None:
    """Wait until all have ended, asking them to after `grace_s`, or at once when something is thrown at us."""
    try:
        gevent.joinall(greenlets, timeout=grace_s)
    finally:
        for greenlet in greenlets:
            ask_to_end(greenlet)
        gevent.joinall(greenlets)


class _Interrupt(BaseException):
    """Thrown at an owner inside its block, as a Timeout is; never seen outside the block."""

    def __init__(self, group: TaskGroup) -> None:
        super().__init__("a task of this group failed")
        self.group = group


def _throw_exit(greenlet: Any) -> None:
    if not greenlet.ready():
        greenlet.throw(gevent.GreenletExit)


def _raise(told: BaseException) -> NoReturn:
    context = told.__context__  # `raise` would put what is handled here in its place: our interrupt, say
    try:
        raise told
    finally:
        told.__context__ = context
