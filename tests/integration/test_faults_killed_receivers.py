"""faults.md row 14: a receiver killed at any of its system calls; what it finds at its next start is whole, and all arrives."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e import folders
from tests.e2e.cluster import Cluster
from tests.e2e.pretenders import PretendedSource, PretendedTracker, contents, listing
from tests.integration import straced, workload
from tests.integration.sizes import limit_s, times
from tests.integration.straced import Fault

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300)), pytest.mark.root("kill processes at their calls")]

KILLS = 12
AT_ONCE = 6

RECOVERING = {"fsync": 5, "fdatasync": 1, "pwrite64": 3, "unlinkat": 1, "getdents64": 3}
"""Calls of a start after a kill, of which the second kill takes one; some of them are not made each time."""

EDIT = b"words that a person wrote while nobody was running\n"
EDITED = "replaced 3"


@pytest.fixture(autouse=True)
def strace() -> None:
    straced.require_strace()


def test_a_receiver_that_is_killed_anywhere_leaves_nothing_half_and_nothing_lost(cluster: Cluster) -> None:
    rng = random.Random(14)
    kills = times(KILLS)
    first = [_kill(rng, workload.CALLS, number) for number in range(kills)]
    second = [_kill(rng, RECOVERING, number) for number in range(kills)]  # every other one is killed twice
    died_twice = 0
    with PretendedSource(contents(workload.OFFERED)) as source:
        offered = listing(dict.fromkeys(workload.OFFERED, (source.port, folders.NEW)), ours=True)
        for begin in range(0, kills, AT_ONCE):
            group = slice(begin, begin + AT_ONCE)
            homes = _killed_at_work(cluster, first[group], offered, prefix=f"home {begin}")
            died_twice += _killed_at_the_start(cluster, homes[::2], second[group])
            _arrives(cluster, homes, offered)
    print(f"row 14: {kills} kills at work, {died_twice} more while recovering")


def _kill(rng: random.Random, calls: dict[str, int], number: int) -> Fault:
    """Each of these calls in its turn, at a random one of those that there are."""
    call, most = list(calls.items())[number % len(calls)]
    return Fault(calls=call, effect="signal=KILL", when=str(rng.randint(1, most)))


def _killed_at_work(cluster: Cluster, kills: Sequence[Fault], offered: bytes, *, prefix: str) -> list[Path]:
    """Folders whose peers were killed while everything came in; they are whole, as far as it got."""
    homes = [workload.prepare(cluster.folder(f"{prefix} {number}")) for number in range(len(kills))]
    with PretendedTracker() as tracker:
        peers = [cluster.peer(home, tracker.port) for home in homes]
        cluster.all_in_sync(peers)
        struck = [straced.attached(cluster, peer, kill) for peer, kill in zip(peers, kills, strict=True)]
        straced.wait_until_attached(struck)
        tracker.push(offered)
        for one in struck:
            one.peer.until(lambda one=one: one.peer.code is not None, f"its end: {one.fault}")
            assert one.peer.code == -9, one.peer.last_words()
            assert workload.wrongs(one.folder) == [], str(one.fault)
    return homes


def _killed_at_the_start(cluster: Cluster, homes: Sequence[Path], kills: Sequence[Fault]) -> int:
    """Start each again with nobody to fetch from, to be killed once more if it comes to that; returns how many were."""
    with PretendedTracker() as tracker:
        struck = [straced.started(cluster, home, tracker.port, kill) for home, kill in zip(homes, kills, strict=False)]
        for one in struck:
            one.peer.until(lambda one=one: one.peer.code is not None or one.peer.events("sync.done"), "its start")
            one.peer.stop()
            assert one.peer.code in {0, -9}, one.peer.last_words()
            assert workload.wrongs(one.folder) == [], str(one.fault)
    return sum(one.peer.code == -9 for one in struck)


def _arrives(cluster: Cluster, homes: Sequence[Path], offered: bytes) -> None:
    """Start each for good, with an edit that a person made meanwhile: everything comes, and the edit stays."""
    with PretendedTracker(offered) as tracker:
        for home in homes:
            (home / EDITED).write_bytes(EDIT)
        peers = [cluster.peer(home, tracker.port) for home in homes]
        for peer in peers:
            peer.until(lambda peer=peer: _has_everything(peer.folder) and peer.is_in_sync, "everything")
            assert not peer.events("trouble"), peer.last_words()
            assert folders.left_in_staging(peer.folder) == []
            peer.stop()
            assert peer.code == 0, peer.last_words()
            assert "Traceback" not in peer.err


def _has_everything(folder: Path) -> bool:
    """Whether all that was offered is here, but for the file with the edit, and nothing is half or lost."""
    assert (folder / EDITED).read_bytes() == EDIT
    wrong = [what for what in workload.wrongs(folder) if EDITED not in what]
    assert wrong == []
    return all(
        (folder / name).is_file() and (folder / name).read_bytes() == content
        for name, content in workload.OFFERED.items()
        if name != EDITED
    )
