"""TCP on this machine: `TcpNetwork` fulfils `transport.Network`; with `tcp_stream` the only place that touches sockets.

An OSError of a socket becomes `ConnectFailed`, `AddressInUse` or `ConnectionBroken` here, and goes no further. Names are
resolved once, by `resolve`; everything else takes numbers. No TLS and no rate limit live here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import logging
import resource
import socket
import struct
from functools import lru_cache
from typing import Any, Final

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer

from gsync.core.names import Endpoint
from gsync.errors import AddressInUse, ConnectFailed, TransportError
from gsync.net.patching import require_patched_sockets
from gsync.net.tasks import end_all
from gsync.net.tcp_stream import TcpStream, reset
from gsync.net.transport import StreamHandler

log: Final = logging.getLogger(__name__)

BACKLOG: Final = 1024
"""Connections that the kernel holds for a full house; more are dropped and tried again by the other side."""

SHORTAGE_PAUSE_S: Final = 0.5
"""Before the next try to accept, where no descriptor was left; those who dial wait in the kernel's line."""

_SIOCGIFADDR: Final = 0x8915
"""The kernel's question for the address of an interface; Python has no name for it."""

_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

LOWEST_FREE_PORT: Final = 1024
"""A port that is announced to others is never a privileged one, whatever range this machine gives out."""

KEEPALIVE_IDLE_S: Final = 10
KEEPALIVE_INTERVAL_S: Final = 5
KEEPALIVE_PROBES: Final = 3

UNACKNOWLEDGED_S: Final = 30
"""Sent and not acknowledged for so long, a connection is broken: probes are for idle ones, and TCP alone would go on sending, at
ever longer intervals, for a quarter of an hour. Its peer would be a ghost meanwhile, though the network is long whole again."""


class TcpNetwork:
    """Dials and listens; making one raises `ConfigError` where sockets are not cooperative."""

    def __init__(self) -> None:
        require_patched_sockets()

    def dial(self, endpoint: Endpoint, *, alive_probes: bool = False) -> TcpStream:
        try:
            sock = socket.socket(_family(endpoint.ip), socket.SOCK_STREAM)
        except OSError as error:
            raise _connect_failed(error) from error
        with contextlib.ExitStack() as undo:
            # By a reset, for the other side may have it by now: an end in order would be a question without a word.
            undo.callback(reset, sock)
            try:
                # Never create_connection: it resolves even numbers in the thread pool, behind whatever is queued there.
                sock.connect((endpoint.ip, endpoint.port))
                _refuse_own_end(sock, endpoint)
                stream = _stream(sock, remote=sock.getpeername(), alive_probes=alive_probes)
            except OSError as error:
                raise _connect_failed(error) from error
            undo.pop_all()
        return stream

    def listen(
        self, *, ip: str, port: int, handler: StreamHandler, limit: int, alive_probes: bool = False
    ) -> TcpListener:
        try:
            sock = _listening_socket(ip, port)
        except OSError as error:
            kind = AddressInUse if error.errno == errno.EADDRINUSE else ConnectFailed
            raise kind(f"cannot listen at {ip} port {port}: {error.strerror or error}") from error
        return TcpListener(sock, handler=handler, limit=limit, alive_probes=alive_probes)

    def is_own_address(self, ip: str) -> bool:
        if ipaddress.ip_address(ip).is_multicast:
            return False  # the kernel lets everybody bind these
        try:
            with socket.socket(_family(ip), socket.SOCK_STREAM) as sock:
                sock.bind((ip, 0))
        except OSError:
            return False
        return True


class TcpListener:
    """A listening socket with its handlers; made by `TcpNetwork.listen`, closed by whoever asked for it."""

    def __init__(self, sock: socket.socket, *, handler: StreamHandler, limit: int, alive_probes: bool) -> None:
        self.endpoint: Final = _endpoint(sock.getsockname())
        self._handler = handler
        self._alive_probes = alive_probes
        self._handlers = Pool(limit)
        self._server = _Server(sock, self._serve, spawn=self._handlers)
        self._server.start()

    def close(self, *, grace_s: float = 0.0) -> None:
        self._server.close()
        end_all(list(self._handlers), grace_s=grace_s)

    def _serve(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        try:
            stream = _stream(sock, remote=address, alive_probes=self._alive_probes)
        except OSError as error:
            log.debug("stream.failed remote=%r reason=%r", address, error)
            return
        try:
            with stream:
                self._handler(stream)
        except TransportError as error:
            log.debug("stream.failed remote=%s reason=%r", stream.remote, error)


class _Server(StreamServer):  # type: ignore[misc]  # gevent says nothing of its types
    """Where descriptors or memory are short it says so in a line and waits; gevent's own would print a traceback each time."""

    _is_short = False

    def do_read(self) -> tuple[socket.socket, Any] | None:
        try:
            accepted: tuple[socket.socket, Any] | None = super().do_read()
        except OSError as error:
            if error.errno not in _SHORTAGES:
                raise
            if not self._is_short:
                self._is_short = True
                log.warning("listener.waits address=%s reason=%s", self.address, error.strerror)
            self.stop_accepting()
            self._timer = self.loop.timer(SHORTAGE_PAUSE_S)
            self._timer.start(self._start_accepting_if_started)
            return None
        if accepted is not None:
            self._is_short = False
        return accepted


def resolve(host: str, *, timeout_s: float) -> str:
    """The numeric address of `host`, IPv4 where it has one; raises `ConnectFailed`, also after `timeout_s`.

    Numbers come back at once in their normal spelling. For names only, and once: it takes a thread of the default pool,
    and the thread goes on to its own end when the time is over.
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        with gevent.Timeout(timeout_s, ConnectFailed(f"the name {host!r} was not resolved within {timeout_s:g} s")):
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(f"the name {host!r} cannot be resolved: {error}") from error
    families = {family: address for family, _, _, _, address in reversed(found)}
    address = families.get(socket.AF_INET) or families[socket.AF_INET6]
    return _endpoint((address[0], LOWEST_FREE_PORT)).ip


def outward_ip() -> str | None:
    """This machine's address towards the network, for telling others; None where there is no network. Sends nothing."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("192.0.2.1", 9))  # a documentation address: connecting a datagram socket only picks a route
            return str(sock.getsockname()[0])
    except OSError:  # no route leads anywhere else: a network of its own
        return _first_ip()


def _first_ip() -> str | None:
    """The address of the first interface that has one and is not the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # it has no such address
                told = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                ip = socket.inet_ntoa(told[20:24])
                if not ip.startswith("127."):
                    return ip
    return None


def raise_descriptor_limit() -> int:
    """Let this process open as many files and sockets as the system permits without asking; returns how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return soft
    return hard


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def _endpoint(address: tuple[Any, ...]) -> Endpoint:
    """The kernel's address in our spelling: no scope, and IPv4 as IPv4 where it came through an IPv6 socket."""
    return Endpoint(_spelling(address[0]), address[1])


@lru_cache(maxsize=1024)
def _spelling(address: str) -> str:
    """Remembered, for thousands of connections have a handful of addresses, and to judge one costs as much as to send."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


def _stream(sock: socket.socket, *, remote: tuple[Any, ...], alive_probes: bool) -> TcpStream:
    # Without NODELAY a small request and its reply manage 11 round trips a second.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if alive_probes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_S * 1000)
    return TcpStream(sock, local=_endpoint(sock.getsockname()), remote=_endpoint(remote))


def _listening_socket(ip: str, port: int) -> socket.socket:
    tried: list[socket.socket] = []  # held open until the end, so that the kernel gives another port each time
    try:
        while True:
            sock = socket.socket(_family(ip), socket.SOCK_STREAM)
            tried.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # "::" means everybody, IPv4 too
            sock.bind((ip, port))
            if port or sock.getsockname()[1] >= LOWEST_FREE_PORT:
                sock.listen(BACKLOG)
                return tried.pop()
    finally:
        for sock in tried:
            sock.close()


def _refuse_own_end(sock: socket.socket, endpoint: Endpoint) -> None:
    # Dialling a free port of the range that the kernel gives out may meet itself: both ends are then this one socket.
    if sock.getsockname() == sock.getpeername():
        raise ConnectFailed(f"{endpoint} answered from our own end: nobody listens there")


def _connect_failed(error: OSError) -> ConnectFailed:
    """The reason alone, in a person's words: whoever dialled knows whom, and says so."""
    return ConnectFailed((error.strerror or str(error)).lower())
