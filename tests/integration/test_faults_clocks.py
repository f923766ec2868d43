"""faults.md row 8: absurd mtimes, told or on disk; each is taken or refused with a reason, and nothing is fetched twice."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import folders
from tests.e2e.cluster import Cluster
from tests.e2e.pretenders import PretendedSource, PretendedTracker, contents, listing
from tests.integration.disks import disk_until_2038

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HIGHEST = 4_102_444_800
"""The year 2100, the last mtime that the protocol knows."""

LAST_OF_2038 = 2**31 - 1

# As JSON spells them: Python's own encoder would refuse some.
TAKEN = {
    "epoch": ("0", 0),
    "minus nothing": ("-0.0", 0),
    "last year": ("1700000000", 1_700_000_000),
    "a fraction": ("1700000000.999", 1_700_000_000),
    "an exponent": ("1.7e9", 1_700_000_000),
    "after 2038": (str(2**31), 2**31),
    "2100": (str(HIGHEST), HIGHEST),
    "2100 and a bit": (f"{HIGHEST}.5", HIGHEST),
}
REFUSED = {
    "after 2100": str(HIGHEST + 1),
    "minus one": "-1",
    "nearly nothing below": "-0.001",
    "2^63": str(2**63),
    "2^63 less one": str(2**63 - 1),
    "minus 2^63": str(-(2**63)),
    "1e308": "1e308",
    "1e999": "1e999",
    "many digits": "9" * 5000,
    "true": "true",
    "false": "false",
    "null": "null",
    "text": '"1700000000"',
    "NaN": "NaN",
    "Infinity": "Infinity",
    "minus Infinity": "-Infinity",
    "a list": "[1700000000]",
    "an object": '{"s": 1700000000}',
}


def _told(port: int) -> bytes:
    """A directory with every mtime above; its sources tell their sizes, so that each fetch is one request."""
    spelt = {**{name: text for name, (text, _) in TAKEN.items()}, **REFUSED}
    entries = [
        f'{json.dumps(name)}:{{"ip":"127.0.0.1","port":{port},"mtime":{text},"gsync":1}}'
        for name, text in spelt.items()
    ]
    missing = f'"no mtime":{{"ip":"127.0.0.1","port":{port}}}'
    return ("{" + ",".join([*entries, missing]) + "}\n").encode()


def _asked(source: PretendedSource) -> Counter[str]:
    return Counter(request.decode().removesuffix("\n") for request in source.requests)


def test_absurd_mtimes_of_a_directory_are_refused_one_by_one(cluster: Cluster) -> None:
    files = {name: name.encode() for name in [*TAKEN, *REFUSED, "no mtime", "another"]}
    with PretendedSource(contents(files)) as source, PretendedTracker() as tracker:
        tracker.answer = _told(source.port)
        peer = cluster.peer("alice", tracker.port, "--log-level=warning")
        cluster.until(lambda: folders.names(peer.folder) == TAKEN.keys(), "what can be taken")
        for name, (_, mtime_s) in TAKEN.items():
            assert folders.look(peer.folder / name).mtime_s == mtime_s
            assert (peer.folder / name).read_bytes() == files[name]
        _tell_again_and_again(tracker, _told(source.port))
        another = b'{"another":{"ip":"127.0.0.1","port":%d,"mtime":5,"gsync":1},' % source.port
        tracker.push(_told(source.port).replace(b"{", another, 1))
        peer.until(lambda: "another" in folders.names(peer.folder), "another file, after all that")

        assert _asked(source) == Counter([*TAKEN, "another"])
    assert not peer.events("file.conflict")
    assert folders.trashed(peer.folder) == {}
    assert "directory.refused" in peer.err
    assert "an mtime lies in 0..4102444800" in peer.err
    assert peer.code is None


def _tell_again_and_again(tracker: PretendedTracker, directory: bytes) -> None:
    """The same directory, with an empty one between, so that everything is planned anew each time."""
    for _ in range(20):
        tracker.push(b"{}\n")
        tracker.push(directory)


def test_absurd_mtimes_of_an_initial_are_refused_one_by_one(cluster: Cluster) -> None:
    spelt = {**{name: text for name, (text, _) in TAKEN.items()}, **REFUSED}
    files = ",".join(f'{{"name":{json.dumps(name)},"mtime":{text}}}' for name, text in spelt.items())
    tracker = cluster.tracker("-v")

    with socket.create_connection(("127.0.0.1", tracker.port)) as conn:
        conn.sendall(f'{{"port":5000,"files":[{files},{{"name":"no mtime"}}]}}'.encode())
        with conn.makefile("rb") as lines:
            directory = json.loads(lines.readline())

    assert {name: entry["mtime"] for name, entry in directory.items()} == {n: mtime for n, (_, mtime) in TAKEN.items()}
    tracker.says("an mtime lies in 0..4102444800")
    tracker.says(f"count={len(REFUSED) + 1}")


def test_a_later_mtime_from_the_future_replaces_nothing_and_an_earlier_one_never_does(cluster: Cluster) -> None:
    home = cluster.folder("alice")
    folders.write(home, "mine", b"mine", mtime_s=folders.NEW)
    folders.write(home, "mine too", b"mine too", mtime_s=folders.NEW)
    with PretendedSource(contents(dict.fromkeys(("mine", "mine too", "new"), b"theirs"))) as source:
        with PretendedTracker() as tracker:
            at = source.port
            tracker.answer = listing({"mine": (at, HIGHEST), "mine too": (at, folders.OLD), "new": (at, HIGHEST)})
            peer = cluster.peer(home, tracker.port)
            peer.until(lambda: "new" in folders.names(home) and peer.events("file.skipped"), "one taken, one refused")

        skipped = peer.events("file.skipped")
        assert [(event["path"], event["again"]) for event in skipped] == [("mine", True)]  # once its time has come
        assert "ahead of this machine's clock" in skipped[0]["reason"]
    assert (home / "mine").read_bytes() == b"mine"
    assert (home / "mine too").read_bytes() == b"mine too"


def test_files_with_absurd_mtimes_on_disk_reach_others_once(cluster: Cluster) -> None:
    alice = cluster.folder("alice")
    mtimes = {
        "before 1970": -5.5,
        "epoch": 0,
        "after 2038": 2.0**32,
        "2100": HIGHEST,
        "after 2100": 5e9,
        "plain": 1.7e9,
    }
    for name, mtime_s in mtimes.items():
        folders.write(alice, name, name.encode(), mtime_s=mtime_s)
    tracker = cluster.tracker()
    peers = [cluster.peer(alice, tracker.port), cluster.peer("ben", tracker.port)]
    ben = peers[1]
    cluster.until(lambda: folders.names(ben.folder) == mtimes.keys(), "every file")

    cluster.until(lambda: set(cluster.holders(tracker.port, ben.endpoint)) == mtimes.keys(), "ben announced them")
    directory = cluster.directory(tracker.port)
    assert all(0 <= entry["mtime"] <= HIGHEST for entry in directory.values())
    again = [cluster.folder(f"{name}") for name in ("alice", "ben")]
    for peer in peers:
        peer.stop()
    first = cluster.peer(again[0], tracker.port)
    cluster.all_in_sync([first])
    second = cluster.peer(again[1], tracker.port)
    cluster.all_in_sync([second])
    assert len(ben.fetched) == len(mtimes)
    for peer in (*peers, first, second):
        assert not peer.events("file.conflict")
        assert peer is ben or not peer.events("file.stale", "file.fetching")
    assert {name: (alice / name).read_bytes() for name in mtimes} == {name: name.encode() for name in mtimes}


@pytest.fixture
def old_disk(tmp_path: Path) -> Iterator[Path]:
    with disk_until_2038(tmp_path / "disk") as disk:
        yield disk


@pytest.mark.root("mount a disk that clamps mtimes")
def test_a_disk_that_clamps_mtimes_causes_no_endless_fetching(cluster: Cluster, old_disk: Path) -> None:
    files = {"late": b"from 2100", "later small": b"from 2100, too", "plain": b"from last year"}
    mtimes = {"late": HIGHEST, "later small": HIGHEST - 1, "plain": folders.NEW}
    with PretendedSource(contents(files)) as source, PretendedTracker() as tracker:

        def directory() -> bytes:
            return listing({name: (source.port, mtime_s) for name, mtime_s in mtimes.items()}, ours=True)

        for marker in ("before a restart", "after it"):
            tracker.answer = directory()
            peer = cluster.peer(old_disk / "folder", tracker.port)
            cluster.all_in_sync([peer])
            assert folders.names(peer.folder) == files.keys()
            _tell_again_and_again(tracker, directory())
            files[marker], mtimes[marker] = b"the end of this round", folders.NEW
            tracker.push(directory())
            peer.until(lambda marker=marker, at=peer.folder: marker in folders.names(at), "the marker")
            peer.stop()

        told = {file["name"]: file["mtime"] for file in tracker.initials()[-1]["files"]}
        assert told.keys() >= files.keys() - {"after it"}
        assert told == {name: mtimes[name] for name in told}
        assert _asked(source) == Counter(files.keys())
    assert folders.look(old_disk / "folder" / "late").mtime_s == LAST_OF_2038
    assert folders.trashed(old_disk / "folder") == {}
    assert folders.left_in_staging(old_disk / "folder") == []
