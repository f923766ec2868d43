"""When a path that something happened to is looked at: soon, but not while it is still being changed.

    what happened                       looked at after
    ----------------------------------  ---------------------------------------------------------------
    a known path closed after writing   KNOWN_S
    a known path renamed into           KNOWN_S
    anything else                       OTHER_S: editors make, move and delete several names in one save
    it moves while it is looked at      AGAIN_S, doubled each time it does so again
    hints were lost                     OTHER_S, and then everything is looked at

Each further hint about a path pushes its time, but never past CAP_S from the first one: a file that is written for ever is
looked at now and then. A path that was announced within the last RECENT_S takes twice the time it took before, up to CAP_S,
unless it is gone: an appending log is not a version a line. Both names of a rename are looked at together, to be seen as one.

Pure: the time is an argument. The watcher makes the hints, the indexer keeps one `Settling` and looks at what it says.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from gsync.core.names import RelPath
from gsync.core.recent import Recent

KNOWN_S: Final = 0.010
OTHER_S: Final = 0.050
AGAIN_S: Final = 0.001
RECENT_S: Final = 1.0
CAP_S: Final = 2.0

MANY_GONE: Final = 100
"""When more names than these vanish together, they wait until no more do (CAP_S at most): a large deletion must be seen whole."""

PENDING_MAX: Final = 20_000
"""Paths that wait to be looked at; from more than these, looking at everything is cheaper."""

PACES_MAX: Final = 10_000
"""Paths of which it is remembered when they were announced; one that is forgotten is as quick as a quiet one."""


class What(Enum):
    """What happened to a path, as far as a watcher can tell."""

    CLOSED = auto()
    """Somebody who had written to it closed it."""

    MOVED_IN = auto()
    """Something was renamed to it."""

    APPEARED = auto()
    """It was made; more may follow."""

    WRITTEN = auto()
    """It was written to, or its times or permission bits were set; more may follow."""

    VANISHED = auto()
    """Nothing stands there any more."""

    DIRECTORY = auto()
    """A directory was made there or moved there: it is not watched yet, so all that is in it must be looked at."""


class Hint(Struct, frozen=True, kw_only=True):
    """Something may have changed at `path`, None: anywhere, for hints were lost. `came_from`: the name it had before."""

    path: RelPath | None
    what: What = What.WRITTEN
    came_from: RelPath | None = None


class Due(Struct, frozen=True, kw_only=True):
    """What is to be looked at now."""

    paths: frozenset[RelPath] = frozenset()
    everything: bool = False

    def __bool__(self) -> bool:
        return self.everything or bool(self.paths)


class _Wait(Struct):
    first_s: float
    due_s: float
    floor_s: float
    settle_s: float
    vanished: bool = False
    with_path: RelPath | None = None


class _Pace(Struct, frozen=True):
    settle_s: float
    announced_s: float


class Settling:
    """The paths that wait to be looked at."""

    def __init__(self) -> None:
        self._waits: dict[RelPath, _Wait] = {}
        self._paces: Recent[RelPath, _Pace] = Recent(PACES_MAX)
        self._tries: dict[RelPath, int] = {}
        self._everything_s: float | None = None
        self._gone_s = float("-inf")  # when something vanished last
        self._next_s: float | None = None  # nothing is due before; some of it may be due later

    @property
    def vanished(self) -> frozenset[RelPath]:
        """Those of `pending` at which nothing stood any more: the old names of what was renamed are among them."""
        return frozenset(path for path, wait in self._waits.items() if wait.vanished)

    @property
    def pending(self) -> frozenset[RelPath]:
        """The paths that something happens to just now: whoever sees them meanwhile should not judge them."""
        return frozenset(self._waits)

    def hint(self, hint: Hint, *, is_known: bool, now: float) -> None:
        """Something happened at a path; `is_known` tells whether it is in the local tree."""
        if hint.path is None:
            self._look_at_everything(now)
            return
        is_final = is_known and hint.what in (What.CLOSED, What.MOVED_IN)
        self._settle(hint.path, KNOWN_S if is_final else OTHER_S, now, vanished=hint.what is What.VANISHED)
        before = self._waits.get(hint.came_from) if hint.came_from is not None else None
        if before is not None:
            before.with_path = hint.path

    def next_s(self) -> float | None:
        """When `take` may have something next; None while nothing waits."""
        return self._next_s

    def take(self, now: float) -> Due:
        """What is due; it waits no longer."""
        if self._next_s is None or now < self._next_s:
            return Due()
        everything = self._everything_s is not None and self._everything_s <= now
        if everything:
            self._everything_s = None
        due = {path for path, wait in self._waits.items() if wait.due_s <= now}
        quiet_s = self._gone_s + OTHER_S
        if now < quiet_s and sum(wait.vanished for wait in self._waits.values()) > MANY_GONE:
            self._delay_gone(until_s=quiet_s)
            due = {path for path in due if self._waits[path].due_s <= now}
        due -= {path for path in due if (other := self._waits[path].with_path) in self._waits and other not in due}
        for path in due:
            self._paces[path] = _Pace(self._waits.pop(path).settle_s, self._announced_s(path))
        times = [wait.due_s for wait in self._waits.values() if wait.due_s > now]
        self._next_s = min(times if self._everything_s is None else [*times, self._everything_s], default=None)
        return Due(paths=frozenset(due), everything=everything)

    def looked(self, paths: Iterable[RelPath], *, moving: Iterable[RelPath], now: float) -> None:
        """`paths` were looked at; those of `moving` could not be judged and are due again."""
        again = frozenset(moving)
        for path in paths:
            if path not in again:
                self._tries.pop(path, None)
        for path in again:
            tries = self._tries.get(path, 0)
            self._tries[path] = tries + 1
            if path not in self._waits and (wait := self._wait(path, now)) is not None:
                wait.due_s = now + min(AGAIN_S * 2 ** min(tries, 30), CAP_S)
                self._wake_at(wait.due_s)

    def announced(self, paths: Iterable[RelPath], *, now: float) -> None:
        """Others hear of `paths` now."""
        for path in paths:
            pace = self._paces.get(path)
            self._paces[path] = _Pace(KNOWN_S if pace is None else pace.settle_s, now)

    def _wait(self, path: RelPath, now: float) -> _Wait | None:
        """That of `path`, made where there is none; None when everything is looked at instead."""
        wait = self._waits.get(path)
        if wait is not None:
            return wait
        if len(self._waits) >= PENDING_MAX:
            self._waits.clear()
            self._look_at_everything(now)
            return None
        pace = self._paces.get(path) or _Pace(KNOWN_S, float("-inf"))
        floor_s = min(2 * pace.settle_s, CAP_S) if now - pace.announced_s <= RECENT_S else 0.0
        wait = self._waits[path] = _Wait(first_s=now, due_s=now, floor_s=floor_s, settle_s=pace.settle_s)
        return wait

    def _settle(self, path: RelPath, settle_s: float, now: float, *, vanished: bool) -> None:
        wait = self._wait(path, now)
        if wait is not None:
            wait.vanished = vanished
            self._gone_s = now if vanished else self._gone_s
            wait.settle_s = settle_s if vanished else max(settle_s, wait.floor_s)
            wait.due_s = min(now + wait.settle_s, wait.first_s + CAP_S)
            self._wake_at(wait.due_s)

    def _delay_gone(self, *, until_s: float) -> None:
        for wait in self._waits.values():
            if wait.vanished and wait.due_s < until_s:
                wait.due_s = min(until_s, wait.first_s + CAP_S)

    def _look_at_everything(self, now: float) -> None:
        if self._everything_s is None:
            self._everything_s = now + OTHER_S
            self._wake_at(self._everything_s)

    def _wake_at(self, when_s: float) -> None:
        if self._next_s is None or when_s < self._next_s:
            self._next_s = when_s

    def _announced_s(self, path: RelPath) -> float:
        pace = self._paces.get(path)
        return float("-inf") if pace is None else pace.announced_s
