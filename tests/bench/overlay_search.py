"""`search`: 16 peers in a grid are asked who has a file, by one client, and by several that ask one question after another.

A file is at one peer alone and nobody fetches, so the question goes all the way. The time is a client's: from its question to a
peer on its machine, as `gsync search` puts it, until the first hit of another peer is there.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.bench.curve import draw
from tests.bench.figure import Figure, Measure, at_most
from tests.bench.native import percentile
from tests.bench.overlay_swarm import SHAPE, OverlaySwarm, swarm
from tests.bench.stopwatch import cpu_s
from tests.bench.workbench import Workbench, random_files
from tests.e2e.cluster import Cluster

PEERS: Final = 16
P50_BOUND_MS: Final = 10.0

_WAIT_S: Final = 1
"""How long a peer waits for hits; the answers that come after the first one are of no interest here."""


def measure(bench: Workbench) -> Iterator[Figure]:
    """A figure a number of clients, and a picture of all of them."""
    curve: dict[float, tuple[float, ...]] = {}
    with bench.quietest.cluster() as cluster:
        holders = _holders(bench, cluster)
        with swarm(cluster, PEERS, "--send-only") as peers:
            _ask_once(bench, peers, holders, clients=1)  # whatever is done only once is done by now
            for clients in bench.scale.search_clients:
                taken = [_ask_once(bench, peers, holders, clients=clients) for _ in range(bench.runs)]
                figure = _figure(bench, clients, taken)
                curve[clients] = figure.ours[0].samples
                yield figure
    picture = bench.options.out / "search.svg"
    bench.say(draw(picture, {f"{PEERS} peers, {SHAPE}": curve}, title="a search", x="clients at a time", y="ms, p50"))


def _holders(bench: Workbench, cluster: Cluster) -> dict[str, int]:
    """Files, and the number of the peer that has each."""
    holders = {}
    for number in range(PEERS):
        folder = cluster.folder(f"peer-{number + 1:03}")
        for name in random_files(folder, bench.scale.searched_files, size=100):
            (folder / name).rename(folder / f"{number}-{name}")
            holders[f"{number}-{name}"] = number
    return holders


def _ask_once(
    bench: Workbench, peers: OverlaySwarm, holders: dict[str, int], *, clients: int
) -> tuple[list[float], float]:
    """The milliseconds of each question, and the CPU seconds that all peers together spent on one."""
    questions = max(1, bench.scale.searches // clients)
    before = sum(cpu_s(peer.pid) for peer in peers.peers)
    with ThreadPoolExecutor(clients) as threads:
        asking = [threads.submit(_client, peers, holders, questions, seed) for seed in range(clients)]
        answers = [answer for future in asking for answer in future.result()]
    spent = sum(cpu_s(peer.pid) for peer in peers.peers) - before
    found = [ms for ms in answers if ms is not None]
    bench.require(len(found) == len(answers), f"{len(answers) - len(found)} of {len(answers)} searches found nothing")
    return found, spent / len(answers)


def _client(peers: OverlaySwarm, holders: dict[str, int], questions: int, seed: int) -> list[float | None]:
    rng = random.Random(seed)
    return [_ask(peers, *rng.choice(list(holders.items())), rng) for _ in range(questions)]


def _ask(peers: OverlaySwarm, name: str, holder: int, rng: random.Random) -> float | None:
    asked = rng.choice([number for number in range(PEERS) if number != holder])
    began = time.perf_counter()
    for hit in peers.ask(asked, "search", pattern=name, seconds=f"{_WAIT_S}"):
        if not hit.get("is_here", True):
            return (time.perf_counter() - began) * 1000
    return None


def _figure(bench: Workbench, clients: int, taken: list[tuple[list[float], float]]) -> Figure:
    p50 = Measure(name="p50", unit="ms", samples=tuple(percentile(run, 50) for run, _ in taken))
    return Figure(
        name=f"search, {clients}",
        place="-",
        what=f"{PEERS} peers, {SHAPE}, {clients} at a time: from a client's question to the first hit: ms",
        ours=(
            p50,
            Measure(name="p95", unit="ms", samples=tuple(percentile(run, 95) for run, _ in taken)),
            Measure(name="p99", unit="ms", samples=tuple(percentile(run, 99) for run, _ in taken)),
            Measure(name="CPU of all peers, a search", unit="ms", samples=tuple(spent * 1000 for _, spent in taken)),
        ),
        goals=(at_most(P50_BOUND_MS, p50.median, "ms p50"),) if clients == 1 else (),
        failures=bench.take_failures(),
    )
