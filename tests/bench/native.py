"""Native peers as the figures of the live folder need them: a swarm in sync, what its members say of themselves, equal trees."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Final

from tests.e2e.cluster import Cluster, Peer

WITHIN_S: Final = 600.0
"""How long a swarm may take until all is the same everywhere, on a machine that has other things to do."""


def settle(cluster: Cluster, peers: Sequence[Peer]) -> None:
    """Wait until all of them say that they are the same as all others, twice: the first one could not yet know of the last."""
    for peer in peers:
        peer.until(lambda peer=peer: peer.events("peer.serving"), f"{peer.name} serving", within_s=WITHIN_S)
    for _ in range(2):
        waiting = [cluster.gsync("wait", f"--dir={peer.folder}", f"--timeout={WITHIN_S:g}") for peer in peers]
        for wait, peer in zip(waiting, peers, strict=True):
            code = wait.ends(within_s=WITHIN_S + 60)
            assert code == 0, f"{peer.name} never settled\n{wait.last_words()}\n{peer.last_words()}"


def bytes_received(peer: Peer) -> int:
    """What has come in over its links to other peers, as of its last word of the kind (each second, with `--stats`)."""
    told = peer.events("peer.stats")
    return int(told[-1]["bytes_received"]) if told else 0


def told_bytes(cluster: Cluster, peer: Peer) -> int:
    """The same, as of now: waits for its next word."""
    count = len(peer.events("peer.stats"))
    cluster.until(lambda: len(peer.events("peer.stats")) > count, f"the next stats of {peer.name}")
    return bytes_received(peer)


def lags_ms(peer: Peer) -> list[float]:
    """How late its loop was, at each look so far."""
    return [float(ms) for told in peer.events("peer.stats") for ms in told["lag_ms"]]


def p99(samples: Sequence[float]) -> float:
    """Only one in a hundred is above; 0 where there are none."""
    return percentile(samples, 99)


def percentile(samples: Sequence[float], percent: int) -> float:
    """Only `100 - percent` in a hundred are above; 0 where there are none."""
    if len(samples) < 2:
        return samples[0] if samples else 0.0
    return quantiles(samples, n=100, method="inclusive")[percent - 1]


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and mtime of all files in the folder, by path, but for what is gsync's own."""
    found: dict[str, tuple[int, int]] = {}
    waiting = [""]
    while waiting:
        beneath = waiting.pop()
        with os.scandir(folder / beneath) as entries:
            for entry in entries:
                path = f"{beneath}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if path != ".gsync":
                        waiting.append(f"{path}/")
                else:
                    status = entry.stat(follow_symlinks=False)
                    found[path] = (status.st_size, status.st_mtime_ns)
    return found
