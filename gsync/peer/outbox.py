"""What is to be said to a tracker of ours, and in which order.

Nothing is put in a queue that could grow: what is due is only noted, each path once, and each message is made when its turn
comes, from the trees as they are then. So a slow tracker costs no memory, and hears the newest. Short words come between the
pieces of a long announcement, so that keepalives are never late. One greenlet takes, any may note; called by `tracker_link.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from gevent.event import Event

from gsync.core.model import Record
from gsync.core.names import RelPath
from gsync.peer.agreed import Agreed
from gsync.peer.announcement import changes, everything, withdrawals
from gsync.wire.native import Alive, Locate, Resync, ToTracker


class Holdings(Protocol):
    """What this peer has, as records; `peer.trees.Trees` is one."""

    def records(self) -> Iterator[Record]:
        """All of them. The tree may change while one reads on."""
        ...

    def record(self, path: RelPath) -> Record | None:
        """The one at `path`; None where there is nothing to announce."""
        ...

    def agreed(self) -> Agreed | None:
        """All of them as of now, if it may be that all of it was agreed with others."""
        ...


class Outbox:
    """Begins with everything being due; `alive` makes the keepalive of the moment."""

    def __init__(self, holdings: Holdings, *, alive: Callable[[], Alive]) -> None:
        self._holdings = holdings
        self._alive = alive
        self._changed = Event()
        self._snapshot_is_due = False
        self._alive_is_due = False
        self._questions: dict[int, Locate] = {}
        self._everything_is_due = True
        self._is_held = False
        self._told: dict[RelPath, None] = {}
        self._announcing: Iterator[ToTracker] = iter(())
        self._is_announcing = False

    @property
    def waiting(self) -> int:
        """How many paths are still to be announced; everything, and what is being said now, count as one more each."""
        return len(self._told) + self._everything_is_due + self._is_announcing

    def tell(self, paths: Iterable[RelPath]) -> None:
        """What stands at these paths has changed. What is told in one call stands together, in this order."""
        for path in paths:
            self._told.pop(path, None)
            self._told[path] = None
        self._changed.set()

    def tell_everything(self) -> None:
        """Announce all, once the announcement that has begun is through."""
        self._everything_is_due = True
        self._changed.set()

    def hold(self) -> None:
        """Announce nothing until `go_on`."""
        self._is_held = True

    def go_on(self, *, everything: bool) -> None:
        """Announce everything, or only what has changed since `hold`."""
        self._is_held, self._everything_is_due = False, everything
        self._changed.set()

    def show_life(self) -> None:
        """A keepalive is due; one that still waits is enough."""
        self._alive_is_due = True
        self._changed.set()

    def ask_for_snapshot(self) -> None:
        self._snapshot_is_due = True
        self._changed.set()

    def ask(self, question: Locate) -> None:
        """The caller bounds how many wait."""
        self._questions[question.id] = question
        self._changed.set()

    def unask(self, number: int) -> None:
        """Nobody waits for the answer any more."""
        self._questions.pop(number, None)

    def next(self) -> ToTracker:
        """The next message, as soon as there is one."""
        while (message := self._next()) is None:
            self._changed.clear()
            self._changed.wait()
        return message

    def _next(self) -> ToTracker | None:
        if self._snapshot_is_due:
            self._snapshot_is_due = False
            return Resync()
        if self._alive_is_due:
            self._alive_is_due = False
            return self._alive()
        for number in self._questions:
            return self._questions.pop(number)
        if self._is_held:
            return None
        while (piece := next(self._announcing, None)) is None:
            self._is_announcing = False
            if self._everything_is_due:
                self._everything_is_due = False
                self._told.clear()  # all that was told before is part of it
                self._announcing = everything(self._holdings.records())
            elif self._told:
                told, self._told = self._told, {}
                self._announcing = self._changes(told)
            else:
                return None
        self._is_announcing = True
        return piece

    def _changes(self, paths: Iterable[RelPath]) -> Iterator[ToTracker]:
        gone: list[RelPath] = []
        yield from changes(self._records(paths, gone))
        yield from withdrawals(gone)

    def _records(self, paths: Iterable[RelPath], gone: list[RelPath]) -> Iterator[Record]:
        for path in paths:
            record = self._holdings.record(path)
            if record is None:
                gone.append(path)
            else:
                yield record
