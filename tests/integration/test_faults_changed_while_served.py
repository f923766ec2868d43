"""faults.md row 15: a file changes while it is served; nobody ever stores a mixture of the old and the new content.

Between source and receiver stands a go-between in the test's process. It lets the answer through up to a chosen byte, has a
person change the file, and then lets the rest through: the change hits the middle of the sending for sure, since kernel and
go-between together hold less than what is still to come.
"""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import folders
from tests.e2e.cluster import Cluster, Peer
from tests.e2e.pretenders import Listener, PretendedTracker, listing
from tests.integration.manners import INVERTED, MANNERS, replaced
from tests.integration.sizes import limit_s, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300))]

CHANGES = 50
AT_ONCE = 25

KIB, MIB = 1024, 1024**2
IN_FLIGHT_MAX = 5 * MIB
"""What may have left the source and not yet passed the go-between: the kernel's largest send queue, and its own small buffer."""

CAREFUL, LARGE = 600 * KIB, {1: 9 * MIB, 2: 6 * MIB}
"""Sent in edition 1 in careful pieces, each when the one before was taken; and at full speed, where that begins."""

NOISE = folders.noise(max(LARGE.values()), seed=15)

RECEIVE_BUFFER = 16 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file, what it holds before and after, how it is changed, and after how many bytes of its first answer."""

    name: str
    old: bytes
    new: bytes
    manner: Callable[[Path, bytes], None]
    after: int


def _changes(edition: int, count: int) -> list[Change]:
    rng = random.Random(15 + edition)
    manners = list(MANNERS)
    changes = []
    for number in range(count):
        size = CAREFUL if edition == 1 and number % 2 else LARGE[edition]
        old = NOISE[number * KIB : size] + NOISE[: number * KIB]
        other = old.translate(INVERTED)
        manner = manners[number // 2 % len(manners)]
        # A careful source sends a piece when the last was taken: all that is in flight fits the buffer of the go-between.
        in_flight = size // 2 if size == CAREFUL else IN_FLIGHT_MAX
        after = rng.randrange(1, size - in_flight)  # from the first byte on: then it has been opened
        changes.append(
            Change(name=f"file {number:04}", old=old, new=MANNERS[manner](old, other), manner=manner, after=after)
        )
    return changes


class GoBetween(Listener):
    """Passes requests and answers on; `change` is made once, in the middle of the first answer."""

    def __init__(self, source: Peer, change: Change) -> None:
        self._port = int(source.endpoint.rpartition(":")[2])
        self._path = source.folder / change.name
        self._change = change
        self._is_taken = False
        self.first: int | None = None
        """How many bytes the first answer had."""
        super().__init__()

    def handle(self, conn: socket.socket) -> None:
        request = conn.recv(64 * KIB)
        with socket.socket() as onward:
            onward.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            onward.connect(("127.0.0.1", self._port))
            onward.sendall(request)
            if self._is_taken:
                _pass_on(onward, conn, None)
                return
            self._is_taken = True
            self.first = _pass_on(onward, conn, self._change.after)
            self._change.manner(self._path, self._change.new)
            self.first += _pass_on(onward, conn, None)


def _pass_on(source: socket.socket, to: socket.socket, count: int | None) -> int:
    """Pass on `count` bytes, or all to the end; how many it were. An end by reset is passed on as one."""
    passed = 0
    try:
        while count is None or passed < count:
            data = source.recv(64 * KIB if count is None else min(64 * KIB, count - passed))
            if not data:
                break
            to.sendall(data)
            passed += len(data)
    except ConnectionResetError:
        to.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        to.close()
    return passed


@pytest.mark.parametrize("edition", [1, 2])
def test_a_file_that_changes_while_it_is_served_comes_as_one_version_or_the_other(
    cluster: Cluster, edition: int
) -> None:
    changes = _changes(edition, times(CHANGES) // 2)
    counts: Counter[str] = Counter()
    for begin in range(0, len(changes), AT_ONCE):
        some = changes[begin : begin + AT_ONCE]
        _serve_and_change(cluster, some, counts, edition=edition, prefix=f"{edition} {begin}")
    print(f"row 15, edition {edition}: {len(changes)} changes: {dict(counts)}")
    assert counts["broken off"] == sum(change.manner is not replaced for change in changes)


def _serve_and_change(
    cluster: Cluster, changes: list[Change], counts: Counter[str], *, edition: int, prefix: str
) -> None:
    home = cluster.folder(f"source {prefix}")
    for change in changes:
        folders.write(home, change.name, change.old)
    with PretendedTracker() as nobody, PretendedTracker() as tracker:
        source = cluster.peer(home, nobody.port)
        receiver = cluster.peer(f"receiver {prefix}", tracker.port, *(["--classic"] if edition == 1 else []))
        cluster.all_in_sync([source, receiver])
        between = {change.name: GoBetween(source, change) for change in changes}
        try:
            entries = {name: (one.port, folders.OLD) for name, one in between.items()}
            tracker.push(listing(entries, ours=edition == 2))
            receiver.until(lambda: len(receiver.fetched) == len(changes), "every file")
            for change in changes:
                stored = (receiver.folder / change.name).read_bytes()
                assert stored in (change.old, change.new), f"a chimera of {change.manner.__name__} after {change.after}"
                counts["stored the old one" if stored == change.old else "stored the new one"] += 1
                first = between[change.name].first
                assert first is not None
                whole = len(change.old) + (len(b"Content-Length: %d\n" % len(change.old)) if edition == 2 else 0)
                counts["broken off"] += first < whole
        finally:
            for one in between.values():
                one.vanish()
        for peer in (source, receiver):
            assert "Traceback" not in peer.err
            peer.stop()
