"""`join`: a new peer with an empty folder comes to a tracker that knows many records: how long, and how much memory they take.

It sends only (`--send-only`), so it hears of everything and fetches nothing: what fetching costs stands in `first` and `scan`. The
records are those of a pretended peer (`record_load.py`), which serves nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from tests.bench.curve import draw
from tests.bench.figure import Figure, Measure, at_most
from tests.bench.native import WITHIN_S, lags_ms, p99
from tests.bench.stopwatch import cpu_s, peak_mb_of
from tests.bench.workbench import Workbench
from tests.e2e.cluster import Cluster

RSS_BOUND_MB: Final = 300.0
_LOAD: Final = (sys.executable, "-P", str(Path(__file__).with_name("record_load.py")))
_SETTLED_S: Final = 2.0


def measure(bench: Workbench) -> Iterator[Figure]:
    """A figure a number of records, and a picture of all of them."""
    seconds: dict[float, tuple[float, ...]] = {}
    memory: dict[str, dict[float, tuple[float, ...]]] = {"peer": {}, "tracker": {}}
    for count in bench.scale.joined_records:
        with bench.quietest.cluster() as cluster:
            joins = _Joins(bench, cluster, count)
            for run in range(bench.runs):
                joins.join(run)
            figure = joins.figure()
        seconds[count] = tuple(joins.seconds)
        memory["peer"][count] = tuple(joins.peer_mb)
        memory["tracker"][count] = tuple(joins.tracker_mb)
        yield figure
    out, x = bench.options.out, "records that the tracker knows"
    bench.say(draw(out / "join-seconds.svg", {"peer": seconds}, title="a new peer joins", x=x, y="seconds"))
    bench.say(draw(out / "join-memory.svg", memory, title="a new peer joins", x=x, y="RSS, MB"))


class _Joins:
    """One tracker that knows `count` records; a new peer each time."""

    def __init__(self, bench: Workbench, cluster: Cluster, count: int) -> None:
        self._bench = bench
        self._cluster = cluster
        self._count = count
        self._tracker = cluster.tracker("--quiet")
        began = time.perf_counter()
        load = cluster.run([*_LOAD, str(self._tracker.port), str(count)])
        load.until(lambda: "READY" in load.out or load.code is not None, "all announced", within_s=WITHIN_S)
        assert load.code is None, load.last_words()
        self._announced_s = time.perf_counter() - began
        bench.say(f"join: {count} records announced in {self._announced_s:.1f} s")
        self.seconds: list[float] = []
        self.peer_mb: list[float] = []
        self.tracker_mb: list[float] = []
        self._peak: list[float] = []
        self._cpu: list[float] = []
        self._tracker_cpu: list[float] = []
        self._late: list[float] = []

    def join(self, run: int) -> None:
        """From exec until it knows all and has nothing more to do."""
        before = cpu_s(self._tracker.pid)
        began = time.time()
        peer = self._cluster.peer(
            f"peer-{run}", self._tracker.port, "--no-tracker", "--send-only", "--stats", "--timeout=30"
        )
        peer.until(lambda: peer.has_said('"event":"sync.done"'), "all records heard", within_s=WITHIN_S)
        peer.until(lambda: peer.events("sync.done"), "all records heard")
        done = peer.events("sync.done")[0]
        self.seconds.append(datetime.fromisoformat(done["time"]).timestamp() - began)
        self._cpu.append(cpu_s(peer.pid))
        self._tracker_cpu.append(cpu_s(self._tracker.pid) - before)
        time.sleep(_SETTLED_S)
        self.peer_mb.append(peer.rss_bytes() / 1e6)
        self.tracker_mb.append(self._tracker.rss_bytes() / 1e6)
        self._peak.append(peak_mb_of(peer.pid))
        self._late.append(p99(lags_ms(peer)))
        names = peer.events("tracker.up")[0]["names"]
        self._bench.require(names == self._count, f"it heard of {names} records, not {self._count}")
        self._bench.say(
            f"join: {self._count} records, run {run}: {self.seconds[-1]:.2f} s, peer {self.peer_mb[-1]:.0f} MB, "
            f"tracker {self.tracker_mb[-1]:.0f} MB"
        )
        peer.stop()

    def figure(self) -> Figure:
        """All of it."""
        memory = Measure(name="RSS, peer", unit="MB", samples=tuple(self.peer_mb))
        return Figure(
            name=f"join, {self._count}",
            place="-",
            what=f"a new peer hears of {self._count} records: seconds from exec, and memory",
            ours=(
                Measure(name="join", unit="s", samples=tuple(self.seconds)),
                memory,
                Measure(name="RSS, tracker", unit="MB", samples=tuple(self.tracker_mb)),
                Measure(name="peak RSS, peer", unit="MB", samples=tuple(self._peak)),
                Measure(name="CPU, peer", unit="s", samples=tuple(self._cpu)),
                Measure(name="CPU, tracker", unit="s", samples=tuple(self._tracker_cpu)),
                Measure(name="lag p99, peer", unit="ms", samples=tuple(self._late)),
                Measure(name="announcing them", unit="s", samples=(self._announced_s,)),
            ),
            goals=(at_most(RSS_BOUND_MB, memory.median, "MB, peer"),),
            failures=self._bench.take_failures(),
        )
