"""`timers`: one peer holds many copies of what another made, each with its time to refresh: what memory and what CPU that takes.

The memory is counted over that of the same folder without an overlay (`--classic`), which knows its index and nothing of copies,
and is as old: it has looked at everything once more, too, which takes room of its own.
The CPU is that of the holder; the origin, which answers, is told beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from tests.bench.figure import Figure, Measure, at_most
from tests.bench.native import WITHIN_S, settle
from tests.bench.overlay_swarm import ask_overlay
from tests.bench.stopwatch import cpu_s
from tests.bench.workbench import Workbench
from tests.e2e.cluster import Cluster, Peer, dead_ports

TTR_S: Final = 30.0
MODES: Final = ("pull", "hybrid")
MEMORY_BOUND_MB: Final = 60.0
CPU_BOUND_PCT: Final = 10.0

AGE_S: Final = 3 * TTR_S
"""By then everything was looked at once more (`gsync.peer.indexer.WATCHED_RESCAN_S`)."""

_A_DIRECTORY: Final = 1000
_IDLE_S: Final = 3.0
_IDLE_SHARE: Final = 0.05


def measure(bench: Workbench) -> Iterator[Figure]:
    """A figure a mode."""
    with bench.quietest.cluster() as cluster:
        _sync(cluster, bench.scale.timed_copies)
        bench.say("timers: in sync")
        with dead_ports(1) as (nobody,):
            plain = cluster.peer("holder", nobody, "--classic", "--no-tracker")
            _until_idle(cluster, plain)
            time.sleep(AGE_S)
            without_mb = plain.rss_bytes() / 1e6
            plain.stop()
        for mode in MODES:
            yield _figure(bench, cluster, mode, without_mb)


def _figure(bench: Workbench, cluster: Cluster, mode: str, without_mb: float) -> Figure:
    port = cluster.tracker("--naming-only", "--quiet").port
    options = ("--topology=mesh", f"--mode={mode}", f"--ttr={TTR_S:g}", "--no-tracker")
    origin, holder = (cluster.peer(name, port, f"--name={name}", *options) for name in ("origin", "holder"))
    for peer in (origin, holder):
        peer.until(lambda peer=peer: peer.events("peer.serving"), f"{peer.name} serving", within_s=WITHIN_S)
    cluster.until(lambda: _polls(holder) > 0, "the first poll", within_s=WITHIN_S)
    time.sleep(2 * TTR_S)
    over_mb, holder_pct, origin_pct, polls = list[float](), list[float](), list[float](), list[float]()
    for _ in range(bench.runs):
        before = cpu_s(holder.pid), cpu_s(origin.pid), _polls(holder), time.monotonic()
        time.sleep(TTR_S)
        passed_s = time.monotonic() - before[3]
        holder_pct.append((cpu_s(holder.pid) - before[0]) / passed_s * 100)
        origin_pct.append((cpu_s(origin.pid) - before[1]) / passed_s * 100)
        polls.append((_polls(holder) - before[2]) / passed_s)
        over_mb.append(holder.rss_bytes() / 1e6 - without_mb)
    copies = bench.scale.timed_copies
    bench.require(min(polls) > 0, "no poll was sent")
    for peer in (origin, holder):
        peer.stop()
    memory = Measure(name="RSS over the index", unit="MB", samples=tuple(over_mb))
    cpu = Measure(name="CPU", unit="% of a core", samples=tuple(holder_pct))
    return Figure(
        name=f"timers, {mode}",
        place="-",
        what=f"{copies} copies with a TTR of {TTR_S:g} s: memory over the index, and CPU of the holder",
        ours=(
            memory,
            cpu,
            Measure(name="CPU, origin", unit="% of a core", samples=tuple(origin_pct)),
            Measure(name="polls", unit="/s", samples=tuple(polls)),
        ),
        goals=(at_most(MEMORY_BOUND_MB, memory.worst, "MB"), at_most(CPU_BOUND_PCT, cpu.median, "% of a core")),
        failures=bench.take_failures(),
    )


def _sync(cluster: Cluster, copies: int) -> None:
    """Let one peer make the files, and another fetch them; both are stopped then.

    Each file is edited before the other comes: what was there before gsync has nobody who made it, and nobody to ask.
    """
    folder, tracker = cluster.folder("origin"), cluster.tracker("--quiet")
    names = [f"directory-{number // _A_DIRECTORY:05}/document-{number:08}.txt" for number in range(copies)]
    for name in names[::_A_DIRECTORY]:
        (folder / name).parent.mkdir()
    for name in names:
        (folder / name).write_text("here")
    origin = cluster.peer("origin", tracker.port, "--no-tracker", "--quiet")
    _until_idle(cluster, origin)
    for name in names:
        (folder / name).write_text(f"edited: {name}")
    _until_idle(cluster, origin)
    peers = [origin, cluster.peer("holder", tracker.port, "--no-tracker", "--quiet")]
    settle(cluster, peers)
    for program in (*peers, tracker):
        program.stop()


def _until_idle(cluster: Cluster, peer: Peer) -> None:
    """Wait until it has nothing more to do than what it always does."""

    def is_idle() -> bool:
        before = cpu_s(peer.pid)
        time.sleep(_IDLE_S)
        return cpu_s(peer.pid) - before < _IDLE_SHARE * _IDLE_S

    peer.until(lambda: peer.events("peer.serving"), "serving", within_s=WITHIN_S)
    cluster.until(is_idle, f"an idle {peer.name}", within_s=WITHIN_S)


def _polls(peer: Peer) -> int:
    return int(ask_overlay(peer)["counts"].get("poll sent", 0))
