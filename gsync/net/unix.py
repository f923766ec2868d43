"""A socket with a name in a directory: where programs of one person on one machine talk; the other place that touches sockets.

The directory is given by its descriptor and the address goes through `/proc/self/fd`, because a socket's path holds 107 bytes and
a folder's may be longer, and so that no other directory can be meant. An OSError becomes `ConnectFailed` here, and goes no
further. Called by `web/`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import Final, Self

from gsync.errors import ConnectFailed
from gsync.net.patching import require_patched_sockets

BACKLOG: Final = 32
"""Connections that the kernel holds for a full house; the next ones are refused."""

MODE: Final = 0o600
"""Its owner alone may connect."""

_NEW: Final = ".new"


class Door:
    """A listening socket under a name; `socket` accepts, `close` takes the name away with it."""

    def __init__(self, sock: socket.socket, *, dir_fd: int, name: str, inode: int) -> None:
        self.socket: Final = sock
        self._dir_fd = dir_fd
        self._name = name
        self._inode = inode

    @classmethod
    def open(cls, dir_fd: int, name: str) -> Self:
        """Listen under `name` in the directory, which only one process does at a time: whatever socket stands there is left over.

        Raises `ConnectFailed`, also where something else than a socket stands there. The descriptor stays the caller's, and
        must be open until `close`.
        """
        require_patched_sockets()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo:  # whatever happens, a Timeout or a kill too: nobody holds the socket yet
            undo.callback(sock.close)
            try:
                _remove_socket(name + _NEW, dir_fd=dir_fd)
                # The name takes its mode from the socket: at no moment may others connect.
                os.fchmod(sock.fileno(), MODE)
                sock.bind(_address(dir_fd, name + _NEW))
                inode = os.stat(name + _NEW, dir_fd=dir_fd, follow_symlinks=False).st_ino
                sock.listen(BACKLOG)
                _require_socket_or_nothing(name, dir_fd=dir_fd)
                os.rename(name + _NEW, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            except OSError as error:
                raise ConnectFailed(f"cannot listen at {name!r}: {error.strerror or error}") from error
            undo.pop_all()
        return cls(sock, dir_fd=dir_fd, name=name, inode=inode)

    def close(self) -> None:
        """Listen no more; the name goes, unless somebody else's stands there by now."""
        self.socket.close()
        with contextlib.suppress(OSError):
            if os.stat(self._name, dir_fd=self._dir_fd, follow_symlinks=False).st_ino == self._inode:
                os.unlink(self._name, dir_fd=self._dir_fd)


def dial(dir_fd: int, name: str, *, timeout_s: float) -> socket.socket:
    """A connection to whoever listens under `name`; every later call on it may take `timeout_s`. Raises `ConnectFailed`.

    Follows no link, and goes to nobody's socket but our own (or, for root, anybody's).
    """
    require_patched_sockets()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.ExitStack() as undo:
        undo.callback(sock.close)
        try:
            _connect(sock, dir_fd, name, timeout_s=timeout_s)
        except OSError as error:
            raise ConnectFailed(f"nobody answers at {name!r}: {error.strerror or error}") from error
        undo.pop_all()
    return sock


def _connect(sock: socket.socket, dir_fd: int, name: str, *, timeout_s: float) -> None:
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        status = os.fstat(fd)
        if not stat.S_ISSOCK(status.st_mode) or os.geteuid() not in (0, status.st_uid):
            raise ConnectFailed(f"{name!r} is not a socket of ours")
        sock.settimeout(timeout_s)
        sock.connect(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def _address(dir_fd: int, name: str) -> str:
    return f"/proc/self/fd/{dir_fd}/{name}"


def _remove_socket(name: str, *, dir_fd: int) -> None:
    if _require_socket_or_nothing(name, dir_fd=dir_fd):
        os.unlink(name, dir_fd=dir_fd)


def _require_socket_or_nothing(name: str, *, dir_fd: int) -> bool:
    """Whether a socket stands there; what is none is somebody's file, and never removed."""
    try:
        mode = os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise ConnectFailed(f"something that is no socket stands at {name!r}")
    return True
