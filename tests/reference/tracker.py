"""A tracker of edition 1 or 2 of the classic file-sync protocol, written independently of gsync, from its words alone.

    python tracker.py PORT [--edition=1|2] [--listen=127.0.0.1] [--expire=S] [--record=DIR] [--quirk=NAME ...]

It prints `READY <port>` when it listens. A thread per connection reads JSON messages and answers each one with the
directory. A peer is forgotten when its connection closes or stays silent; the latest mtime of a name wins. Quirks make
it behave like one or another real program. Standard library only; it must not import gsync.
"""

import argparse
import codecs
import ipaddress
import json
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

QUIRKS = {
    "refuse-extra": "close a connection that sends a key the protocol does not name",
    "float-mtime": "send mtimes as floats",
    "no-newline": "edition 2 without the newline after an answer",
    "pieces-200": "send each answer in 200-byte pieces",
    "dead-forever": "go on listing peers that are gone",
}
RECV_BYTES = 65536
MESSAGE_CHARS = 64 * 1024 * 1024
PIECE_BYTES = 200
PIECE_PAUSE_S = 0.002


@dataclass
class Announcement:
    """What one connection told with its latest Initial: where its peer serves which files."""

    ip: str
    port: int
    mtimes: dict[str, int]


class Tracker:
    """The announcements of all connections, and the answers made of them."""

    def __init__(self, listener: socket.socket, edition: int, expire_s: float, quirks: set[str]) -> None:
        self.listener = listener
        self.edition = edition
        self.expire_s = expire_s
        self.quirks = quirks
        self.lock = threading.Lock()
        self.announcements: dict[socket.socket, Announcement] = {}

    def run(self) -> None:
        """Accept connections for ever."""
        while True:
            conn, _address = self.listener.accept()
            threading.Thread(target=self.talk, args=(conn,), daemon=True).start()

    def talk(self, conn: socket.socket) -> None:
        """Answer the messages of one connection, then forget its peer; the receive timeout is the peer's timer."""
        read_messages = read_lines if self.edition == 2 else read_objects
        try:
            conn.settimeout(self.expire_s)
            for message in read_messages(conn):
                self.learn(conn, message)
                self.answer(conn)
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            print(f"tracker: connection dropped: {error!r}", file=sys.stderr, flush=True)
        finally:
            if "dead-forever" not in self.quirks:
                with self.lock:
                    self.announcements.pop(conn, None)
            conn.close()

    def learn(self, conn: socket.socket, message: Any) -> None:
        """Take the file list of an Initial, which replaces an earlier one; a keepalive has nothing to tell."""
        if not isinstance(message, dict):
            raise TypeError("the message is not an object")
        if "refuse-extra" in self.quirks:
            refuse_extra(message)
        if "files" not in message:
            return
        announcement = Announcement(ip=conn.getpeername()[0], port=int(message["port"]), mtimes={})
        for file in message["files"]:
            if not isinstance(file["name"], str):
                raise TypeError("a file name is not text")
            announcement.mtimes[file["name"]] = math.floor(file["mtime"])
        with self.lock:
            self.announcements[conn] = announcement

    def answer(self, conn: socket.socket) -> None:
        """Send the directory, as the asker at the other end of this connection has to see it."""
        text = json.dumps(self.directory(conn.getsockname()[0]))
        if self.edition == 2 and "no-newline" not in self.quirks:
            text += "\n"
        data = text.encode()
        if "pieces-200" in self.quirks:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(data), PIECE_BYTES):
                conn.sendall(data[start : start + PIECE_BYTES])
                time.sleep(PIECE_PAUSE_S)
        else:
            conn.sendall(data)

    def directory(self, reached_at: str) -> dict[str, dict[str, Any]]:
        """Join the announcements; a loopback peer has the address at which the asker reached this tracker."""
        joined: dict[str, dict[str, Any]] = {}
        with self.lock:
            for peer in self.announcements.values():
                ip = reached_at if ipaddress.ip_address(peer.ip).is_loopback else peer.ip
                for name, mtime in peer.mtimes.items():
                    if name not in joined or mtime > joined[name]["mtime"]:
                        joined[name] = {"ip": ip, "port": peer.port, "mtime": mtime}
        if "float-mtime" in self.quirks:
            for entry in joined.values():
                entry["mtime"] = float(entry["mtime"])
        return joined


def refuse_extra(message: dict[str, Any]) -> None:
    """Raise ValueError for any key that the protocol does not name."""
    extra = set(message) - ({"port", "files"} if "files" in message else {"port"})
    for file in message.get("files", []):
        extra |= set(file) - {"name", "mtime"}
    if extra:
        raise ValueError(f"unexpected keys {sorted(extra)}")


def read_objects(conn: socket.socket) -> Iterator[Any]:
    """Yield the JSON objects of edition 1, which nothing delimits."""
    decoder = json.JSONDecoder()
    utf8 = codecs.getincrementaldecoder("utf-8")()
    text = ""
    while data := conn.recv(RECV_BYTES):
        text = (text + utf8.decode(data)).lstrip()
        while text:
            if text[0] != "{" or len(text) > MESSAGE_CHARS:
                raise ValueError("this is no JSON object")
            try:
                message, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                break  # not complete yet
            text = text[end:].lstrip()
            yield message


def read_lines(conn: socket.socket) -> Iterator[Any]:
    """Yield the JSON objects of edition 2, each of which ends in a newline."""
    with conn.makefile("rb") as lines:
        for line in lines:
            if line.endswith(b"\n") and line.strip():
                yield json.loads(line)


def main() -> None:
    """Read the command line and run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A reference tracker, independent of gsync.")
    parser.add_argument("port", type=int, help="0 takes a free port")
    parser.add_argument("--edition", type=int, choices=(1, 2), default=1)
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--expire", type=float, default=15.0, help="seconds of silence after which a peer is forgotten")
    parser.add_argument("--record", metavar="DIR", help="keep what is received there")
    parser.add_argument("--quirk", action="append", default=[], choices=QUIRKS, help=f"repeatable: {QUIRKS}")
    args = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    if args.record:
        from recording import record_into

        record_into(args.record)
    listener = socket.create_server((args.listen, args.port), backlog=128)
    print(f"READY {listener.getsockname()[1]}", flush=True)
    Tracker(listener, args.edition, args.expire, set(args.quirk)).run()


if __name__ == "__main__":
    main()
