"""`edit` and `edit-busy`: from a person's edit of a known file to its arrival in every other folder, idle and while much moves."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.bench import syncthing
from tests.bench.arrivals import Arrivals
from tests.bench.figure import Figure, Measure, at_most
from tests.bench.native import WITHIN_S, lags_ms, p99, percentile, settle
from tests.bench.place import Place
from tests.bench.workbench import Workbench, random_file, random_files
from tests.e2e.cluster import Cluster, Peer

PEERS: Final = 4
SIZE: Final = 1024
P50_BOUND_MS: Final = 25.0
P95_BOUND_MS: Final = 60.0
BUSY_P95_BOUND_MS: Final = 200.0

_PAUSE_S: Final = 0.25
_QUIET_S: Final = 1.5
"""Whoever announced a path within the last second waits longer with it: each path is left alone at least so long."""

_LOADS_MAX: Final = 8
"""How often the load is put on again where it was gone before all edits were made."""


def measure(bench: Workbench) -> Iterator[Figure]:
    """Idle, a figure a place; Syncthing once, where this machine has it."""
    for place in bench.places:
        with place.cluster() as cluster:
            swarm = _Swarm(bench, cluster)
            taken = [swarm.edit_all(swarm.names) for _ in range(bench.runs)]
            ours = _measures("every other peer", taken)
            lag = swarm.lag()
            rss = Measure(name="RSS", unit="MB", samples=tuple(peer.rss_bytes() / 1e6 for peer in swarm.peers))
        theirs, remark = _syncthing(bench, place)
        yield Figure(
            name="edit",
            place=place.name,
            what=f"an edit of a known file of {SIZE} bytes until every one of {PEERS - 1} others has it, idle: ms",
            ours=(*ours, lag, rss),
            against=theirs,
            goals=(at_most(P50_BOUND_MS, ours[0].median, "ms p50"), at_most(P95_BOUND_MS, ours[1].median, "ms p95")),
            failures=bench.take_failures(),
            remark=remark,
        )


def measure_busy(bench: Workbench) -> Iterator[Figure]:
    """While large files move to all others: `moving_bytes` of them, all receivers together."""
    for place in bench.places:
        with place.cluster() as cluster:
            swarm = _Swarm(bench, cluster)
            taken, seconds = list[list[float]](), list[float]()
            for _ in range(bench.runs):
                during, moved_s = _edits_under_load(bench, cluster, swarm)
                taken.append(during)
                seconds.append(moved_s)
            ours = _measures("every other peer", taken)
            lag = swarm.lag()
            moving = Measure(
                name="moving", unit="MB/s", samples=tuple(bench.scale.moving_bytes / 1e6 / s for s in seconds)
            )
        yield Figure(
            name="edit-busy",
            place=place.name,
            what=f"the same while {bench.scale.moving_bytes} bytes move to {PEERS - 1} peers, all together: ms",
            ours=(*ours, lag, moving),
            goals=(at_most(BUSY_P95_BOUND_MS, ours[1].median, "ms p95"),),
            failures=bench.take_failures(),
        )


class _Swarm:
    """Native peers that all have the same small files."""

    def __init__(self, bench: Workbench, cluster: Cluster) -> None:
        self._bench = bench
        port = cluster.tracker("--quiet").port
        self.names = random_files(cluster.folder("peer-0"), bench.scale.edits, size=SIZE)
        self.peers: list[Peer] = [
            cluster.peer(f"peer-{number}", port, "--no-tracker", "--stats") for number in range(PEERS)
        ]
        self.folders = [peer.folder for peer in self.peers]
        settle(cluster, self.peers)
        time.sleep(_QUIET_S)
        self._began = [len(lags_ms(peer)) for peer in self.peers]

    def lag(self) -> Measure:
        """p99 of how late each peer's loop was, since all were in sync."""
        late = [lags_ms(peer)[began:] for peer, began in zip(self.peers, self._began, strict=True)]
        return Measure(name="lag p99", unit="ms", samples=tuple(map(p99, late)))

    def edit_all(self, names: Sequence[str], *, while_: Callable[[], bool] = lambda: True) -> list[float]:
        """Edit each of `names` once, here and there in turn, as long as `while_` holds; ms until the last one had it."""
        return edit_in_turn(self._bench, self.folders, names, while_=while_)


def edit_in_turn(
    bench: Workbench, folders: Sequence[Path], names: Sequence[str], *, while_: Callable[[], bool] = lambda: True
) -> list[float]:
    """Edit each of `names` once, in one folder after the other; ms until the last of the other folders had it."""
    rng = random.Random(time.monotonic_ns())
    slowest: list[float] = []
    with Arrivals(folders) as arrivals:
        for number, name in enumerate(names):
            if not while_():
                break
            taken = arrivals.edit(folders[number % len(folders)], name, rng.randbytes(SIZE))
            arrived = len(taken) == len(folders) - 1
            bench.require(arrived, f"an edit of {name} came to {len(taken)} of {len(folders) - 1} others")
            if arrived:
                slowest.append(max(taken) * 1000)
            time.sleep(_PAUSE_S)
    time.sleep(_QUIET_S)
    return slowest


def _edits_under_load(bench: Workbench, cluster: Cluster, swarm: _Swarm) -> tuple[list[float], float]:
    """The ms of all edits that were made while a large file moved, and the seconds for which it did, as a median."""
    taken, seconds = list[float](), list[float]()
    source, *receivers = swarm.peers
    for load in range(_LOADS_MAX):
        large = random_file(cluster.base / f"load-{load}.bin", bench.scale.moving_bytes // len(receivers))
        fetched = [len(peer.events("file.fetched")) for peer in receivers]
        fetching = [len(peer.events("file.fetching")) for peer in receivers]
        there = source.folder / large.name
        os.rename(large, there)

        def is_moving(there: Path = there, receivers: Sequence[Peer] = receivers) -> bool:
            return any(not (peer.folder / there.name).exists() for peer in receivers)

        cluster.until(
            lambda fetching=fetching: any(
                len(peer.events("file.fetching")) > before for peer, before in zip(receivers, fetching, strict=True)
            ),
            "the load on its way",
            within_s=WITHIN_S,
        )
        began = time.perf_counter()
        taken += swarm.edit_all(swarm.names[len(taken) :], while_=is_moving)
        cluster.until(lambda: not is_moving(), f"the load everywhere ({fetched})", within_s=WITHIN_S)
        seconds.append(time.perf_counter() - began)
        there.unlink()
        settle(cluster, swarm.peers)
        bench.say(f"edit-busy: load {load}, {len(taken)} edits, p95 {percentile(taken, 95):.1f} ms")
        if len(taken) >= len(swarm.names):
            break
    return taken, sorted(seconds)[len(seconds) // 2]


def _measures(name: str, runs: Sequence[Sequence[float]]) -> tuple[Measure, ...]:
    """p50, p95 and the worst of each run."""
    taken = {f"{name}, p{percent}": [percentile(run, percent) for run in runs] for percent in (50, 95)}
    taken["worst"] = [max(run, default=0.0) for run in runs]
    return tuple(Measure(name=what, unit="ms", samples=tuple(samples)) for what, samples in taken.items())


def _syncthing(bench: Workbench, place: Place) -> tuple[tuple[Measure, ...], str]:
    """The same with Syncthing, once; nothing, and a word, where there is none."""
    if not syncthing.is_here():
        return (), "no Syncthing here to compare with (apt-get install syncthing)"
    with place.cluster() as cluster:
        names = random_files(cluster.folder("syncthing-0"), bench.scale.their_edits, size=SIZE)
        theirs = syncthing.Syncthings(cluster, PEERS)
        folders = theirs.folders
        cluster.until(lambda: all((f / name).exists() for f in folders for name in names), "all files everywhere")
        time.sleep(2 * _QUIET_S)
        taken = edit_in_turn(bench, folders, names)
        rss = Measure(name="RSS", unit="MB", samples=tuple(one.rss_bytes() / 1e6 for one in theirs.programs))
    bench.say(f"edit, {place.name}: Syncthing {percentile(taken, 50):.0f} / {percentile(taken, 95):.0f} ms")
    remark = f"Syncthing {syncthing.version()}, fsWatcherDelayS {syncthing.DELAY_S}, {len(taken)} edits once"
    return (*_measures("Syncthing", [taken]), rss), remark
