"""A world with virtual time: gevent's own Hub on a loop that jumps to the next timer instead of waiting for it.

Unchanged gevent code runs in it: sleep, Timeout, Queue, Event, Semaphore, Pool, Greenlet, AsyncResult. A day takes as
long as its events take, and the same program gives the same run: callbacks in order of arrival, then timers in order of
time and of arrival. There are no sockets, threads or signals in it; asking for one raises. The tests' world, shipped
beside the real one; the program itself never calls it.
"""

from __future__ import annotations

import heapq
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, NoReturn, Self
from weakref import WeakSet

import gevent
from gevent._hub_local import get_hub_if_exists, set_hub
from gevent.exceptions import LoopExit
from gevent.hub import Hub

from gsync.net.breathing import breathe
from gsync.net.clock import HubClock

HORIZON_S: Final = 86_400.0
"""A world older than this is taken for one that waits for something that will never come, beside a timer that repeats."""


class World:
    """What a test may ask of the simulated world it is in."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.clock: Final = HubClock()

    @property
    def now_s(self) -> float:
        """Virtual seconds since the world began."""
        return self._loop.now()


@contextmanager
def simulated(*, horizon_s: float = HORIZON_S) -> Iterator[World]:
    """A block in which all gevent code runs in virtual time, beginning at 0; the thread's own hub is back after it.

    When everybody waits and no timer is left, `LoopExit` is raised in the greenlet that opened the block; so it is when
    `horizon_s` is passed. Greenlets that are still there at the end of the block are killed.
    """
    before = get_hub_if_exists()
    loop = VirtualLoop(horizon_s=horizon_s)
    hub = Hub(loop)
    spawned: WeakSet[Any] = WeakSet()
    remember = spawned.add
    set_hub(hub)
    gevent.Greenlet.add_spawn_callback(remember)
    try:
        yield World(loop)
    finally:
        gevent.Greenlet.remove_spawn_callback(remember)
        try:
            _end_survivors(hub, spawned)
        finally:
            hub.destroy(destroy_loop=True)
            set_hub(before)


def _end_survivors(hub: Any, spawned: WeakSet[Any]) -> None:
    # A suspended greenlet is kept alive by its own frame, where the garbage collector does not look.
    survivors = [greenlet for greenlet in spawned if not greenlet.dead]
    for greenlet in survivors:
        greenlet.kill(block=False)
    if survivors and not hub.dead:
        breathe()


class Callback:
    """A call that was put in the queue, in the shape that gevent expects of its loop's."""

    __slots__ = ("args", "callback")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args: tuple[Any, ...] | None = args

    @property
    def pending(self) -> bool:
        return self.callback is not None

    def __bool__(self) -> bool:
        return self.args is not None  # also while it runs

    def stop(self) -> None:
        self.callback = None
        self.args = None

    close = stop


class Timer:
    """A call at a later time, in the shape that gevent expects of its loop's."""

    def __init__(self, loop: VirtualLoop, after_s: float, repeat_s: float, *, ref: bool) -> None:
        self._loop = loop
        self._after_s = after_s
        self._repeat_s = repeat_s
        self.turn = 0  # which start is the valid one; entries of earlier ones in the heap are dead
        self.ref = ref
        self.callback: Callable[..., object] | None = None
        self.args: tuple[Any, ...] | None = None

    @property
    def active(self) -> bool:
        return self.callback is not None

    pending = active

    def start(self, callback: Callable[..., object], *args: Any, update: bool | None = None) -> None:
        self.stop()
        self.callback, self.args = callback, args
        self._loop.schedule(self, self._after_s)

    def again(self, callback: Callable[..., object], *args: Any, update: bool | None = None) -> None:
        self.stop()
        self.callback, self.args = callback, args
        self._loop.schedule(self, self._repeat_s)

    def stop(self) -> None:
        if self.callback is not None:
            self.callback = self.args = None
            self._loop.unschedule(self)

    close = stop

    def expire(self) -> None:
        """Its time has come: it is over, or goes on to its next."""
        self._loop.unschedule(self)
        if self._repeat_s:
            self._loop.schedule(self, self._repeat_s)
        else:
            self.callback = self.args = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class VirtualLoop:
    """The loop under the simulated Hub: only what gevent's greenlet primitives ask of one."""

    MAXPRI = MINPRI = 0
    default = False

    def __init__(self, *, horizon_s: float) -> None:
        self.error_handler: Any = None  # the hub, while it runs us
        self._now_s = 0.0
        self._lifetime_s = horizon_s
        self._horizon_s = horizon_s
        self._callbacks: deque[Callback] = deque()
        self._timers: list[tuple[float, int, int, Timer]] = []  # a heap: when, order of arrival, turn
        self._arrivals = count()
        self._awaited = 0  # timers that keep the world going

    def now(self) -> float:
        return self._now_s

    def update_now(self) -> None:
        """Nothing: time only moves when everybody waits."""

    def run_callback(self, callback: Callable[..., object], *args: Any) -> Callback:
        queued = Callback(callback, args)
        self._callbacks.append(queued)
        return queued

    def timer(self, after: float, repeat: float = 0.0, ref: bool = True, priority: int | None = None) -> Timer:
        return Timer(self, after, repeat, ref=ref)

    def schedule(self, timer: Timer, after_s: float) -> None:
        """For `Timer` alone."""
        self._awaited += timer.ref
        heapq.heappush(self._timers, (self._now_s + max(after_s, 0.0), next(self._arrivals), timer.turn, timer))

    def unschedule(self, timer: Timer) -> None:
        """For `Timer` alone."""
        self._awaited -= timer.ref
        timer.turn += 1  # its entry stays in the heap until its time, and is then passed over

    def run(self) -> None:
        """Run callbacks and timers until nothing is left that could ever happen."""
        while True:
            while self._callbacks:
                self._run_callback(self._callbacks.popleft())
            if not self._awaited:
                return
            if self._timers[0][0] > self._horizon_s:
                self._horizon_s += self._lifetime_s  # whoever is told has time to clean up
                told = LoopExit(f"nothing came of it in {self._lifetime_s:g} s of virtual time")
                self.error_handler.handle_system_error(LoopExit, told)
                continue
            when_s, _, turn, timer = heapq.heappop(self._timers)
            if turn != timer.turn:
                continue
            self._now_s = max(self._now_s, when_s)
            self._run_timer(timer)

    def handle_error(self, context: object, kind: Any, value: Any, traceback: Any) -> None:
        self.error_handler.handle_error(context, kind, value, traceback)

    def destroy(self) -> None:
        self._callbacks.clear()
        self._timers.clear()
        self._awaited = 0

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise RuntimeError("there are no sockets, threads, signals or processes in a simulated world")

    io = async_ = run_callback_threadsafe = signal = child = fork = stat = _refuse

    def _run_callback(self, queued: Callback) -> None:
        callback, args = queued.callback, queued.args
        queued.callback = None
        if callback is not None and args is not None:
            self._call(queued, callback, args)
        queued.args = None

    def _run_timer(self, timer: Timer) -> None:
        callback, args = timer.callback, timer.args
        timer.expire()
        if callback is not None and args is not None:
            self._call(timer, callback, args)

    def _call(self, context: object, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            callback(*args)
        except BaseException:  # noqa: BLE001 - the hub's error hook decides what ends the world
            self.handle_error(context, *sys.exc_info())
