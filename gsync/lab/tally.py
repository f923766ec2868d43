"""Adds up what the peers of a run say: arrivals and how long they took, failures by cause, how late the loops were.

Given the JSON lines of each process; a process that was killed took the counts of its last second with it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct


class Quantiles(Struct, frozen=True, kw_only=True):
    """How many numbers there were, and the ones below which half, 95 % and 99 % of them lie."""

    count: int = 0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    max: float = 0.0

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Quantiles:
        """Those of `numbers`, each one of them (nearest rank); all 0 where there are none."""
        ranked = sorted(numbers)
        if not ranked:
            return cls()
        p50, p95, p99 = (ranked[math.ceil(len(ranked) * share) - 1] for share in (0.5, 0.95, 0.99))
        return cls(count=len(ranked), p50=p50, p95=p95, p99=p99, max=ranked[-1])


class Tally:
    """What has been heard so far; `arrived` has the names that each peer fetched."""

    def __init__(self) -> None:
        self.arrived: defaultdict[str, set[str]] = defaultdict(set)
        self.arrivals = 0
        self.bytes = 0
        self.file_s: list[float] = []
        self.first_byte_s: list[float] = []
        self.lag_ms: list[float] = []
        self.greenlets: dict[str, int] = {}
        self.reasons: Counter[str] = Counter()
        self.troubles: list[str] = []
        self._began: datetime | None = None
        self._ended: datetime | None = None
        self._stats: dict[str, Mapping[str, Any]] = {}

    def hear(self, peer: str, process: str, line: Mapping[str, Any]) -> None:
        """One line of `process`, which runs as `peer`."""
        match line["event"]:
            case "file.fetching" if self._began is None:
                self._began = datetime.fromisoformat(line["time"])
            case "file.fetched":
                self._fetched(peer, line)
            case "peer.stats":
                self._stats[process] = line
                self.lag_ms.extend(line["lag_ms"])
                self.greenlets[peer] = line["greenlets"]
            case "file.skipped":
                self.reasons[f"{line['cause']}: {line['reason']}"] += 1
            case "error" | "file.conflict":
                self.troubles.append(f"{process}: {line.get('what') or line['event']}")

    def found(self, peer: str, names: Iterable[str]) -> None:
        """These names stand in the folder of `peer`, though it may have been killed before it said so."""
        self.arrived[peer].update(names)

    @property
    def makespan_s(self) -> float:
        """From the first fetch to the last arrival."""
        if self._began is None or self._ended is None:
            return 0.0
        return (self._ended - self._began).total_seconds()

    @property
    def received(self) -> int:
        """Bytes that came from sources, those of unfinished and failed fetches included."""
        return sum(int(stats["bytes_received"]) for stats in self._stats.values())

    @property
    def late(self) -> int:
        """Timeouts that struck although bytes were here."""
        return sum(int(stats["late"]) for stats in self._stats.values())

    @property
    def failed(self) -> dict[str, int]:
        """Fetches that failed and were tried again, by cause, the most frequent first."""
        causes: Counter[str] = Counter()
        for stats in self._stats.values():
            causes.update(stats["failed"])
        return dict(causes.most_common())

    def _fetched(self, peer: str, line: Mapping[str, Any]) -> None:
        when = datetime.fromisoformat(line["time"])
        self._ended = when if self._ended is None else max(self._ended, when)
        self.arrived[peer].add(line["path"])
        self.arrivals += 1
        self.bytes += line["size"]
        self.file_s.append(line["seconds"])
        self.first_byte_s.append(line["first_byte_s"])


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much the second number of the points grows for each 1 of the first: least squares; 0 for fewer than two."""
    if len(points) < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
