"""A pretended native peer that announces many records and serves nothing, for `join`; a program of its own.

    record_load.py PORT COUNT        prints READY when the tracker has heard all of them; stays until it is ended

Its records are those of a usual folder: paths of some forty bytes in directories of a thousand files, a digest and one author.
"""

from __future__ import annotations

import hashlib
import socket
import sys
import threading
from collections.abc import Iterator

from gsync.wire.classic import encode_initial
from gsync.wire.frames import NATIVE_START, FrameSplitter, frame
from gsync.wire.native import Alive, Announce, Join, Locate, Located, header, parse_from_tracker
from gsync.wire.records import WireRecord

AUTHOR = "a" * 16
PIECE = 300
A_DIRECTORY = 1000
SERVING_PORT = 20_000
ALIVE_S = 5.0
MTIME_S = 1_600_000_000


def records(count: int) -> Iterator[WireRecord]:
    """`count` of them: the files, and the directories that they stand in."""
    left = count
    number = 0
    while left:
        if not number % A_DIRECTORY:
            yield WireRecord(p=f"some/directory-{number // A_DIRECTORY:05d}", v=_version(), k="directory", by=AUTHOR)
            left -= 1
            if not left:
                return
        path = f"some/directory-{number // A_DIRECTORY:05d}/document-{number:08d}.txt"
        digest = hashlib.blake2s(path.encode()).hexdigest()
        yield WireRecord(
            p=path, v=_version(), d=f"b3:{digest}", s=3000 + number % 1000, mtime_ns=MTIME_S * 10**9 + number, by=AUTHOR
        )
        left -= 1
        number += 1


def _version() -> dict[str, int]:
    return {AUTHOR: 1, "mtime": MTIME_S}


def main(port: int, count: int) -> None:
    """Announce; meanwhile, and afterwards, read whatever is told, and keep alive."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(encode_initial(SERVING_PORT, {}, knows_gsync=True, knows_native=True))
    answered = b""
    while not answered.endswith(b"\n"):
        answered += sock.recv(65536)
    sock.sendall(NATIVE_START + frame(header(Join(author=AUTHOR, name="load"))))
    listening = threading.Thread(target=_listen, args=[sock], daemon=True)  # a tracker drops those who do not read
    listening.start()
    piece: list[WireRecord] = []
    for record in records(count):
        piece.append(record)
        if len(piece) == PIECE:
            sock.sendall(frame(header(Announce(records=piece))))
            piece = []
    sock.sendall(frame(header(Announce(records=piece, all=True))) + frame(header(Locate(id=1, paths=[]))))
    while listening.is_alive():
        listening.join(ALIVE_S)
        sock.sendall(frame(header(Alive(seq=0, digest=""))))
    raise SystemExit("the tracker closed the connection")


def _listen(sock: socket.socket) -> None:
    """Read to the end; READY at the answer to the question that came last."""
    splitter, started = FrameSplitter(), False
    while data := sock.recv(1 << 20):
        if not started:
            started = True
            _, _, data = data.partition(NATIVE_START)
        splitter.feed(data)
        while (head := splitter.next()) is not None:
            if b'"t":"located"' in head and isinstance(parse_from_tracker(head), Located):
                print("READY", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
