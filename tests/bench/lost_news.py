"""`lost`: one in a hundred invalidations gets lost in hybrid mode: how many reads then get an old version (simulated)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gsync.core.copies import Mode
from gsync.core.topology import parse_shape
from gsync.lab.grid import Overlay, Point
from gsync.lab.staleness import measured
from tests.bench.figure import Figure, Measure, at_most
from tests.bench.workbench import Workbench

PEERS: Final = 16
LOSS: Final = 0.01
TTR_S: Final = 120.0
GAP_S: Final = 60.0
STALE_BOUND_PCT: Final = 0.5

SHAPES: Final = ("random:4", "grid", "ring", "star")
"""The default first. In a star each copy hears of an edit by one way alone."""


def measure(bench: Workbench) -> Iterator[Figure]:
    """A figure a shape; the mean, and the ends of its interval."""
    for shape in SHAPES:
        kind = parse_shape(shape)
        assert kind is not None
        overlay = Overlay.of(kind, peers=PEERS)
        point = Point(mode=Mode.HYBRID, ttr_s=TTR_S, gap_s=GAP_S, overlay=overlay, loss=LOSS)
        row = measured(point, seeds=bench.scale.lossy_seeds)
        yield Figure(
            name=f"lost, {shape}",
            place="-",
            what=f"{PEERS} peers, simulated, hybrid, backstop {TTR_S:g} s, {LOSS:.0%} of the pushes lost: stale reads, %",
            ours=(
                Measure(name="stale", unit="%", samples=(row.stale_pct,)),
                Measure(name="stale, 95 % interval", unit="%", samples=(row.stale_pct_low, row.stale_pct_high)),
            ),
            goals=(at_most(STALE_BOUND_PCT, row.stale_pct, "% of the reads"),),
            failures=bench.take_failures(),
        )
