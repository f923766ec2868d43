"""The same points on real sockets and in the simulated twin: how far apart the two are.

Values only; the twin runs with as many files as the real peers had, since polls travel together. Called by `gsync lab staleness`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from gsync.lab.grid import Row

NEAR_PCT: Final = 2.0
"""Percentage points of stale reads by which the two may differ, whatever their intervals say."""


class Pair(Struct, frozen=True, kw_only=True):
    """A point, as it was measured on real sockets and in the twin."""

    real: Row
    twin: Row

    @property
    def difference_pct(self) -> float:
        """By how many percentage points more of the real reads were stale."""
        return self.real.stale_pct - self.twin.stale_pct

    @property
    def reach_pct(self) -> float:
        """How large a difference may be that is none: the 95 % interval of the difference, from those of the two."""
        return math.hypot(_reach(self.real), _reach(self.twin))

    @property
    def is_near(self) -> bool:
        """Whether they are no further apart than `NEAR_PCT`, or than their intervals allow."""
        return abs(self.difference_pct) <= max(NEAR_PCT, self.reach_pct)


def summary(pairs: Sequence[Pair]) -> str:
    """What came of all of them, in a line."""
    near = sum(pair.is_near for pair in pairs)
    worst = max(pairs, key=lambda pair: abs(pair.difference_pct))
    return (
        f"{near} of {len(pairs)} within {NEAR_PCT:g} points of it or the 95 % interval; the furthest, "
        f"{worst.real.mode} at TTR {worst.real.ttr_s:g} s, by {worst.difference_pct:+.1f} points"
    )


def pairs_of(real: Iterable[Row], twin: Iterable[Row]) -> tuple[Pair, ...]:
    """Rows of the same points in the same order, together."""
    return tuple(Pair(real=one, twin=other) for one, other in zip(real, twin, strict=True))


def _reach(row: Row) -> float:
    """Half of its interval, on its wider side: at 0 and 100 % it is cut off."""
    return max(row.stale_pct_high - row.stale_pct, row.stale_pct - row.stale_pct_low)
