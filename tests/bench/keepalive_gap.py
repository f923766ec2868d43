"""`keepalive`: whether a peer that sends and receives at full speed still speaks in time, and how late its loop is."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from typing import Final

from tests.bench.figure import Figure, Measure, at_most
from tests.bench.tracker_proxy import TrackerProxy
from tests.bench.workbench import Workbench, differing, random_file
from tests.e2e.cluster import Cluster, Peer

GAP_BOUND_S: Final = 6.0
LAG_BOUND_MS: Final = 50.0
WITHIN_S: Final = 240.0

_HEAD_START_S: Final = 4.0
"""The first peer speaks each 5 s. The second one starts so much later, and its files are in the directory when the first one
asks again: then both begin to fetch at nearly the same instant."""


def measure(bench: Workbench) -> Iterator[Figure]:
    """On disk, where more can make a loop late. The gap is the worst of all runs, for it is the worst one that costs a peer."""
    with bench.slowest.cluster() as cluster:
        swap = _Swap(bench, cluster)
        gaps, lags, worst_lags, rates = list[float](), list[float](), list[float](), list[float]()
        for run in range(bench.runs):
            gap_s, late_ms, rate = swap.run(run)
            gaps.append(gap_s)
            rates.append(rate)
            lags.append(quantiles(late_ms, n=100)[98])
            worst_lags.append(max(late_ms))
            bench.say(f"keepalive: run {run}, gap {gap_s:.2f} s, lag p99 {lags[-1]:.1f} ms, {rate:.0f} MB/s both ways")
    gap = Measure(name="gap", unit="s", samples=tuple(gaps))
    lag = Measure(name="lag p99", unit="ms", samples=tuple(lags))
    size = bench.scale.both_ways_files * bench.scale.both_ways_file_bytes
    yield Figure(
        name="keepalive",
        place=bench.slowest.name,
        what=f"{size} bytes each way between two peers at once: the longest silence towards the tracker, the loop's lag",
        ours=(
            gap,
            lag,
            Measure(name="lag worst", unit="ms", samples=tuple(worst_lags)),
            Measure(name="both ways", unit="MB/s", samples=tuple(rates)),
        ),
        goals=(
            at_most(GAP_BOUND_S, gap.worst, "s, worst of all"),
            at_most(LAG_BOUND_MS, lag.median, "ms"),
        ),
        failures=bench.take_failures(),
    )


class _Swap:
    """Two peers that each have what the other lacks."""

    def __init__(self, bench: Workbench, cluster: Cluster) -> None:
        self._bench = bench
        self._cluster = cluster
        self._tracker = cluster.tracker()
        self._store = cluster.folder("store")
        files, size = bench.scale.both_ways_files, bench.scale.both_ways_file_bytes
        self._names = {side: [f"{side}-{number}.bin" for number in range(files)] for side in ("left", "right")}
        for name in (*self._names["left"], *self._names["right"]):
            random_file(self._store / name, size)

    def run(self, run: int) -> tuple[float, list[float], float]:
        """The longest gap in seconds, the lags of both loops in ms, and how many MB/s moved, both ways together."""
        bench, cluster = self._bench, self._cluster
        bench.slowest.settle()
        with TrackerProxy(self._tracker.port) as proxy:
            left = self._start("left", run, proxy.port)
            serving = {left: int(left.endpoint.rpartition(":")[2])}
            cluster.until(lambda: proxy.spoke(serving[left]), "the first word of the left peer")
            time.sleep(max(proxy.spoke(serving[left])[0] + _HEAD_START_S - time.monotonic(), 0.0))
            right = self._start("right", run, proxy.port)
            serving[right] = int(right.endpoint.rpartition(":")[2])
            before = {peer: len(peer.events("peer.stats")) for peer in serving}
            for peer in serving:
                cluster.until(lambda peer=peer: self._has_all(peer), f"{peer.name} in sync", within_s=WITHIN_S)
            ended = time.monotonic()
            after = {peer: len(peer.events("peer.stats")) + 1 for peer in serving}
            for peer, port in serving.items():
                cluster.until(lambda port=port: proxy.spoke(port)[-1] > ended, "a keepalive after all that")
                cluster.until(lambda peer=peer: len(peer.events("peer.stats")) >= after[peer], "the last of its lags")
            gaps = [later - sooner for port in serving.values() for sooner, later in pairwise(proxy.spoke(port))]
        late = [
            float(ms)
            for peer in serving
            for told in peer.events("peer.stats")[before[peer] : after[peer]]
            for ms in told["lag_ms"]
        ]
        self._clear(left, right)
        moved = 2 * bench.scale.both_ways_files * bench.scale.both_ways_file_bytes
        times = [
            datetime.fromisoformat(told["time"]).timestamp()
            for peer in serving
            for told in peer.events("file.fetching", "file.fetched")
        ]
        return max(gaps), late, moved / 1e6 / (max(times) - min(times))

    def _start(self, side: str, run: int, port: int) -> Peer:
        """A peer in a fresh folder that holds one side's files, as links, so that they need not be made anew."""
        folder = self._cluster.folder(f"{side}-{run}")
        for name in self._names[side]:
            os.link(self._store / name, folder / name)
        return self._cluster.peer(folder, port, "--no-tracker", "--stats")

    def _has_all(self, peer: Peer) -> bool:
        return len(peer.fetched) == self._bench.scale.both_ways_files

    def _clear(self, left: Peer, right: Peer) -> None:
        for peer, names in ((left, self._names["right"]), (right, self._names["left"])):
            peer.stop()
            wrong = differing(self._store, Path(peer.folder), names)
            self._bench.require(not wrong, f"{wrong} did not come whole\n{peer.last_words()}")
            shutil.rmtree(peer.folder)
