"""What real peers missed while a link of theirs was down, they learn of when it is back: by push alone, from neighbours alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, Peer
from tests.e2e.folders import write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TOPOLOGY = "ann,ben\nben,ann,cleo\ncleo,ben\n"


@pytest.mark.parametrize("who_is_away", ["the peer between them", "the peer itself"])
def test_what_was_edited_while_a_peer_was_away_comes_when_its_link_is_back(
    cluster: Cluster, tmp_path: Path, who_is_away: str
) -> None:
    tracker = cluster.tracker("--naming-only")
    topology = tmp_path / "peers.txt"
    topology.write_text(TOPOLOGY)
    write(cluster.folder("ann"), "a.txt", b"first")

    def start(name: str) -> None:
        peers[name] = cluster.peer(
            name, tracker.port, f"--name={name}", f"--topology={topology}", "--mode=push", "--ttr=3600"
        )

    def has(name: str, content: bytes) -> bool:
        path = peers[name].folder / "a.txt"
        return path.exists() and path.read_bytes() == content

    peers: dict[str, Peer] = {}
    for name in ("ann", "ben", "cleo"):
        start(name)
    cluster.until(lambda: has("cleo", b"first"), "the file at Cleo's")
    away = "ben" if who_is_away == "the peer between them" else "cleo"
    peers[away].kill()
    write(peers["ann"].folder, "a.txt", b"second, of another length")
    if away == "cleo":
        cluster.until(lambda: has("ben", b"second, of another length"), "the edit at Ben's")
    start(away)
    cluster.until(lambda: has("cleo", b"second, of another length"), "the edit at Cleo's", within_s=45)
