"""`rename`: a person renames a directory with many files: how long until all others have it so, and what is sent for it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from tests.bench.figure import Figure, Measure, at_most
from tests.bench.native import WITHIN_S, lags_ms, p99, settle, told_bytes, tree
from tests.bench.place import Place
from tests.bench.workbench import Workbench, random_files
from tests.e2e.cluster import Cluster

PEERS: Final = 3
SIZE: Final = 4096
SECONDS_BOUND: Final = 1.0
_LOOK_S: Final = 0.005


def measure(bench: Workbench) -> Iterator[Figure]:
    """A figure a place; the directory is renamed once a run, and stands in three folders."""
    for place in bench.places:
        with place.cluster() as cluster:
            yield _renamed(bench, place, cluster)


def _renamed(bench: Workbench, place: Place, cluster: Cluster) -> Figure:
    port = cluster.tracker("--quiet").port
    names = [f"directory-{run}" for run in range(bench.runs + 1)]
    first = cluster.folder("peer-0") / names[0]
    first.mkdir()
    random_files(first, bench.scale.renamed_files, size=SIZE)
    peers = [cluster.peer(f"peer-{number}", port, "--no-tracker", "--stats") for number in range(PEERS)]
    settle(cluster, peers)
    person, *others = peers
    late_from = [len(lags_ms(peer)) for peer in peers]
    taken, sent = list[float](), list[float]()
    for old, new in pairwise(names):
        before = [told_bytes(cluster, peer) for peer in others]
        began = time.perf_counter()
        os.rename(person.folder / old, person.folder / new)
        missing = [peer.folder for peer in others]
        while missing and time.perf_counter() - began < WITHIN_S:
            missing = [folder for folder in missing if not _has(folder, old, new, bench.scale.renamed_files)]
            time.sleep(_LOOK_S)
        taken.append(time.perf_counter() - began)
        settle(cluster, peers)
        moved = [told_bytes(cluster, peer) - count for peer, count in zip(others, before, strict=True)]
        sent.append(float(sum(moved)))
        same = all(tree(peer.folder) == tree(person.folder) for peer in others)
        bench.require(same and not missing, f"{new} is not the same everywhere\n{others[0].last_words()}")
        bench.say(f"rename, {place.name}: {taken[-1]:.3f} s, {sent[-1]:.0f} bytes from peer to peer")
    seconds = Measure(name="until all others have it", unit="s", samples=tuple(taken))
    content = Measure(name="content received", unit="bytes", samples=tuple(sent))
    late = [p99(lags_ms(peer)[begin:]) for peer, begin in zip(peers, late_from, strict=True)]
    return Figure(
        name="rename",
        place=place.name,
        what=f"a directory of {bench.scale.renamed_files} files renamed by a person, {len(others)} others: seconds",
        ours=(
            seconds,
            content,
            Measure(name="lag p99", unit="ms", samples=tuple(late)),
            Measure(name="RSS", unit="MB", samples=tuple(peer.rss_bytes() / 1e6 for peer in peers)),
        ),
        goals=(at_most(SECONDS_BOUND, seconds.median, "s"), at_most(0, content.worst, "bytes of content")),
        failures=bench.take_failures(),
    )


def _has(folder: Path, old: str, new: str, count: int) -> bool:
    """Whether all of the directory stands under its new name, and nothing under the old one."""
    if not (folder / new).is_dir() or (folder / old).exists():
        return False
    return len(os.listdir(folder / new)) == count
