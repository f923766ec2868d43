"""A peer of edition 1 or 2 of the classic file-sync protocol, written independently of gsync, from its words alone.

    python peer.py TRACKER_IP TRACKER_PORT DIR [--edition=1|2] [--keepalive=5] [--timeout=3] [--port=0]
                   [--seed-only] [--no-reconnect] [--record=DIR] [--quirk=NAME ...]

It prints `READY <port>` when it serves and has sent its Initial, then `FETCHED <json name>` or
`SKIPPED <json name> <why>` for each file that it tries to fetch. The main thread reads the tracker, one sends
keepalives, one accepts connections, one answers each of them, a few fetch. Quirks make it behave like one or
another real program. Standard library only; it must not import gsync.
"""

import argparse
import codecs
import contextlib
import ipaddress
import json
import math
import os
import signal
import socket
import stat
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

QUIRKS = {
    "recv-2048": "take one recv of 2048 bytes for a whole directory or file, ignore a directory that does not parse",
    "recv-8192": "the same with 8192 bytes",
    "short-read": "take the first recv of less than 4096 bytes for the end of a directory or file",
    "close-late": "close a served connection 1 s after its last byte",
    "never-close": "close a served connection only when the next one arrives",
    "close-middle": "close a served connection in order after half of the content",
    "close-middle-once": "the same, but only the first time that a file is asked for",
    "pieces-1024": "serve in 1024-byte pieces with a small pause",
    "die-on-dead": "end the program when a source refuses the connection",
    "constant-port": "send 12345 as the port of a keepalive",
}
ONE_RECV = {"recv-2048": 2048, "recv-8192": 8192}
RECV_BYTES = 4096
SEND_BYTES = 65536
NAME_BYTES = 255
REQUEST_PAUSE_S = 0.5  # edition 1: how long to wait for the rest of a name that is not one of our files
FETCHES_AT_ONCE = 4
TEMP_PREFIX = ".ref-"


@dataclass(frozen=True)
class Entry:
    """One entry of the directory: who has the file, and of what mtime."""

    name: str
    ip: str
    port: int
    mtime: int


class Peer:
    """One folder, served to other peers and filled from them."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.folder = Path(args.dir)
        self.edition: int = args.edition
        self.quirks = set(args.quirk)
        loopback = ipaddress.ip_address(args.tracker_ip).is_loopback
        self.listener = socket.create_server(("127.0.0.1" if loopback else "0.0.0.0", args.port), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        self.ready = False
        self.one_recv = max((size for quirk, size in ONE_RECV.items() if quirk in self.quirks), default=0)
        self.lock = threading.Lock()  # of stdout, in_flight, cut and unclosed
        self.in_flight: set[str] = set()
        self.cut: set[str] = set()
        self.unclosed: list[socket.socket] = []
        self.fetchers = ThreadPoolExecutor(FETCHES_AT_ONCE)

    def run(self) -> None:
        """Serve for ever, and talk to the tracker as long as it is there."""
        threading.Thread(target=self.serve, daemon=True).start()
        while True:
            try:
                self.talk_to_tracker()
            except (OSError, ValueError, TypeError, RecursionError) as error:
                print(f"peer: the tracker is gone: {error!r}", file=sys.stderr, flush=True)
            if not self.args.reconnect:
                signal.pause()
            time.sleep(1)

    def say(self, line: str) -> None:
        """Print one line, whole, from any thread."""
        with self.lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    # The folder.

    def may_be_file(self, name: str) -> bool:
        """Whether this can be the name of a file directly in the folder that a request can carry."""
        try:
            length = len(name.encode())
        except UnicodeEncodeError:
            return False
        if "/" in name or "\0" in name or name in (".", "..") or name.startswith(TEMP_PREFIX):
            return False
        return 0 < length <= NAME_BYTES and not (self.edition == 2 and "\n" in name)

    def is_served(self, name: str) -> bool:
        """Whether there is such a regular file in the folder now."""
        try:
            return self.may_be_file(name) and stat.S_ISREG((self.folder / name).lstat().st_mode)
        except OSError:
            return False

    def files(self) -> list[dict[str, Any]]:
        """List the files of the folder as an Initial tells them."""
        names = [name for name in sorted(os.listdir(self.folder)) if self.is_served(name)]
        return [{"name": name, "mtime": math.floor((self.folder / name).stat().st_mtime)} for name in names]

    def is_wanted(self, entry: Entry) -> bool:
        """Whether the folder lacks the file or has an older one."""
        try:
            return entry.mtime > math.floor((self.folder / entry.name).stat().st_mtime)
        except FileNotFoundError:
            return True

    # The tracker link.

    def talk_to_tracker(self) -> None:
        """Send the Initial, keep the connection alive and follow its directories until it ends."""
        with socket.create_connection((self.args.tracker_ip, self.args.tracker_port), self.args.timeout) as conn:
            if conn.getsockname() == conn.getpeername():
                raise ConnectionError("connected to itself")  # TCP can, on a free local port
            conn.settimeout(None)
            self.tell(conn, {"port": self.port, "files": self.files()})
            if not self.ready:
                self.ready = True
                self.say(f"READY {self.port}")
            threading.Thread(target=self.keep_alive, args=(conn,), daemon=True).start()
            for directory in self.read_directories(conn):
                self.follow(directory, conn.getsockname()[0])
        raise ConnectionError("it closed the connection")

    def tell(self, conn: socket.socket, message: dict[str, Any]) -> None:
        """Send one message to the tracker."""
        conn.sendall((json.dumps(message) + ("\n" if self.edition == 2 else "")).encode())

    def keep_alive(self, conn: socket.socket) -> None:
        """Send a keepalive every few seconds until the connection has ended or been closed."""
        port = 12345 if "constant-port" in self.quirks else self.port
        with contextlib.suppress(OSError):
            while True:
                time.sleep(self.args.keepalive)
                self.tell(conn, {"port": port})

    def read_directories(self, conn: socket.socket) -> Iterator[Any]:
        """Choose the way to read what the tracker answers."""
        if self.one_recv:
            return read_careless(conn, self.one_recv, until_short=False)
        if "short-read" in self.quirks:
            return read_careless(conn, RECV_BYTES, until_short=True)
        return read_lines(conn) if self.edition == 2 else read_objects(conn)

    def follow(self, directory: Any, own_ip: str) -> None:
        """Start a fetch for each entry that is wanted and not being fetched already."""
        if not isinstance(directory, dict):
            raise TypeError("the directory is not an object")
        for name, value in () if self.args.seed_only else directory.items():
            try:
                entry = Entry(name, str(value["ip"]), int(value["port"]), math.floor(value["mtime"]))
                if not self.may_be_file(name):
                    raise ValueError("not a file name")
                own = (entry.ip, entry.port) == (own_ip, self.port)
                with self.lock:
                    if own or name in self.in_flight or not self.is_wanted(entry):
                        continue
                    self.in_flight.add(name)
                self.fetchers.submit(self.fetch, entry)
            except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
                self.say(f"SKIPPED {json.dumps(name)} bad entry: {error!r}")

    # Fetching.

    def fetch(self, entry: Entry) -> None:
        """Fetch one file from its source, beside its place and then into it; say what became of it."""
        temp = self.folder / f"{TEMP_PREFIX}{uuid.uuid4().hex}"
        try:
            with socket.create_connection((entry.ip, entry.port), self.args.timeout) as conn, temp.open("wb") as file:
                conn.sendall(entry.name.encode() + (b"\n" if self.edition == 2 else b""))
                with conn.makefile("rb") as stream:
                    self.read_content(stream, file)
            os.utime(temp, (entry.mtime, entry.mtime))
            temp.replace(self.folder / entry.name)
            self.say(f"FETCHED {json.dumps(entry.name)}")
        except (OSError, ValueError, OverflowError) as error:
            self.say(f"SKIPPED {json.dumps(entry.name)} {error!r}")
            if "die-on-dead" in self.quirks and isinstance(error, ConnectionRefusedError):
                os._exit(1)
        finally:
            temp.unlink(missing_ok=True)
            with self.lock:
                self.in_flight.discard(entry.name)

    def read_content(self, stream: Any, file: BinaryIO) -> None:
        """Copy an answer into a file: in edition 1 all until the close, in edition 2 as much as the header says."""
        left = read_header(stream) if self.edition == 2 else math.inf
        while left > 0:
            piece = stream.read1(int(min(left, self.one_recv or RECV_BYTES)))
            file.write(piece)
            left -= len(piece)
            if not piece or self.one_recv or ("short-read" in self.quirks and len(piece) < RECV_BYTES):
                break
        if 0 < left < math.inf:
            raise ValueError(f"ended {left} bytes early")

    # Serving.

    def serve(self) -> None:
        """Accept connections for ever."""
        while True:
            conn, _address = self.listener.accept()
            with self.lock:
                unclosed, self.unclosed = self.unclosed, []
            for earlier in unclosed:  # of the quirk never-close
                earlier.close()
            threading.Thread(target=self.answer, args=(conn,), daemon=True).start()

    def answer(self, conn: socket.socket) -> None:
        """Answer the one request of a connection; what is not served gets no byte."""
        try:
            name = self.read_request(conn)
            conn.settimeout(None)
            if self.is_served(name):
                with (self.folder / name).open("rb") as file:
                    self.send_content(conn, file, cut=self.is_to_be_cut(name))
        except (OSError, ValueError) as error:
            print(f"peer: a request failed: {error!r}", file=sys.stderr, flush=True)
        finally:
            self.hang_up(conn)

    def read_request(self, conn: socket.socket) -> str:
        """Read a name: in edition 2 up to its newline, in edition 1 until it is one of ours or nothing follows."""
        conn.settimeout(self.args.timeout)
        request = b""
        while len(request) < RECV_BYTES and (data := conn.recv(RECV_BYTES)):
            request += data
            if self.edition == 2:
                line, newline, _rest = request.partition(b"\n")
                if newline:
                    return line.decode()
                continue
            if self.is_served(request.decode(errors="replace")):
                return request.decode()
            conn.settimeout(REQUEST_PAUSE_S)
        raise ValueError(f"{request[:80]!r} is no request")

    def is_to_be_cut(self, name: str) -> bool:
        """Whether this answer ends in the middle."""
        with self.lock:
            first_time = name not in self.cut
            self.cut.add(name)
        return "close-middle" in self.quirks or ("close-middle-once" in self.quirks and first_time)

    def send_content(self, conn: socket.socket, file: BinaryIO, *, cut: bool) -> None:
        """Send a file as this edition does."""
        left = os.fstat(file.fileno()).st_size
        if self.edition == 2:
            conn.sendall(f"Content-Length: {left}\n".encode())
        if cut:
            left //= 2
        piece_bytes, pause_s = (1024, 0.001) if "pieces-1024" in self.quirks else (SEND_BYTES, 0)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while piece := file.read(min(left, piece_bytes)):
            conn.sendall(piece)
            left -= len(piece)
            time.sleep(pause_s)

    def hang_up(self, conn: socket.socket) -> None:
        """Close a served connection, when this program does that."""
        if "close-late" in self.quirks:
            time.sleep(1)
        if "never-close" in self.quirks:
            with self.lock:
                self.unclosed.append(conn)
        else:
            conn.close()


def read_objects(conn: socket.socket) -> Iterator[Any]:
    """Yield the JSON objects of edition 1, which nothing delimits."""
    decoder = json.JSONDecoder()
    utf8 = codecs.getincrementaldecoder("utf-8")()
    text = ""
    while data := conn.recv(SEND_BYTES):
        text = (text + utf8.decode(data)).lstrip()
        while text:
            if text[0] != "{":
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


def read_careless(conn: socket.socket, size: int, *, until_short: bool) -> Iterator[Any]:
    """Yield what one recv gives, or all up to the first short recv, if it is JSON (quirks recv-* and short-read)."""
    while data := conn.recv(size):
        piece = data
        while until_short and len(piece) == size:
            piece = conn.recv(size)
            data += piece
        try:
            yield json.loads(data)
        except ValueError:
            continue


def read_header(stream: Any) -> int:
    """Read the first line of an answer of edition 2: how many bytes follow."""
    line: bytes = stream.readline(RECV_BYTES)
    label, _colon, size = line.partition(b":")
    if label != b"Content-Length" or not line.endswith(b"\n") or not size.strip().isdigit():
        raise ValueError(f"no response but {line!r}" if line else "no response")
    return int(size)


def main() -> None:
    """Read the command line and run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A reference peer, independent of gsync.")
    parser.add_argument("tracker_ip")
    parser.add_argument("tracker_port", type=int)
    parser.add_argument("dir")
    parser.add_argument("--edition", type=int, choices=(1, 2), default=1)
    parser.add_argument("--keepalive", type=float, default=5.0, help="seconds between keepalives")
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds to wait for another peer")
    parser.add_argument("--port", type=int, default=0, help="where to serve; 0 takes a free port")
    parser.add_argument("--seed-only", action="store_true", help="fetch nothing")
    parser.add_argument("--reconnect", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--record", metavar="DIR", help="keep what is received there")
    parser.add_argument("--quirk", action="append", default=[], choices=QUIRKS, help=f"repeatable: {QUIRKS}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    args = parser.parse_args()
    if args.record:
        from recording import record_into

        record_into(args.record)
    Peer(args).run()


if __name__ == "__main__":
    main()
