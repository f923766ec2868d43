"""`large` and `verified`: one large file, from the start of the receiver to its end, the file published and durable.

`large` is the classic dialect: one stream, hashed as it comes. `verified` is the native one: each block is proven before it is
written. The receiver is ours or others' in turn; the sender runs all the time. `bare pipe` is `pipe_floor.py`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.figure import Figure, Goal, Measure, at_least, at_most
from tests.bench.native import lags_ms, p99
from tests.bench.place import Place
from tests.bench.rsync_daemon import RsyncDaemon
from tests.bench.stopwatch import cpu_s, interleaved, spent_by
from tests.bench.workbench import MTIME_S, Workbench, differing, random_file
from tests.e2e.cluster import Cluster, Program

NAME: Final = "large.bin"
RSYNC_BOUND: Final = 1.0
CP_BOUND: Final = 0.4
VERIFIED_BOUND_MB_S: Final = 900.0
VERIFIED_CP_BOUND: Final = 1.6
VERIFIED_DD_BOUND: Final = 1.2
_PIPE: Final = (sys.executable, "-P", str(Path(__file__).with_name("pipe_floor.py")))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What one of the figures is: how our receiver is started, and who else copies the file, there and on disk."""

    name: str
    options: tuple[str, ...]
    copy: str
    copy_on_disk: str
    what: str


_CLASSIC: Final = _Rules(
    name="large", options=("--classic",), copy="cp", copy_on_disk="cp; sync", what="classic, ours to ours"
)
_NATIVE: Final = _Rules(
    name="verified", options=(), copy="cp", copy_on_disk="dd conv=fsync", what="native, each block verified"
)
_COPIES: Final = {
    "cp": "exec cp -p {source} {there}",
    "cp; sync": "cp -p {source} {there} && sync {there}",
    "dd conv=fsync": "dd if={source} of={there} bs=1M conv=fsync status=none && touch -r {source} {there}",
}


def measure_classic(bench: Workbench) -> Iterator[Figure]:
    """Ours against cp and rsync; on disk `rsync --fsync`, and cp with a sync of the file, for ours is durable."""
    for place in bench.places:
        with place.cluster() as cluster:
            race = _Race(bench, place, cluster, _CLASSIC)
            race.run()
            goals = [at_least(RSYNC_BOUND, race.rsync.median / race.whole.median, f"x {race.rsync.name}")]
            if not race.is_on_disk:
                goals.append(at_least(CP_BOUND, race.copy.median / race.whole.median, "x cp"))
            yield race.figure(goals)


def measure_native(bench: Workbench) -> Iterator[Figure]:
    """The same; the goals count from the first word of the tracker, except where two whole programs are compared."""
    for place in bench.places:
        with place.cluster() as cluster:
            race = _Race(bench, place, cluster, _NATIVE)
            race.run()
            goals = [at_least(RSYNC_BOUND, race.rsync.median / race.whole.median, f"x {race.rsync.name}, whole")]
            if race.is_on_disk:
                slower = race.inside.median / race.copy.median
                goals.append(at_most(VERIFIED_DD_BOUND, slower, f"x {race.copy.name}"))
            else:
                rate = bench.scale.large_bytes / 1e6 / race.inside.median
                goals.append(at_least(VERIFIED_BOUND_MB_S, rate, "MB/s"))
                goals.append(at_most(VERIFIED_CP_BOUND, race.inside.median / race.copy.median, "x cp"))
            yield race.figure(goals)


class _Race:
    """One place: `run` once, then everything else."""

    def __init__(self, bench: Workbench, place: Place, cluster: Cluster, rules: _Rules) -> None:
        self.is_on_disk: Final = place.name == "disk"
        self._bench = bench
        self._place = place
        self._cluster = cluster
        self._rules = rules
        self._source = cluster.folder("source")
        large = random_file(self._source / NAME, bench.scale.large_bytes)
        os.utime(large, (MTIME_S, MTIME_S))
        self._port = cluster.tracker().port
        self._sender = cluster.peer(self._source, self._port, "--no-tracker")
        cluster.until(lambda: cluster.holders(self._port, self._sender.endpoint), "the file in the directory")
        self._daemon = RsyncDaemon(cluster, self._source)
        self._inside: list[float] = []
        self._cpu: list[float] = []
        self._sent_cpu: list[float] = []
        self._peak: list[float] = []
        self._late: list[float] = []

    def run(self) -> None:
        """Run all in turn; then ours once more, with a look at its loop."""
        copy = self._rules.copy_on_disk if self.is_on_disk else self._rules.copy
        rsync = "rsync --fsync" if self.is_on_disk else "rsync"
        contenders = {"gsync": self._ours, copy: self._copy, rsync: self._rsync}
        if self._rules is _NATIVE:
            contenders["bare pipe"] = self._pipe
        taken = interleaved(self._bench.runs, contenders)
        self.whole = Measure(name="whole", unit="s", samples=taken["gsync"])
        self.inside = Measure(name="sync.done", unit="s", samples=tuple(self._inside))
        self.copy = Measure(name=copy, unit="s", samples=taken[copy])
        self.rsync = Measure(name=rsync, unit="s", samples=taken[rsync])
        self._floors = [Measure(name=name, unit="s", samples=taken[name]) for name in contenders if name == "bare pipe"]
        self._look_at_the_loop()

    def figure(self, goals: Sequence[Goal]) -> Figure:
        """All of it."""
        per_gb = 1e9 / self._bench.scale.large_bytes
        return Figure(
            name=self._rules.name,
            place=self._place.name,
            what=f"one file of {self._bench.scale.large_bytes} bytes, {self._rules.what}: seconds",
            ours=(
                self.whole,
                self.inside,
                Measure(name="CPU, receiver", unit="s/GB", samples=tuple(s * per_gb for s in self._cpu)),
                Measure(name="CPU, sender", unit="s/GB", samples=tuple(s * per_gb for s in self._sent_cpu)),
                Measure(name="peak RSS, receiver", unit="MB", samples=tuple(self._peak)),
                Measure(name="lag p99, receiver", unit="ms", samples=(p99(self._late),)),
            ),
            against=(self.copy, self.rsync, *self._floors),
            goals=tuple(goals),
            failures=self._bench.take_failures(),
        )

    def _ours(self, run: int) -> float:
        folder = self._fresh(f"ours-{run}")
        before = cpu_s(self._sender.pid)
        spent, peer = spent_by(lambda: self._cluster.peer(folder, self._port, "--once", *self._rules.options))
        done = peer.events("sync.done")
        self._inside.append(done[0]["seconds"] if done else spent.seconds)
        self._cpu.append(spent.cpu_s)
        self._sent_cpu.append(cpu_s(self._sender.pid) - before)
        self._peak.append(spent.peak_mb)
        self._take_in("gsync", folder, spent.seconds, peer)
        return spent.seconds

    def _look_at_the_loop(self) -> None:
        """How late it is meanwhile; a run of its own, for looking costs something."""
        folder = self._fresh("looked-at")
        words = ("--once", "--stats", *self._rules.options)
        spent, peer = spent_by(lambda: self._cluster.peer(folder, self._port, *words))
        self._late = lags_ms(peer)
        self._take_in("gsync --stats", folder, spent.seconds, peer)

    def _copy(self, run: int) -> float:
        folder = self._fresh(f"copy-{run}")
        name = self._rules.copy_on_disk if self.is_on_disk else self._rules.copy
        words = _COPIES[name].format(source=self._source / NAME, there=folder / NAME)
        spent, program = spent_by(lambda: self._cluster.run(["sh", "-c", words]))
        self._take_in(name, folder, spent.seconds, program)
        return spent.seconds

    def _rsync(self, run: int) -> float:
        folder = self._fresh(f"rsync-{run}")
        options = ["--fsync"] if self.is_on_disk else []
        spent, program = spent_by(lambda: self._daemon.fetch(NAME, folder, *options))
        self._take_in("rsync", folder, spent.seconds, program)
        return spent.seconds

    def _pipe(self, run: int) -> float:
        """Seconds inside the program, as with `sync.done`."""
        folder = self._fresh(f"pipe-{run}")
        _, program = spent_by(lambda: self._cluster.run([*_PIPE, self._source / NAME, folder / NAME]))
        seconds = float(program.out or 0)
        os.utime(folder / NAME, (MTIME_S, MTIME_S))
        self._take_in("bare pipe", folder, seconds, program)
        return seconds

    def _fresh(self, name: str) -> Path:
        self._place.settle()
        return self._cluster.folder(name)

    def _take_in(self, who: str, folder: Path, seconds: float, program: Program) -> None:
        """Look whether it did its work, and make room."""
        self._bench.say(f"{self._rules.name}, {self._place.name}: {who} {seconds:.3f} s")
        whole = program.code == 0 and not differing(self._source, folder, [NAME])
        self._bench.require(whole, f"{who} did not bring the file whole\n{program.last_words()}")
        shutil.rmtree(folder)
