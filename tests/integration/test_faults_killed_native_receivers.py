"""faults.md row 14, native: receivers killed at any of their system calls, at work and while they recover; nothing half, nothing
lost, and all arrives, also what persons edited meanwhile.

The receivers are one swarm with their source: they fetch from each other as well, and lose each other one by one.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, Peer
from tests.e2e.pretenders import PretendedTracker
from tests.integration import native_workload, straced
from tests.integration.sizes import limit_s, times
from tests.integration.straced import Fault

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300)), pytest.mark.root("kill processes at their calls")]

KILLS = 8
AT_ONCE = 8

RECOVERING = {"fsync": 5, "fdatasync": 1, "pwrite64": 3, "unlinkat": 1, "renameat2": 1, "getdents64": 3}
"""Calls of a start after a kill, of which the second kill takes one; some of them are not made each time."""


@pytest.fixture(autouse=True)
def strace() -> None:
    straced.require_strace()


def test_native_receivers_that_are_killed_anywhere_leave_nothing_half_and_nothing_lost(cluster: Cluster) -> None:
    rng = random.Random(14)
    kills = times(KILLS)
    first = [_kill(rng, native_workload.CALLS, number) for number in range(kills)]
    second = [_kill(rng, RECOVERING, number) for number in range(kills)]  # every other one is killed twice
    died_twice = 0
    for begin in range(0, kills, AT_ONCE):
        group = slice(begin, begin + AT_ONCE)
        port = cluster.tracker().port
        source = cluster.peer(native_workload.prepare(cluster.folder(f"source {begin}")), port)
        homes = _killed_at_work(cluster, source, port, first[group], prefix=f"home {begin}")
        died_twice += _killed_at_the_start(cluster, homes[::2], second[group])
        _all_arrives(cluster, source, port, homes)
    print(f"row 14, native: {kills} kills at work, {died_twice} more while recovering")


def _kill(rng: random.Random, calls: dict[str, int], number: int) -> Fault:
    """Each of these calls in its turn, at a random one of those that there are."""
    call, most = list(calls.items())[number % len(calls)]
    return Fault(calls=call, effect="signal=KILL", when=str(rng.randint(1, most)))


def _killed_at_work(cluster: Cluster, source: Peer, port: int, kills: Sequence[Fault], *, prefix: str) -> list[Path]:
    """Folders whose peers were killed while they followed what the source did; they are whole, as far as it got."""
    peers = [cluster.peer(f"{prefix} {number}", port) for number in range(len(kills))]
    live.settle([source, *peers])
    struck = [straced.attached(cluster, peer, kill) for peer, kill in zip(peers, kills, strict=True)]
    straced.wait_until_attached(struck)
    native_workload.change(source.folder)
    for one in struck:
        one.peer.until(lambda one=one: one.peer.code is not None, f"its end: {one.fault}")
        assert one.peer.code == -9, one.peer.last_words()
        assert native_workload.wrongs(one.folder) == [], str(one.fault)
    return [peer.folder for peer in peers]


def _killed_at_the_start(cluster: Cluster, homes: Sequence[Path], kills: Sequence[Fault]) -> int:
    """Start each again with nobody to fetch from, to be killed once more if it comes to that; returns how many were."""
    with PretendedTracker() as tracker:
        struck = [straced.started(cluster, home, tracker.port, kill) for home, kill in zip(homes, kills, strict=False)]
        for one in struck:
            one.peer.until(lambda one=one: one.peer.code is not None or one.peer.events("sync.done"), "its start")
            one.peer.stop()
            assert one.peer.code in {0, -9}, one.peer.last_words()
            assert native_workload.wrongs(one.folder) == [], str(one.fault)
    return sum(one.peer.code == -9 for one in struck)


def _all_arrives(cluster: Cluster, source: Peer, port: int, homes: Sequence[Path]) -> None:
    """Start each for good, with edits that persons made meanwhile: everything comes, and the edits are in each folder."""
    edits, overwritten = [], set()
    for number, home in enumerate(homes):
        for name in (f"kept {number}", f"replaced {number}"):
            overwritten.add((home / name).read_bytes())
            edits.append(f"what a person wrote in {home.name}, {name}\n".encode())
            folders.write(home, name, edits[-1], mtime_s=folders.NEW + 1)
    peers = [cluster.peer(home, port) for home in homes]
    live.settle([source, *peers])
    found = native_workload.contents(source.folder)
    assert [edit for edit in edits if edit not in found] == []
    assert [name for name, content in native_workload.AFTER.items() if content not in found | overwritten] == []
    for peer in (source, *peers):
        assert not peer.events("trouble"), peer.last_words()
        peer.signal(signal.SIGTERM)
        assert peer.ends() == 0, peer.last_words()
        assert "Traceback" not in peer.err
