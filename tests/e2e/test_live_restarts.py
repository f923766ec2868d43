"""Native peers and trackers that end, begin again, are killed or lose their folder: nothing is fetched twice, nothing is lost, and
no absence is taken for a deletion.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, Peer, eventually, skip_or_fail

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 1024**2
GIB = 1024**3
ROOM_BYTES = 5 * GIB


def trio(cluster: Cluster, port: int, *options: str) -> list[Peer]:
    return [cluster.peer(name, port, "-v", "--stats", *options) for name in ("ann", "ben", "cleo")]


def stop(*peers: Peer) -> None:
    for peer in peers:
        peer.signal(signal.SIGINT)
    for peer in peers:
        assert peer.ends() == 0, peer.last_words()


def received(peer: Peer) -> int:
    """Content bytes that it has said to have received; exact once it has ended in order."""
    stats = peer.events("peer.stats")
    return int(stats[-1]["bytes_received"]) if stats else 0


def has_read(peer: Peer) -> int:
    """Bytes that the process has read from files and pipes so far; what comes over sockets is not counted."""
    for line in Path(f"/proc/{peer.pid}/io").read_text().splitlines():
        if line.startswith("rchar:"):
            return int(line.split()[1])
    raise AssertionError("no count of what was read")


def test_a_restart_fetches_nothing_again_and_reads_no_file_again(cluster: Cluster) -> None:
    ann = cluster.folder("ann")
    for number in range(16):
        (ann / f"large {number}").write_bytes(folders.noise(4 * MIB, seed=number))
    (ann / "many").mkdir()
    for number in range(300):
        (ann / "many" / f"{number}").write_bytes(b"%d" % number)
    port = cluster.tracker().port
    before = live.settle(peers := trio(cluster, port))
    assert has_read(peers[0]) > 64 * MIB
    stop(*peers)

    peers = trio(cluster, port)
    assert live.settle(peers) == before
    for peer in peers:
        assert has_read(peer) < 32 * MIB  # the program itself, and the index
    stop(*peers)
    for peer in peers:
        assert received(peer) == 0
        assert not peer.events("file.stale", "file.fetching", "file.fetched", "file.moved", "file.deleted")


def test_a_tracker_that_is_killed_and_begins_empty_costs_nobody_anything(cluster: Cluster) -> None:
    tracker = cluster.tracker()
    ann, ben, cleo = (cluster.folder(name) for name in ("ann", "ben", "cleo"))
    for number in range(30):
        (ann / f"{number}").write_bytes(b"%d" % number)
    live.settle(peers := trio(cluster, tracker.port))

    tracker.kill()
    for peer in peers:
        peer.until(lambda peer=peer: peer.events("tracker.down"), "the tracker missed")
        assert not live.status(peer)["in_sync"]
    (ann / "0").write_bytes(b"edited meanwhile")
    (ben / "1").unlink()
    (cleo / "2").rename(cleo / "renamed meanwhile")
    (ben / "new").write_bytes(b"made meanwhile")
    cluster.tracker(port=tracker.port)
    found = live.settle(peers)

    assert found.keys() == {*map(str, range(30)), "renamed meanwhile", "new"} - {"1", "2"}
    assert (cleo / "0").read_bytes() == b"edited meanwhile"
    assert not any(peer.events("file.conflict") for peer in peers)
    stop(*peers)
    assert received(peers[0]) < 100


def test_a_large_deletion_is_held_where_it_was_made_until_it_is_released(cluster: Cluster) -> None:
    port = cluster.tracker().port
    ann, ben = cluster.folder("ann"), cluster.folder("ben")
    (ann / "many").mkdir()
    for number in range(160):
        (ann / "many" / f"{number}").write_bytes(b"%d" % number)
    (ann / "other").write_bytes(b"something else")
    peers = trio(cluster, port)[:2]
    live.settle(peers)

    shutil.rmtree(ann / "many")
    peers[0].until(lambda: live.status(peers[0])["held_deletions"] >= 60, "most deletions held")
    (ann / "other").write_bytes(b"edited, and told")
    peers[1].until(lambda: (ben / "other").read_bytes() == b"edited, and told", "the edit")
    wait = cluster.gsync("wait", "--timeout=0", cwd=ann)
    assert wait.ends() == 7
    assert "gsync release" in wait.err
    assert len(os.listdir(ben / "many")) >= 60  # at most a hundred go before it is too much

    release = cluster.gsync("release", cwd=ann)
    assert release.ends() == 0
    assert live.settle(peers).keys() == {"other"}
    eventually(lambda: len(live.trashed_contents(ben)) >= 160, "what went, in the trash")


def test_a_folder_that_vanishes_or_is_emptied_deletes_nothing_elsewhere(cluster: Cluster) -> None:
    port = cluster.tracker().port
    ann, ben, cleo = (cluster.folder(name) for name in ("ann", "ben", "cleo"))
    for number in range(20):
        (ann / f"{number}").write_bytes(b"%d" % number)
    before = live.settle(peers := trio(cluster, port))

    ann.rename(cluster.base / "elsewhere")
    assert peers[0].ends() == 11, peers[0].last_words()
    stop(peers[1])
    shutil.rmtree(ben)  # a disk that is not mounted: an empty directory stands there
    ben.mkdir()
    live.settles(peers[2])
    assert live.picture(cleo) == before

    peers[0], peers[1] = cluster.peer("ann", port, "-v"), cluster.peer("ben", port, "-v")
    assert live.settle(peers) == before
    assert live.picture(cleo) == before


def test_a_gibibyte_goes_on_where_it_was_after_ctrl_c_and_after_kills_of_either_side(cluster: Cluster) -> None:
    if shutil.disk_usage(cluster.base).free < ROOM_BYTES:
        skip_or_fail(f"it needs {ROOM_BYTES} bytes of disk")
    ann, ben = cluster.folder("ann"), cluster.folder("ben")
    big = ann / "big.bin"
    with big.open("wb") as file:
        for _ in range(GIB // (16 * MIB)):
            file.write(os.urandom(16 * MIB))
    port = cluster.tracker().port
    source = cluster.peer(ann, port)
    live.settles(source)

    def receiver() -> Peer:
        return cluster.peer(ben, port, "--stats", "-v")

    first = receiver()
    first.until(lambda: live.staged_bytes(ben) > 256 * MIB, "a quarter of it")
    first.signal(signal.SIGINT)
    assert first.ends() in (0, 130), first.last_words()
    assert folders.names(ben) == set()
    kept = live.staged_bytes(ben)
    assert kept > 200 * MIB

    second = receiver()
    second.until(lambda: live.staged_bytes(ben) > kept + 128 * MIB, "some more of it")
    second.kill()
    assert folders.names(ben) == set()
    kept_by_second = live.staged_bytes(ben) - kept

    third = receiver()
    third.until(lambda: live.staged_bytes(ben) > kept + kept_by_second + 64 * MIB, "still more of it")
    source.kill()
    third.until(lambda: third.events("file.skipped"), "the source missed")
    assert folders.names(ben) == set()
    source = cluster.peer(ann, port)
    live.settle([source, third], within_s=120)

    assert filecmp.cmp(big, ben / "big.bin", shallow=False)
    stop(third)
    total = received(first) + kept_by_second + received(third)
    assert received(first) < 0.9 * GIB
    assert total < 1.1 * GIB, f"{received(first)} + {kept_by_second} + {received(third)}"
    third_staging = folders.left_in_staging(ben)
    assert third_staging == []


def test_kills_in_the_middle_of_many_small_files_cost_no_file_and_no_second_fetch(cluster: Cluster) -> None:
    ann, ben = cluster.folder("ann"), cluster.folder("ben")
    for number in range(FILES):
        folder = ann / f"{number % 20}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}").write_bytes(folders.noise(2000 + number, seed=number))
    port = cluster.tracker().port
    source = cluster.peer(ann, port, "--limit-up=1M")
    live.settles(source)
    receiver = cluster.peer(ben, port, "-v")

    def arrived() -> int:
        return sum(len(names) for _, _, names in os.walk(ben) if folders.OWN not in _)

    receiver.until(lambda: _count(ben) > FILES // 4, "a quarter of them")
    receiver.kill()
    here = _count(ben)
    again = cluster.peer(ben, port, "-v")
    again.until(lambda: _count(ben) > FILES // 2, "half of them")
    source.kill()
    again.until(lambda: again.events("tracker.up"), "its tracker")
    source = cluster.peer(ann, port)
    live.settle([source, again])
    assert len(again.fetched) <= FILES - here
    for path in ben.rglob("*"):
        if path.is_file() and folders.OWN not in path.parts:
            assert path.read_bytes() == (ann / path.relative_to(ben)).read_bytes()


FILES = 1500


def _count(folder: Path) -> int:
    return sum(len(names) for at, _, names in os.walk(folder) if folders.OWN not in at)
