"""Looks for further sources of what nobody gives: asks the tracker or the neighbours who else has it. One loop, of the peer.

A native tracker tells eight holders of a record at most, and who came later only when it is asked; neighbours tell of the origin of
what is new. So paths that all told sources have refused, and those whose sources are all gone, are asked about each few seconds,
some at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

import gevent
from msgspec.structs import replace

from gsync.core.model import Offer, Source
from gsync.core.names import RelPath
from gsync.peer.trees import Trees

SEEK_S: Final = 5.0
ASKED_MAX: Final = 500
"""Paths of one question; the others have their turn when these are found, or rest."""


Locate = Callable[[Sequence[RelPath]], Mapping[RelPath, tuple[Source, ...]]]


class Wanted(Protocol):
    """The part of the fetch queue that knows what is not to be had."""

    def stuck(self) -> Iterable[RelPath]: ...


class Seeker:
    """Asks each of `locates`, and lets `replan` have what turned out to be offered by others, too."""

    def __init__(
        self,
        *,
        wanted: Wanted,
        trees: Trees,
        locates: Sequence[Locate],
        cut: Callable[[Offer], Offer | None],
        replan: Callable[[Iterable[RelPath]], None],
    ) -> None:
        self._wanted = wanted
        self._trees = trees
        self._locates = locates
        self._cut = cut
        self._replan = replan

    def run(self) -> None:
        """Ask now and then; never returns."""
        while True:
            gevent.sleep(SEEK_S)
            asked = list(islice(self._wanted.stuck(), ASKED_MAX))
            for locate in self._locates if asked else ():
                self._take_in(locate(asked))

    def _take_in(self, located: Mapping[RelPath, tuple[Source, ...]]) -> None:
        found: dict[RelPath, Offer | None] = {}
        for path, sources in located.items():
            offer = self._trees.remote.get(path)
            if offer is None or offer.record is None or offer.is_deletion:
                continue
            others = tuple(source for source in sources if source not in offer.sources)
            if others:
                found[path] = self._cut(replace(offer, sources=(*others, *offer.sources)))
        if found:
            self._replan(self._trees.note_offers(found))
