"""Every pairing of ours and theirs, three peers at a time, with our tracker and theirs, in both editions: all sync.

All clusters run at the same time, because most of the time each of them waits for the next keepalive of somebody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import folders
from tests.e2e.cluster import Cluster, Peer, cluster_beneath

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BIG = 9 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pairing:
    """`O` is a peer of ours, `T` one of theirs; `tracker` as in `Cluster.any_tracker`."""

    peers: str
    tracker: str
    edition: int

    def __str__(self) -> str:
        return f"{self.peers}-{self.tracker}-edition-{self.edition}"


def _pairings() -> list[Pairing]:
    found = []
    for peers in ("OOO", "OOT", "OTT", "TTT"):
        for edition in (1, 2):
            found += [Pairing(peers, f"theirs-{edition}", edition)]
            if peers != "OOO" or edition == 2:  # without anything of theirs there is only one way to be
                found += [Pairing(peers, "ours", edition)]
    return found


PAIRINGS = _pairings()


class Running:
    """One pairing at work, and what its folders must become."""

    def __init__(self, pairing: Pairing, cluster: Cluster) -> None:
        self.cluster = cluster
        for place, kind in enumerate(pairing.peers):
            _fill(cluster.folder(f"{place}{kind}"), place)
        self.folders = [cluster.folder(f"{place}{kind}") for place, kind in enumerate(pairing.peers)]
        self.expected = folders.latest(self.folders)
        port = cluster.any_tracker(pairing.tracker).port
        self.peers = [self._start(folder, port, pairing.edition) for folder in self.folders]

    def _start(self, folder: Path, port: int, edition: int) -> Peer:
        if folder.name.endswith("O"):
            return self.cluster.peer(folder, port, "-v")
        return self.cluster.reference_peer(folder, port, edition=edition)


def _fill(folder: Path, place: int) -> None:
    folders.write(folder, f"from {place}.txt", b"hello from %d\n" % place, mtime_s=folders.OLD + 0.9)
    folders.write(folder, f"empty {place}", b"", mtime_s=folders.OLD + place)
    folders.write(folder, f"one byte {place}", b"\0")
    folders.write(folder, f"binary {place}", folders.noise(300_000, seed=place), mtime_s=folders.NEW)
    folders.write(folder, f"block {place}", folders.noise(8192, seed=place))
    if place != 1:
        folders.write(folder, f"big {place}", folders.noise(BIG, seed=place))
    folders.write(folder, "first is latest", b"from %d" % place, mtime_s=folders.NEW - place)
    folders.write(folder, "last is latest", b"from %d" % place * 1000, mtime_s=folders.NEW + place)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Pairing, Running]]:
    base = tmp_path_factory.mktemp("pairings")
    with cluster_beneath(base / "cluster") as parent:
        clusters = {pairing: Cluster(parent.base / str(pairing)) for pairing in PAIRINGS}
        try:
            yield {pairing: Running(pairing, cluster) for pairing, cluster in clusters.items()}
        finally:
            for cluster in clusters.values():
                cluster.close()


@pytest.mark.parametrize("pairing", PAIRINGS, ids=str)
def test_every_folder_ends_with_every_file(running: dict[Pairing, Running], pairing: Pairing) -> None:
    one = running[pairing]

    for folder in one.folders:
        one.cluster.until(folders.has(folder, one.expected), f"every file in {folder.name}")

    for folder in one.folders:
        assert folders.looks(folder) == one.expected
    assert all(peer.code is None for peer in one.peers)
