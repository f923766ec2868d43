"""`first`: the first sync of many small files between native peers, durable, against rsync; on disk `rsync --fsync`, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.figure import Figure, Measure, at_least
from tests.bench.native import lags_ms, p99
from tests.bench.place import Place
from tests.bench.rsync_daemon import RsyncDaemon
from tests.bench.small_files import seconds_in_sync
from tests.bench.stopwatch import cpu_s, interleaved, spent_by
from tests.bench.workbench import MTIME_S, Workbench, differing, random_files
from tests.e2e.cluster import Cluster, Program

SIZE: Final = 4096
RATE_BOUND: Final = 12_000
FSYNC_BOUND: Final = 2.0


def measure(bench: Workbench) -> Iterator[Figure]:
    """Ours, started anew each time into an empty folder, and rsync as durable as it can be."""
    for place in bench.places:
        with place.cluster() as cluster:
            yield _Race(bench, place, cluster).run()


class _Race:
    def __init__(self, bench: Workbench, place: Place, cluster: Cluster) -> None:
        self._bench = bench
        self._place = place
        self._cluster = cluster
        self._count = bench.scale.small_files
        self._source = cluster.folder("source")
        self._names = random_files(self._source, self._count, size=SIZE)
        for name in self._names:
            os.utime(self._source / name, (MTIME_S, MTIME_S))
        self._port = cluster.tracker().port
        self._sender = cluster.peer(self._source, self._port, "--no-tracker")
        endpoint = self._sender.endpoint
        cluster.until(lambda: len(cluster.holders(self._port, endpoint)) == self._count, "all in the directory")
        self._daemon = RsyncDaemon(cluster, self._source)
        self._inside: list[float] = []
        self._cpu: list[float] = []
        self._sent_cpu: list[float] = []
        self._peak: list[float] = []

    def run(self) -> Figure:
        """Run all in turn, and judge."""
        contenders = {"gsync": self._ours, "rsync": self._rsync}
        if self._place.name == "disk":
            contenders["rsync --fsync"] = lambda run: self._rsync(run, "--fsync")
        taken = interleaved(self._bench.runs, contenders)
        inside, whole = self._rate("sync.done", tuple(self._inside)), self._rate("whole", taken["gsync"])
        theirs = {name: self._rate(name, taken[name]) for name in contenders if name != "gsync"}
        if self._place.name == "disk":
            goals = [at_least(FSYNC_BOUND, whole.median / theirs["rsync --fsync"].median, "x rsync --fsync, whole")]
        else:
            goals = [at_least(RATE_BOUND, inside.median, "files/s")]
        moved_gb = self._count * SIZE / 1e9
        return Figure(
            name="first",
            place=self._place.name,
            what=f"first sync of {self._count} files of {SIZE} bytes, native and durable: files a second",
            ours=(
                inside,
                whole,
                Measure(name="CPU, receiver", unit="s/GB", samples=tuple(s / moved_gb for s in self._cpu)),
                Measure(name="CPU, sender", unit="s/GB", samples=tuple(s / moved_gb for s in self._sent_cpu)),
                Measure(name="peak RSS, receiver", unit="MB", samples=tuple(self._peak)),
                Measure(name="lag p99, receiver", unit="ms", samples=(self._lag(),)),
            ),
            against=tuple(theirs.values()),
            goals=tuple(goals),
            failures=self._bench.take_failures(),
            remark="sync.done counts from the first word of the tracker until all files are durable, whole from exec to exit",
        )

    def _rate(self, name: str, samples: tuple[float, ...]) -> Measure:
        return Measure(name=name, unit="files/s", samples=tuple(self._count / max(s, 0.001) for s in samples))

    def _ours(self, run: int) -> float:
        folder = self._fresh(f"ours-{run}")
        before = cpu_s(self._sender.pid)
        spent, peer = spent_by(lambda: self._cluster.peer(folder, self._port, "--once", json=False))
        self._inside.append(seconds_in_sync(peer) or spent.seconds)
        self._cpu.append(spent.cpu_s)
        self._sent_cpu.append(cpu_s(self._sender.pid) - before)
        self._peak.append(spent.peak_mb)
        self._take_in("gsync", folder, spent.seconds, peer)
        return spent.seconds

    def _lag(self) -> float:
        """How late the receiver's loop is; a run of its own, for it says a line a file."""
        folder = self._fresh("looked-at")
        spent, peer = spent_by(lambda: self._cluster.peer(folder, self._port, "--once", "--stats"))
        self._take_in("gsync --json --stats", folder, spent.seconds, peer)
        return p99(lags_ms(peer))

    def _rsync(self, run: int, *options: str) -> float:
        folder = self._fresh(f"rsync{''.join(options)}-{run}")
        spent, program = spent_by(lambda: self._daemon.fetch("", folder, "--exclude=/.gsync", *options))
        self._take_in(" ".join(("rsync", *options)), folder, spent.seconds, program)
        return spent.seconds

    def _fresh(self, name: str) -> Path:
        self._place.settle()
        return self._cluster.folder(name)

    def _take_in(self, who: str, folder: Path, seconds: float, program: Program) -> None:
        """Look whether it did its work; files stay until the end, for ext4 makes new ones slowly after many were deleted."""
        self._bench.say(f"first, {self._place.name}: {who} {seconds:.2f} s, {self._count / seconds:.0f} files/s")
        wrong = differing(self._source, folder, self._names)
        whole = program.code == 0 and not wrong
        self._bench.require(whole, f"{who}: {len(wrong)} files did not come whole\n{program.last_words()}")
