"""When something is due for a path: at most one timer a path, and little room for each of very many.

A timer that is set again replaces the one before, and a cancelled one never fires. Paths lie in slots of time, and one heap has
the slots; entries of a slot that are no longer true of their path are passed over. What fires, fires in the order of its exact
times, and never before. Pure: time is an argument. Owned by `freshness` and `polls`.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from operator import itemgetter
from typing import Final

from gsync.core.names import RelPath

FIRED_MAX: Final = 2000
"""Timers that fire at a time, some 20 ms of work; the next ones do so at once, but after others had their turn."""

SLOT_S: Final = 1 / 64
"""What falls due within this time lies together: a list has 8 bytes for each, where a heap of its own has 150."""

_STALE_MIN: Final = 64


class Timers:
    """Timers keyed by path; the slots hold at most twice what is live, and a few."""

    __slots__ = ("_first", "_heap", "_kept", "_live", "_ripe", "_slots", "_spent")

    def __init__(self) -> None:
        self._live: dict[RelPath, float | None] = {}
        self._spent = 0
        """Paths that stay in `_live` after they fired, without a time: in and out again and again, they doubled its size."""
        self._slots: dict[int, list[RelPath]] = {}
        self._heap: list[int] = []
        self._ripe: deque[tuple[float, RelPath]] = deque()  # taken out of their slots, and due
        self._kept = 0
        self._first: float | None = None  # when the next one is due, where that is known

    def __len__(self) -> int:
        return len(self._live) - self._spent

    def __contains__(self, path: RelPath) -> bool:
        return self._live.get(path) is not None

    @property
    def kept(self) -> int:
        """Entries of all slots, those that will be passed over included."""
        return self._kept + len(self._ripe)

    def set(self, path: RelPath, at: float) -> None:
        """Let `path` be due at `at`, and at no other time that was set before."""
        before = self._live.get(path)
        self._spent -= before is None and path in self._live
        if before == self._first:
            self._first = None
        self._live[path] = at
        self._put(path, at)
        if self._first is not None and at < self._first:
            self._first = at
        self._tidy()

    def cancel(self, path: RelPath) -> None:
        """Let `path` not be due, if it was; nothing is kept of it."""
        if path not in self._live:
            return
        at = self._live.pop(path)
        self._spent -= at is None
        if at == self._first:
            self._first = None
        self._tidy()

    def at(self, path: RelPath) -> float:
        """When `path` is due; infinity if it is not."""
        at = self._live.get(path)
        return math.inf if at is None else at

    def clear(self) -> None:
        """Cancel all."""
        self._live.clear()
        self._spent = 0
        self._empty()

    def next_at(self) -> float | None:
        """When the next one is due."""
        if self._first is None and (self._ripe or self._heap):
            ripe, later = self._first_ripe(), self._first_in_slots()
            self._first = later if ripe is None or (later is not None and later < ripe) else ripe
        return self._first

    def fired(self, now: float, *, most: int = FIRED_MAX) -> list[RelPath]:
        """The paths that are due by `now`, in the order of their times, at most so many; their timers are gone."""
        while len(self._ripe) < most and self._heap and self._heap[0] * SLOT_S <= now and self._ripen(now):
            pass
        due: list[RelPath] = []
        if not self._ripe:
            return due
        while self._ripe and len(due) < most:
            at, path = self._ripe.popleft()
            if self._live.get(path) == at:
                self._live[path] = None
                self._spent += 1
                due.append(path)
        if due:
            self._first = None
        return due

    def _put(self, path: RelPath, at: float) -> None:
        slot = int(at // SLOT_S)
        paths = self._slots.get(slot)
        if paths is None:
            self._slots[slot] = [path]
            heapq.heappush(self._heap, slot)
        else:
            paths.append(path)
        self._kept += 1

    def _ripen(self, now: float) -> bool:
        """Take out of the first slot whatever is due; whether that was all of it, and the next one may be looked at."""
        slot = self._heap[0]
        there = self._true(slot)
        rest = [path for path, at in there if at > now]
        self._ripe.extend(sorted(((at, path) for path, at in there if at <= now), key=itemgetter(0)))
        self._kept += len(rest) - len(self._slots[slot])
        if rest:
            self._slots[slot] = rest
        else:
            del self._slots[heapq.heappop(self._heap)]
        return not rest

    def _true(self, slot: int) -> list[tuple[RelPath, float]]:
        """What lies in this slot and is due in it, each once, with its time."""
        begin, end, live, paths = slot * SLOT_S, (slot + 1) * SLOT_S, self._live, self._slots[slot]
        true = []
        for path in paths if len(paths) == 1 else dict.fromkeys(paths):
            at = live.get(path)
            if at is not None and begin <= at < end:
                true.append((path, at))
        return true

    def _first_ripe(self) -> float | None:
        while self._ripe and self._live.get(self._ripe[0][1]) != self._ripe[0][0]:
            self._ripe.popleft()
        return self._ripe[0][0] if self._ripe else None

    def _first_in_slots(self) -> float | None:
        while self._heap:
            there = self._true(self._heap[0])
            if there:
                return min(at for _, at in there)
            slot = heapq.heappop(self._heap)
            self._kept -= len(self._slots.pop(slot))
        return None

    def _tidy(self) -> None:
        if self.kept > 2 * len(self) + _STALE_MIN:
            self._empty()
            for path, at in self._live.items():
                if at is not None:
                    self._put(path, at)

    def _empty(self) -> None:
        self._slots.clear()
        self._heap.clear()
        self._ripe.clear()
        self._kept = 0
        self._first = None
