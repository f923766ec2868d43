"""faults.md row 19: few descriptors, a slow disk, little memory; no crash, no busy loop, and the tracker hears on."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from tests.e2e import folders
from tests.e2e.cluster import GSYNC, Cluster, free_port
from tests.e2e.pretenders import PretendedSource, PretendedTracker, contents, listing
from tests.integration import straced
from tests.integration.scarce import SHARE_MAX, Strained, cpu_s, memory_cgroup, with_descriptors
from tests.integration.straced import Fault

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DESCRIPTORS = 64
MEMORY_MAX = 128 * 1024**2
HEALED_S = 30.0

ROUNDS, ROUND_S = 20, 0.1
"""How often a tracker is asked while it has too many guests, and after which pause."""

SOURCES = 30
"""Dialled side by side, which takes more than half of the descriptors."""

FILES = {f"file {number:03}": folders.noise(2000 + number, seed=number) for number in range(60)}


class AttentiveTracker(PretendedTracker):
    """Notes when it heard something."""

    def __init__(self) -> None:
        self.heard_at: list[float] = []
        super().__init__()

    def handle(self, conn: socket.socket) -> None:
        with conn.makefile("rb") as lines:
            for line in lines:
                self.heard_at.append(time.monotonic())
                self.messages.append(line)
                conn.sendall(self.answer)


def _listens(port: int) -> bool:
    return f" 0100007F:{port:04X} 00000000:0000 0A " in Path("/proc/net/tcp").read_text()


@pytest.mark.root("slow the disk of another process")
def test_few_descriptors_and_a_slow_disk_are_lived_through(cluster: Cluster) -> None:
    """Side by side, since keepalives take their time: a peer with 64 descriptors in a crowd, and one whose syncs take 5 s."""
    straced.require_strace()
    with ExitStack() as stack:
        sources = [stack.enter_context(PretendedSource(contents(FILES))) for _ in range(SOURCES)]
        for_few, for_slow = (stack.enter_context(AttentiveTracker()) for _ in range(2))
        homes = {name: cluster.folder(name) for name in ("few", "slow")}
        within = with_descriptors(DESCRIPTORS)
        few = cluster.run([*within, *GSYNC, "127.0.0.1", str(for_few.port), f"--dir={homes['few']}", "--json"])
        few.name = "64 descriptors"
        slow = cluster.peer(homes["slow"], for_slow.port)
        slow.name = "a slow disk"
        for peer in (few, slow):
            peer.until(lambda peer=peer: peer.events("sync.done"), f"{peer.name} ready")
        fault = straced.attached(cluster, slow, Fault(calls="fsync,fdatasync,syncfs", effect="delay_enter=5000000"))
        straced.wait_until_attached([fault])

        strained = [Strained(few, for_few), Strained(slow, for_slow)]
        crowd = stack.enter_context(ExitStack())
        address, _, port = few.events("peer.serving")[0]["endpoint"].rpartition(":")
        for _ in range(2 * DESCRIPTORS):
            crowd.enter_context(socket.create_connection((address, int(port)), 20))
        everything = {name: (sources[at % SOURCES].port, folders.OLD) for at, name in enumerate(FILES)}
        for tracker in (for_few, for_slow):
            tracker.push(listing(everything, ours=True))
        for one in strained:
            one.peer.until(one.was_heard, "keepalives")
            one.judge()
        assert fault.struck

        crowd.close()
        fault.lift()
        for peer, home in ((few, homes["few"]), (slow, homes["slow"])):
            peer.until(lambda home=home: folders.names(home) == FILES.keys(), "every file", within_s=HEALED_S)
            assert {name: (home / name).read_bytes() for name in FILES} == FILES
        with socket.create_connection((address, int(port)), 20) as conn:
            name, content = next(iter(FILES.items()))
            conn.sendall(name.encode() + b"\n")
            with conn.makefile("rb") as answer:
                assert answer.read() == b"Content-Length: %d\n" % len(content) + content


def test_a_tracker_with_few_descriptors_keeps_those_it_has(cluster: Cluster) -> None:
    """More come than it can hold: it neither spins nor falls, and whoever was there is answered; then the others are as well."""
    with ExitStack() as stack:
        port = free_port()
        within = with_descriptors(DESCRIPTORS)
        tracker = cluster.run([*within, *GSYNC, "tracker", str(port), "--listen=127.0.0.1"])
        tracker.until(lambda: _listens(port), "somebody who listens")
        first = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
        answers = stack.enter_context(first.makefile("rb"))
        before, began = cpu_s(tracker.pid), time.monotonic()
        with ExitStack() as crowd:
            for _ in range(2 * DESCRIPTORS):
                crowd.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            for _ in range(ROUNDS):
                first.sendall(b'{"port":5000,"files":[{"name":"a","mtime":1}]}\n')
                assert b'"a"' in answers.readline()
                gevent.sleep(ROUND_S)
            share = (cpu_s(tracker.pid) - before) / (time.monotonic() - began)
            print(f"row 19: a tracker with {DESCRIPTORS} descriptors: {share:.0%} of a core")
            assert tracker.code is None, tracker.last_words()
            assert share < SHARE_MAX
        tracker.until(lambda: cluster.directory(port).keys() == {"a"}, "an answer for one who comes now")
        assert "Traceback" not in tracker.err, tracker.last_words()


@pytest.fixture
def little_memory() -> Iterator[Path]:
    with memory_cgroup(MEMORY_MAX) as group:
        yield group


@pytest.mark.root("limit the memory of a process")
def test_128_mb_of_memory_are_enough(little_memory: Path, cluster: Cluster) -> None:
    files = {f"file {number:04}": folders.noise(4096, seed=number) for number in range(1000)}
    files |= {f"large {number}": folders.noise(32 * 1024**2, seed=number) for number in range(1)}
    home = cluster.folder("poor")
    with PretendedSource(contents(files)) as source, PretendedTracker() as tracker:
        inside = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(little_memory)]
        peer = cluster.run([*inside, *GSYNC, "127.0.0.1", str(tracker.port), f"--dir={home}", "--json"])
        peer.until(lambda: peer.events("sync.done"), "its start")
        assert str(peer.pid) in (little_memory / "cgroup.procs").read_text().split()
        tracker.push(listing(dict.fromkeys(files, (source.port, folders.OLD)), ours=True))
        peer.until(lambda: len(peer.events("sync.done")) > 1, "every file")
        assert {name: (home / name).read_bytes() for name in files} == files
        assert peer.code is None
        peer.stop()
        assert peer.code == 0, peer.last_words()
        most = int((little_memory / "memory.max_usage_in_bytes").read_text())
        print(f"row 19: {len(files)} files within {MEMORY_MAX // 1024**2} MiB, at most {most // 1024**2} MiB used")
