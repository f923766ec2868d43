"""Keeps every byte that a reference program receives, a file for each connection, so that a test can read what was said to it.

Called by `peer.py` and `tracker.py` for `--record=DIR`, before they open a socket. Standard library only.
"""

import itertools
import socket
from pathlib import Path
from typing import Any, BinaryIO

_numbers = itertools.count()


def record_into(directory: str) -> None:
    """From now on what each socket of this process receives is also written to a file of its own."""

    class Recording(socket.socket):
        _copy: BinaryIO | None = None

        def recv(self, *args: Any) -> bytes:
            data = super().recv(*args)
            self._keep(data)
            return data

        def recv_into(self, buffer: Any, *args: Any) -> int:  # what makefile() reads with
            count = super().recv_into(buffer, *args)
            self._keep(bytes(memoryview(buffer)[:count]))
            return count

        def _keep(self, data: bytes) -> None:
            if self._copy is None:
                self._copy = (Path(directory) / f"{next(_numbers)}").open("xb", buffering=0)
            self._copy.write(data)

    socket.socket = Recording  # type: ignore[misc]  # also what accept() and create_connection() make
