"""The only threads of the program: three pools of one thread each, for what would hold the loop up.

    DISK      the index, staging of small files, publishing: one thread, so that batches and transactions never overlap
    TRANSFER  hashing and writing of large downloads
    SCAN      listing the folder, reading what a scan must read

Values go in, values come out; nothing in a pool logs, calls back, or touches gevent. Calls to one pool run in the order in
which they were asked for. A greenlet that is killed or times out while it waits stops waiting; its call still runs to the
end in the thread: never put a timeout around a call whose buffer is used again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, Generic, ParamSpec, Protocol, TypeVar

from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

SWITCH_S: Final = 0.001
"""After so long a thread that wants the interpreter's lock asks for it. The loop lets it go at each call of the system, and a
thread that publishes takes it then: with Python's own 5 ms the loop is late by as much for each of them."""

P = ParamSpec("P")
T = TypeVar("T")


class Pool(Enum):
    """Which thread."""

    DISK = auto()
    TRANSFER = auto()
    SCAN = auto()


T_co = TypeVar("T_co", covariant=True)


class Job(Protocol[T_co]):
    """A call that is under way in a pool; whoever started it must see it to its end before its arguments are reused."""

    def get(self) -> T_co:
        """Wait for its result; what it raised is raised here."""
        ...

    def wait(self) -> None:
        """Wait for its end, whatever became of it."""
        ...


class Workers(Protocol):
    """Somewhere to run a blocking call."""

    def spawn(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        """Start `function(*args, **kwargs)`; waits its turn behind what its pool has to do already, but not for its end."""
        ...

    def run(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `function(*args, **kwargs)`, waited for; what it raises is raised here."""
        ...

    def close(self) -> None:
        """Let running calls end, then end the threads. Later calls to `run` are a defect."""
        ...


class ThreadWorkers:
    """`Workers` on real threads; one object per process. A thread starts with its pool's first call."""

    def __init__(self) -> None:
        sys.setswitchinterval(SWITCH_S)
        self._pools = {pool: ThreadPool(1) for pool in Pool}

    def run(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self.spawn(pool, function, *args, **kwargs).get()

    def spawn(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        return _PooledJob(self._pools[pool].spawn(_caught, function, args, kwargs))

    def close(self) -> None:
        for pool in self._pools.values():
            pool.kill()


class InlineWorkers:
    """`Workers` without threads: the call runs at once, in the caller. For tests and the simulation."""

    def run(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    def spawn(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        return _DoneJob(_caught(function, args, kwargs))

    def close(self) -> None:
        return


class _PooledJob(Generic[T]):
    def __init__(self, result: AsyncResult[T | _Failed]) -> None:
        self._result = result

    def get(self) -> T:
        result: T | _Failed = self._result.get()
        return _unwrapped(result)

    def wait(self) -> None:
        self._result.wait()


class _DoneJob(Generic[T]):
    def __init__(self, result: T | _Failed) -> None:
        self._result = result

    def get(self) -> T:
        return _unwrapped(self._result)

    def wait(self) -> None:
        return


class _Failed:
    """An exception on its way back: gevent would print the traceback of one that leaves a pool by itself."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _unwrapped(result: T | _Failed) -> T:
    if isinstance(result, _Failed):
        raise result.error
    return result


def _caught(function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T | _Failed:
    try:
        return function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001  nothing is swallowed: `run` raises it where somebody can decide
        return _Failed(error)
