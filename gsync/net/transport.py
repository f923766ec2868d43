"""What the engine may ask of a network: the protocols that `tcp.py` (sockets) and `memory.py` (the fake) both fulfil.

All calls are cooperative: they let other greenlets run while they wait, and a `gevent.Timeout` or a kill may interrupt
any of them. A stream belongs to whoever accepted or dialled it, in a `with`. Errors are ours: `ConnectFailed`,
`ConnectionBroken`, `AddressInUse`; an OSError never leaves `tcp.py`. Both pass `tests/contract/test_transport.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gsync.core.names import Endpoint


class Readable(Protocol):
    """A file that can be sent; `storage.filesystem.OpenFile` is one."""

    def read_at(self, offset: int, count: int) -> bytes: ...

    def fileno(self) -> int: ...


def send_pieces(send: Callable[[bytes], object], file: Readable, *, offset: int, count: int, piece_bytes: int) -> int:
    """Read `count` bytes of `file` from `offset` and `send` them, a piece at a time; how many: fewer where the file ended."""
    sent = 0
    while sent < count:
        piece = file.read_at(offset + sent, min(piece_bytes, count - sent))
        if not piece:
            break
        send(piece)
        sent += len(piece)
    return sent


class Stream(Protocol):
    """Bytes both ways; a context manager that closes it, or resets it when left by an exception.

    One greenlet may send while another receives, not two of a kind. A call that was interrupted may have done a part of
    its work: after an interrupted `send` only `reset` makes sense; an interrupted `receive` has lost no byte.
    """

    @property
    def local(self) -> Endpoint:
        """Our end: for an accepted stream the address at which the other side reached us."""
        ...

    @property
    def remote(self) -> Endpoint:
        """The other end, as the connection shows it."""
        ...

    def receive(self, limit: int) -> bytes:
        """The next 1 to `limit` bytes; b"" once the other side has ended its sending. Raises `ConnectionBroken`."""
        ...

    def receive_into(self, buffer: memoryview) -> int:
        """Like `receive`, into the caller's buffer; returns how many bytes came, 0 at the end."""
        ...

    def is_readable(self) -> bool:
        """Whether bytes (or the end) are already here; never waits. Asked before a silent peer is blamed."""
        ...

    def send(self, data: bytes | memoryview) -> None:
        """Send all of `data`. Raises `ConnectionBroken`."""
        ...

    def send_file(self, file: Readable, *, offset: int, count: int, mappable: bool = False) -> int:
        """Send `count` bytes of `file` from `offset` at full speed; returns how many were sent: fewer where the file ended.

        `mappable`: whoever asks will look whether the file has changed, so that on this machine it may go by way of a mapping
        (`net.mapped`). Raises `ConnectionBroken`, or `StorageError` when the file cannot be read.
        """
        ...

    @property
    def bytes_sent(self) -> int:
        """How many bytes were handed over so far; exact, too, after a Timeout has interrupted `send_file`."""
        ...

    def wait_sent(self) -> None:
        """Wait until the other side's kernel has taken everything that was sent (SIOCOUTQ is 0). Raises `ConnectionBroken`."""
        ...

    def end_sending(self) -> None:
        """Tell the other side that no more comes; receiving goes on. Raises `ConnectionBroken`."""
        ...

    def reset(self) -> None:
        """Break off: the other side sees a reset, not an end, so that it does not take a stump for a whole."""
        ...

    def close(self) -> None:
        """Let go of it, at once; a second call does nothing. What was sent still goes out, unless something that came was
        never received: then the other side sees a reset. Whoever cares calls `wait_sent` first."""
        ...

    def __enter__(self) -> Stream: ...

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object, /) -> None: ...


class Listener(Protocol):
    """Accepts streams until closed; each gets a greenlet of its own that runs the handler given to `listen`."""

    @property
    def endpoint(self) -> Endpoint: ...

    def close(self, *, grace_s: float = 0.0) -> None:
        """Accept no more; handlers get `grace_s` to finish, then are ended and their streams reset. Returns when all have
        ended; not for a handler to call."""
        ...


StreamHandler = Callable[[Stream], None]


class Network(Protocol):
    """Makes streams outward and inward."""

    def dial(self, endpoint: Endpoint, *, alive_probes: bool = False) -> Stream:
        """A stream to `endpoint`, as soon as it answers; bound it with `gevent.Timeout`. Raises `ConnectFailed`, also when
        both ends of the new connection are one and the same (TCP self-connect on a dead local port). `alive_probes`: as
        for `listen`."""
        ...

    def listen(self, *, ip: str, port: int, handler: StreamHandler, limit: int, alive_probes: bool = False) -> Listener:
        """Listen at `ip` (may be "0.0.0.0" or "::") on `port` (0 picks a free one), with at most `limit` handlers at once.

        A full house stops accepting: back-pressure. A handler's stream is closed when it returns; TransportErrors that
        leave it are logged at debug, everything else is a defect and reaches the hub's error hook. `alive_probes` turns
        TCP keepalive on (10 s, then each 5 s, 3 times): for links on which the other side may be silent for long.
        Raises `AddressInUse`, `ConnectFailed` (no such address here).
        """
        ...

    def is_own_address(self, ip: str) -> bool:
        """Whether `ip` belongs to this machine."""
        ...
