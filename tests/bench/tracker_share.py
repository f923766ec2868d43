"""`tracker`: what a tracker with a thousand peers costs, apart from moving the bytes of its answers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.bench.figure import Figure, Measure, at_most
from tests.bench.workbench import Workbench
from tests.e2e.cluster import Cluster

EVERY_S: Final = 5.0
SHARE_BOUND: Final = 0.10
WITHIN_S: Final = 240.0
_HERE: Final = Path(__file__).parent
_LOAD: Final = (sys.executable, "-P", str(_HERE / "keepalive_load.py"))
_BARE: Final = (sys.executable, "-P", str(_HERE / "bare_tracker.py"))


def measure(bench: Workbench) -> Iterator[Figure]:
    """The tracker's CPU less that of a bare server which sends the same bytes for each message, as a share of a core."""
    ours, bare, anew, dumped_ms = list[float](), list[float](), list[float](), list[float]()
    for run in range(bench.runs):
        with bench.quietest.cluster() as cluster:
            answer = cluster.base / "answer"
            tracker = cluster.tracker("--quiet")
            told = _load(bench, cluster, tracker.port, tracker.pid, answer)
            tracker.stop()
            program = cluster.run([*_BARE, answer])
            program.says("READY ")
            floor = _load(bench, cluster, int(program.out.split()[1]), program.pid, cluster.base / "same")
            bench.require(told["bytes"] == told["messages"] * answer.stat().st_size, "some answers are not the same")
            bench.require(floor["bytes"] == told["bytes"], "the floor sent other bytes")
            ours.append(told["cpu_s"] / told["seconds"])
            bare.append(floor["cpu_s"] / floor["seconds"])
            dumped_ms.append(_dump_ms(answer.read_bytes()))
            anew.append(dumped_ms[-1] / 1000 * told["messages"] / told["seconds"])
            bench.say(f"tracker: run {run}, {ours[-1]:.3f} of a core, bare {bare[-1]:.3f}; {told}")
    share = Measure(name="apart from bytes", unit="core", samples=tuple(a - b for a, b in zip(ours, bare, strict=True)))
    peers, names = bench.scale.tracked_peers, bench.scale.tracked_names
    yield Figure(
        name="tracker",
        place="-",
        what=f"{peers} peers, {names} names, a keepalive each {EVERY_S:g} s for {bench.scale.tracked_s:g} s: cores",
        ours=(share, Measure(name="all of it", unit="core", samples=tuple(ours))),
        against=(
            Measure(name="bare server", unit="core", samples=tuple(bare)),
            Measure(name="re-encoding each answer", unit="core", samples=tuple(anew)),
            Measure(name="one json.dumps", unit="ms", samples=tuple(dumped_ms)),
        ),
        goals=(at_most(SHARE_BOUND, share.median, "core"),),
        failures=bench.take_failures(),
        remark="re-encoding is computed: what one json.dumps of the answer takes here, times the answers a second",
    )


def _load(bench: Workbench, cluster: Cluster, port: int, pid: int, answer: Path) -> dict[str, Any]:
    scale = bench.scale
    words = [port, pid, scale.tracked_peers, scale.tracked_names, EVERY_S, scale.tracked_s, answer]
    load = cluster.run([*_LOAD, *map(str, words)])
    assert load.ends(within_s=WITHIN_S) == 0, load.last_words()
    return dict(json.loads(load.out))


def _dump_ms(answer: bytes) -> float:
    """How long the standard library takes to encode the same answer."""
    directory = json.loads(answer)
    began = time.perf_counter()
    json.dumps(directory, separators=(",", ":")).encode()
    return (time.perf_counter() - began) * 1000
