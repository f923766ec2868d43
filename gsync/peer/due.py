"""`Due`: the paths that are to be planned, and which of them are planned together.

A large directory is planned in pieces, so that others have their turn between them; but where something was moved all that has
gathered is planned at once, so that a rename is seen whole. Whether something was is asked once a path, when it is added:
whoever changes the trees at a path adds it afterwards. Called by `syncer.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from gsync.core.model import Offer
from gsync.core.names import RelPath

PLANNED_AT_A_TIME: Final = 500
"""Paths planned between two breaths: some 5 ms of work. Moves are planned with all that moved, whatever their number."""


class Offered(Protocol):
    """What others offer at this moment; `peer.trees.Trees` is one."""

    @property
    def remote(self) -> Mapping[RelPath, Offer]: ...


class Due:
    """Each path once, in the order in which they were added."""

    def __init__(self, offered: Offered) -> None:
        self._offered = offered
        self._paths: OrderedDict[RelPath, None] = (
            OrderedDict()
        )  # a dict finds its first key slowly once many are taken out
        self._something_moved = False

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, paths: Iterable[RelPath]) -> None:
        """The trees have changed at these paths."""
        remote = self._offered.remote
        for path in paths:
            self._paths[path] = None
            if not self._something_moved and _was_moved(remote.get(path)):
                self._something_moved = True

    def take(self) -> list[RelPath]:
        """What is to be planned now; it is due no more."""
        count = len(self._paths) if self._something_moved else min(len(self._paths), PLANNED_AT_A_TIME)
        self._something_moved = False
        return [self._paths.popitem(last=False)[0] for _ in range(count)]


def _was_moved(offer: Offer | None) -> bool:
    return offer is not None and offer.record is not None and offer.record.moved_from is not None
