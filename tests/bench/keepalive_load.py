"""A crowd of pretended peers in one process, for `tracker`: each announces its names, then says a keepalive now and then.

    keepalive_load.py PORT PID PEERS NAMES EVERY SECONDS FILE

PID is the server's: its CPU is read when the window begins and when the last answer of it has come. FILE takes one whole answer.
Prints one JSON object: the server's CPU seconds, the seconds of the window, messages and bytes in it. Plain epoll, one thread,
one buffer: whatever this costs, it is not the server's.
"""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

BUFFER = 1024 * 1024
LONGEST_S = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Crowd:
    """The connections, and how many answers each still waits for; an answer ends where its newline does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._poll = select.epoll()
        self._buffer = memoryview(bytearray(BUFFER))
        self._sockets: dict[int, socket.socket] = {}
        self._order: list[int] = []
        self.waiting = 0
        self.bytes = 0

    def join(self, message: bytes) -> None:
        """One more peer, whose first word is `message`."""
        sock = socket.create_connection(("127.0.0.1", self._port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self._sockets[sock.fileno()] = sock
        self._order.append(sock.fileno())
        self._poll.register(sock.fileno(), select.EPOLLIN)
        self.say(len(self._order) - 1, message)

    def say(self, place: int, message: bytes) -> None:
        """The peer that joined as number `place` says `message`."""
        self._sockets[self._order[place]].send(message)
        self.waiting += 1

    def listen(self, seconds: float) -> None:
        """Take what comes within `seconds`, or the first of it."""
        for fileno, _ in self._poll.poll(seconds):
            count = self._sockets[fileno].recv_into(self._buffer)
            if not count:
                raise SystemExit("the server closed a connection")
            self.bytes += count
            self.waiting -= self._buffer[count - 1] == ord("\n")

    def listen_to_the_end(self, until: Callable[[], bool]) -> None:
        """Take what comes until `until` holds."""
        limit = time.monotonic() + LONGEST_S
        while not until():
            if time.monotonic() > limit:
                raise SystemExit("answers are missing")
            self.listen(0.1)

    def whole_answer(self, place: int, message: bytes) -> bytes:
        """What the peer at `place` is told, byte for byte; nobody else may wait for anything."""
        sock, answer = self._sockets[self._order[place]], bytearray()
        sock.send(message)
        while not answer.endswith(b"\n"):
            select.select([sock], [], [], LONGEST_S)
            answer += sock.recv(BUFFER)
        return bytes(answer)


def main(words: list[str]) -> None:
    """Join, then keep alive for the window."""
    port, pid, peers, names = map(int, words[:4])
    every_s, window_s = map(float, words[4:6])
    answer, crowd = Path(words[6]), Crowd(port)
    for peer in range(peers):
        files = [{"name": f"{peer:04d}-{number:04d}.bin", "mtime": 1_600_000_000} for number in range(names // peers)]
        crowd.join(b"{\t" + json.dumps({"port": 20_000 + peer, "files": files}).encode()[1:] + b"\n")
        while crowd.waiting > 8:
            crowd.listen(1.0)
    crowd.listen_to_the_end(lambda: not crowd.waiting)
    for place in range(min(16, peers)):  # whatever is kept for the crowd as it is now has been made by then
        answer.write_bytes(crowd.whole_answer(place, _keepalive(place)))
    crowd.bytes, messages = 0, int(window_s / every_s * peers)
    before, began = _cpu_s(pid), time.monotonic()
    for number in range(messages):
        due = began + number * every_s / peers
        while (left := due - time.monotonic()) > 0:
            crowd.listen(left)
        crowd.say(number % peers, _keepalive(number % peers))
    crowd.listen_to_the_end(lambda: not crowd.waiting)
    seconds = time.monotonic() - began
    cpu = _cpu_s(pid) - before
    print(json.dumps({"cpu_s": cpu, "seconds": seconds, "messages": messages, "bytes": crowd.bytes}), flush=True)


def _keepalive(place: int) -> bytes:
    return b'{"port":%d}\n' % (20_000 + place)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    main(sys.argv[1:])
