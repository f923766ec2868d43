"""`large`: one large file, from the start of the receiver to its end, the file published and durable."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.figure import Figure, Measure, at_least
from tests.bench.place import Place
from tests.bench.rsync_daemon import RsyncDaemon
from tests.bench.stopwatch import ends_after, interleaved
from tests.bench.workbench import MTIME_S, Workbench, differing, random_file
from tests.e2e.cluster import Cluster, Program

NAME: Final = "large.bin"
RSYNC_BOUND: Final = 1.0
CP_BOUND: Final = 0.4


def measure(bench: Workbench) -> Iterator[Figure]:
    """Ours against cp and rsync; on disk `rsync --fsync`, and cp with a sync of the file, for ours is durable."""
    for place in bench.places:
        with place.cluster() as cluster:
            yield _Race(bench, place, cluster).run()


class _Race:
    def __init__(self, bench: Workbench, place: Place, cluster: Cluster) -> None:
        self._bench = bench
        self._place = place
        self._cluster = cluster
        self._source = cluster.folder("source")
        large = random_file(self._source / NAME, bench.scale.large_bytes)
        os.utime(large, (MTIME_S, MTIME_S))
        self._port = cluster.tracker().port
        sender = cluster.peer(self._source, self._port, "--no-tracker")
        cluster.until(lambda: cluster.holders(self._port, sender.endpoint), "the file in the directory")
        self._daemon = RsyncDaemon(cluster, self._source)
        self._inside: list[float] = []

    def run(self) -> Figure:
        """Run all in turn, and judge."""
        on_disk = self._place.name == "disk"
        cp, rsync = ("cp; sync", "rsync --fsync") if on_disk else ("cp", "rsync")
        contenders = {"gsync": self._ours, cp: self._cp, rsync: self._rsync}
        taken = interleaved(self._bench.runs, contenders)
        ours, theirs = Measure(name="whole", unit="s", samples=taken["gsync"]), {}
        for name in (cp, rsync):
            theirs[name] = Measure(name=name, unit="s", samples=taken[name])
        goals = [at_least(RSYNC_BOUND, theirs[rsync].median / ours.median, f"x {rsync}")]
        if not on_disk:
            goals.append(at_least(CP_BOUND, theirs[cp].median / ours.median, f"x {cp}"))
        return Figure(
            name="large",
            place=self._place.name,
            what=f"one file of {self._bench.scale.large_bytes} bytes, ours to ours: seconds",
            ours=(ours, Measure(name="sync.done", unit="s", samples=tuple(self._inside))),
            against=tuple(theirs.values()),
            goals=tuple(goals),
            failures=self._bench.take_failures(),
        )

    def _ours(self, run: int) -> float:
        folder = self._fresh(f"ours-{run}")
        seconds, peer = ends_after(lambda: self._cluster.peer(folder, self._port, "--once"))
        done = peer.events("sync.done")
        self._inside.append(done[0]["seconds"] if done else seconds)
        self._take_in("gsync", folder, seconds, peer)
        return seconds

    def _cp(self, run: int) -> float:
        folder = self._fresh(f"cp-{run}")
        there = folder / NAME
        copy = f"cp -p {self._source / NAME} {there}"
        words = ["sh", "-c", f"{copy} && sync {there}" if self._place.name == "disk" else f"exec {copy}"]
        seconds, program = ends_after(lambda: self._cluster.run(words))
        self._take_in("cp", folder, seconds, program)
        return seconds

    def _rsync(self, run: int) -> float:
        folder = self._fresh(f"rsync-{run}")
        options = ["--fsync"] if self._place.name == "disk" else []
        seconds, program = ends_after(lambda: self._daemon.fetch(NAME, folder, *options))
        self._take_in("rsync", folder, seconds, program)
        return seconds

    def _fresh(self, name: str) -> Path:
        self._place.settle()
        return self._cluster.folder(name)

    def _take_in(self, who: str, folder: Path, seconds: float, program: Program) -> None:
        """Look whether it did its work, and make room."""
        self._bench.say(f"large, {self._place.name}: {who} {seconds:.3f} s")
        whole = program.code == 0 and not differing(self._source, folder, [NAME])
        self._bench.require(whole, f"{who} did not bring the file whole\n{program.last_words()}")
        shutil.rmtree(folder)
