"""The experiment: how many reads are stale, and how many messages that costs, at each point of a grid.

Called by `gsync lab staleness`; runs in the calling greenlet, a seed after another.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from gsync.lab.grid import Outcome, Point, Row
from gsync.lab.twin import FILES, Twin

Run = Callable[[Point, int], Outcome]
"""One run of a point with a seed."""


def simulated(point: Point, seed: int, *, heals_s: float | None = None, files: int = FILES) -> Outcome:
    """One run in the simulated twin, whose links heal so much after something was lost on them, if they do."""
    return Twin(point, rng=Random(seed), heals_s=heals_s, files=files).run()


def measured(point: Point, *, seeds: int, run: Run = simulated) -> Row:
    """The figures of `point`, from a run for each of so many seeds."""
    return Row.of(point, [run(point, seed) for seed in range(1, seeds + 1)])
