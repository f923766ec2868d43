"""faults.md row 10, small: floods, slow-loris, endless messages; memory stays flat, and honest peers get their files."""

from __future__ import annotations

import json
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import gevent
import pytest

from tests.e2e import folders
from tests.e2e.cluster import Cluster, Peer, Program, eventually
from tests.e2e.pretenders import PretendedTracker
from tests.integration.sizes import limit_s, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300))]

RSS_MAX = 256 * 1024**2
IDLE = times(1200)
"""Idle connections to each port: more than twice what a peer holds."""

FLOOD = 64 * 1024**2
"""Bytes of an endless message: sixteen times what a tracker takes."""

KIB = 1024


class Attack:
    """Connections from 127.0.0.1, all closed in the end."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._stack = ExitStack()
        self._greenlets: list[gevent.Greenlet] = []

    def connect(self) -> socket.socket:
        return self._stack.enter_context(socket.create_connection(("127.0.0.1", self.port), 20))

    def in_background(self, attack: Callable[[], object]) -> None:
        def run() -> None:
            with suppress(OSError):
                attack()

        self._greenlets.append(gevent.spawn(run))

    def is_over(self) -> bool:
        return all(greenlet.dead for greenlet in self._greenlets)

    def __enter__(self) -> Attack:
        return self

    def __exit__(self, *exc: object) -> None:
        gevent.killall(self._greenlets)
        self._stack.close()


@pytest.fixture(autouse=True)
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Town:
    """A tracker and a peer under attack, and an honest peer that comes while it lasts."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.tracker = cluster.tracker()
        alice = cluster.folder("alice")
        for number in range(20):
            folders.write(alice, f"file {number}", folders.noise(number * 5000, seed=number))
        folders.write(alice, "large", folders.noise(30 * 1024**2, seed=1))
        self.expected = folders.latest([alice])
        self.alice = cluster.peer(alice, self.tracker.port)
        self.alice.until(lambda: self.alice.events("tracker.up"), "alice announced")
        self.port = int(self.alice.endpoint.rpartition(":")[2])
        self._guests = 0

    def honest_peer_is_served(self) -> None:
        """A new peer gets every file, while the attack lasts, and nobody has grown."""
        self._guests += 1
        guest = self.cluster.peer(f"guest {self._guests}", self.tracker.port)
        self.cluster.until(folders.has(guest.folder, self.expected), "every file for the honest peer")
        assert folders.looks(guest.folder) == self.expected
        self.nobody_has_grown()
        guest.stop()

    def nobody_has_grown(self) -> None:
        for program in (self.tracker, self.alice):
            assert program.code is None, program.last_words()
            assert program.rss_bytes() < RSS_MAX
            assert "Traceback" not in program.err


@pytest.fixture
def town(cluster: Cluster) -> Town:
    return Town(cluster)


def test_idle_connections_keep_nobody_out(town: Town) -> None:
    with Attack(town.tracker.port) as to_tracker, Attack(town.port) as to_peer:
        for attack in (to_tracker, to_peer):
            for _ in range(IDLE):
                attack.connect()

        town.honest_peer_is_served()
        # What the peer cannot hold it has dropped, the oldest first: descriptors stay bounded as well.
        assert town.alice.descriptors() < IDLE
    _closes_what_is_gone(town.alice)
    print(f"row 10: {IDLE} idle connections to each port")


def _closes_what_is_gone(program: Program) -> None:
    eventually(lambda: program.descriptors() < 100, f"{program.name} without the connections that have ended")


def test_slow_loris_in_each_phase_keeps_nobody_out(town: Town) -> None:
    """A byte now and then: of a message, of a request, of the reading of an answer."""
    initial = json.dumps({"port": 5000, "files": [{"name": f"n{n}", "mtime": 1} for n in range(100)]}).encode()

    def drip(conn: socket.socket, data: bytes) -> None:
        for position in range(len(data)):
            conn.sendall(data[position : position + 1])
            gevent.sleep(0.01)

    def read_slowly(conn: socket.socket, request: bytes) -> None:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        conn.sendall(request)
        while conn.recv(1):
            gevent.sleep(0.01)

    with Attack(town.tracker.port) as to_tracker, Attack(town.port) as to_peer:
        for _ in range(100):
            conn = to_tracker.connect()
            to_tracker.in_background(lambda conn=conn: drip(conn, initial))
            conn = to_peer.connect()
            to_peer.in_background(lambda conn=conn: drip(conn, b"file 1 and no file of ours at all" * 3))
        for number in range(60):  # all but a few of the places for uploads
            conn = to_peer.connect()
            request = b"large\n" if number % 2 else b"large"
            to_peer.in_background(lambda conn=conn, request=request: read_slowly(conn, request))

        town.honest_peer_is_served()


def test_readers_that_never_read_cost_no_memory(town: Town) -> None:
    """Askers of a big directory who never read the answers, and of a big file who never read a byte."""
    names = [{"name": f"{number:06}" + "x" * 200, "mtime": 1} for number in range(5000)]
    with Attack(town.tracker.port) as to_tracker, Attack(town.port) as to_peer:
        crowd = to_tracker.connect()
        crowd.sendall(json.dumps({"port": 5000, "files": names}).encode())
        assert crowd.recv(KIB)

        def ask_on_and_on(conn: socket.socket) -> None:
            for _ in range(2000):
                conn.sendall(b'{"port":5001}')

        for _ in range(40):
            conn = to_tracker.connect()
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            to_tracker.in_background(lambda conn=conn: ask_on_and_on(conn))
        for _ in range(50):
            conn = to_peer.connect()
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            conn.sendall(b"large\n")
        crowd.close()

        town.honest_peer_is_served()


ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "files": (b'{"port":5000,"files":[', b'{"name":"a","mtime":1},'),
    "one name": (b'{"port":5000,"files":[{"name":"', b"x" * 64),
    "one number": (b'{"port":', b"1" * 64),
    "keys": (b"{", b'"k":1,'),
    "the same key": (b"{", b'"port":5000,'),
    "white space in an object": (b"{", b" " * 64),
    "objects in objects": (b"", b'{"a":'),
    "lists in lists": (b'{"files":', b"["),
    "brackets that close": (b"{", b"}]" * 64),
    "escapes": (b'{"', b"\\" * 64),
    "NULs": (b"", b"\0" * 64),
    "no JSON at all": (b"", b"GET / HTTP/1.1\r\n"),
}
"""How an endless message begins, and how it goes on."""


def test_endless_and_nested_messages_are_cut_off(town: Town) -> None:
    def flood(conn: socket.socket, start: bytes, more: bytes) -> None:
        piece = more * (64 * KIB // len(more))
        conn.sendall(start)
        for _ in range(FLOOD // len(piece)):
            conn.sendall(piece)
        raise AssertionError(f"the tracker took {FLOOD} bytes of {start + more!r}")

    with Attack(town.tracker.port) as attack:
        for start, more in ENDLESS.values():
            conn = attack.connect()
            attack.in_background(lambda conn=conn, start=start, more=more: flood(conn, start, more))
        eventually(attack.is_over, "every endless message cut off")
        town.nobody_has_grown()
    # White space between messages is no message, and may go on for ever.

    with Attack(town.port) as attack:
        for start, more in ENDLESS.values():
            conn = attack.connect()
            attack.in_background(lambda conn=conn, start=start, more=more: flood(conn, start, more))
        eventually(attack.is_over, "every endless request cut off")

        town.honest_peer_is_served()


def test_duplicate_keys_and_many_small_messages_are_survived(town: Town) -> None:
    keys = b",".join([b'"port":5000'] * 50_000)
    files = b",".join([b'{"name":"same","mtime":1,"mtime":2,"name":"same"}'] * 20_000)
    with Attack(town.tracker.port) as attack:
        for message in (b"{%s}" % keys, b'{"port":5000,"files":[%s]}' % files, b'{"files":[],"files":[1],"port":5000}'):
            conn = attack.connect()
            conn.sendall(message)
            with conn.makefile("rb") as answers:
                assert json.loads(answers.readline()).keys() >= town.expected.keys()

        def chatter(conn: socket.socket) -> None:
            with conn.makefile("rb") as answers:
                for _ in range(20):
                    conn.sendall(b'{"port":5000}' * 50)
                    for _ in range(50):
                        assert answers.readline()

        for _ in range(20):
            conn = attack.connect()
            attack.in_background(lambda conn=conn: chatter(conn))

        town.honest_peer_is_served()
        eventually(attack.is_over, "an answer to each of 20,000 keepalives")
        town.nobody_has_grown()


def test_a_tracker_that_sends_endless_directories_costs_its_connection_and_no_more(cluster: Cluster) -> None:
    """Towards a peer the cap is higher, so this one is met by its own rules: more than 64 MiB of one message."""
    chunk = b'"' + b"x" * (256 * KIB) + b'":{"ip":"127.0.0.1","port":5000,"mtime":1},'
    with PretendedTracker() as tracker:
        peer: Peer = cluster.peer("alice", tracker.port, "-v")
        cluster.all_in_sync([peer])
        highest = 0
        with suppress(OSError):
            tracker.push(b"{")
            for _ in range(2 * FLOOD // len(chunk)):
                tracker.push(chunk)
                highest = max(highest, peer.rss_bytes())
        tracker.answer = b"{}\n"

        peer.until(lambda: len(peer.events("tracker.up")) > 1, "the connection dropped, and a new one")
        assert "longer than 67108864 bytes" in peer.err
        assert highest < RSS_MAX
        assert peer.code is None
