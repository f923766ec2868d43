"""Warns of names that some machine of the swarm could not tell apart; each pair once. Told by the peer what moves in the tree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gsync.core.collisions import Namesakes
from gsync.core.names import RelPath
from gsync.core.recent import Recent
from gsync.peer.events import Events, Trouble
from gsync.peer.trees import Trees

REMEMBERED: Final = 1000
"""Names that were warned of, so that each is warned of once."""


class NameWarner:
    """Looks at the names of `trees.local` as they come."""

    def __init__(self, trees: Trees, events: Events) -> None:
        self._trees = trees
        self._events = events
        self._names = Namesakes()
        self._told: Recent[RelPath, bool] = Recent(REMEMBERED)

    def look(self, paths: Iterable[RelPath]) -> None:
        """What stands at `paths` may have come or gone."""
        local = self._trees.local
        for path in paths:
            if path not in local:
                self._names.discard(path)
                continue
            others = self._names.add(path)
            if others and not self._told.get(path):
                self._told[path] = True
                self._events.tell(
                    Trouble(
                        what=f"{path!r} and {others[0]!r} differ only in case or composition of letters",
                        advice="a machine that cannot tell them apart can hold only one of them: rename one",
                    )
                )
