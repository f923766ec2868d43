"""How long a query takes: clients that ask one query after another, several of them at a time, on real peers and sockets.

The time of a query is from asking until the first hit of another peer is there. Called by `gsync lab staleness`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Final, TextIO

import gevent
from msgspec import Struct
from msgspec.structs import astuple, fields

from gsync.core.flood import QUERY_TTL
from gsync.core.names import PeerName, RelPath
from gsync.lab.grid import Overlay
from gsync.lab.house import House, wait_until
from gsync.lab.tally import Quantiles

CLIENTS: Final = (1, 5, 10, 30)
QUERIES: Final = 300
"""For each number of clients, dealt out among them."""

FILES: Final = 16
WAIT_S: Final = 5.0


class Waits(Struct, frozen=True):
    """How long the queries of so many clients took, in milliseconds; what was `unanswered` found nothing in time."""

    peers: int
    topology: str
    clients: int
    queries: int
    unanswered: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, overlay: Overlay, *, clients: int, times_s: Iterable[float | None]) -> Waits:
        """From the time of each query, None for one without an answer."""
        all_s = list(times_s)
        ranked = Quantiles.of(1000 * time_s for time_s in all_s if time_s is not None)
        return cls(
            peers=len(overlay.topology),
            topology=overlay.name,
            clients=clients,
            queries=len(all_s),
            unanswered=len(all_s) - ranked.count,
            p50_ms=ranked.p50,
            p95_ms=ranked.p95,
            p99_ms=ranked.p99,
            max_ms=ranked.max,
        )


COLUMNS: Final = tuple(field.name for field in fields(Waits))


def ask(overlay: Overlay, *, seed: int) -> Iterator[Waits]:
    """A round for each number of clients. A file is at one peer alone, so its query goes all the way."""
    rng = Random(seed)
    with House(overlay, ttr_s=3600.0, receives=False) as house:
        names = list(house.folders)
        holders = {RelPath(f"file-{number}"): rng.choice(names) for number in range(1, FILES + 1)}
        for path, holder in holders.items():
            house.folders[holder].put(path, b"here")
        for path, holder in holders.items():
            asker = next(name for name in names if name != holder)
            wait_until(lambda asker=asker, path=path: _first(house, asker, path) is not None, f"{path} is not found")  # type: ignore[misc]
        for clients in CLIENTS:
            yield Waits.of(overlay, clients=clients, times_s=_round(house, clients, rng=rng, holders=holders))


def write(rounds: Iterable[Waits], file: TextIO) -> None:
    """The rounds as CSV."""
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows(
        [round(value, 3) if isinstance(value, float) else value for value in astuple(row)] for row in rounds
    )


def _round(house: House, clients: int, *, rng: Random, holders: Mapping[RelPath, PeerName]) -> list[float | None]:
    names, paths = list(house.folders), list(holders)

    def client(asked: list[tuple[PeerName, RelPath]]) -> list[float | None]:
        return [_first(house, asker, path) for asker, path in asked]

    def question() -> tuple[PeerName, RelPath]:
        path = rng.choice(paths)
        return rng.choice([name for name in names if name != holders[path]]), path

    running = [gevent.spawn(client, [question() for _ in range(QUERIES // clients)]) for _ in range(clients)]
    return [time_s for greenlet in running for time_s in greenlet.get()]


def _first(house: House, asker: PeerName, path: RelPath) -> float | None:
    for hit in house.overlays[asker].searches.search(str(path), ttl=QUERY_TTL, wait_s=WAIT_S):
        if hit.holder != asker:
            return hit.round_trip_s
    return None
