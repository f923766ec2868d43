"""A run of the staleness experiment on real sockets, in real time: the same edits and reads as in the twin.

All edits are made here, so for each read it is known what was the newest version at that moment; a read gets what stands in the
folder of a real peer, and waits, as in the twin, while the copy there does not answer. Nothing gets lost. Called by `gsync lab`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Final

import gevent

from gsync.core.copies import Mode
from gsync.core.names import PeerName, RelPath
from gsync.lab import twin
from gsync.lab.grid import Outcome, Point
from gsync.lab.house import House, wait_until
from gsync.peer.reconciling import EVERY_S

FILES: Final = 16
"""More than in the twin: a minute of edits of many files for an hour of edits of a few."""

GAPS_WATCHED: Final = 10
LOOK_S: Final = 0.005

STARTING_S: Final = 5.0
"""About how long peers take to find each other, and then the first contents to all of them."""


def takes_s(point: Point) -> float:
    """About how long one run of `point` takes."""
    return GAPS_WATCHED * point.gap_s + _rest_s(point) + STARTING_S


def on_sockets(point: Point, seed: int) -> Outcome:
    """One run of `point`; takes ten gaps and a TTR."""
    rng = Random(seed)
    with House(point.overlay, ttr_s=point.ttr_s, jitter=point.jitter) as house:
        names = list(house.folders)
        origin = {RelPath(f"file-{number}"): rng.choice(names) for number in range(1, FILES + 1)}
        for path in origin:
            house.folders[origin[path]].put(path, _content(0))
        wait_until(
            lambda: all(_is_everywhere(house, path, 0) and house.has_copies(path) for path in origin),
            "the first contents did not arrive",
        )
        house.set_mode(point.mode)
        gevent.sleep(_rest_s(point))
        return _Run(house, point, rng, origin=origin).watch()


def _rest_s(point: Point) -> float:
    """How long nothing is edited at first: a TTR, and until the comparisons have ended that a change of mode begins.

    One that went on beside an edit would tell of it as well, in messages that no update cost.
    """
    return max(point.ttr_s, 2 * EVERY_S)


class _Run:
    """Peers that have everything, from the moment from which on edits, reads and messages count."""

    def __init__(self, house: House, point: Point, rng: Random, *, origin: Mapping[RelPath, PeerName]) -> None:
        self._house = house
        self._point = point
        self._rng = rng
        self._origin = origin
        self._paths = list(origin)
        self._names = list(house.folders)
        self._popularity = list(accumulate(1 / rank for rank in range(1, len(self._paths) + 1)))  # Zipf
        self._newest = dict.fromkeys(self._paths, 0)
        self._now = house.clock.monotonic()
        self._end = self._now + GAPS_WATCHED * point.gap_s
        self._edits = {path: self._now + self._pause_s() for path in self._paths}
        self._readers: list[tuple[PeerName, RelPath]] = []
        self._read_every_s = twin.read_every_s(point, files=FILES)
        self._next_read = self._now
        self._reads = self._stale = 0

    def watch(self) -> Outcome:
        """Edit and read for ten gaps."""
        house, before = self._house, self._house.messages
        while self._now < self._end:
            self._edit()
            self._serve([waiting for waiting in self._readers if house.answers(*waiting)])
            while self._next_read <= self._now:
                self._next_read += self._rng.expovariate(1 / self._read_every_s)
                self._read()
            gevent.sleep(LOOK_S)
            self._now = house.clock.monotonic()
        if self._point.mode.sends_push:
            wait_until(
                lambda: all(_is_everywhere(house, *edit) for edit in self._newest.items()),
                "the last edits did not arrive",
            )
        return Outcome(
            reads=self._reads,
            stale=self._stale,
            updates=sum(self._newest.values()),
            messages=house.messages - before,
        )

    def _edit(self) -> None:
        """As in the twin an edit waits until the news of the one before has arrived: so messages can be counted."""
        for path in [path for path in self._paths if self._edits[path] <= self._now]:
            if self._point.mode.sends_push and not _is_everywhere(self._house, path, self._newest[path]):
                continue
            self._newest[path] += 1
            self._house.folders[self._origin[path]].edit(path, _content(self._newest[path]))
            self._edits[path] = self._now + self._pause_s()

    def _read(self) -> None:
        """One more reader comes."""
        (path,) = self._rng.choices(self._paths, cum_weights=self._popularity)
        reader = self._rng.choice([name for name in self._names if name != self._origin[path]])
        self._readers.append((reader, path))
        if self._point.mode is Mode.PASSIVE or self._house.want(reader, path):
            self._serve([(reader, path)])

    def _serve(self, readers: Sequence[tuple[PeerName, RelPath]]) -> None:
        for reader, path in readers:
            self._readers.remove((reader, path))
            self._reads += 1
            self._stale += self._house.content(reader, path) != _content(self._newest[path])

    def _pause_s(self) -> float:
        return self._rng.expovariate(1 / self._point.gap_s)


def _is_everywhere(house: House, path: RelPath, version: int) -> bool:
    return all(house.content(name, path) == _content(version) for name in house.folders)


def _content(version: int) -> bytes:
    return str(version).encode()
