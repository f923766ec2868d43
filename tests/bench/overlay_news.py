"""`news`: a file is edited at one of 16 peers in a grid: how long until the last of them has heard that all copies are old."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from tests.bench.figure import Figure, Measure, at_most
from tests.bench.native import WITHIN_S, percentile
from tests.bench.overlay_ears import Ears
from tests.bench.overlay_swarm import SHAPE, OverlaySwarm, swarm
from tests.bench.workbench import Workbench, random_files

PEERS: Final = 16
SIZE: Final = 1024
P50_BOUND_MS: Final = 30.0
P99_BOUND_MS: Final = 100.0

_PAUSE_S: Final = 0.25
_QUIET_S: Final = 2.0
"""After the links stand: what they agreed about first is over."""


def measure(bench: Workbench) -> Iterator[Figure]:
    """From the edit, and from the moment at which its origin tells the first neighbour."""
    from_edit, from_origin = list[list[float]](), list[list[float]]()
    with bench.quietest.cluster() as cluster, ExitStack() as listening:
        names = random_files(cluster.folder("peer-001"), bench.scale.edits, size=SIZE)
        with swarm(cluster, PEERS) as peers:
            for peer in peers.peers[1:]:
                cluster.until(
                    lambda f=peer.folder: all((f / name).exists() for name in names),  # type: ignore[misc]
                    "the first contents",
                    within_s=WITHIN_S,
                )
            ears = listening.enter_context(Ears([int(peer.endpoint.rpartition(":")[2]) for peer in peers.peers]))
            ears.pause(_QUIET_S)
            for _ in range(bench.runs):
                taken = [_edit(bench, peers, ears, name) for name in names]
                from_edit.append([edited for edited, _ in taken])
                from_origin.append([told for _, told in taken])
    p50 = _measure("p50", from_edit, 50)
    p99 = _measure("p99", from_edit, 99)
    yield Figure(
        name="news",
        place="-",
        what=f"{PEERS} peers, {SHAPE}: from an edit until the last peer has heard that copies are old: ms",
        ours=(p50, p99, _measure("p50, flood alone", from_origin, 50), _measure("p99, flood alone", from_origin, 99)),
        goals=(at_most(P50_BOUND_MS, p50.median, "ms p50"), at_most(P99_BOUND_MS, p99.median, "ms p99")),
        failures=bench.take_failures(),
    )


def _edit(bench: Workbench, peers: OverlaySwarm, ears: Ears, name: str) -> tuple[float, float]:
    """Edit the file at its origin; milliseconds until the last has heard, from the edit and from the origin's first word."""
    began = time.perf_counter()
    with (peers.peers[0].folder / name).open("wb") as file:
        file.write(random.randbytes(SIZE))
    heard = ears.hear(name)
    bench.require(len(heard) == len(peers.peers), f"{len(heard)} of {len(peers.peers)} heard of an edit of {name}")
    ears.pause(_PAUSE_S)
    last = max(heard.values())
    return (last - began) * 1000, (last - heard.get(0, last)) * 1000


def _measure(name: str, runs: list[list[float]], percent: int) -> Measure:
    return Measure(name=name, unit="ms", samples=tuple(percentile(run, percent) for run in runs))
