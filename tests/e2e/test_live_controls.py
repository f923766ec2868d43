"""The commands and options of a live peer at work: waiting, pausing, roles, limits, the trash, several folders on one machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, eventually, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 1024**2
STAYS_S = 1.0
"""After so long, what has not happened by then is taken for what does not happen; edits arrive in a twentieth of it."""


def order(cluster: Cluster, folder: Path, *words: str) -> str:
    """Give a command in this folder, which must succeed; what it said."""
    program = cluster.gsync(*words, cwd=folder)
    assert program.ends() == 0, program.last_words()
    return program.out


def test_a_running_peer_tells_of_itself_and_stops_when_told(cluster: Cluster) -> None:
    port = cluster.tracker().port
    ann, ben = cluster.folder("ann"), cluster.folder("ben")
    (ann / "notes").mkdir()
    (ann / "notes" / "today").write_bytes(b"words")
    peers = [cluster.peer(home, port) for home in (ann, ben)]
    live.settle(peers)

    status = cluster.gsync("status", "--json", cwd=ben / "notes")
    listing = cluster.gsync("ls", "--json", cwd=ben)
    others = cluster.gsync("peers", "--json", cwd=ben)
    why = cluster.gsync("why", "today", "--json", cwd=ben / "notes")
    log = cluster.gsync("log", "--json", cwd=ben)
    assert [program.ends() for program in (status, listing, others, why, log)] == [0] * 5
    assert (status.lines()[0]["in_sync"], status.lines()[0]["here"]["files"]) == (True, 1)
    assert {line["path"]: line["state"] for line in listing.lines()} == {"notes": "synced", "notes/today": "synced"}
    assert [line["endpoint"] for line in others.lines() if "neighbour" not in line] == [peers[0].endpoint]
    assert why.lines()[0]["path"] == "notes/today"
    assert "file.fetched" in {line["event"] for line in log.lines()}
    order(cluster, ben, "stop")
    assert peers[1].ends() == 0
    assert cluster.gsync("status", cwd=ben).ends() == 10


def test_while_paused_nothing_changes_here_and_nothing_is_told(cluster: Cluster) -> None:
    port = cluster.tracker().port
    ann, ben = cluster.folder("ann"), cluster.folder("ben")
    (ann / "deleted").write_bytes(b"not yet")
    peers = [cluster.peer(home, port) for home in (ann, ben)]
    live.settle(peers)

    order(cluster, ben, "pause")
    (ann / "from ann").write_bytes(b"1")
    (ann / "deleted").unlink()
    (ben / "from ben").write_bytes(b"2")
    waits = cluster.gsync("wait", f"--timeout={STAYS_S}", cwd=ann)
    assert waits.ends() == 7
    assert f"{peers[1].endpoint}) does not have all of it" in waits.err
    assert live.picture(ben).keys() == {"deleted", "from ben"}
    assert live.picture(ann).keys() == {"from ann"}
    assert live.status(peers[1])["paused"]
    order(cluster, ben, "resume")
    assert live.settle(peers).keys() == {"from ann", "from ben"}


def test_who_only_sends_is_never_changed_and_who_only_receives_changes_nobody(cluster: Cluster) -> None:
    port = cluster.tracker().port
    sender, both, receiver = (cluster.folder(name) for name in ("sender", "both", "receiver"))
    (sender / "from sender").write_bytes(b"1")
    (both / "from both").write_bytes(b"2")
    (receiver / "from receiver").write_bytes(b"3")
    sends = cluster.peer(sender, port, "--send-only")
    does_both = cluster.peer(both, port)
    receives = cluster.peer(receiver, port, "--receive-only")
    for folder, names in (
        (both, {"from sender", "from both"}),
        (receiver, {"from sender", "from both", "from receiver"}),
    ):
        cluster.until(lambda folder=folder, names=names: folders.names(folder) == names, f"{names} in {folder.name}")

    (sender / "from sender").write_bytes(b"edited where it came from")
    (both / "from both").unlink()
    (receiver / "another").write_bytes(b"4")
    (receiver / "from sender").write_bytes(b"edited by one who only receives")
    cluster.until(lambda: (both / "from sender").read_bytes() == b"edited where it came from", "the edit")
    cluster.until(lambda: not (receiver / "from both").exists(), "the deletion")
    cluster.until(lambda: live.status(does_both)["in_sync"], "rest")
    time.sleep(STAYS_S)
    assert folders.names(sender) == {"from sender"}
    assert (sender / "from sender").read_bytes() == b"edited where it came from"
    assert folders.names(both) == {"from sender"}
    assert {"another", "from receiver", "from sender"} <= folders.names(receiver)
    kept = {path.read_bytes() for path in receiver.iterdir() if path.is_file()} | live.trashed_contents(receiver)
    assert b"edited by one who only receives" in kept
    for peer in (sends, does_both, receives):
        assert peer.code is None, peer.last_words()


@pytest.mark.parametrize("option", ["--limit-up=2M", "--limit-down=2M"])
def test_a_limited_peer_takes_its_time(cluster: Cluster, option: str) -> None:
    port = cluster.tracker().port
    ann, ben = cluster.folder("ann"), cluster.folder("ben")
    (ann / "large").write_bytes(folders.noise(5 * MIB, seed=1))
    for number in range(10):
        (ann / f"small {number}").write_bytes(folders.noise(MIB // 10, seed=number))
    source = cluster.peer(ann, port, *([option] if "up" in option else []))
    live.settles(source)
    receiver = cluster.peer(ben, port, *([option] if "down" in option else []))
    receiver.until(lambda: receiver.events("file.fetching"), "the first fetch")
    began = time.monotonic()
    live.settle([source, receiver])
    assert time.monotonic() - began > 2.2  # 6 MiB at 2 MiB a second, a little of which came before


def test_what_others_deleted_or_replaced_is_got_back_from_the_trash(cluster: Cluster) -> None:
    port = cluster.tracker().port
    ann, ben = cluster.folder("ann"), cluster.folder("ben")
    (ann / "album").mkdir()
    for name in ("deleted", "replaced", "album/1", "album/2"):
        (ann / name).write_bytes(f"{name}, first".encode())
    peers = [cluster.peer(home, port) for home in (ann, ben)]
    live.settle(peers)
    (ann / "deleted").unlink()
    (ann / "replaced").write_bytes(b"second")
    for name in ("1", "2"):
        (ann / "album" / name).unlink()
    live.settle(peers)

    order(cluster, ben, "restore", "deleted", "replaced", "album")
    live.settle(peers)
    for name in ("deleted", "replaced", "album/1", "album/2"):
        assert (ann / name).read_bytes() == f"{name}, first".encode()
    eventually(lambda: b"second" in live.trashed_contents(ben), "what was replaced, in the trash")
    missing = cluster.gsync("restore", "never there", cwd=ben)
    assert missing.ends() == 4


def test_two_folders_of_each_machine_are_kept_by_processes_that_know_nothing_of_each_other(cluster: Cluster) -> None:
    """No tracker is started by hand: the first peer of each swarm begins one, at a port of its own."""
    docs, pictures = free_port(), free_port()
    peers = {
        (machine, what): cluster.peer(f"{machine} {what}", port)
        for what, port in (("docs", docs), ("pictures", pictures))
        for machine in ("ann", "ben")
    }
    for (machine, what), peer in peers.items():
        (peer.folder / f"{what} of {machine}").write_bytes(what.encode())
    for what in ("docs", "pictures"):
        found = live.settle([peers["ann", what], peers["ben", what]])
        assert found.keys() == {f"{what} of ann", f"{what} of ben"}
    order(cluster, peers["ann", "docs"].folder, "pause")
    (peers["ben", "pictures"].folder / "one more").write_bytes(b"3")
    eventually((peers["ann", "pictures"].folder / "one more").exists, "a change in the folder that is not paused")
    second = cluster.peer(peers["ann", "docs"].folder, docs)
    assert second.ends() == 11
    assert str(peers["ann", "docs"].pid) in second.err
