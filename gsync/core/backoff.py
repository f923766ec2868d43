"""How long to wait before the next try: doubling, capped, with jitter so that many peers do not come back as one."""

from __future__ import annotations

from typing import Protocol


class Random(Protocol):
    """The part of `random.Random` that the pure rooms use; given from outside, so that a run can be repeated."""

    def random(self) -> float: ...


def backoff_s(failures: int, *, base_s: float, cap_s: float, rng: Random) -> float:
    """Seconds to wait after that many failures in a row (1 or more): base, twice, four times ... up to the cap, -25..0 %."""
    exponent = min(max(failures, 1) - 1, 30)
    return min(base_s * 2.0**exponent, cap_s) * (1.0 - 0.25 * rng.random())
