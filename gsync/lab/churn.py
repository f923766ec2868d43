"""Keeps a swarm restless for a long run, and judges whether its memory, descriptors and greenlets stay flat.

Files are edited by their owner alone, so nothing ever conflicts, and they stay as many as they were. Half of the peers, and
the tracker, are never killed: only a process that lives through the run can show that it grows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from gsync.lab.tally import slope

EDIT_EVERY_S: Final = 2.0
EDITED_SHARE: Final = 0.01
KILL_EVERY_S: Final = 10.0

WARM_UP_SHARE: Final = 1 / 3
"""Of the run: caches and pools fill; nothing that happens before counts as growth."""

_FLAT: Final[Mapping[str, tuple[float, float]]] = {
    "rss": (8 * 1024 * 1024, 0.10),
    "descriptors": (16, 0.10),
    "greenlets": (32, 0.10),
}
"""How much each may grow over what is left of the run: an allowance, and a share of its level."""


class Growth(Struct, frozen=True, kw_only=True):
    """What one thing did in the process where it grew most: its mean level, and the slope over the run without warm-up."""

    process: str
    level: float
    per_minute: float
    is_flat: bool


class Growths:
    """Samples of all processes, taken now and then."""

    def __init__(self) -> None:
        self._samples: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)

    def add(self, what: str, process: str, *, at_s: float, value: float) -> None:
        """At that second of the run, `process` had `value` of rss (bytes), descriptors or greenlets."""
        self._samples[what, process].append((at_s, value))

    def judge(self, survivors: Sequence[str]) -> dict[str, Growth]:
        """For each thing the worst of the processes that lived through it all."""
        worst: dict[str, Growth] = {}
        for (what, process), samples in self._samples.items():
            if process in survivors:
                growth = _growth(what, process, samples)
                if what not in worst or growth.per_minute > worst[what].per_minute:
                    worst[what] = growth
        return worst


def survivors(peers: Sequence[str]) -> Sequence[str]:
    """The peers that a churn never kills."""
    return peers[: (len(peers) + 1) // 2]


def _growth(what: str, process: str, samples: Sequence[tuple[float, float]]) -> Growth:
    warm_up_s = samples[0][0] + (samples[-1][0] - samples[0][0]) * WARM_UP_SHARE
    counted = [(at_s, value) for at_s, value in samples if at_s >= warm_up_s]
    level = sum(value for _, value in counted) / len(counted)
    per_s = slope(counted)
    allowance, share = _FLAT[what]
    grown = per_s * (counted[-1][0] - counted[0][0])
    return Growth(process=process, level=level, per_minute=per_s * 60, is_flat=grown <= allowance + share * level)
