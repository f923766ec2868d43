"""What `gsync wait` promises: where it returns 0, whoever walks through the folders of all and compares everything finds them
equal, at once; where that cannot become so, it says why and ends.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import gevent
import pytest

from gsync.cli.wait import until_settled
from gsync.web.answers import Answer
from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, Peer, cluster_beneath
from tests.integration.sizes import times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEED = 7
ROUNDS = 36
EDITS = 12
HOUR_S = 3600
WITHIN_S = 60.0


class Trio:
    """Three native peers, and somebody who does anything in their folders."""

    def __init__(self, cluster: Cluster, *, seed: int) -> None:
        self.cluster = cluster
        self.port = cluster.tracker().port
        self.homes = [cluster.folder(name) for name in ("ann", "ben", "cleo")]
        self.peers = [cluster.peer(home, self.port) for home in self.homes]
        self.rng = random.Random(seed)
        self._count = 0

    def edit(self, home: Path) -> None:
        for _ in range(EDITS):
            self._count += 1
            _anything(self.rng, home, str(self._count))

    def wait_at(self, *homes: Path) -> None:
        """`gsync wait` in these folders, at the same time; when the last one has returned, all are equal.

        Without processes for it: until one has ended everything would have arrived, whatever it said.
        """
        asked = [gevent.spawn(_wait_at, home) for home in homes]
        said = [one.get(timeout=WITHIN_S + 10) for one in asked]
        pictures = {home.name: live.picture(home) for home in self.homes}
        differences = live.differences(pictures)
        assert [one["settled"] for one in said] == [True] * len(said), (said, differences, self._said())
        assert differences == [], [home.name for home in homes]

    def _said(self) -> str:
        return "\n".join(peer.last_words() for peer in self.peers)


def _wait_at(home: Path) -> Answer:
    with live.asking(home) as peer:
        return until_settled(peer, timeout_s=WITHIN_S, monotonic=time.monotonic)


@pytest.fixture(params=range(SEED, SEED + times(1)))
def trio(cluster: Cluster, request: pytest.FixtureRequest) -> Trio:
    trio = Trio(cluster, seed=request.param)
    live.settle(trio.peers)
    return trio


def test_what_was_done_here_stands_everywhere_when_wait_returns(trio: Trio) -> None:
    for round_ in range(ROUNDS):
        home = trio.rng.choice(trio.homes)
        trio.edit(home)
        trio.wait_at(home)
        if round_ % 6 == 5:  # whoever asks next, and has done nothing, is told the same
            trio.wait_at(trio.rng.choice(trio.homes))
    assert len(live.picture(trio.homes[0])) > ROUNDS
    assert all(peer.code is None and "Traceback" not in peer.err for peer in trio.peers)


def test_what_all_did_at_the_same_time_stands_everywhere_when_all_waits_have_returned(trio: Trio) -> None:
    for _ in range(ROUNDS // 3):
        for home in trio.homes:
            trio.edit(home)
        trio.wait_at(*trio.homes)
    assert all(peer.code is None and "Traceback" not in peer.err for peer in trio.peers)


def _anything(rng: random.Random, home: Path, mark: str) -> None:
    """One thing that a person might do in this folder; nothing, where the others' changes come in between."""
    files: list[Path] = []
    directories: list[Path] = []
    for at, inside, names in os.walk(home):
        inside[:] = sorted(name for name in inside if name != folders.OWN)
        directories.append(Path(at))
        files += [path for name in sorted(names) if not (path := Path(at) / name).is_symlink()]
    at = rng.choice(directories)
    with suppress(FileNotFoundError):
        match rng.randrange(10):
            case 0 | 1 | 2:
                (at / f"file {mark}").write_bytes(rng.randbytes(int(3_000_000 ** rng.random())))
            case 3:
                (at / f"directory {mark}").mkdir()
            case 4:
                (at / f"link {mark}").symlink_to(mark)
            case 5 if files:
                rng.choice(files).write_bytes(mark.encode())
            case 6 if files:
                rng.choice(files).unlink()
            case 7 if len(directories) > 1:
                rng.choice(directories[1:]).rename(home / f"renamed {mark}")
            case 8 if files:
                rng.choice(files).chmod(rng.choice((0o644, 0o755)))
            case 9 if files:
                os.utime(rng.choice(files), ns=(0, rng.randrange(2 * 10**18)))


# Where the folders do not become equal by themselves


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[tuple[Cluster, list[Peer], Peer]]:
    """Two native peers that have `notes` from a classic one, which is still there."""
    with cluster_beneath(tmp_path / "mixed") as cluster:
        port = cluster.tracker().port
        folders.write(cluster.folder("theirs"), "notes", b"of theirs")
        theirs = cluster.reference_peer("theirs", port)
        ours = [cluster.peer(name, port) for name in ("ann", "ben")]
        cluster.until(lambda: all((peer.folder / "notes").exists() for peer in ours), "notes everywhere")
        live.settle(ours)
        yield cluster, ours, theirs


def _again(cluster: Cluster, theirs: Peer, port: int) -> Peer:
    """The classic peer started anew: it tells what it has at the start only."""
    theirs.kill()
    return cluster.reference_peer(theirs.folder, port)


def _port(peer: Peer) -> int:
    return int(live.status(peer)["tracker"]["endpoint"].rpartition(":")[2])


def test_a_deletion_that_classic_peers_cannot_know_of_is_agreed_between_native_ones(
    mixed: tuple[Cluster, list[Peer], Peer],
) -> None:
    cluster, (ann, ben), theirs = mixed
    (ann.folder / "notes").unlink()
    assert live.settle([ann, ben]) == {}
    assert (theirs.folder / "notes").exists()

    (theirs.folder / "notes").write_bytes(b"written later than it was deleted")
    os.utime(theirs.folder / "notes", (0, time.time() + 60))
    _again(cluster, theirs, _port(ann))
    cluster.until((ben.folder / "notes").exists, "what is later than the deletion")
    assert live.settle([ann, ben]).keys() == {"notes"}
    assert (ben.folder / "notes").read_bytes() == b"written later than it was deleted"


def test_where_a_version_of_others_is_refused_wait_ends_at_once_and_says_which_and_why(
    mixed: tuple[Cluster, list[Peer], Peer],
) -> None:
    cluster, (ann, _), theirs = mixed
    (theirs.folder / "notes").write_bytes(b"from the future")
    os.utime(theirs.folder / "notes", (0, time.time() + HOUR_S))
    _again(cluster, theirs, _port(ann))
    cluster.until(lambda: not live.status(ann)["in_sync"], "word of the version from the future")

    waits = cluster.gsync("wait", cwd=ann.folder)
    assert waits.ends() == 5
    assert "1 version of others not taken ('notes': its mtime is 3" in waits.err
    assert "`gsync ls --state=stale`" in waits.err
    listed = cluster.gsync("ls", "--state=stale", cwd=ann.folder)
    assert (listed.ends(), "notes" in listed.out) == (0, True)
    assert "not taken" in live.status(ann)["reason"]
    assert (ann.folder / "notes").read_bytes() == b"of theirs"


def test_who_only_receives_hears_that_its_own_edits_stay_here(cluster: Cluster) -> None:
    port = cluster.tracker().port
    ann, ben = cluster.folder("ann"), cluster.folder("ben")
    (ann / "notes").write_bytes(b"work")
    cluster.peer(ann, port)
    receives = cluster.peer(ben, port, "--receive-only")
    cluster.until((ben / "notes").exists, "notes")
    live.settles(receives)

    (ben / "mine").write_bytes(b"told to nobody")
    waits = cluster.gsync("wait", cwd=ben)
    assert waits.ends() == 5
    assert "1 edit here that a receive-only peer tells nobody" in waits.err
    (ben / "mine, too").write_bytes(b"told to nobody, either")
    cluster.until(lambda: "2 edits here" in live.status(receives)["reason"], "the second edit")
    (said,) = receives.events("error")
    assert "told to nobody: this peer only receives" in said["what"]
