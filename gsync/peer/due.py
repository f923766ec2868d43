"""`Due`: the paths that are to be planned, and which of them are planned together.

A large directory is planned in pieces, so that others have their turn between them; but where something was moved all that has
gathered is planned at once, so that a rename is seen whole. Whether something was is asked once a path, when it is added:
whoever changes the trees at a path adds it afterwards. What a whole new directory brings is not gathered but swept up, piece by
piece, behind all else, and not while there is plenty to do: what is wanted of a million paths would fill the memory. Called by
`syncer.py`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from gsync.core.model import Offer
from gsync.core.names import RelPath
from gsync.peer.sweep import Sweep

PLANNED_AT_A_TIME: Final = 500
"""Paths planned at a time: some 5 ms of work. Moves are planned with all that moved, whatever their number; that plan breathes."""

SWEEPS_MAX: Final = 2
"""Directories that are compared with the one before, or wait for it; of more, those in between are passed over."""


class Offered(Protocol):
    """What others offer at this moment; `peer.trees.Trees` is one."""

    @property
    def remote(self) -> Mapping[RelPath, Offer]: ...


class Due:
    """Each path once, in the order in which they were added; then what is swept up, but nothing while there `is_plenty`."""

    def __init__(
        self,
        offered: Offered,
        *,
        is_plenty: Callable[[], bool] = lambda: False,
        is_wanted: Callable[[RelPath], bool] = lambda path: False,
    ) -> None:
        self._offered = offered
        self._is_plenty = is_plenty
        self._is_wanted = is_wanted
        self._borrowers: dict[RelPath, RelPath] = {}
        # An OrderedDict: a dict finds its first key slowly once many are taken out.
        self._paths: OrderedDict[RelPath, None] = OrderedDict()
        self._something_moved = False
        self._sweeps: deque[Sweep] = deque()

    def __len__(self) -> int:
        return len(self._paths) + sum(sweep.left for sweep in self._sweeps)

    @property
    def is_ready(self) -> bool:
        """Whether `take` has something to give, or to sweep."""
        return bool(self._paths) or (bool(self._sweeps) and not self._is_plenty())

    @property
    def held_back(self) -> int:
        """How many offers are not compared yet because there is plenty to do."""
        return len(self) - len(self._paths) if self._sweeps and self._is_plenty() else 0

    def add(self, paths: Iterable[RelPath]) -> None:
        """The trees have changed at these paths."""
        remote = self._offered.remote
        for path in paths:
            self._paths[path] = None
            if not self._something_moved and _was_moved(remote.get(path)):
                self._something_moved = True

    def wants(self, path: RelPath, offer: Offer) -> None:
        """This is wanted at `path`. Where it is offered under another name (an edit of what was renamed here) it is planned,
        as long as it is wanted, whenever that name is."""
        if offer.record is not None and offer.record.path != path:
            self._borrowers[path] = offer.record.path

    def sweep(self, sweep: Sweep) -> bool:
        """The directory was replaced; whether one was passed over that nobody has compared with anything."""
        passed_over = len(self._sweeps) >= SWEEPS_MAX
        self._sweeps.append(self._sweeps.pop().extended(sweep) if passed_over else sweep)
        return passed_over

    def take(self) -> list[RelPath]:
        """What is to be planned now; it is due no more. Maybe nothing yet, where much is swept that needs no plan."""
        may_sweep = self._sweeps and len(self._paths) < PLANNED_AT_A_TIME and not self._is_plenty()
        swept = self._sweep_on() if may_sweep else []
        count = len(self._paths) if self._something_moved else min(len(self._paths), PLANNED_AT_A_TIME)
        self._something_moved = False
        return self._with_borrowers([*(self._paths.popitem(last=False)[0] for _ in range(count)), *swept])

    def _with_borrowers(self, paths: list[RelPath]) -> list[RelPath]:
        if not self._borrowers:
            return paths
        self._borrowers = {path: lender for path, lender in self._borrowers.items() if self._is_wanted(path)}
        taken = frozenset(paths)
        return [*paths, *(path for path, lender in self._borrowers.items() if lender in taken and path not in taken)]

    def _sweep_on(self) -> list[RelPath]:
        sweep = self._sweeps[0]
        if not sweep.has_begun:
            self.add(sweep.moved())
        swept = sweep.take()
        if sweep.is_over:
            self._sweeps.popleft()
        return swept


def _was_moved(offer: Offer | None) -> bool:
    return offer is not None and offer.record is not None and offer.record.moved_from is not None
