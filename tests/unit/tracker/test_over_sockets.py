"""The tracker over real loopback sockets, as other people's programs reach it."""

from __future__ import annotations

import json
import random
import resource
import socket
from collections.abc import Iterator
from typing import TypeVar

import gevent
import pytest

from gsync.net.clock import SystemClock
from gsync.net.tcp import TcpNetwork
from gsync.net.transport import Listener
from gsync.tracker.tracker import Tracker
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.native import Announce, Delta, Join, Snapshot, header, parse_from_tracker
from gsync.wire.records import WireRecord

M = TypeVar("M", Snapshot, Delta)


@pytest.fixture
def listener() -> Iterator[Listener]:
    tracker = Tracker(network=TcpNetwork(), clock=SystemClock())
    listener = tracker.listen(ip="127.0.0.1", port=0)
    yield listener
    listener.close()


def connected(listener: Listener) -> socket.socket:
    return socket.create_connection((listener.endpoint.ip, listener.endpoint.port), timeout=10)


def line(sock: socket.socket) -> bytes:
    """One answer: ours end in a newline."""
    gathered = b""
    while not gathered.endswith(b"\n"):
        data = sock.recv(65536)
        assert data, "the tracker closed"
        gathered += data
    return gathered


def test_two_peers_hear_of_each_other(listener: Listener) -> None:
    with connected(listener) as one, connected(listener) as other:
        one.sendall(json.dumps({"port": 9001, "files": [{"name": "a", "mtime": 5}]}).encode())
        assert json.loads(line(one)) == {"a": {"ip": "127.0.0.1", "port": 9001, "mtime": 5}}
        other.sendall(b'{"port": 9002, "files": [{"name": "b", "mtime": 6}]}\n')
        assert json.loads(line(other)).keys() == {"a", "b"}
        one.sendall(b'{"port": 9001}')
        assert json.loads(line(one)).keys() == {"a", "b"}


def test_a_native_peer_hears_what_another_announces(listener: Listener) -> None:
    with connected(listener) as one, connected(listener) as other:
        for sock in (one, other):
            sock.sendall(b'{\t\t"port":9001,"files":[]}\n')
            assert line(sock) == b"{\t\t}\n"
            sock.sendall(b"\0" + frame(header(Join(author="x"))))
            assert sock.recv(1) == b"\0"
            assert heard(sock, Snapshot).last
        record = WireRecord(p="a/b", v={"x": 1, "mtime": 5}, k="directory")
        one.sendall(frame(header(Announce(records=[record], all=True))))
        for sock in (one, other):
            assert [held.r for held in heard(sock, Delta).held] == [record]


def heard(sock: socket.socket, kind: type[M]) -> M:
    """The next message of this kind; what comes before it is passed over."""
    splitter = FrameSplitter()
    while True:
        data = sock.recv(65536)
        assert data, "the tracker closed"
        splitter.feed(data)
        for found in map(parse_from_tracker, iter(splitter.next, None)):
            if isinstance(found, kind):
                return found


def test_a_peer_that_closes_is_forgotten_at_once(listener: Listener) -> None:
    with connected(listener) as staying:
        with connected(listener) as leaving:
            leaving.sendall(b'{"port": 9001, "files": [{"name": "a", "mtime": 5}]}')
            line(leaving)
        while True:  # its end travels on its own
            staying.sendall(b'{"port": 9002}')
            if line(staying) == b"{}\n":
                break


def test_a_large_directory_arrives_whole(listener: Listener) -> None:
    files = [{"name": f"file-{number:05}.txt", "mtime": number} for number in range(5_000)]
    with connected(listener) as peer:
        peer.sendall(json.dumps({"port": 9001, "files": files}).encode())
        said = json.loads(line(peer))
    assert {name: entry["mtime"] for name, entry in said.items()} == {file["name"]: file["mtime"] for file in files}


def test_a_peer_that_resets_its_connection_is_no_defect(listener: Listener) -> None:
    for _ in range(20):
        with connected(listener) as peer:
            peer.sendall(b'{"port": 9001, "files": [{"name": "a", "mtime": 5}]}' * 50)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with connected(listener) as peer:
        peer.sendall(b'{"port": 9001}')
        line(peer)


@pytest.mark.slow
def test_memory_stays_flat_under_endless_garbage(listener: Listener) -> None:
    rng = random.Random(7)

    def pester(rounds: int) -> None:
        for number in range(rounds):
            with connected(listener) as peer:
                start = (b"", b"{", b'{"port":9,"files":[', b'{"a":"', b"{" * 9)[number % 5]
                try:
                    peer.sendall(start + rng.randbytes(100_000))
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(65536):
                        pass
                except OSError:
                    pass

    def crowd() -> None:
        gevent.joinall([gevent.spawn(pester, 30) for _ in range(4)], raise_error=True)

    crowd()
    before = resident_kib()
    for _ in range(3):
        crowd()
    assert resident_kib() - before < 4096


def resident_kib() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() // 1024
