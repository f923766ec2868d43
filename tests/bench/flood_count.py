"""`flood`: 64 peers in one process, on real sockets: how many messages an update takes, which arithmetic says exactly."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from tests.bench.figure import Figure, Goal, Measure
from tests.bench.native import WITHIN_S
from tests.bench.workbench import Workbench
from tests.e2e.cluster import Cluster

PEERS: Final = 64
SHAPES: Final = {"star": 63, "grid": 161, "mesh": 3969}


def measure(bench: Workbench) -> Iterator[Figure]:
    """A figure a shape; it is met by the one right number alone."""
    for shape, exact in SHAPES.items():
        with bench.quietest.cluster() as cluster:
            counts = _counts(cluster, shape, bench.runs)
        told = Measure(name="messages an update", unit="", samples=tuple(counts))
        bench.require(len(counts) == bench.runs, f"{len(counts)} of {bench.runs} updates were counted")
        yield Figure(
            name=f"flood, {shape}",
            place="-",
            what=f"{PEERS} peers in one process on real sockets: messages an update, 2E - (N - 1)",
            ours=(told,),
            goals=(
                Goal(what="messages", value=told.worst, bound=exact, is_floor=False),
                Goal(what="messages", value=min(told.samples), bound=exact, is_floor=True),
            ),
            failures=bench.take_failures(),
        )


def _counts(cluster: Cluster, shape: str, updates: int) -> list[float]:
    """In a process of its own, whose sockets are patched, as gsync's are."""
    counting = cluster.run([sys.executable, "-P", "-m", "tests.bench.flood_house", shape, f"{PEERS}", f"{updates}"])
    assert counting.ends(within_s=WITHIN_S) == 0, counting.last_words()
    return [float(line) for line in counting.out.split()]
