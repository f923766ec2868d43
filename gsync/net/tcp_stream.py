"""`TcpStream`: one TCP connection as a `transport.Stream`; made by `net.tcp`, the other half of the only room with sockets.

The socket is the standard library's, made cooperative by `net.patching`. Whoever reads or writes through a stream
breathes without knowing it: a socket that stays ready would otherwise never let anybody else run. An OSError of the
socket becomes `ConnectionBroken` here and in `net.tcp`, and nowhere else.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import select
import socket
import struct
import termios
from typing import Final, Self

import gevent
from gevent.socket import wait_write

from gsync.core.names import Endpoint
from gsync.errors import ConnectionBroken, StorageError
from gsync.net.breathing import BREATH_BYTES, breathe
from gsync.net.mapped import MAPPED_MIN_BYTES, send_mapped
from gsync.net.transport import Readable, send_pieces

SEND_STEP_BYTES: Final = BREATH_BYTES
READ_AHEAD_BYTES: Final = 8 * BREATH_BYTES
"""What the kernel is asked to have in memory before sendfile gets there, so that a cold disk does not stall the loop."""

_CALL_COST_BYTES: Final = 16 * 1024
"""A call counts for at least this much towards the next breath: tiny messages cost time, too."""

_POLL_FIRST_S: Final = 0.0001
_POLL_LONGEST_S: Final = 0.02
_TCP_CLOSE: Final = 7  # the state, first byte of TCP_INFO, of a socket whose connection is over
_FILE_ERRORS: Final = frozenset({errno.EIO, errno.ESTALE, errno.EISDIR, errno.EOVERFLOW, errno.EINVAL})
"""What sendfile says when it is the file's fault; everything else is the connection's."""


class TcpStream:
    """One TCP connection; fulfils `transport.Stream`. Two greenlets may use it at a time: one sends, one receives."""

    def __init__(self, sock: socket.socket, *, local: Endpoint, remote: Endpoint) -> None:
        self.local: Final = local
        self.remote: Final = remote
        self._socket = sock
        self._stays_here = remote.is_loopback or remote.ip == local.ip
        self._since_breath = 0
        self.bytes_sent = 0

    def receive(self, limit: int) -> bytes:
        self._breathe_if_due()
        try:
            received = self._socket.recv(limit)
        except OSError as error:
            raise self._broken(error) from error
        self._count(len(received))
        return received

    def receive_into(self, buffer: memoryview) -> int:
        self._breathe_if_due()
        try:
            received = self._socket.recv_into(buffer)
        except OSError as error:
            raise self._broken(error) from error
        self._count(received)
        return received

    def is_readable(self) -> bool:
        poll = select.poll()  # select is not patched: with a timeout of 0 it answers at once
        poll.register(self._fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def send(self, data: bytes | memoryview) -> None:
        view = memoryview(data).cast("B")
        try:
            for start in range(0, len(view), SEND_STEP_BYTES):
                self._breathe_if_due()
                step = view[start : start + SEND_STEP_BYTES]
                self._socket.sendall(step)
                self.bytes_sent += len(step)
                self._count(len(step))
        except OSError as error:
            raise self._broken(error) from error

    def send_file(self, file: Readable, *, offset: int, count: int, mappable: bool = False) -> int:
        try:
            descriptor = file.fileno()
        except io.UnsupportedOperation:
            return send_pieces(self.send, file, offset=offset, count=count, piece_bytes=SEND_STEP_BYTES)
        send = self._send_mapped if mappable and self._stays_here else self._send_descriptor
        sent = 0
        advised = 0
        while sent < count:
            if sent >= advised:
                _read_ahead(descriptor, offset + sent, min(2 * READ_AHEAD_BYTES, count - sent))
                advised = sent + READ_AHEAD_BYTES
            self._breathe_if_due()
            step = send(descriptor, offset + sent, min(SEND_STEP_BYTES, count - sent))
            if not step:
                break
            sent += step
            self.bytes_sent += step
            self._count(step)
        return sent

    def wait_sent(self) -> None:
        pause_s = _POLL_FIRST_S
        while self._unacknowledged():
            gevent.sleep(pause_s)
            pause_s = min(2 * pause_s, _POLL_LONGEST_S)

    def end_sending(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._broken(error) from error

    def reset(self) -> None:
        reset(self._socket)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object, /) -> None:
        if exc is None:
            self.close()
        else:
            self.reset()

    def _send_descriptor(self, descriptor: int, offset: int, count: int) -> int:
        while True:
            try:
                return os.sendfile(self._fileno(), descriptor, offset, count)
            except BlockingIOError:
                self._wait_writable()
            except OSError as error:
                if error.errno in _FILE_ERRORS:
                    raise StorageError(f"the file could not be read: {error.strerror}") from error
                raise self._broken(error) from error

    def _send_mapped(self, descriptor: int, offset: int, count: int) -> int:
        sent = 0
        if count >= MAPPED_MIN_BYTES:
            try:
                sent = send_mapped(self._socket, descriptor, offset=offset, count=count)
            except OSError as error:
                raise self._broken(error) from error
        return sent or self._send_descriptor(descriptor, offset, count)

    def _wait_writable(self) -> None:
        try:
            wait_write(self._fileno())
        except OSError as error:
            raise self._broken(error) from error

    def _unacknowledged(self) -> int:
        """How many bytes the other side's kernel has not taken yet."""
        try:
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            state = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            answer = fcntl.ioctl(self._fileno(), termios.TIOCOUTQ, struct.pack("i", 0))  # the same number as SIOCOUTQ
        except OSError as failed:
            raise self._broken(failed) from failed
        count = int(struct.unpack("i", answer)[0])
        if error or (state == _TCP_CLOSE and count):
            raise ConnectionBroken(f"{self.remote} broke the connection: {os.strerror(error or errno.ECONNRESET)}")
        return count

    def _fileno(self) -> int:
        descriptor = self._socket.fileno()
        if descriptor < 0:
            raise ConnectionBroken(f"the connection with {self.remote} is already closed on our side")
        return descriptor

    def _broken(self, error: OSError) -> ConnectionBroken:
        return ConnectionBroken(f"the connection with {self.remote} broke: {error.strerror or error}")

    def _count(self, count: int) -> None:
        self._since_breath += max(count, _CALL_COST_BYTES)

    def _breathe_if_due(self) -> None:
        # Before the next piece and never after one: a Timeout that strikes in the breath must not cost received bytes.
        if self._since_breath >= BREATH_BYTES:
            self._since_breath = 0
            breathe()


def reset(sock: socket.socket) -> None:
    """Close it so that the other side sees it break, and not end in order."""
    with contextlib.suppress(OSError):  # a connection that is gone needs no reset
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _read_ahead(descriptor: int, offset: int, count: int) -> None:
    with contextlib.suppress(OSError):  # only advice: what cannot take it is read all the same
        os.posix_fadvise(descriptor, offset, count, os.POSIX_FADV_WILLNEED)
