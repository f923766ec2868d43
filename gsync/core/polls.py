"""Whom to ask whether a copy is still the latest: in batches, one under way for each source, until somebody knows.

A path is asked about at its first source, which is its origin where that is known, then at the next one. When all have failed it
rests, longer each time, and begins again: a poll that fails is never the last one. A poll without an answer is given up after
`POLL_WAIT_S` whatever becomes of its link. Pure: time is an argument, randomness is given. Owned by `freshness`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field

from gsync.core.backoff import Random, backoff_s
from gsync.core.names import PeerName, RelPath
from gsync.core.timers import Timers
from gsync.core.versions import Version

POLL_MAX: Final = 1024
"""Copies asked about in one poll."""

POLL_WAIT_S: Final = 10.0
"""How long a poll may stay without an answer."""

GATHER_S: Final = 0.25
"""At least so long between two polls of one source: what expires meanwhile goes together. Who was not asked lately is at once."""

SOURCES_MAX: Final = 8
"""Holders asked about one copy before it rests."""

REST_BASE_S: Final = 1.0
REST_CAP_S: Final = 60.0
"""How long a copy rests about which nobody could say anything: at most a minute after its origin is back it is valid again."""


class PollBatch(Struct, frozen=True, kw_only=True):
    """Ask `source` whether these are still the latest versions."""

    source: PeerName
    asks: tuple[tuple[RelPath, Version], ...]


class _Doubt(Struct):
    """A path that is asked about; `turn` is which of its sources, None while it rests."""

    version: Version
    sources: tuple[PeerName, ...]
    turn: int | None = 0
    failures: int = 0


class _Line(Struct):
    """What waits for one source, and what is under way there since `asked_at`."""

    waiting: dict[RelPath, None] = field(default_factory=dict)
    asked: dict[RelPath, Version] = field(default_factory=dict)
    asked_at: float = 0.0


class Polls:
    """All polls of one peer: waiting, under way, resting."""

    def __init__(self, *, rng: Random) -> None:
        self._rng = rng
        self._doubts: dict[RelPath, _Doubt] = {}
        self._lines: dict[PeerName, _Line] = {}
        self._resting = Timers()
        self._not_before: dict[PeerName, float] = {}

    def __len__(self) -> int:
        return len(self._doubts)

    def __contains__(self, path: object) -> bool:
        return path in self._doubts

    def want(self, path: RelPath, version: Version, sources: Iterable[PeerName]) -> bool:
        """Ask about `version` of `path`, now, even if it rests; what is under way goes on. False if nobody is there to ask."""
        doubt = self._doubts.get(path)
        if doubt is not None and doubt.version == version and doubt.turn is not None:
            return True
        chosen = tuple(dict.fromkeys(sources))[:SOURCES_MAX]
        failures = doubt.failures if doubt is not None and doubt.version == version else 0
        self.drop(path)
        if chosen:
            self._doubts[path] = _Doubt(version, chosen, failures=failures)
            self._line_up(path, chosen[0])
        return bool(chosen)

    def drop(self, path: RelPath) -> None:
        """Ask no more about `path`; an answer that is still to come means nothing."""
        doubt = self._doubts.pop(path, None)
        if doubt is None:
            return
        self._resting.cancel(path)
        if doubt.turn is None:
            return
        name = doubt.sources[doubt.turn]
        line = self._lines[name]
        line.waiting.pop(path, None)
        line.asked.pop(path, None)
        self._forget_idle(name)

    def clear(self) -> None:
        """Ask nothing any more."""
        self._doubts.clear()
        self._lines.clear()
        self._resting.clear()

    def due(self, now: float) -> tuple[PollBatch, ...]:
        """What to ask now."""
        for name in [name for name, line in self._lines.items() if line.asked and line.asked_at + POLL_WAIT_S <= now]:
            self.unanswered(name, now=now)
        for path in self._resting.fired(now):
            doubt = self._doubts[path]
            doubt.turn = 0
            self._line_up(path, doubt.sources[0])
        self._not_before = {name: at for name, at in self._not_before.items() if at > now}
        return tuple(
            self._batch(name, line, now)
            for name, line in self._lines.items()
            if not line.asked and self._may_ask(name, line) <= now
        )

    def next_due(self) -> float | None:
        """When `due` has something to say; a time in the past means at once."""
        times = [self._resting.next_at()]
        for name, line in self._lines.items():
            if line.asked:
                times.append(line.asked_at + POLL_WAIT_S)
            else:
                times.append(self._may_ask(name, line))
        return min((at for at in times if at is not None), default=None)

    def asked(self, source: PeerName) -> tuple[Mapping[RelPath, Version], float]:
        """What `source` is being asked, and since when."""
        line = self._lines.get(source)
        return (dict(line.asked), line.asked_at) if line is not None else ({}, 0.0)

    def unknown(self, path: RelPath, *, now: float) -> bool:
        """Whoever was asked about `path` does not know. Whether others are asked at once; if not, it rests."""
        doubt = self._doubts[path]
        if doubt.turn is None:
            return False
        name = doubt.sources[doubt.turn]
        self._lines[name].waiting.pop(path, None)
        self._lines[name].asked.pop(path, None)
        self._forget_idle(name)
        doubt.turn += 1
        if doubt.turn < len(doubt.sources):
            self._line_up(path, doubt.sources[doubt.turn])
            return True
        doubt.turn = None
        doubt.failures += 1
        self._resting.set(path, now + backoff_s(doubt.failures, base_s=REST_BASE_S, cap_s=REST_CAP_S, rng=self._rng))
        return False

    def unanswered(self, source: PeerName, *, now: float) -> tuple[RelPath, ...]:
        """`source` cannot be asked: what waits there, too, goes on to others. The paths that rest now."""
        line = self._lines.get(source)
        if line is None:
            return ()
        return tuple(path for path in (*line.asked, *line.waiting) if not self.unknown(path, now=now))

    def _line_up(self, path: RelPath, name: PeerName) -> None:
        self._lines.setdefault(name, _Line()).waiting[path] = None

    def _may_ask(self, name: PeerName, line: _Line) -> float:
        """When what waits for this source, of which nothing is under way, may be asked."""
        if not line.waiting:
            return math.inf
        return -math.inf if len(line.waiting) >= POLL_MAX else self._not_before.get(name, -math.inf)

    def _batch(self, name: PeerName, line: _Line, now: float) -> PollBatch:
        for path in list(line.waiting)[:POLL_MAX]:
            del line.waiting[path]
            line.asked[path] = self._doubts[path].version
        line.asked_at = now
        self._not_before[name] = now + GATHER_S
        return PollBatch(source=name, asks=tuple(line.asked.items()))

    def _forget_idle(self, name: PeerName) -> None:
        line = self._lines[name]
        if not line.waiting and not line.asked:
            del self._lines[name]
