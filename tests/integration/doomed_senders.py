"""Senders that are killed while they send: a process for each, which kills itself (-9) after so many bytes of its answer.

    python doomed_senders.py EDITION SIZE PORT:OFFSET...

Prints `READY` once all of them listen; then `DEAD <n>` as each of them ends. Edition 1 or 2 says how they answer.
The file that each of them would have sent is the first SIZE bytes of `content`. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import sys


def content(size: int, number: int) -> bytes:
    """What sender `number` has to give."""
    return random.Random(number).randbytes(size)


def be_killed(listener: socket.socket, answer: bytes) -> None:
    """Take one request, send `answer`, and die before anything else can be said; the kernel ends the connection."""
    conn, _ = listener.accept()
    conn.recv(4096)
    conn.sendall(answer)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Start the senders, and wait for their ends."""
    edition, size = map(int, sys.argv[1:3])
    places = [tuple(map(int, word.split(":"))) for word in sys.argv[3:]]
    header = b"Content-Length: %d\n" % size if edition == 2 else b""
    listeners = [socket.create_server(("127.0.0.1", port)) for port, _ in places]
    children = []
    for number, (listener, (_, offset)) in enumerate(zip(listeners, places, strict=True)):
        answer = (header + content(size, number))[:offset]
        child = os.fork()
        if not child:
            for other in listeners:
                if other is not listener:
                    other.close()
            be_killed(listener, answer)
        children.append(child)
    for listener in listeners:
        listener.close()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print("READY", flush=True)
    try:
        for number, child in enumerate(children):
            os.waitpid(child, 0)
            print(f"DEAD {number}", flush=True)
            children[number] = 0
    finally:
        for child in filter(None, children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
