"""`scan` and `scan-large`: the first look at a large folder, a restart in it, and what it costs while nothing happens."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from tests.bench.figure import Figure, Goal, Measure, at_most
from tests.bench.native import WITHIN_S, settle, tree
from tests.bench.stopwatch import cpu_s, ends_after, interleaved, peak_mb_of
from tests.bench.workbench import Workbench, random_file
from tests.e2e.cluster import Cluster, Peer

SIZE: Final = 3000
LARGE_SIZE: Final = 1024 * 1024
FLOOR: Final = (sys.executable, "-P", str(Path(__file__).with_name("walk_floor.py")))
FIRST_BOUND: Final = 4.0
FIRST_LARGE_BOUND: Final = 1.3
RESTART_BOUND_S: Final = 5.0
CPU_BOUND: Final = 1.0
RSS_BOUND_MB: Final = 300.0

_A_DIRECTORY: Final = 1000
_SETTLED_S: Final = 2.0


def measure(bench: Workbench) -> Iterator[Figure]:
    """Many small files, on disk, all of them in the page cache."""
    with bench.slowest.cluster() as cluster:
        look = _Look(bench, cluster, count=bench.scale.scanned_files, size=SIZE)
        first, goals = look.first(FIRST_BOUND)
        joined_s = look.joined()
        restarts = tuple(look.restarted() for _ in range(bench.runs))
        cpu, rss = look.idle()
        restart = Measure(name="restart to in sync", unit="s", samples=restarts)
        yield Figure(
            name="scan",
            place=bench.slowest.name,
            what=f"{look.count} files of {SIZE} bytes: to serving at first, to in sync after a restart, idle for "
            f"{bench.scale.scanned_idle_s:g} s",
            ours=(
                first,
                restart,
                Measure(name="idle CPU", unit="%", samples=cpu),
                Measure(name="RSS", unit="MB", samples=rss),
                Measure(name="first CPU", unit="s", samples=tuple(look.cpu)),
                Measure(name="first peak RSS", unit="MB", samples=tuple(look.peak)),
                Measure(name="another peer gets all", unit="s", samples=(joined_s,)),
            ),
            against=(look.floor,),
            goals=(
                *goals,
                at_most(RESTART_BOUND_S, restart.median, "s to in sync"),
                at_most(CPU_BOUND, max(cpu), "% of a core"),
                at_most(RSS_BOUND_MB, max(rss), "MB"),
            ),
            failures=bench.take_failures(),
            remark="CPU and RSS are those of both peers, the one that had all and the one that fetched all",
        )


def measure_large(bench: Workbench) -> Iterator[Figure]:
    """Fewer, larger ones, where reading and hashing is most of the work."""
    with bench.slowest.cluster() as cluster:
        look = _Look(bench, cluster, count=bench.scale.scanned_large_files, size=LARGE_SIZE)
        first, goals = look.first(FIRST_LARGE_BOUND)
        yield Figure(
            name="scan-large",
            place=bench.slowest.name,
            what=f"{look.count} files of {LARGE_SIZE} bytes: to serving at first",
            ours=(first, Measure(name="first CPU", unit="s", samples=tuple(look.cpu))),
            against=(look.floor,),
            goals=goals,
            failures=bench.take_failures(),
        )


class _Look:
    """A folder with `count` files, and the peer that looks at it."""

    floor: Measure

    def __init__(self, bench: Workbench, cluster: Cluster, *, count: int, size: int) -> None:
        self.count: Final = count
        self._bench = bench
        self._cluster = cluster
        self._port = cluster.tracker("--quiet").port
        self._folder = cluster.folder("folder")
        self._bytes = count * size
        for number in range(count):
            directory = self._folder / f"{number // _A_DIRECTORY:04d}"
            if not number % _A_DIRECTORY:
                directory.mkdir()
            random_file(directory / f"{number:06d}.bin", size)
        self.cpu: list[float] = []
        self.peak: list[float] = []

    def first(self, bound: float) -> tuple[Measure, tuple[Goal, ...]]:
        """The first scan, from exec to serving, each time without an index; and the bare loop."""
        self._bare(0)  # all of it is in the page cache then
        taken = interleaved(self._bench.runs, {"gsync": self._first, "bare": self._bare})
        ours = Measure(name="first scan", unit="s", samples=taken["gsync"])
        self.floor = Measure(name="walk, read, hash", unit="s", samples=taken["bare"])
        return ours, (at_most(bound, ours.median / self.floor.median, "x walk, read, hash"),)

    def joined(self) -> float:
        """A peer that has all, and another one that gets all: how many seconds the other one takes from exec to in sync."""
        self._peer = self._started(self._folder)
        self._told_at(self._peer, "peer.serving")
        began = time.time()
        self._other = self._started(self._cluster.folder("other"))
        seconds = self._told_at(self._other, "sync.done") - began
        settle(self._cluster, [self._peer, self._other])
        self._bench.require(tree(self._folder) == tree(self._other.folder), "the folders are not the same")
        self._bench.say(f"scan: another peer has all of it after {seconds:.1f} s")
        return seconds

    def restarted(self) -> float:
        """Seconds from exec until a peer that was ended and started again knows that it is in sync with the other one."""
        self._peer.stop()
        began = time.time()
        self._peer = self._started(self._folder)
        seconds = self._told_at(self._peer, "sync.done") - began
        settle(self._cluster, [self._peer])
        self._bench.require(not self._peer.events("file.fetching"), "a restart fetched something")
        self._bench.say(f"scan: in sync {seconds:.2f} s after a restart")
        return seconds

    def idle(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What both peers take while nothing happens: CPU in percent of a core, and MB of memory."""
        time.sleep(_SETTLED_S)
        pids = [self._peer.pid, self._other.pid]
        began, before = time.monotonic(), [cpu_s(pid) for pid in pids]
        time.sleep(self._bench.scale.scanned_idle_s)
        seconds = time.monotonic() - began
        cpu = tuple((cpu_s(pid) - used) / seconds * 100 for pid, used in zip(pids, before, strict=True))
        return cpu, tuple(peer.rss_bytes() / 1e6 for peer in (self._peer, self._other))

    def _first(self, run: int) -> float:
        shutil.rmtree(self._folder / ".gsync", ignore_errors=True)
        began = time.time()
        peer = self._started(self._folder)
        seconds = self._told_at(peer, "peer.serving") - began
        self.cpu.append(cpu_s(peer.pid))
        self.peak.append(peak_mb_of(peer.pid))
        self._bench.require(peer.events("peer.serving")[0]["files"] >= self.count, "not all files were found")
        self._bench.say(f"scan: run {run}, first scan {seconds:.2f} s, {self.cpu[-1]:.2f} s of CPU")
        peer.stop()
        return seconds

    def _bare(self, run: int) -> float:
        seconds, program = ends_after(lambda: self._cluster.run([*FLOOR, self._folder]))
        self._bench.require(program.out.split() == [str(self.count), str(self._bytes)], "the floor read something else")
        self._bench.say(f"scan: run {run}, walk, read, hash {seconds:.2f} s")
        return seconds

    def _started(self, folder: Path) -> Peer:
        return self._cluster.peer(folder, self._port, "--no-tracker")

    def _told_at(self, peer: Peer, event: str) -> float:
        """The wall clock at which it said so, to the millisecond."""
        peer.until(lambda: peer.has_said(f'"event":"{event}"'), event, within_s=WITHIN_S)
        peer.until(lambda: peer.events(event), event)
        return datetime.fromisoformat(peer.events(event)[0]["time"]).timestamp()
