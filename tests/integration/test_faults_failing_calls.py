"""faults.md row 4: a disk that refuses this call or that; the folder stays whole, nobody crashes, and it heals by itself."""

from __future__ import annotations

import random
import resource
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e import folders
from tests.e2e.cluster import Cluster, Peer
from tests.e2e.pretenders import PretendedSource, PretendedTracker, contents, listing
from tests.integration import straced, workload
from tests.integration.sizes import limit_s, times
from tests.integration.straced import Fault, Traced

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300)), pytest.mark.root("put faults into other processes")]

POINTS = 6
AT_ONCE = 6
HEALED_S = 30.0
ERRORS = ("EIO", "ENOSPC", "EACCES")

STAGING = f"{folders.OWN}/staging"
TRASH = f"{folders.OWN}/trash"

STARTING: dict[tuple[str, str | None], int] = {
    ("mkdir", None): 1,
    ("mkdirat", None): 3,
    ("openat", "."): 1,
    ("openat", folders.OWN): 4,
    ("flock", None): 1,
    ("ftruncate", None): 2,
    ("renameat", None): 1,
    ("fsync", None): 5,
    ("fdatasync", None): 7,
    ("pwrite64", None): 20,
    ("newfstatat", "."): 3,
    ("newfstatat", folders.OWN): 1,
    ("getdents64", "."): 1,
    ("getdents64", STAGING): 1,
}
"""What a peer calls while it starts in a folder that is new to it, and how many times at the least; with the place, or anywhere."""

RUNNING: dict[tuple[str, str | None], int] = {
    **{(call, None): count for call, count in workload.CALLS.items()},
    ("openat", STAGING): 18,
    ("newfstatat", "."): 8,
    ("newfstatat", STAGING): 8,
    ("mkdirat", TRASH): 1,
    ("openat", TRASH): 1,
    ("fstatfs", None): 6,
}
"""What a peer calls that runs already and gets the whole workload."""

Calls = dict[tuple[str, str | None], int]


def _points(calls: Calls, count: int) -> list[Fault]:
    """So many faults, spread over all these calls and errors, the same each time."""
    rng = random.Random(4)
    kinds = list(calls.items())
    rng.shuffle(kinds)
    kinds.sort(key=lambda kind: kind[0][0] == "write")  # last, for one of these may go astray
    points = []
    for number in range(count):
        (call, at), most = kinds[number % len(kinds)]
        fault = Fault(calls=call, at=at, effect=f"error={rng.choice(ERRORS)}", when=str(rng.randint(1, most)))
        points.append(fault)
    return points


@pytest.fixture(autouse=True)
def strace() -> None:
    straced.require_strace()


@pytest.mark.parametrize("phase", ["starting", "running"])
def test_a_call_that_fails_once_costs_nothing_but_time(cluster: Cluster, phase: str) -> None:
    points = _points(STARTING if phase == "starting" else RUNNING, times(POINTS))
    counts: Counter[str] = Counter()
    with PretendedSource(contents(workload.OFFERED)) as source:
        for begin in range(0, len(points), AT_ONCE):
            with PretendedTracker() as tracker:
                some = points[begin : begin + AT_ONCE]
                run = _started if phase == "starting" else _attached
                struck = run(cluster, some, tracker, source, prefix=f"{phase} {begin}")
                _heal(cluster, struck, tracker.port, counts)
    print(f"row 4, {phase}: {len(points)} faults: {dict(counts)}")
    assert not [kind for kind in counts if kind.startswith("not struck")]


def _started(
    cluster: Cluster, points: Sequence[Fault], tracker: PretendedTracker, source: PretendedSource, *, prefix: str
) -> list[Traced]:
    tracker.answer = _everything(source)
    homes = [workload.prepare(cluster.folder(f"{prefix} {number}")) for number in range(len(points))]
    return [straced.started(cluster, home, tracker.port, point) for home, point in zip(homes, points, strict=True)]


def _attached(
    cluster: Cluster, points: Sequence[Fault], tracker: PretendedTracker, source: PretendedSource, *, prefix: str
) -> list[Traced]:
    homes = [workload.prepare(cluster.folder(f"{prefix} {number}")) for number in range(len(points))]
    peers = [cluster.peer(home, tracker.port) for home in homes]
    cluster.all_in_sync(peers)
    struck = [straced.attached(cluster, peer, point) for peer, point in zip(peers, points, strict=True)]
    straced.wait_until_attached(struck)
    tracker.push(_everything(source))
    return struck


def _everything(source: PretendedSource) -> bytes:
    return listing(dict.fromkeys(workload.OFFERED, (source.port, folders.NEW)), ours=True)


def _heal(cluster: Cluster, struck: Sequence[Traced], port: int, counts: Counter[str]) -> None:
    """Whatever was struck: the folder is whole at each instant, and full in the end, after a restart by a person at the latest."""
    for one in struck:
        one.peer.until(lambda one=one: _is_over(one), f"everything, in spite of {one.fault}", within_s=HEALED_S)
        if one.went_astray:
            one.peer.kill()  # a call that is no disk's failed: it may not even know any more that it was woken
            counts["astray"] += 1
            continue
        assert "Traceback" not in one.peer.err, f"{one.fault}\n{one.struck}\n{one.peer.err}"
        if not one.struck:
            counts[f"not struck: {one.fault}"] += 1
        elif one.peer.code is None:
            counts["healed by itself"] += 1
        else:
            counts["ended with a word"] += 1
            assert one.peer.err.startswith("gsync: "), f"{one.fault}\n{one.peer.err}"
        one.peer.stop()
        assert one.peer.code in {0, 1, 9, 11}, one.peer.last_words()
        assert workload.wrongs(one.folder) == []
    on_trial = [one for one in struck if not one.went_astray]
    peers = [cluster.peer(one.folder, port) for one in on_trial]
    for one, peer in zip(on_trial, peers, strict=True):
        peer.until(lambda peer=peer: peer.is_in_sync and _whole(peer.folder), "everything, without any fault")
        assert not peer.events("trouble", "file.conflict"), f"{one.fault}\n{peer.last_words()}"
        assert one.peer.code or not peer.fetched, f"{one.fault}\n{peer.last_words()}"
        assert folders.left_in_staging(peer.folder) == [], str(one.fault)
        peer.stop()
        assert workload.wrongs(one.folder) == []


def _is_over(one: Traced) -> bool:
    """Whether the peer has ended, or has everything and has said so; anything wrong meanwhile fails the test."""
    wrongs = workload.wrongs(one.folder)
    assert not wrongs, f"{one.fault}: {wrongs}\n{one.struck}\n{one.peer.last_words()}"
    if one.peer.code is not None or one.went_astray:
        return True
    return any(event["fetched"] for event in one.peer.events("sync.done")) and workload.is_done(one.folder)


def _whole(folder: Path) -> bool:
    return not workload.wrongs(folder) and workload.is_done(folder)


FOR_A_WHILE = (
    Fault(calls="fsync,fdatasync,syncfs", effect="error=EIO"),
    Fault(calls="renameat2", effect="error=EACCES"),
    Fault(calls="pwrite64", effect="error=ENOSPC"),
    Fault(calls="openat", effect="error=ENOSPC", at=STAGING),
    Fault(calls="mkdirat", effect="error=ENOSPC", at=TRASH),
)


def test_a_disk_that_fails_for_a_while_is_waited_for(cluster: Cluster) -> None:
    """Every such call fails until the fault is lifted; nobody ends, and all comes then."""
    with PretendedSource(contents(workload.OFFERED)) as source, PretendedTracker() as tracker:
        struck = _attached(cluster, FOR_A_WHILE, tracker, source, prefix="while")
        for one in struck:
            one.peer.until(lambda one=one: len(one.struck) >= 3, f"the fault met a third time: {one.fault}")
            assert workload.wrongs(one.folder) == [], str(one.fault)
        for one in struck:
            one.lift()
        for one in struck:
            one.peer.until(lambda one=one: _is_over(one), f"everything, after {one.fault}", within_s=HEALED_S)
            assert one.peer.code is None, f"{one.fault}\n{one.peer.last_words()}"
            assert "Traceback" not in one.peer.err, f"{one.fault}\n{one.peer.err}"
            one.peer.stop()
            assert workload.wrongs(one.folder) == []


def test_a_write_that_ends_in_the_middle_of_a_file_is_tried_again(cluster: Cluster) -> None:
    """No file may grow beyond a limit, which is a real one; the write that reaches it is short, and the next one fails."""
    rng = random.Random(5)
    enough_for_the_index = workload.LARGE // 3
    limits = [rng.randrange(enough_for_the_index, workload.LARGE) for _ in range(3)]
    homes = [workload.prepare(cluster.folder(f"limited {number}")) for number in range(len(limits))]
    large = {name for name, content in workload.OFFERED.items() if len(content) == workload.LARGE}
    with PretendedSource(contents(workload.OFFERED)) as source, PretendedTracker() as tracker:
        peers = [cluster.peer(home, tracker.port) for home in homes]
        cluster.all_in_sync(peers)
        for peer, limit in zip(peers, limits, strict=True):
            resource.prlimit(peer.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        tracker.push(_everything(source))
        for peer in peers:
            peer.until(lambda peer=peer: _skipped(peer) == large, "the large files given up for now")
            assert workload.wrongs(peer.folder) == []
            resource.prlimit(peer.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for peer in peers:
            peer.until(lambda peer=peer: _whole(peer.folder), "the large files as well", within_s=HEALED_S)
            peer.until(lambda peer=peer: not folders.left_in_staging(peer.folder), "an empty staging folder")
            assert "Traceback" not in peer.err
            peer.stop()


def _skipped(peer: Peer) -> set[str]:
    return {event["path"] for event in peer.events("file.skipped") if event["cause"] == "disk"}


SIZES = (workload.SMALL, 500_000, 9_000_000)
"""Sent in one write; in careful pieces or at full speed, as the edition has it; at full speed."""

SERVING = (
    Fault(calls="pread64", effect="error=EIO", when="1", at=f"0 of {SIZES[0]}"),
    Fault(calls="pread64", effect="error=EIO", when="1", at=f"1 of {SIZES[1]}"),
    Fault(calls="openat2", effect="error=EACCES", when="1"),
    Fault(calls="sendfile", effect="error=EIO", when="1"),
    Fault(calls="sendfile", effect="error=EIO", when="3"),
)


@pytest.mark.parametrize("options", [(), ("--classic",)], ids=["edition 2", "edition 1"])
def test_a_source_whose_disk_fails_gives_no_half_file(cluster: Cluster, options: tuple[str, ...]) -> None:
    with PretendedTracker() as nobody, PretendedTracker() as tracker:
        entries: dict[str, tuple[int, object]] = {}
        expected: dict[str, folders.Look] = {}
        for number in range(len(SERVING)):
            home = cluster.folder(f"source {number}")
            for size in SIZES:
                folders.write(home, f"{number} of {size}", folders.noise(size, seed=size + number))
            expected |= folders.looks(home)
        sources = [cluster.peer(f"source {number}", nobody.port) for number in range(len(SERVING))]
        for source in sources:
            port = int(source.endpoint.rpartition(":")[2])
            entries |= dict.fromkeys(folders.names(source.folder), (port, folders.OLD))
        receiver = cluster.peer("receiver", tracker.port, *options)
        cluster.all_in_sync([*sources, receiver])
        struck = [straced.attached(cluster, source, fault) for source, fault in zip(sources, SERVING, strict=True)]
        straced.wait_until_attached(struck)
        tracker.push(listing(entries, ours=True))

        def nothing_half_and_all_there() -> bool:
            for name in folders.names(receiver.folder):
                assert folders.look(receiver.folder / name) == expected[name]
            return folders.names(receiver.folder) == expected.keys()

        receiver.until(nothing_half_and_all_there, "every file", within_s=HEALED_S)
        for one in struck:
            assert "Traceback" not in one.peer.err
            assert one.struck, str(one.fault)


ASKED = 2
"""In edition 1 an empty answer that is given twice is an empty file."""


@pytest.mark.parametrize("options", [(), ("--classic",)], ids=["edition 2", "edition 1"])
def test_files_that_a_source_cannot_open_for_a_while_are_not_taken_for_empty_ones(
    cluster: Cluster, options: tuple[str, ...]
) -> None:
    home = cluster.folder("source")
    for number in range(5):
        folders.write(home, f"file {number}", folders.noise(workload.SMALL, seed=number))
    expected = folders.looks(home)
    with PretendedTracker() as nobody, PretendedTracker() as tracker:
        source = cluster.peer(home, nobody.port)
        receiver = cluster.peer("receiver", tracker.port, *options)
        cluster.all_in_sync([source, receiver])
        fault = straced.attached(cluster, source, Fault(calls="openat2", effect="error=EMFILE"))
        straced.wait_until_attached([fault])
        port = int(source.endpoint.rpartition(":")[2])
        tracker.push(listing(dict.fromkeys(expected, (port, folders.OLD)), ours=True))
        receiver.until(lambda: len(fault.struck) >= ASKED, "files asked for again and again")
        assert folders.names(receiver.folder) == set()
        fault.lift()
        receiver.until(folders.has(receiver.folder, expected), "every file", within_s=HEALED_S)
        assert folders.looks(receiver.folder) == expected
