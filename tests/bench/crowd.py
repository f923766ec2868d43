"""`peers`: one source, and 1, 2, 4, 8 receivers at the same instant: all files of all of them a second.

The start of the processes counts. All of them share this machine's cores: more receivers than cores show that nothing breaks
under them, not how fast several machines are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from tests.bench.curve import draw
from tests.bench.figure import Figure, Measure, at_most
from tests.bench.place import Place
from tests.bench.workbench import Workbench, differing, random_files
from tests.e2e.cluster import Cluster, Peer

SIZE: Final = 4096
WITHIN_S: Final = 180.0


def measure(bench: Workbench) -> Iterator[Figure]:
    """One figure a place, a measure for each size of the crowd, and a picture of all places."""
    curves: dict[str, dict[float, tuple[float, ...]]] = {}
    for place in bench.places:
        crowd = _Crowd(bench, place)
        rates = {receivers: list[float]() for receivers in bench.scale.crowds}
        failed = 0
        for run in range(bench.runs):
            for receivers, taken in rates.items():
                rate, failures = crowd.rush(receivers)
                bench.say(
                    f"peers, {place.name}: run {run}, {receivers} receivers {rate:.0f} files/s, {failures} failed"
                )
                taken.append(rate)
                failed += failures
        curves[place.name] = {receivers: tuple(taken) for receivers, taken in rates.items()}
        yield Figure(
            name="peers",
            place=place.name,
            what=f"{bench.scale.crowd_files} files of {SIZE} bytes to several peers at once: files a second of all together",
            ours=tuple(
                Measure(name=f"{receivers} receiver{'s' * (receivers > 1)}", unit="files/s", samples=tuple(taken))
                for receivers, taken in rates.items()
            ),
            goals=(at_most(0, failed, "failed fetches"),),
            failures=bench.take_failures(),
        )
    title = f"{bench.scale.crowd_files} files of 4 KiB from one source"
    picture = bench.options.out / "peers.svg"
    bench.say(draw(picture, curves, title=title, x="receivers at the same time", y="files a second, all together"))


class _Crowd:
    def __init__(self, bench: Workbench, place: Place) -> None:
        self._bench = bench
        self._place = place

    def rush(self, receivers: int) -> tuple[float, int]:
        """Files a second from the first start to the last `sync.done`, and how many fetches failed."""
        count = self._bench.scale.crowd_files
        with self._place.cluster() as cluster:
            names = random_files(cluster.folder("source"), count, size=SIZE)
            port = cluster.tracker().port
            source = cluster.peer("source", port, "--no-tracker")
            cluster.until(lambda: len(cluster.holders(port, source.endpoint)) == count, "all in the directory")
            self._place.settle()
            began = time.time()
            peers = [cluster.peer(f"receiver-{one}", port, "--no-tracker") for one in range(receivers)]
            self._wait(cluster, peers)
            ended = max(_told_at(peer) for peer in peers)
            for peer in peers:
                wrong = differing(cluster.base / "source", Path(peer.folder), names)
                self._bench.require(not wrong, f"{len(wrong)} files did not come whole\n{peer.last_words()}")
            failed = sum(len(peer.events("file.skipped")) for peer in peers)
            return receivers * count / (ended - began), failed

    def _wait(self, cluster: Cluster, peers: list[Peer]) -> None:
        """Until all have said that they are in sync; looks at the tail only, so that looking costs them nothing."""
        for peer in peers:
            cluster.until(lambda peer=peer: peer.has_said('"event":"sync.done"'), "all in sync", within_s=WITHIN_S)


def _told_at(peer: Peer) -> float:
    """The wall clock at which it said that it was in sync, to the millisecond."""
    return datetime.fromisoformat(peer.events("sync.done")[-1]["time"]).timestamp()
