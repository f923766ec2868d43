"""The floor of `verified`: a file from one process to another over loopback, each block hashed and written; a program of its own.

    pipe_floor.py SOURCE TARGET        prints the seconds from the dial to the end of the sync

The calls of a native sender and a native receiver, and nothing else: `send` from a mapping; `recv`, BLAKE3 and `pwrite` of a block
at a time, on two threads with four buffers. No loop, no index, nothing to compare a digest with. The target must not be there.
"""

from __future__ import annotations

import mmap
import os
import socket
import sys
import threading
import time
from queue import SimpleQueue

from blake3 import blake3

BLOCK = 1024 * 1024
WRITE = 256 * 1024
BUFFERS = 4


def send(source: str, port: int) -> None:
    """All of `source`, whose length is a number of whole blocks, or a shorter last one."""
    file = os.open(source, os.O_RDONLY)
    size = os.fstat(file).st_size
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for offset in range(0, size, BLOCK):
            count, flags = min(BLOCK, size - offset), mmap.MAP_SHARED | mmap.MAP_POPULATE
            with mmap.mmap(file, count, flags=flags, prot=mmap.PROT_READ, offset=offset) as block:
                sock.sendall(block)


def receive(sock: socket.socket, target: str) -> None:
    """Until the sender ends, and until all of it is on the disk."""
    file = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    free, full = SimpleQueue[memoryview](), SimpleQueue[tuple[int, memoryview, int]]()
    for _ in range(BUFFERS):
        free.put(memoryview(bytearray(BLOCK)))

    def keep() -> None:
        while (item := full.get())[2]:
            offset, room, count = item
            blake3(room[:count]).digest()
            for at in range(0, count, WRITE):
                os.pwrite(file, room[at : min(at + WRITE, count)], offset + at)
            free.put(room)

    keeper = threading.Thread(target=keep)
    keeper.start()
    offset, count = 0, -1
    while count:
        room, count = free.get(), 0
        while count < BLOCK and (more := sock.recv_into(room[count:])):
            count += more
        full.put((offset, room, count))
        offset += count
    keeper.join()
    os.fsync(file)


def main(source: str, target: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        sender = os.fork()
        if not sender:
            send(source, port)
            os._exit(0)
        began = time.perf_counter()
        with server.accept()[0] as sock:
            receive(sock, target)
        print(time.perf_counter() - began)
        os.waitpid(sender, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
