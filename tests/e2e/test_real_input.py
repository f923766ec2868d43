"""Real folders, real files, real faults: what people put into a folder, and what happens to their machines meanwhile."""

from __future__ import annotations

import filecmp
import os
import shutil
import signal
import unicodedata
from pathlib import Path

import pytest

from tests.e2e import folders
from tests.e2e.cluster import Cluster, Peer, skip_or_fail

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GIB = 1024**3
MIB = 1024**2
ROOM_BYTES = 5 * GIB

ODD_NAMES = (
    "a name with spaces.txt",
    " leading and trailing blank ",
    "Grüße aus Köln.txt",
    unicodedata.normalize("NFD", "Grüße aus Köln.txt"),
    "party 🎉👩‍👩‍👧.txt",
    "日本語のファイル.txt",
    "n" * 255,
    "ü" * 127 + "x",
    "-rf",
    "--help",
    ".hidden",
    "..two dots",
    "prefix",
    "prefix and more",
    'quote".txt',
    '"in quotes"',
    "back\\slash",
    "%s %d {0}",
    "$(touch owned); `id`",
    "Content-Length: 5",
    '{"port": 1}',
    "null",
    "r\u202etxt.exe",
)


def test_the_standard_library_of_this_python_reaches_three_peers(cluster: Cluster) -> None:
    library = sorted(path for path in Path(os.__file__).parent.glob("*.py") if path.is_file())
    assert len(library) > 150
    homes = [cluster.folder(name) for name in ("alice", "ben", "carol")]
    for place, source in enumerate(library):
        shutil.copy2(source, homes[place % 3] / source.name)
    port = cluster.tracker().port

    peers = [cluster.peer(home, port) for home in homes]

    expected = folders.latest(homes)
    assert len(expected) == len(library)
    _converge(cluster, peers, expected)


def test_two_thousand_small_files_reach_the_other_peer_and_a_restart_fetches_none_again(cluster: Cluster) -> None:
    alice, ben = cluster.folder("alice"), cluster.folder("ben")
    for number in range(2000):
        folders.write(alice, f"{number:04}.txt", b"%d\n" % number * (number % 50), mtime_s=folders.OLD + number)
    expected = folders.latest([alice])
    port = cluster.tracker().port
    first = cluster.peer(alice, port)
    cluster.until(lambda: first.events("tracker.up"), "alice announced")

    second = cluster.peer(ben, port)
    _converge(cluster, [first, second], expected)
    # Small files share a few flushes; a flush a file would show in minutes, not here.
    assert len(second.fetched) == 2000
    cluster.all_in_sync([second])
    _stop_in_order([first, second])

    # Whoever comes second hears of everything with its first directory; one that brings nothing new ends the round at once.
    first = cluster.peer(alice, port)
    cluster.all_in_sync([first])
    for home in (ben, alice):
        if home is alice:
            _stop_in_order([first])
        again = cluster.peer(home, port)
        cluster.all_in_sync([again])
        assert again.events("tracker.up")[0]["names"] == 2000
        assert again.events("sync.done")[0]["fetched"] == 0
        assert not again.events("file.stale", "file.fetching", "file.fetched")


@pytest.mark.parametrize("others", ["ours", "theirs-1", "theirs-2"])
def test_odd_names_and_odd_contents_go_both_ways(cluster: Cluster, others: str) -> None:
    ours, theirs = cluster.folder("ours"), cluster.folder("theirs")
    for number, name in enumerate(ODD_NAMES):
        content = (b"", b"\0", folders.noise(5000, seed=number))[number % 3]
        folders.write((ours, theirs)[number % 2], name, content, mtime_s=folders.OLD + number)
    expected = folders.latest([ours, theirs])
    assert len(expected) == len(ODD_NAMES)
    port = cluster.any_tracker(others).port

    peers = [cluster.peer(ours, port, "-v")]
    if others == "ours":
        peers.append(cluster.peer(theirs, port))
    else:
        peers.append(cluster.reference_peer(theirs, port, edition=int(others[-1])))

    _converge(cluster, peers, expected)


def test_eight_peers_with_thirty_files_each_end_alike(cluster: Cluster) -> None:
    homes = [cluster.folder(f"peer{number}") for number in range(8)]
    for number, home in enumerate(homes):
        for one in range(30):
            folders.write(home, f"{number}-{one}", folders.noise(one * 977, seed=number * 100 + one))
    expected = folders.latest(homes)
    port = cluster.tracker().port

    _converge(cluster, [cluster.peer(home, port) for home in homes], expected)


def test_of_two_files_with_one_name_the_later_wins_everywhere_and_the_older_is_in_the_trash(cluster: Cluster) -> None:
    early, late, none = (cluster.folder(name) for name in ("early", "late", "none"))
    folders.write(early, "plan.txt", b"older words", mtime_s=folders.OLD)
    folders.write(late, "plan.txt", b"newer", mtime_s=folders.NEW)
    folders.write(early, "other.txt", b"newer, on the other machine", mtime_s=folders.NEW)
    folders.write(late, "other.txt", b"older", mtime_s=folders.OLD)
    expected = folders.latest([early, late])
    port = cluster.tracker().port

    _converge(cluster, [cluster.peer(home, port) for home in (early, late, none)], expected)

    assert folders.trashed(early) == {"plan.txt": [b"older words"]}
    assert folders.trashed(late) == {"other.txt": [b"older"]}
    assert set(folders.trashed(none)) <= {"plan.txt", "other.txt"}


def test_an_edit_made_after_all_was_in_sync_reaches_everybody(cluster: Cluster) -> None:
    homes = [cluster.folder(name) for name in ("alice", "ben", "carol")]
    folders.write(homes[0], "notes.txt", b"first", mtime_s=folders.OLD)
    port = cluster.tracker().port
    peers = [cluster.peer(home, port) for home in homes]
    _converge(cluster, peers, folders.latest(homes))

    folders.write(homes[1], "notes.txt", b"second, by ben", mtime_s=folders.NEW)
    peers[1].signal(signal.SIGUSR1)

    _converge(cluster, peers, folders.latest(homes[1:2]))
    assert folders.trashed(homes[0]) == {"notes.txt": [b"first"]}
    assert not any(peer.events("file.conflict") for peer in peers)


def test_a_peer_that_joins_late_gets_everything_from_whoever_is_left(cluster: Cluster) -> None:
    homes = [cluster.folder(name) for name in ("alice", "ben")]
    for home in homes:
        folders.write(home, f"from {home.name}", folders.noise(200_000, seed=len(home.name)))
    expected = folders.latest(homes)
    port = cluster.tracker().port
    peers = [cluster.peer(home, port) for home in homes]
    _converge(cluster, peers, expected)
    ben_serves = peers[1].endpoint
    cluster.until(lambda: set(cluster.holders(port, ben_serves)) == expected.keys(), "ben announced what he fetched")

    peers[0].kill()
    late = cluster.peer("late", port)

    _converge(cluster, [late], expected)


def test_a_gibibyte_survives_a_receiver_and_a_source_that_are_killed_in_the_middle(cluster: Cluster) -> None:
    if shutil.disk_usage(cluster.base).free < ROOM_BYTES:
        skip_or_fail(f"it needs {ROOM_BYTES} bytes of disk")
    alice, ben = cluster.folder("alice"), cluster.folder("ben")
    big = alice / "big.bin"
    with big.open("wb") as file:
        for _ in range(GIB // (16 * MIB)):
            file.write(os.urandom(16 * MIB))
    os.utime(big, (folders.NEW, folders.NEW))
    port = cluster.tracker().port
    source = cluster.peer(alice, port)
    cluster.until(lambda: source.events("tracker.up"), "alice announced")

    receiver = cluster.peer(ben, port)
    receiver.until(lambda: folders.staged_bytes(ben) > 64 * MIB, "the middle of the transfer")
    receiver.kill()
    assert folders.names(ben) == set()
    receiver = cluster.peer(ben, port)
    receiver.until(lambda: receiver.events("file.fetching"), "a new start; what was staged is gone by now")
    receiver.until(lambda: folders.staged_bytes(ben) > 64 * MIB, "the middle of the second transfer")
    source.kill()
    receiver.until(lambda: receiver.events("file.skipped"), "the source missed")
    assert folders.names(ben) == set()
    source = cluster.peer(alice, port)
    receiver.until(lambda: folders.names(ben) == {"big.bin"}, "the whole file", within_s=120)

    assert filecmp.cmp(big, ben / "big.bin", shallow=False)
    assert (ben / "big.bin").stat().st_mtime == folders.NEW
    receiver.until(lambda: receiver.is_in_sync, "in sync")
    assert folders.left_in_staging(ben) == []


def test_trackers_that_are_killed_and_restarted_empty_are_found_again(cluster: Cluster) -> None:
    trackers = {kind: cluster.any_tracker(kind) for kind in ("ours", "theirs-1", "theirs-2")}
    peers: dict[str, list[Peer]] = {}
    for kind, tracker in trackers.items():
        folders.write(cluster.folder(f"alice {kind}"), "before", b"1")
        peers[kind] = [cluster.peer(f"{name} {kind}", tracker.port) for name in ("alice", "ben")]
    for alice, ben in peers.values():
        _converge(cluster, [ben], folders.latest([alice.folder]))

    for kind, tracker in trackers.items():
        tracker.kill()
        for peer in peers[kind]:
            peer.until(lambda peer=peer: peer.events("tracker.down"), "the tracker missed")
            folders.write(peer.folder, f"meanwhile {peer.folder.name}", b"2")
            peer.signal(signal.SIGUSR1)
    for kind, tracker in trackers.items():
        cluster.any_tracker(kind, port=tracker.port)

    for both in peers.values():
        _converge(cluster, both, folders.latest([peer.folder for peer in both]))
        assert all(len(peer.events("tracker.up")) > 1 for peer in both)


def _converge(cluster: Cluster, peers: list[Peer], expected: folders.Looks) -> None:
    """Wait until every folder shows what is expected, then compare each byte."""
    for peer in peers:
        cluster.until(folders.has(peer.folder, expected), f"every file in {peer.folder.name}")
    for peer in peers:
        assert folders.looks(peer.folder) == expected


def _stop_in_order(peers: list[Peer]) -> None:
    for peer in peers:
        peer.signal(signal.SIGINT)
    for peer in peers:
        assert peer.ends() == 0
