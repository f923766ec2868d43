"""Questions to a tracker of ours: who else holds these paths? Cut into messages, a few at a time, none waited for for ever.

One for each connection; called by `tracker_link.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Final

from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore

from gsync.core.model import Source
from gsync.core.names import RelPath
from gsync.peer.neighbourhood import Neighbourhood
from gsync.peer.outbox import Outbox
from gsync.wire.native import PIECE_BYTES, Locate, Located

LOCATE_S: Final = 5.0
"""How long the answer to a question is waited for."""

LOCATES_MAX: Final = 8
"""Questions to the tracker at a time; who asks another one waits."""

LOCATE_PATHS: Final = 100
"""Paths of one question; more are asked about in several, and so are some that are very long."""

_BESIDE_A_PATH: Final = 3
_BESIDE_PATHS: Final = 64


class Locating:
    """Asks through `outbox`; `neighbourhood` knows whom the answers name. Once closed it asks nothing more."""

    def __init__(self, outbox: Outbox, neighbourhood: Neighbourhood) -> None:
        self._outbox = outbox
        self._neighbourhood = neighbourhood
        self._numbers = count(1)
        self._places = BoundedSemaphore(LOCATES_MAX)
        self._open: dict[int, AsyncResult] = {}
        self._is_closed = False

    def __len__(self) -> int:
        """Questions that wait for an answer."""
        return len(self._open)

    def locate(self, paths: Iterable[RelPath]) -> dict[RelPath, tuple[Source, ...]]:
        """Who else holds these paths, as far as the tracker says so within `LOCATE_S` a question."""
        found: dict[RelPath, tuple[Source, ...]] = {}
        for asked in _questions(paths):
            if self._is_closed:
                break
            found.update(zip(asked, self.ask(asked) or (), strict=False))
        return found

    def ask(self, paths: list[RelPath]) -> tuple[tuple[Source, ...], ...] | None:
        """The answer to one question; None if none comes in time."""
        if not self._places.acquire(timeout=LOCATE_S):
            return None
        number, answer = next(self._numbers), AsyncResult()
        try:
            if not self._is_closed:
                self._open[number] = answer
                self._outbox.ask(Locate(id=number, paths=[str(path) for path in paths]))
                answer.wait(LOCATE_S)
            told: tuple[tuple[Source, ...], ...] | None = answer.value
            return told
        finally:
            self._outbox.unask(number)
            self._open.pop(number, None)
            self._places.release()

    def hear(self, located: Located) -> None:
        """An answer has come."""
        if answer := self._open.get(located.id):
            answer.set(tuple(map(self._neighbourhood.sources, located.holders)))

    def close(self) -> None:
        """The connection is over; whoever waits has no answer."""
        self._is_closed = True
        for answer in self._open.values():
            answer.set(None)


def _questions(paths: Iterable[RelPath]) -> Iterator[list[RelPath]]:
    """The paths in groups of which each makes a message of a piece at most."""
    group, size = list[RelPath](), 0
    for path in paths:
        length = 2 * len(path.encode("utf-8")) + _BESIDE_A_PATH  # quotes and backslashes take two
        if group and (len(group) == LOCATE_PATHS or size + length > PIECE_BYTES - _BESIDE_PATHS):
            yield group
            group, size = [], 0
        group.append(path)
        size += length
    if group:
        yield group
