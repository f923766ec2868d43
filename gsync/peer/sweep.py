"""`Sweep`: what a whole new directory makes worth a plan, found out bit by bit while others have their turn.

The new tree stands from the first moment; the old one is kept until all has been compared, and then let go. What was moved
comes first and all at once, with where it stood before, so that a rename is seen whole; the rest in path order. The new tree may
change meanwhile: whoever changes it has the paths planned. Made by `trees.py`, taken from by `due.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gsync.core.model import Offer
from gsync.core.names import RelPath
from gsync.storage.spilled import Spilled

COMPARED_AT_A_TIME: Final = 500
"""Offers compared in one go: some 5 ms, even where all of them are rows."""


class Sweep:
    """From `old` to `new`. `forget` hears of each offer that is not made any more; an offer that `is_settled`, after the
    one before, needs no plan."""

    def __init__(
        self,
        old: Spilled[Offer],
        new: Spilled[Offer],
        *,
        forget: Callable[[Offer], None],
        is_settled: Callable[[RelPath, Offer, Offer | None], bool],
    ) -> None:
        self._old = old
        self._new = new
        self._forget = forget
        self._is_settled = is_settled
        self._moved: frozenset[RelPath] | None = None
        self._compared = 0
        self._steps = self._compare()
        self.is_over = False

    @property
    def has_begun(self) -> bool:
        """Whether anything has been compared."""
        return self._moved is not None

    @property
    def left(self) -> int:
        """How much there is still to compare, about."""
        return 0 if self.is_over else max(len(self._new) + len(self._old) - self._compared, 1)

    def extended(self, further: Sweep) -> Sweep:
        """Instead of this one, which has not begun, and of the one that follows it: the tree between them is let go."""
        return Sweep(self._old, further._new, forget=self._forget, is_settled=self._is_settled)

    def moved(self) -> frozenset[RelPath]:
        """What is offered under another name than before, and those names; to be planned together, before the rest, but for what
        is settled."""
        if self._moved is None:
            found: set[RelPath] = set()
            for path in self._new.labelled():
                offer, before = self._new.get(path), self._old.get(path)
                if offer is None or offer.record is None or offer == before or self._is_settled(path, offer, before):
                    continue
                found.add(path)
                if offer.record.moved_from is not None:
                    found.add(offer.record.moved_from)
            self._moved = frozenset(found)
        return self._moved

    def take(self) -> list[RelPath]:
        """Some more that is worth a plan; maybe none, without being over."""
        found: list[RelPath] = []
        for _ in range(COMPARED_AT_A_TIME):
            try:
                path = next(self._steps)
            except StopIteration:
                self.is_over = True
                break
            self._compared += 1
            if path is not None:
                found.append(path)
        return found

    def _compare(self) -> Iterator[RelPath | None]:
        """A path, or None, for each offer that was compared."""
        moved = self.moved()
        for path, offer in self._new.walk():
            before = self._old.get(path)
            if before is not None and before != offer:
                self._forget(before)
            is_due = before != offer and path not in moved and not self._is_settled(path, offer, before)
            yield path if is_due else None
        for path, before in self._old.walk():
            if path in self._new:
                yield None
            else:
                self._forget(before)
                yield path
