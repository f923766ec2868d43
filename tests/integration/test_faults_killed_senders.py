"""faults.md row 1: senders killed at random offsets; no stump is ever published, and honest sources heal everything."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.e2e import folders
from tests.e2e.cluster import Cluster, Peer, free_port
from tests.e2e.pretenders import PretendedSource, PretendedTracker, contents, listing
from tests.integration.doomed_senders import content
from tests.integration.sizes import limit_s, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300))]

KILLS = times(50)
SIZES = (20_000, 700_000)
"""One that waits in memory for its batch, one that goes to staging while it comes."""


@pytest.mark.parametrize("edition", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_no_stump_of_a_killed_sender_is_published(cluster: Cluster, edition: int, size: int) -> None:
    rng = random.Random(size + edition)
    kills = KILLS // len(SIZES)
    edges = [0, 1, size - 1, size, size // 2]
    offsets = edges + [rng.randrange(1, size) for _ in range(kills - len(edges))]
    script = Path(__file__).with_name("doomed_senders.py")
    ports = [free_port() for _ in offsets]
    places = [f"{port}:{offset}" for port, offset in zip(ports, offsets, strict=True)]
    doomed = cluster.run([sys.executable, script, str(edition), str(size), *places])
    doomed.says("READY")
    names = [f"file {number}" for number in range(kills)]

    with PretendedTracker() as tracker:
        entries = {name: (port, folders.OLD) for name, port in zip(names, ports, strict=True)}
        tracker.answer = listing(entries, ours=edition == 2)
        peer = cluster.peer("alice", tracker.port)
        assert doomed.ends() == 0
        peer.until(
            lambda: {event["path"] for event in peer.events("file.skipped")} >= set(names), "all of them given up"
        )

        assert folders.names(peer.folder) == set()
        assert not peer.events("file.fetched")
        peer.until(lambda: not folders.left_in_staging(peer.folder), "an empty staging folder")

        files = {name: content(size, number) for number, name in enumerate(names)}
        with PretendedSource(contents(files)) as honest:
            entries = dict.fromkeys(names, (honest.port, folders.OLD))
            tracker.push(listing(entries, ours=edition == 2))
            cluster.until(lambda: folders.names(peer.folder) == set(names), "every file from the honest source")
            assert {name: (peer.folder / name).read_bytes() for name in names} == files
    print(f"row 1, edition {edition}, {size} bytes: {kills} kills, 0 stumps")


def test_what_a_killed_peer_had_given_whole_is_kept_and_nothing_else(cluster: Cluster) -> None:
    """Peers of others, one of each edition, are killed at seeded moments of their work; what stands here is whole each time."""
    theirs = cluster.folder("theirs")
    for number in range(60):
        folders.write(theirs, f"file {number:02}", folders.noise(300_000, seed=number))
    expected = folders.looks(theirs)
    trackers = {edition: cluster.reference_tracker(edition=edition).port for edition in (1, 2)}
    receivers = {edition: cluster.peer(f"ours {edition}", port) for edition, port in trackers.items()}
    rng = random.Random(1)

    def start_source(edition: int, *options: str) -> Peer:
        options = ("--seed-only", "--no-reconnect", *options)
        return cluster.reference_peer(theirs, trackers[edition], *options, edition=edition)

    for round_ in range(3):
        sources = {edition: start_source(edition, "--quirk=pieces-1024") for edition in trackers}
        for edition, receiver in receivers.items():
            enough = min(len(folders.names(receiver.folder)) + rng.randrange(3, 12), len(expected))
            receiver.until(
                lambda at=receiver.folder, enough=enough: len(folders.names(at)) >= enough,
                f"{enough} files in round {round_}",
            )
            sources[edition].kill()
            for name in folders.names(receiver.folder):
                assert folders.look(receiver.folder / name) == expected[name]

    for edition, receiver in receivers.items():
        start_source(edition)
        cluster.until(folders.has(receiver.folder, expected), "every file in the end")
        assert folders.looks(receiver.folder) == expected
