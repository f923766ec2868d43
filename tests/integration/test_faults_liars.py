"""faults.md row 7: evil sources and evil trackers; nothing wrong is published that classic can see, and honest sources win in 10 s.

What classic cannot see, since it has no digests: a flipped bit and another file's bytes, told with the right length; in edition
1, where no length is told, also a file that a living source cuts short or makes longer. `--verify-classic=twice` sees those
that differ from one answer to the next.
"""

from __future__ import annotations

import itertools
import json
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import folders
from tests.e2e.cluster import Cluster, Peer
from tests.e2e.pretenders import PretendedSource, PretendedTracker, contents, listing
from tests.integration.disks import memory_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HONEST_S = 10.0
"""How long it may take until the honest source has been found."""

KIB, MIB = 1024, 1024**2
TRUTH = folders.noise(300 * KIB, seed=7)
OTHER = folders.noise(300 * KIB, seed=8)
FLIPPED = bytes([TRUTH[0] ^ 1]) + TRUTH[1:]

Behaviour = Callable[[socket.socket, bytes], None]


def _header(size: int) -> bytes:
    return b"Content-Length: %d\n" % size


def _sends(answer: bytes) -> Behaviour:
    return lambda conn, request: conn.sendall(answer)


def _endless(start: bytes, more: bytes) -> Behaviour:
    def behave(conn: socket.socket, request: bytes) -> None:
        conn.sendall(start + more)
        while True:
            conn.sendall(more)

    return behave


def _resets(answer: bytes) -> Behaviour:
    def behave(conn: socket.socket, request: bytes) -> None:
        conn.sendall(answer)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


def _dies(answer: bytes, sources: list[PretendedSource]) -> Behaviour:
    """Ends after these bytes as a program that is killed: whoever connects then finds nobody."""

    def behave(conn: socket.socket, request: bytes) -> None:
        conn.sendall(answer)
        sources[0].vanish()

    return behave


SEEN: dict[int, Mapping[str, Behaviour]] = {
    2: {
        "short": _sends(_header(len(TRUTH)) + TRUTH[:-1]),
        "very short": _sends(_header(len(TRUTH)) + TRUTH[:1]),
        "long": _sends(_header(1000) + TRUTH[:1001]),
        "endless": _endless(_header(1000) + TRUTH[:1000], bytes(64 * KIB)),
        "an endless header": _endless(b"Content-Length: ", b"0" * 64 * KIB),
        "larger than any disk": _endless(_header(2**60), bytes(64 * KIB)),
        "reset": _resets(_header(len(TRUTH)) + TRUTH[:-1]),
    },
    1: {
        "reset": _resets(TRUTH[:-1]),
        "reset at once": _resets(b""),
    },
}
"""What classic can see, as answers to every request."""


@pytest.mark.parametrize("edition", [1, 2])
def test_nothing_of_evil_sources_is_published_and_honest_ones_win(cluster: Cluster, edition: int) -> None:
    lies = {name: PretendedSource(behave) for name, behave in SEEN[edition].items()}
    if edition == 1:
        dying: list[PretendedSource] = []
        dying.append(PretendedSource(_dies(TRUTH[:-1], dying)))
        lies["short, and dead"] = dying[0]
    files = dict.fromkeys(lies, TRUTH)
    with PretendedSource(contents(files)) as honest, PretendedTracker() as tracker:
        options = ["--classic"] if edition == 1 else []
        peer = cluster.peer("alice", tracker.port, *options)
        cluster.all_in_sync([peer])
        tracker.push(listing({name: (liar.port, folders.OLD) for name, liar in lies.items()}, ours=edition == 2))
        peer.until(lambda: _skipped(peer) == files.keys(), "each liar found out")
        assert folders.names(peer.folder) == set()
        tracker.push(_listed({name: (liar.port, honest.port) for name, liar in lies.items()}))
        peer.until(lambda: _all_true(peer.folder, files), "the truth", within_s=HONEST_S)
        assert "Traceback" not in peer.err
        for liar in lies.values():
            liar.vanish()
    print(f"row 7, edition {edition}: {len(lies)} liars, 0 wrong publishes")


def _skipped(peer: Peer) -> set[str]:
    return {event["path"] for event in peer.events("file.skipped")}


def _all_true(folder: Path, files: Mapping[str, bytes]) -> bool:
    for name in folders.names(folder):
        assert (folder / name).read_bytes() == files[name], f"{name} is a lie"
    return folders.names(folder) == files.keys()


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    return {name: (folder / name).read_bytes() for name in folders.names(folder)} == files


def _listed(places: Mapping[str, tuple[int, int]]) -> bytes:
    """A directory that names a first place for each file, and another as one of ours."""
    entries = {
        name: {"ip": "127.0.0.1", "port": first, "mtime": folders.OLD, "gsync": 1, "also": f"127.0.0.1:{second}"}
        for name, (first, second) in places.items()
    }
    return ("{\t" + json.dumps(entries)[1:] + "\n").encode()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with memory_disk(tmp_path / "disk", mib=64) as disk:
        yield disk


@pytest.mark.root("mount a small disk")
def test_an_endless_sender_of_edition_1_fills_no_disk(small_disk: Path, cluster: Cluster) -> None:
    """Nobody tells a length there, so it is taken until the free-space floor; then all of it is dropped again."""
    files = {"endless": TRUTH, "beside it": OTHER}
    liar = PretendedSource(_endless(b"", bytes(64 * KIB)))
    with liar, PretendedSource(contents(files)) as honest, PretendedTracker() as tracker:
        peer = cluster.peer(small_disk / "folder", tracker.port, "--classic")
        cluster.all_in_sync([peer])
        tracker.push(listing({"endless": (liar.port, folders.OLD)}))
        peer.until(lambda: "endless" in _skipped(peer), "the endless one given up")
        assert folders.names(peer.folder) == set()
        tracker.push(_listed({"endless": (liar.port, honest.port), "beside it": (honest.port, honest.port)}))
        peer.until(lambda: _all_true(peer.folder, files), "the truth", within_s=HONEST_S)
        peer.until(lambda: not folders.left_in_staging(peer.folder), "an empty staging folder")
        assert "Traceback" not in peer.err


UNSEEN: dict[str, tuple[tuple[int, ...], bytes]] = {
    "a flipped bit": ((1, 2), FLIPPED),
    "another file's bytes": ((1, 2), OTHER),
    "short, by one that lives": ((1,), TRUTH[:-1]),
    "long": ((1,), TRUTH + b"!"),
}
"""What classic cannot see, in which editions, and what is published then."""


@pytest.mark.parametrize("edition", [1, 2])
def test_what_classic_cannot_see_costs_no_work_and_is_mended_by_the_next_version(
    cluster: Cluster, edition: int
) -> None:
    lies = {name: lie for name, (editions, lie) in UNSEEN.items() if edition in editions}
    mine = {name: f"my own {name}".encode() for name in lies}
    home = cluster.folder("alice")
    for name, content in mine.items():
        folders.write(home, name, content, mtime_s=folders.OLD)
    liars, honest_ones = PretendedSource(contents(lies)), PretendedSource(contents(dict.fromkeys(lies, TRUTH)))
    with liars as liar, honest_ones as honest, PretendedTracker() as tracker:
        peer = cluster.peer(home, tracker.port, *(["--classic"] if edition == 1 else []))
        cluster.all_in_sync([peer])
        tracker.push(listing(dict.fromkeys(lies, (liar.port, folders.NEW)), ours=edition == 2))
        peer.until(lambda: _holds(home, lies), "the lies, which look like any file")
        peer.until(lambda: folders.trashed(home) == {name: [content] for name, content in mine.items()}, "mine, kept")
        tracker.push(listing(dict.fromkeys(lies, (honest.port, folders.NEW + 1)), ours=edition == 2))
        peer.until(lambda: _holds(home, dict.fromkeys(lies, TRUTH)), "the truth", within_s=HONEST_S)
        for name, content in mine.items():
            assert content in folders.trashed(home)[name]


def test_fetched_twice_a_source_that_lies_differently_each_time_is_seen_through(cluster: Cluster) -> None:
    answers = itertools.cycle([TRUTH, FLIPPED, TRUTH[:-1], OTHER, TRUTH + b"!"])
    files = {"doubtful": TRUTH}
    liar = PretendedSource(lambda conn, request: conn.sendall(next(answers)))
    with liar, PretendedSource(contents(files)) as honest, PretendedTracker() as tracker:
        peer = cluster.peer("alice", tracker.port, "--classic", "--verify-classic=twice")
        cluster.all_in_sync([peer])
        tracker.push(listing({"doubtful": (liar.port, folders.OLD)}))
        peer.until(lambda: "doubtful" in _skipped(peer), "the liar found out")
        assert folders.names(peer.folder) == set()
        tracker.push(_listed({"doubtful": (liar.port, honest.port)}))
        peer.until(lambda: _all_true(peer.folder, files), "the truth", within_s=HONEST_S)


MISLED = ("a dead port", "a tracker's port", "my own port", "who has it not", "who speaks otherwise", "another address")


def test_a_tracker_that_sends_everybody_to_the_wrong_place_is_outlived(cluster: Cluster) -> None:
    """Entries that are valid, each with one field forged; what test_faults_bad_input.py forges is refused instead."""
    files = {name: f"the truth about {name}".encode() for name in MISLED}
    with ExitStack() as stack:
        honest, empty, web = (
            stack.enter_context(PretendedSource(behave))
            for behave in (contents(files), _sends(b""), _sends(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        )
        tracker, other = (stack.enter_context(PretendedTracker()) for _ in range(2))
        dead = stack.enter_context(socket.socket())
        dead.bind(("127.0.0.1", 0))  # and nobody listens
        peer = cluster.peer("alice", tracker.port)
        cluster.all_in_sync([peer])
        own = int(peer.endpoint.rpartition(":")[2])
        ports = dict(zip(MISLED, (dead.getsockname()[1], other.port, own, empty.port, web.port, own), strict=True))
        forged = json.loads(listing({name: (port, folders.OLD) for name, port in ports.items()}, ours=True))
        forged["another address"]["ip"] = "127.0.0.2"
        tracker.push((json.dumps(forged) + "\n").encode())
        wrong = files.keys() - {"my own port"}  # which nobody dials
        peer.until(lambda: _skipped(peer) >= wrong, "each wrong place left")
        assert folders.names(peer.folder) == set()

        tracker.push(_listed({name: (port, honest.port) for name, port in ports.items()}))
        peer.until(lambda: _all_true(peer.folder, files), "the truth", within_s=HONEST_S)
        assert "Traceback" not in peer.err
        assert peer.code is None
