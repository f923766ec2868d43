"""The floor of `tracker`: a gevent server that answers each line with the same bytes, and does nothing else.

bare_tracker.py FILE        prints READY and its port; answers each newline with the content of FILE until it is ended
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from gevent import socket
from gevent.server import StreamServer

PIECE = 1024 * 1024


def serve(answer: bytes) -> None:
    """Answer whoever connects."""
    view = memoryview(answer)

    def converse(sock: socket.socket, _address: object) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := sock.recv(8192):
            for _ in range(data.count(b"\n")):
                for start in range(0, len(view), PIECE):
                    sock.sendall(view[start : start + PIECE])

    server = StreamServer(("127.0.0.1", 0), converse, backlog=1024)
    server.start()
    print("READY", server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    serve(Path(sys.argv[1]).read_bytes())
