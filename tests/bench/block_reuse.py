"""`reuse`: what goes over the wire when a large file that both sides have is changed a little, and how long it takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.bench.figure import Figure, Measure, at_most
from tests.bench.native import WITHIN_S, lags_ms, p99, settle, told_bytes
from tests.bench.options import MIB
from tests.bench.place import Place
from tests.bench.stopwatch import cpu_s, peak_mb_of
from tests.bench.workbench import Workbench, differing, random_file
from tests.e2e.cluster import Cluster

NAME: Final = "large.bin"
BYTES_BOUND_MIB: Final = 4.0
_LOOK_S: Final = 0.005
_PIECE: Final = MIB


def measure(bench: Workbench) -> Iterator[Figure]:
    """A figure a change; on disk, where reading what is here is not for nothing."""
    place = bench.slowest
    changes: dict[str, tuple[str, Callable[[Path, int], None]]] = {
        "insert": ("1 byte inserted at its start", _insert),
        "append": (f"{MIB} bytes appended", _append),
        "in place": (f"a block of {MIB} bytes overwritten in its middle", _overwrite),
    }
    for name, (what, change) in changes.items():
        with place.cluster() as cluster:
            yield _changed(bench, place, cluster, name=name, what=what, change=change)


def _changed(
    bench: Workbench, place: Place, cluster: Cluster, *, name: str, what: str, change: Callable[[Path, int], None]
) -> Figure:
    port = cluster.tracker("--quiet").port
    here = random_file(cluster.folder("peer-0") / NAME, bench.scale.reused_bytes)
    peers = [cluster.peer(f"peer-{number}", port, "--no-tracker", "--stats") for number in range(2)]
    settle(cluster, peers)
    there = peers[1].folder / NAME
    late_from = len(lags_ms(peers[1]))
    taken, sent, cpu, sent_cpu = list[float](), list[float](), list[float](), list[float]()
    for run in range(bench.runs):
        before = told_bytes(cluster, peers[1])
        spent = [cpu_s(peer.pid) for peer in peers]
        change(here, run)
        began = time.perf_counter()
        now = here.stat()
        while time.perf_counter() - began < WITHIN_S and _differs(there, now):
            time.sleep(_LOOK_S)
        taken.append(time.perf_counter() - began)
        settle(cluster, peers)
        sent.append((told_bytes(cluster, peers[1]) - before) / MIB)
        used = [cpu_s(peer.pid) - s for peer, s in zip(peers, spent, strict=True)]
        sent_cpu.append(used[0])
        cpu.append(used[1])
        wrong = differing(peers[0].folder, peers[1].folder, [NAME])
        bench.require(not wrong, f"{name}: the file is not the same\n{peers[1].last_words()}")
        bench.say(f"reuse, {place.name}, {name}: {sent[-1]:.2f} MiB on the wire, {taken[-1]:.2f} s")
    wire = Measure(name="on the wire", unit="MiB", samples=tuple(sent))
    return Figure(
        name=f"reuse, {name}",
        place=place.name,
        what=f"a file of {bench.scale.reused_bytes} bytes that both have, {what}: MiB",
        ours=(
            wire,
            Measure(name="until it is there", unit="s", samples=tuple(taken)),
            Measure(name="CPU, receiver", unit="s", samples=tuple(cpu)),
            Measure(name="CPU, sender", unit="s", samples=tuple(sent_cpu)),
            Measure(name="lag p99, receiver", unit="ms", samples=(p99(lags_ms(peers[1])[late_from:]),)),
            Measure(name="peak RSS, receiver", unit="MB", samples=(peak_mb_of(peers[1].pid),)),
        ),
        goals=(at_most(BYTES_BOUND_MIB, wire.worst, "MiB on the wire"),),
        failures=bench.take_failures(),
        remark="on the wire is all that came over links from other peers: block lists, headers and contents",
    )


def _differs(there: Path, wanted: os.stat_result) -> bool:
    now = there.stat()
    return (now.st_size, now.st_mtime_ns) != (wanted.st_size, wanted.st_mtime_ns)


def _insert(file: Path, run: int) -> None:
    """As an editor does it: a new file, which then takes the place of the old one."""
    fresh = file.parent.parent / f"inserted-{run}"
    with file.open("rb") as old, fresh.open("wb") as new:
        new.write(bytes([run % 256]))
        while piece := old.read(_PIECE):
            new.write(piece)
    os.rename(fresh, file)


def _append(file: Path, run: int) -> None:
    with file.open("ab") as out:
        out.write(os.urandom(MIB))


def _overwrite(file: Path, run: int) -> None:
    with file.open("r+b") as out:
        out.seek((file.stat().st_size // MIB // 2 + run) * MIB)
        out.write(os.urandom(MIB))
