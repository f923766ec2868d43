"""The floor of `small` and `start`: a gevent loop that does the calls of a peer and nothing else; a program of its own.

    bare_peer.py serve FOLDER                                      prints READY and its port; serves until it is ended
    bare_peer.py fetch FOLDER PORT COUNT FETCHES MTIME             prints DONE and the seconds that fetching took

No index, no journal, no digest, no directory, no checks. It knows the names beforehand. The receiver publishes in batches of
500 beside the fetching, as gsync does: syncfs, rename, fsync of the folder.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator

import gevent
from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.threadpool import ThreadPool

BATCH = 500
_libc = ctypes.CDLL(None, use_errno=True)


def serve(folder: str) -> None:
    """Answer each request, a name and a newline, with a header and the file."""
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def answer(sock: socket.socket, _address: object) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = sock.recv(8192)
        while request and not request.endswith(b"\n"):
            request += sock.recv(8192)
        file = os.open(request[:-1], os.O_RDONLY | os.O_NOFOLLOW, dir_fd=root)
        try:
            size = os.fstat(file).st_size
            sock.sendall(b"Content-Length: %d\n" % size)
            sock.sendall(os.pread(file, size, 0))
        finally:
            os.close(file)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(8192):
            pass

    server = StreamServer(("127.0.0.1", 0), answer, backlog=1024)
    server.start()
    print("READY", server.server_port, flush=True)
    server.serve_forever()


def fetch(folder: str, port: int, count: int, fetches: int, mtime_s: int) -> None:
    """Bring all files into `folder`, `fetches` at a time, and publish them in batches."""
    began = time.perf_counter()
    staging = os.path.join(folder, ".staging")
    os.mkdir(staging)
    root, staged_at = os.open(folder, os.O_RDONLY), os.open(staging, os.O_RDONLY)
    publisher, staged = ThreadPool(1), list[bytes]()
    names = iter([b"%06d.bin" % number for number in range(count)])

    def publish(batch: list[bytes]) -> None:
        if _libc.syncfs(root):
            raise OSError(ctypes.get_errno(), "syncfs")
        for name in batch:
            os.rename(name, name, src_dir_fd=staged_at, dst_dir_fd=root)
        os.fsync(root)

    def take(names: Iterator[bytes]) -> None:
        nonlocal staged
        for name in names:
            body = _get(port, name)
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=staged_at)
            try:
                os.write(file, body)
                os.utime(file, (mtime_s, mtime_s))
            finally:
                os.close(file)
            staged.append(name)
            if len(staged) == BATCH:
                batch, staged = staged, []
                publisher.spawn(publish, batch)

    pool = Pool(fetches)
    gevent.joinall([pool.spawn(take, names) for _ in range(fetches)], raise_error=True)
    publisher.spawn(publish, staged).get()
    print("DONE", time.perf_counter() - began, flush=True)


def _get(port: int, name: bytes) -> bytes:
    sock = socket.socket()
    try:
        sock.connect(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(name + b"\n")
        got = bytearray(sock.recv(16384))
        while b"\n" not in got:
            got += sock.recv(16384)
        header, _, body = got.partition(b"\n")
        size = int(header.removeprefix(b"Content-Length: "))
        while len(body) < size:
            body += sock.recv(16384)
        return bytes(body)
    finally:
        sock.close()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        fetch(sys.argv[2], *map(int, sys.argv[3:]))
