"""`lost`: one in a hundred invalidations gets lost in hybrid mode: how many reads then get an old version (simulated).

Over TCP nothing is lost but with its link. A link whose break is seen is dialled again at least each `RETRY_CAP_S`, and compared
over once it stands: that is what the goal is held against. Beside it is told what it comes to where a link says nothing for
`UNACKNOWLEDGED_S` before anybody sees that it is broken, and where nothing is made good before the TTR or the next edit.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from gsync.core.copies import Mode
from gsync.core.topology import parse_shape
from gsync.lab.grid import Overlay, Point
from gsync.lab.staleness import measured, simulated
from gsync.net.tcp import UNACKNOWLEDGED_S
from gsync.peer.neighbours import RETRY_CAP_S
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
        seen, unseen, never = (
            measured(point, seeds=bench.scale.lossy_seeds, run=partial(simulated, heals_s=heals_s))
            for heals_s in (RETRY_CAP_S, UNACKNOWLEDGED_S + 1, None)
        )
        yield Figure(
            name=f"lost, {shape}",
            place="-",
            what=f"{PEERS} peers, simulated, hybrid, backstop {TTR_S:g} s, {LOSS:.0%} of the pushes lost: stale reads, %",
            ours=(
                Measure(name="stale", unit="%", samples=(seen.stale_pct,)),
                Measure(name="stale, 95 % interval", unit="%", samples=(seen.stale_pct_low, seen.stale_pct_high)),
                Measure(name="break unseen for half a minute", unit="%", samples=(unseen.stale_pct,)),
                Measure(name="never made good", unit="%", samples=(never.stale_pct,)),
            ),
            goals=(at_most(STALE_BOUND_PCT, seen.stale_pct, "% of the reads"),),
            failures=bench.take_failures(),
        )
