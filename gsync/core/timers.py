"""When something is due for a path: one heap for all of them, and at most one timer a path.

A timer that is set again replaces the one before, and a cancelled one never fires: entries of the heap that are no longer the one
of their path are passed over. Pure: time is an argument. Owned by `freshness` and `polls`.
"""

from __future__ import annotations

import heapq
import math
from typing import Final

from gsync.core.names import RelPath

FIRED_MAX: Final = 2000
"""Timers that fire at a time, some 20 ms of work; the next ones do so at once, but after others had their turn."""

_STALE_MIN: Final = 64

_Entry = tuple[float, int, RelPath]


class Timers:
    """Timers keyed by path and generation; the heap holds at most twice what is live, and a few."""

    __slots__ = ("_generation", "_heap", "_live")

    def __init__(self) -> None:
        self._generation = 0
        self._live: dict[RelPath, _Entry] = {}
        self._heap: list[_Entry] = []

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, path: object) -> bool:
        return path in self._live

    @property
    def kept(self) -> int:
        """Entries of the heap, those that will be passed over included."""
        return len(self._heap)

    def set(self, path: RelPath, at: float) -> None:
        """Let `path` be due at `at`, and at no other time that was set before."""
        self._generation += 1
        entry = self._live[path] = (at, self._generation, path)
        heapq.heappush(self._heap, entry)
        self._tidy()

    def cancel(self, path: RelPath) -> None:
        """Let `path` not be due, if it was."""
        if self._live.pop(path, None) is not None:
            self._tidy()

    def at(self, path: RelPath) -> float:
        """When `path` is due; infinity if it is not."""
        entry = self._live.get(path)
        return math.inf if entry is None else entry[0]

    def clear(self) -> None:
        """Cancel all."""
        self._live.clear()
        self._heap.clear()

    def next_at(self) -> float | None:
        """When the next one is due."""
        self._pass_over()
        return self._heap[0][0] if self._heap else None

    def fired(self, now: float, *, most: int = FIRED_MAX) -> list[RelPath]:
        """The paths that are due by `now`, in the order of their times, at most so many; their timers are gone."""
        due: list[RelPath] = []
        heap, live = self._heap, self._live
        while heap and heap[0][0] <= now and len(due) < most:
            entry = heapq.heappop(heap)
            path = entry[2]
            if live.get(path) is entry:
                del live[path]
                due.append(path)
        return due

    def _pass_over(self) -> None:
        while self._heap and self._live.get(self._heap[0][2]) is not self._heap[0]:
            heapq.heappop(self._heap)

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._live) + _STALE_MIN:
            self._heap = list(self._live.values())
            heapq.heapify(self._heap)
