"""`MemoryNetwork`: several hosts in one process and the weather between them; each host is a `transport.Network`.

The fake that ships beside `net.tcp` and passes the same contract suite. Made for the simulated world, where the same
seed gives the same run, it also works on the real hub. What goes wrong is said by the test: latency, partitions, cut
connections, endpoints that never answer.
"""

from __future__ import annotations

import ipaddress
import logging
from collections import deque
from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import Any, Final, Protocol

import gevent
from gevent.event import Event

from gsync.core.names import Endpoint
from gsync.errors import AddressInUse, ConnectFailed, TransportError
from gsync.net.breathing import breathe
from gsync.net.memory_stream import MemoryStream, connect
from gsync.net.tasks import end_all
from gsync.net.transport import StreamHandler

log: Final = logging.getLogger(__name__)

FIRST_FREE_PORT: Final = 40_000
ANY_ADDRESSES: Final = frozenset({"0.0.0.0", "::"})


class Random(Protocol):
    """The part of `random.Random` that the weather needs."""

    def uniform(self, a: float, b: float, /) -> float: ...


class MemoryNetwork:
    """The hosts and the weather. `latency_s` is the range of one way between two hosts; it may be set anew at any time."""

    def __init__(self, *, rng: Random, latency_s: tuple[float, float] = (0.0, 0.0)) -> None:
        self.latency_s = latency_s
        self._rng = rng
        self._hosts: dict[str, MemoryHost] = {}
        self._groups: tuple[frozenset[str], ...] = ()
        self._silent: set[Endpoint] = set()
        self._streams: dict[MemoryStream, None] = {}
        self._held: list[Callable[[], None]] = []  # what arrived where a link was down
        self._better_weather = Event()

    def host(self, ip: str) -> MemoryHost:
        """The host with this address; it exists from the first time it is asked for."""
        return self._hosts.setdefault(ip, MemoryHost(self, ip))

    def partition(self, *groups: Collection[str]) -> None:
        """Let no byte pass between hosts of different groups until `heal`; hosts in no group stay together.

        As with TCP nobody is told: what is sent waits, a dial gets no answer.
        """
        self._groups = tuple(frozenset(group) for group in groups)
        self._clear_up()

    def heal(self) -> None:
        """Let everything pass again, and what was held arrive at once, in order."""
        self.partition()

    def silence(self, endpoint: Endpoint) -> None:
        """From now on a dial to `endpoint` gets no answer at all; connections that are there go on."""
        self._silent.add(endpoint)

    def unsilence(self, endpoint: Endpoint) -> None:
        """Let `endpoint` answer again, also to those who are still dialling."""
        self._silent.discard(endpoint)
        self._clear_up()

    def cut(self, ip: str, other: str) -> None:
        """Break every connection between the two hosts; both sides see a reset, and may dial again."""
        for stream in list(self._streams):
            if {stream.local.ip, stream.remote.ip} == {ip, other}:
                stream.sever()

    def dial(self, source: MemoryHost, endpoint: Endpoint) -> MemoryStream:
        """For `MemoryHost.dial`."""
        target_ip = source.ip if _is_loopback(endpoint.ip) else endpoint.ip
        there, back = _Link(self, source.ip, target_ip), _Link(self, target_ip, source.ip)
        while endpoint in self._silent or not there.is_up():
            self._better_weather.wait()
        there.travel()
        target = self._hosts.get(target_ip)
        listener = target.listener_at(endpoint) if target else None
        if listener is None:
            back.travel()
            raise ConnectFailed("connection refused")
        local = Endpoint(endpoint.ip if target is source else source.ip, source.free_port())
        stream, accepted = connect(near=local, far=endpoint, there=there, back=back)
        self._streams = {old: None for old in self._streams if not old.closed}
        self._streams[stream] = self._streams[accepted] = None
        listener.accept(accepted)
        with ExitStack() as undo:  # of a Timeout or a kill, say: nobody would ever hold the stream
            undo.callback(stream.reset)
            back.travel()
            undo.pop_all()
        return stream

    def delay_s(self) -> float:
        """For the links: how long one piece takes from one host to another."""
        shortest, longest = self.latency_s
        return self._rng.uniform(shortest, longest) if longest else 0.0

    def is_up(self, ip: str, other: str) -> bool:
        """For the links: whether bytes pass between the two hosts."""
        return self._group_of(ip) == self._group_of(other)

    def hold(self, deliver: Callable[[], None]) -> None:
        """For the links: call `deliver` when the weather has changed."""
        self._held.append(deliver)

    def _group_of(self, ip: str) -> int:
        return next((number for number, group in enumerate(self._groups) if ip in group), -1)

    def _clear_up(self) -> None:
        held, self._held = self._held, []
        for deliver in held:
            deliver()
        self._better_weather.set()
        self._better_weather = Event()


class MemoryHost:
    """One machine of the network; fulfils `transport.Network`."""

    def __init__(self, network: MemoryNetwork, ip: str) -> None:
        self.ip: Final = ip
        self._network = network
        self._listeners: list[MemoryListener] = []
        self._last_port = FIRST_FREE_PORT

    def dial(self, endpoint: Endpoint, *, alive_probes: bool = False) -> MemoryStream:
        return self._network.dial(self, endpoint)

    def listen(
        self, *, ip: str, port: int, handler: StreamHandler, limit: int, alive_probes: bool = False
    ) -> MemoryListener:
        if ip not in ANY_ADDRESSES and not self.is_own_address(ip):
            raise ConnectFailed(f"cannot listen at {ip} port {port}: no such address here")
        endpoint = Endpoint(ip, port or self.free_port())
        for other in self._listeners:
            if other.endpoint.port == port and (other.endpoint.ip == ip or {other.endpoint.ip, ip} & ANY_ADDRESSES):
                raise AddressInUse(f"cannot listen at {endpoint}: another listens there")
        listener = MemoryListener(endpoint, handler=handler, limit=limit, forget=self._listeners.remove)
        self._listeners.append(listener)
        return listener

    def is_own_address(self, ip: str) -> bool:
        return ip == self.ip or _is_loopback(ip)

    def listener_at(self, endpoint: Endpoint) -> MemoryListener | None:
        """For the network: who takes a dial to `endpoint`."""
        for listener in self._listeners:
            if listener.endpoint.port == endpoint.port and listener.endpoint.ip in {endpoint.ip, *ANY_ADDRESSES}:
                return listener
        return None

    def free_port(self) -> int:
        """A port that was never used on this host."""
        self._last_port += 1
        return self._last_port


class MemoryListener:
    """Handlers for what is dialled; fulfils `transport.Listener`. Streams beyond `limit` wait their turn, as in a backlog."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        handler: StreamHandler,
        limit: int,
        forget: Callable[[MemoryListener], None],
    ) -> None:
        self.endpoint: Final = endpoint
        self._handler = handler
        self._limit = limit
        self._forget = forget
        self._waiting: deque[MemoryStream] = deque()
        self._handlers: dict[Any, None] = {}  # in order, so that a run can be repeated
        self._closed = False

    def accept(self, stream: MemoryStream) -> None:
        """For the network: a new stream."""
        self._waiting.append(stream)
        self._admit()

    def close(self, *, grace_s: float = 0.0) -> None:
        if not self._closed:
            self._closed = True
            self._forget(self)
        while self._waiting:
            self._waiting.popleft().reset()
        end_all(list(self._handlers), grace_s=grace_s)

    def _admit(self) -> None:
        while self._waiting and len(self._handlers) < self._limit:
            greenlet = gevent.Greenlet(self._serve, self._waiting.popleft())
            self._handlers[greenlet] = None
            greenlet.rawlink(self._make_room)
            greenlet.start()

    def _make_room(self, greenlet: object) -> None:
        del self._handlers[greenlet]
        self._admit()

    def _serve(self, stream: MemoryStream) -> None:
        try:
            with stream:
                self._handler(stream)
        except TransportError as error:
            log.debug("stream.failed remote=%s reason=%r", stream.remote, error)


class _Link:
    """The way from one host to another, through the network's weather; to itself a host is always near."""

    def __init__(self, network: MemoryNetwork, source_ip: str, target_ip: str) -> None:
        self._network = network
        self._ends = source_ip, target_ip

    def delay_s(self) -> float:
        return 0.0 if self._ends[0] == self._ends[1] else self._network.delay_s()

    def travel(self) -> None:
        """Wait as long as a piece takes; a breath at least, as a dial always lets others run."""
        delay_s = self.delay_s()
        if delay_s:
            gevent.sleep(delay_s)
        else:
            breathe()

    def is_up(self) -> bool:
        return self._network.is_up(*self._ends)

    def once_up(self, deliver: Callable[[], None]) -> None:
        self._network.hold(deliver)


def _is_loopback(ip: str) -> bool:
    return ipaddress.ip_address(ip).is_loopback
