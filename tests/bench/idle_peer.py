"""`idle`: what a peer costs while nothing happens, in CPU and in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from tests.bench.figure import Figure, Measure, at_most
from tests.bench.small_files import BARE
from tests.bench.stopwatch import cpu_s
from tests.bench.workbench import Workbench, random_files
from tests.e2e.cluster import Cluster, Program

CPU_BOUND: Final = 1.0
RSS_BOUND_MB: Final = 80.0
_SETTLED_S: Final = 1.0


def measure(bench: Workbench) -> Iterator[Figure]:
    """A fresh peer each time, in sync, on disk, its tracker on the same machine; against a bare gevent server."""
    cpu, rss, bare_cpu, bare_rss = list[float](), list[float](), list[float](), list[float]()
    with bench.slowest.cluster() as cluster:
        port = cluster.tracker("--quiet").port
        for run in range(bench.runs):
            peer = _peer(bench, cluster, run, port)
            bare = cluster.run([*BARE, "serve", cluster.base])
            bare.says("READY ")
            time.sleep(_SETTLED_S)
            began, before = time.monotonic(), (cpu_s(peer.pid), cpu_s(bare.pid))
            time.sleep(bench.scale.idle_s)
            seconds = time.monotonic() - began
            cpu.append((cpu_s(peer.pid) - before[0]) / seconds * 100)
            bare_cpu.append((cpu_s(bare.pid) - before[1]) / seconds * 100)
            rss.append(peer.rss_bytes() / 1e6)
            bare_rss.append(bare.rss_bytes() / 1e6)
            bench.say(f"idle: run {run}, {cpu[-1]:.2f} % of a core, {rss[-1]:.1f} MB")
            peer.stop()
            bare.stop()
    ours = Measure(name="CPU", unit="%", samples=tuple(cpu)), Measure(name="RSS", unit="MB", samples=tuple(rss))
    yield Figure(
        name="idle",
        place=bench.slowest.name,
        what=f"a peer with {bench.scale.idle_files} files, nothing to do, for {bench.scale.idle_s:g} s",
        ours=ours,
        against=(
            Measure(name="bare gevent server", unit="%", samples=tuple(bare_cpu)),
            Measure(name="bare gevent server", unit="MB", samples=tuple(bare_rss)),
        ),
        goals=(at_most(CPU_BOUND, ours[0].median, "% of a core"), at_most(RSS_BOUND_MB, ours[1].median, "MB")),
        failures=bench.take_failures(),
    )


def _peer(bench: Workbench, cluster: Cluster, run: int, port: int) -> Program:
    folder = cluster.folder(f"folder-{run}")
    random_files(folder, bench.scale.idle_files, size=1024)
    peer = cluster.peer(folder, port, "--no-tracker")
    cluster.until(lambda: len(cluster.holders(port, peer.endpoint)) == bench.scale.idle_files, "all in the directory")
    cluster.all_in_sync([peer])
    return peer
