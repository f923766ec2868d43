"""Peers of an overlay as its figures need them: real processes around a tracker that tells names only, all links standing."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from typing import Any, Final
from urllib.parse import urlencode

from gsync.core.topology import Topology, parse_shape, shaped
from gsync.lab.grid import names
from gsync.storage.visiting import look_into
from gsync.web.answers import SOCKET
from tests.bench.native import WITHIN_S
from tests.e2e.cluster import Cluster, Peer

SHAPE: Final = "grid"


class OverlaySwarm:
    """`peers` in the order of their names, and a way to ask each of them as its commands do."""

    def __init__(self, cluster: Cluster, count: int, options: Sequence[str], asking: ExitStack) -> None:
        port = cluster.tracker("--naming-only", "--quiet").port
        self.names: Final = [str(name) for name in names(count)]
        self.topology: Final = _topology(count)
        self.peers: Final[list[Peer]] = [
            cluster.peer(name, port, f"--name={name}", f"--topology={SHAPE}", *options) for name in self.names
        ]
        for peer in self.peers:
            peer.until(lambda peer=peer: peer.events("peer.serving"), f"{peer.name} serving", within_s=WITHIN_S)
        self._own_fds: Final[list[int]] = []
        for peer in self.peers:
            own_fd = look_into(peer.folder)
            asking.callback(os.close, own_fd)
            self._own_fds.append(own_fd)
        cluster.until(self._is_linked, "all links of the overlay", within_s=WITHIN_S)

    def ask(self, number: int, question: str, **query: str) -> Iterator[dict[str, Any]]:
        """What one of them answers at its control socket, line by line; may be called in threads."""
        return _answers(self._own_fds[number], question, **query)

    def seen(self, number: int) -> dict[str, Any]:
        """What one of them says of the overlay."""
        return next(self.ask(number, "overlay"))

    def sent(self, kind: str) -> int:
        """How many messages of this kind all of them have sent so far."""
        return sum(int(self.seen(number)["counts"].get(f"{kind} sent", 0)) for number in range(len(self.peers)))

    def _is_linked(self) -> bool:
        for number, links in enumerate(self.topology.values()):
            up = {one["name"] for one in self.seen(number)["neighbours"] if one["is_up"]}
            if not up >= links:
                return False
        return True


class _Connection(HTTPConnection):
    """What `gsync.web.client` uses is for programs whose sockets are patched; this one has threads."""

    def __init__(self, own_fd: int) -> None:
        super().__init__("gsync")
        self._own_fd = own_fd

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(f"/proc/self/fd/{self._own_fd}/{SOCKET}")


def ask_overlay(peer: Peer) -> dict[str, Any]:
    """What a peer says of the overlay."""
    own_fd = look_into(peer.folder)
    try:
        return next(_answers(own_fd, "overlay"))
    finally:
        os.close(own_fd)


@contextmanager
def swarm(cluster: Cluster, count: int, *options: str) -> Iterator[OverlaySwarm]:
    """So many of them in a grid, linked."""
    with ExitStack() as asking:
        yield OverlaySwarm(cluster, count, options, asking)


def _answers(own_fd: int, question: str, **query: str) -> Iterator[dict[str, Any]]:
    asked = _Connection(own_fd)
    try:
        asked.request("GET", f"/v1/{question}?{urlencode(query)}", headers={"Connection": "close"})
        response = asked.getresponse()
        while line := response.readline():
            yield json.loads(line)
    finally:
        asked.close()


def _topology(count: int) -> Topology:
    shape = parse_shape(SHAPE)
    assert shape is not None
    return shaped(shape, names(count))
