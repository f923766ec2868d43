"""`small`: many small files to a peer that speaks classic only, a connection each, against a bare gevent loop (`bare_peer.py`)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gsync.core.places import PER_SOURCE
from tests.bench.figure import Figure, Measure, at_least
from tests.bench.place import Place
from tests.bench.stopwatch import ends_after, interleaved
from tests.bench.workbench import MTIME_S, Workbench, differing, random_files
from tests.e2e.cluster import Cluster, Program

SIZE: Final = 4096
BARE: Final = (sys.executable, "-P", str(Path(__file__).with_name("bare_peer.py")))
SHARE_BOUND: Final = 0.6
RATE_BOUND: Final = 1_500

_IN_SYNC: Final = re.compile(r"in sync: fetched .* in ([0-9.]+) (ms|s|min)$", re.MULTILINE)
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "min": 60.0}


def measure(bench: Workbench) -> Iterator[Figure]:
    """Ours against the bare loop: as many concurrent fetches, whole processes, started anew each time."""
    for place in bench.places:
        with place.cluster() as cluster:
            yield _Race(bench, place, cluster).run()


def seconds_in_sync(peer: Program) -> float | None:
    """How long a peer without `--json` says that its syncing took; None if it never was in sync."""
    said = _IN_SYNC.search(peer.err)
    return float(said[1]) * _UNIT_S[said[2]] if said else None


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
        sender = cluster.peer(self._source, self._port, "--no-tracker")
        cluster.until(lambda: len(cluster.holders(self._port, sender.endpoint)) == self._count, "all in the directory")
        bare = cluster.run([*BARE, "serve", self._source])
        bare.says("READY ")
        self._bare_port = bare.out.split()[1]
        self._inside: dict[str, list[float]] = {"gsync": [], "bare": []}

    def run(self) -> Figure:
        """Run both in turn, and judge."""
        taken = interleaved(self._bench.runs, {"gsync": self._ours, "bare": self._bare})
        ours, bare = self._rate("whole", taken["gsync"]), self._rate("bare loop, whole", taken["bare"])
        goals = [at_least(SHARE_BOUND, ours.median / bare.median, "x bare loop")]
        if self._place.name == "tmpfs":
            goals.append(at_least(RATE_BOUND, ours.median, "files/s"))
        return Figure(
            name="small",
            place=self._place.name,
            what=f"{self._count} files of {SIZE} bytes, classic, a connection each, ours to ours: files a second",
            ours=(ours, self._rate("sync.done", tuple(self._inside["gsync"]))),
            against=(bare, self._rate("bare loop, inside", tuple(self._inside["bare"]))),
            goals=tuple(goals),
            failures=self._bench.take_failures(),
            remark=f"both fetch {PER_SOURCE} at a time, which is what gsync takes from one source",
        )

    def _rate(self, name: str, samples: tuple[float, ...]) -> Measure:
        return Measure(name=name, unit="files/s", samples=tuple(self._count / max(s, 0.001) for s in samples))

    def _ours(self, run: int) -> float:
        folder = self._fresh(f"ours-{run}")
        seconds, peer = ends_after(lambda: self._cluster.peer(folder, self._port, "--classic", "--once", json=False))
        self._take_in("gsync", folder, seconds, peer, seconds_in_sync(peer) or seconds)
        return seconds

    def _bare(self, run: int) -> float:
        folder = self._fresh(f"bare-{run}")
        words = [*BARE, "fetch", str(folder), self._bare_port, str(self._count), str(PER_SOURCE), str(MTIME_S)]
        seconds, program = ends_after(lambda: self._cluster.run(words))
        inside = float(program.out.split()[1]) if program.out.startswith("DONE ") else seconds
        self._take_in("bare", folder, seconds, program, inside)
        return seconds

    def _fresh(self, name: str) -> Path:
        self._place.settle()
        return self._cluster.folder(name)

    def _take_in(self, who: str, folder: Path, seconds: float, program: Program, inside_s: float) -> None:
        """Look whether it did its work; files stay until the end, for ext4 makes new ones slowly after many were deleted."""
        self._inside[who].append(inside_s)
        self._bench.say(f"small, {self._place.name}: {who} {seconds:.2f} s, {self._count / seconds:.0f} files/s")
        wrong = differing(self._source, folder, self._names)
        whole = program.code == 0 and not wrong
        self._bench.require(whole, f"{who}: {len(wrong)} files did not come whole\n{program.last_words()}")
