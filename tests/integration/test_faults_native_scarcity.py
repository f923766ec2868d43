"""faults.md row 19, native: few descriptors, a slow disk, little memory; no crash, no busy loop, and the tracker hears on."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, Peer
from tests.integration import straced
from tests.integration.relays import TrackerRelay
from tests.integration.scarce import Strained, memory_cgroup, with_descriptors
from tests.integration.straced import Fault

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DESCRIPTORS = 64
SOURCES = 4
HEALED_S = 30.0

MIB = 1024**2
MEMORY_MAX = 128 * MIB
LARGE = 200 * MIB
"""More than all the memory there is."""


def _fill(folder: Path, *, large: int) -> None:
    for number in range(300):
        folders.write(folder, f"file {number:03}", folders.noise(2000 + number, seed=number))
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "deeper" / "inner").write_bytes(b"beneath")
    with (folder / "large").open("wb") as file:
        for number in range(large // MIB):
            file.write(folders.noise(MIB, seed=number))


@pytest.mark.root("slow the disk of another process")
def test_few_descriptors_and_a_slow_disk_are_lived_through_natively(cluster: Cluster) -> None:
    """Side by side: a peer with 64 descriptors that serves a crowd and fetches from several, and one whose syncs take 5 s."""
    straced.require_strace()
    tracker = cluster.tracker()
    first = cluster.folder("source 0")
    with ExitStack() as stack:
        for_few, for_slow = (stack.enter_context(TrackerRelay(tracker.port)) for _ in range(2))
        sources = [cluster.peer(f"source {number}", tracker.port) for number in range(SOURCES)]
        few = cluster.peer("few", for_few.port, within=with_descriptors(DESCRIPTORS))
        slow = cluster.peer("slow", for_slow.port)
        few.name, slow.name = "64 descriptors, native", "a slow disk, native"
        live.settle([*sources, few, slow])
        fault = straced.attached(cluster, slow, Fault(calls="fsync,fdatasync,syncfs", effect="delay_enter=5000000"))
        straced.wait_until_attached([fault])

        strained = [Strained(few, for_few), Strained(slow, for_slow)]
        crowd = stack.enter_context(ExitStack())
        address, _, port = few.endpoint.rpartition(":")
        for number in range(2 * DESCRIPTORS):
            conn = crowd.enter_context(socket.create_connection((address, int(port)), 20))
            if number % 2:
                conn.sendall(b"\0")  # the beginning of a native link
        _fill(first, large=16 * MIB)
        for one in strained:
            one.peer.until(one.was_heard, "keepalives")
            one.judge()
        assert fault.struck

        crowd.close()
        fault.lift()
        live.settle([*sources, few, slow], within_s=HEALED_S)
        assert live.picture(few.folder)["deep/deeper/inner"].what
        for peer in (few, slow):
            _ends_in_order(peer)


@pytest.fixture
def little_memory() -> Iterator[Path]:
    with memory_cgroup(MEMORY_MAX) as group:
        yield group


@pytest.mark.root("limit the memory of a process")
def test_128_mb_of_memory_are_enough_natively(little_memory: Path, cluster: Cluster) -> None:
    """First to fetch all of it, then to give it to another."""
    port = cluster.tracker().port
    home = cluster.folder("source")
    _fill(home, large=LARGE)
    source = cluster.peer(home, port)
    inside = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(little_memory)]
    poor = cluster.peer("poor", port, within=inside)
    live.settle([source, poor])
    assert str(poor.pid) in (little_memory / "cgroup.procs").read_text().split()
    source.kill()
    last = cluster.peer("last", port)
    expected = live.picture(home)
    last.until((last.folder / "large").exists, "the large file")
    live.settles(last)
    assert live.picture(last.folder) == expected
    assert {event["source"] for event in last.events("file.fetched")} == {poor.endpoint}
    _ends_in_order(poor)
    most = int((little_memory / "memory.max_usage_in_bytes").read_text())
    print(f"row 19: {LARGE // MIB} MiB natively within {MEMORY_MAX // MIB} MiB, at most {most // MIB} MiB used")


def _ends_in_order(peer: Peer) -> None:
    assert "Traceback" not in peer.err, peer.last_words()
    peer.signal(signal.SIGTERM)
    assert peer.ends() == 0, peer.last_words()
