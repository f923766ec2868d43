"""The only threads of the program: three pools of one thread each, for what would hold the loop up.

    DISK      the index, staging of small files, publishing: one thread, so that batches and transactions never overlap
    TRANSFER  hashing and writing of large downloads
    SCAN      listing the folder, reading what a scan must read

Values go in, values come out; nothing in a pool logs, calls back, or touches gevent.
A greenlet that is killed or times out while it waits stops waiting; its call still runs to the end in the thread:
never put a timeout around a call whose buffer is used again.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import ParamSpec, Protocol, TypeVar

from gevent.threadpool import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")


class Pool(Enum):
    """Which thread."""

    DISK = auto()
    TRANSFER = auto()
    SCAN = auto()


class Workers(Protocol):
    """Somewhere to run a blocking call."""

    def run(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `function(*args, **kwargs)`, waited for; what it raises is raised here."""
        ...

    def close(self) -> None:
        """Let running calls end, then end the threads. Later calls to `run` are a defect."""
        ...


class ThreadWorkers:
    """`Workers` on real threads; one object per process. A thread starts with its pool's first call."""

    def __init__(self) -> None:
        self._pools = {pool: ThreadPool(1) for pool in Pool}

    def run(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        result: T | _Failed = self._pools[pool].apply(_caught, (function, args, kwargs))
        if isinstance(result, _Failed):
            raise result.error
        return result

    def close(self) -> None:
        for pool in self._pools.values():
            pool.kill()


class InlineWorkers:
    """`Workers` without threads: the call runs at once, in the caller. For tests and the simulation."""

    def run(self, pool: Pool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    def close(self) -> None:
        return


class _Failed:
    """An exception on its way back: gevent would print the traceback of one that leaves a pool by itself."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _caught(function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T | _Failed:
    try:
        return function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001  nothing is swallowed: `run` raises it where somebody can decide
        return _Failed(error)
