"""What only TCP does; what every network does is in tests/contract/test_transport.py."""

import errno
import io
import mmap
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import pytest
from gevent.event import AsyncResult

from gsync.core.names import Endpoint
from gsync.errors import ConnectFailed, ConnectionBroken, StorageError
from gsync.net import tcp
from gsync.net.breathing import BREATH_BYTES
from gsync.net.mapped import MAPPED_MIN_BYTES, send_mapped
from gsync.net.tasks import TaskGroup
from gsync.net.tcp import UNACKNOWLEDGED_S, TcpNetwork, raise_descriptor_limit, resolve
from gsync.net.tcp_stream import TcpStream
from gsync.net.transport import Stream


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


HERE = Endpoint("127.0.0.1", 2)
ELSEWHERE = Endpoint("192.0.2.7", 2)


def stream_over(sock: socket.socket, *, remote: Endpoint = HERE) -> TcpStream:
    return TcpStream(sock, local=Endpoint("127.0.0.1", 1), remote=remote)


class OpenFile:
    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def read_at(self, offset: int, count: int) -> bytes:
        raise AssertionError("a file with a descriptor is sent by the kernel")

    def fileno(self) -> int:
        return self.descriptor


def test_a_connection_that_meets_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    class MeetsItself(socket.socket):
        def connect(self, address: tuple[str, int]) -> None:
            self.bind(address)  # what the kernel does by chance when it picks the port that is dialled
            super().connect(address)

    monkeypatch.setattr(socket, "socket", MeetsItself)
    with pytest.raises(ConnectFailed, match="own end"):
        TcpNetwork().dial(Endpoint("127.0.0.1", port))


def test_a_dial_that_is_given_up_is_a_reset_and_no_end_in_order_before_the_first_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever serves took it for an empty request, and warned of it."""
    heard: AsyncResult = AsyncResult()

    def listen(stream: Stream) -> None:
        try:
            heard.set(stream.receive(1))
        except ConnectionBroken as error:
            heard.set(error)

    class GivenUp(socket.socket):
        def connect(self, address: tuple[str, int]) -> None:
            super().connect(address)  # the kernel is done, and the other side has it
            raise gevent.GreenletExit

    network = TcpNetwork()
    listener = network.listen(ip="127.0.0.1", port=0, handler=listen, limit=1)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", GivenUp)
        with pytest.raises(gevent.GreenletExit):
            network.dial(listener.endpoint)
    assert isinstance(heard.get(timeout=10), ConnectionBroken)
    listener.close()


def test_nodelay_is_on_and_dead_hosts_are_found_only_where_asked_for() -> None:
    options: AsyncResult = AsyncResult()

    def look(stream: Stream) -> None:
        sock = stream._socket
        options.set(
            (
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
            )
        )

    network = TcpNetwork()
    listener = network.listen(ip="127.0.0.1", port=0, handler=look, limit=1, alive_probes=True)
    with network.dial(listener.endpoint) as stream:
        assert options.get() == (1, 1, 10, UNACKNOWLEDGED_S * 1000)
        assert stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert stream._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        assert stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
    listener.close()


@needs_ipv6
def test_ipv6_works_in_both_roles() -> None:
    network = TcpNetwork()
    listener = network.listen(ip="::1", port=0, handler=lambda stream: stream.send(b"six"), limit=1)
    with network.dial(listener.endpoint) as stream:
        assert stream.receive(10) == b"six"
        assert stream.remote == listener.endpoint
    listener.close()
    assert network.is_own_address("::1")


@needs_ipv6
def test_an_ipv4_caller_of_an_ipv6_listener_has_an_ipv4_address() -> None:
    seen: AsyncResult = AsyncResult()
    network = TcpNetwork()
    listener = network.listen(ip="::", port=0, handler=lambda stream: seen.set(stream.remote), limit=1)
    with network.dial(Endpoint("127.0.0.1", listener.endpoint.port)) as stream:
        assert seen.get() == stream.local
    listener.close()


def test_a_privileged_port_that_the_kernel_picked_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [("127.0.0.1", 1023)]

    class LowAtFirst(socket.socket):
        def getsockname(self) -> tuple[str, int]:
            return answers.pop() if answers else super().getsockname()

    monkeypatch.setattr(socket, "socket", LowAtFirst)
    listener = TcpNetwork().listen(ip="127.0.0.1", port=0, handler=lambda _: None, limit=1)
    listener.close()
    assert answers == []
    assert listener.endpoint.port >= 1024


def test_a_timeout_bounds_a_dial_and_closes_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    class NeverAnswered(socket.socket):
        def connect(self, address: tuple[str, int]) -> None:
            made.append(self)
            gevent.event.Event().wait()

    monkeypatch.setattr(socket, "socket", NeverAnswered)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
        TcpNetwork().dial(Endpoint("127.0.0.1", 9))
    assert [sock.fileno() for sock in made] == [-1]


def test_an_address_that_cannot_be_reached_is_a_failed_connect() -> None:
    with pytest.raises(ConnectFailed):
        TcpNetwork().dial(Endpoint("255.255.255.255", 9))


def test_numbers_resolve_to_themselves_in_their_normal_spelling() -> None:
    assert resolve("127.0.0.1", timeout_s=0.0) == "127.0.0.1"
    assert resolve("2001:DB8:0::1", timeout_s=0.0) == "2001:db8::1"


def test_a_name_resolves_to_ipv4_where_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(host: str, port: None, *, type: int) -> list[tuple[object, ...]]:
        six = (socket.AF_INET6, type, 6, "", ("2001:db8::1", 0, 0, 0))
        return [six, (socket.AF_INET, type, 6, "", ("192.0.2.1", 0)), (socket.AF_INET, type, 6, "", ("192.0.2.2", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert resolve("tracker.example", timeout_s=5) == "192.0.2.1"


def test_a_name_with_ipv6_only_resolves_to_that(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert resolve("tracker.example", timeout_s=5) == "2001:db8::1"


def test_a_name_that_does_not_exist_is_a_failed_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(ConnectFailed, match="nowhere"):
        resolve("nowhere.invalid", timeout_s=5)


def test_a_slow_resolver_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: gevent.event.Event().wait())
    with pytest.raises(ConnectFailed, match="within"):
        resolve("slow.example", timeout_s=0.001)


def test_the_descriptor_limit_is_raised_to_what_the_system_permits() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        assert raise_descriptor_limit() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_greenlet_whose_socket_stays_ready_lets_others_run() -> None:
    near, far = socket.socketpair()
    heard: list[int] = []

    def listen_on() -> None:
        with stream_over(far) as stream:
            while piece := stream.receive(BREATH_BYTES):
                heard.append(len(piece))

    with TaskGroup() as tasks, stream_over(near) as stream:
        tasks.spawn(listen_on)
        for _ in range(3):
            stream.send(bytes(BREATH_BYTES))
        assert heard
        stream.close()


def test_many_small_pieces_breathe_too(monkeypatch: pytest.MonkeyPatch) -> None:
    breaths: list[None] = []
    monkeypatch.setattr("gsync.net.tcp_stream.breathe", lambda: breaths.append(None))
    near, far = socket.socketpair()
    with stream_over(near) as sender, stream_over(far) as receiver:
        for _ in range(200):
            sender.send(b"x")
            receiver.receive(1)
    assert 4 <= len(breaths) <= 8


def test_a_file_that_cannot_be_read_is_the_files_fault(tmp_path: Path) -> None:
    near, far = socket.socketpair()
    directory = os.open(tmp_path, os.O_RDONLY)
    with stream_over(near) as stream, far, pytest.raises(StorageError):
        stream.send_file(OpenFile(directory), offset=0, count=10)
    os.close(directory)


@pytest.mark.parametrize("remote", [HERE, ELSEWHERE])
@pytest.mark.parametrize("offset", [0, 1, 4095, 4096])
def test_send_file_waits_for_a_slow_receiver(tmp_path: Path, remote: Endpoint, offset: int) -> None:
    path = tmp_path / "content"
    content = os.urandom(5 * BREATH_BYTES + 3)
    path.write_bytes(content)
    near, far = socket.socketpair()
    descriptor = os.open(path, os.O_RDONLY)
    count = len(content) - offset

    def send() -> None:
        with stream_over(near, remote=remote) as stream:
            assert stream.send_file(OpenFile(descriptor), offset=offset, count=count, mappable=True) == count
            assert stream.bytes_sent == count

    with TaskGroup() as tasks, stream_over(far) as stream:
        tasks.spawn(send)
        received = io.BytesIO()
        while piece := stream.receive(70_000):
            received.write(piece)
    os.close(descriptor)
    assert received.getvalue() == content[offset:]


@pytest.mark.parametrize(
    ("remote", "mappable", "is_mapped"),
    [(HERE, True, True), (HERE, False, False), (ELSEWHERE, True, False), (Endpoint("127.0.0.1", 1), True, True)],
)
def test_only_what_stays_on_this_machine_is_sent_from_a_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: Endpoint, mappable: bool, is_mapped: bool
) -> None:
    (tmp_path / "content").write_bytes(bytes(MAPPED_MIN_BYTES))
    used: list[str] = []
    sendfile = os.sendfile

    def watched(*args: int) -> int:
        used.append("sendfile")
        return sendfile(*args)

    monkeypatch.setattr(os, "sendfile", watched)
    near, far = socket.socketpair()
    descriptor = os.open(tmp_path / "content", os.O_RDONLY)
    with stream_over(near, remote=remote) as stream, far:
        stream.send_file(OpenFile(descriptor), offset=0, count=MAPPED_MIN_BYTES, mappable=mappable)
    os.close(descriptor)
    assert bool(used) != is_mapped


@pytest.mark.parametrize("remote", [HERE, ELSEWHERE])
@pytest.mark.parametrize("length", [0, 1, MAPPED_MIN_BYTES - 1, MAPPED_MIN_BYTES, 2 * MAPPED_MIN_BYTES])
def test_a_file_that_is_shorter_than_was_asked_for_gives_what_it_has(
    tmp_path: Path, remote: Endpoint, length: int
) -> None:
    (tmp_path / "content").write_bytes(bytes(length))
    near, far = socket.socketpair()
    descriptor = os.open(tmp_path / "content", os.O_RDONLY)
    with stream_over(near, remote=remote) as stream, far:
        sent = stream.send_file(OpenFile(descriptor), offset=0, count=3 * MAPPED_MIN_BYTES, mappable=True)
    os.close(descriptor)
    assert sent == length


def test_a_file_that_is_cut_while_it_is_mapped_costs_an_end_and_no_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "content"
    path.write_bytes(bytes(4 * MAPPED_MIN_BYTES))
    descriptor = os.open(path, os.O_RDONLY)
    mapped = mmap.mmap

    def cut(*args: Any, **kwargs: Any) -> mmap.mmap:
        made = mapped(*args, **kwargs)
        os.truncate(path, 0)
        return made

    monkeypatch.setattr(mmap, "mmap", cut)
    near, far = socket.socketpair()
    with near, far:
        assert send_mapped(near, descriptor, offset=0, count=4 * MAPPED_MIN_BYTES) == 0
    os.close(descriptor)


@pytest.mark.parametrize("work", [lambda s: s.send(bytes(50 * BREATH_BYTES)), lambda s: s.receive(1)])
def test_closing_wakes_whoever_waits_in_the_socket(work: Callable[[TcpStream], object]) -> None:
    near, far = socket.socketpair()
    stream = stream_over(near)

    def wait() -> None:
        with pytest.raises(ConnectionBroken):
            work(stream)

    with far, TaskGroup() as tasks:
        task = tasks.spawn(wait)
        gevent.sleep(1e-9)
        assert not task.done
        stream.close()


@pytest.mark.parametrize(
    ("interfaces", "told"),
    [
        ({"lo": "127.0.0.1", "tunnel": "", "lan": "10.77.0.1", "other": "192.0.2.1"}, "10.77.0.1"),
        ({"lo": "127.0.0.1"}, None),
        ({}, None),
    ],
)
def test_a_network_that_leads_nowhere_else_has_an_address_to_tell_others(
    monkeypatch: pytest.MonkeyPatch, interfaces: dict[str, str], told: str | None
) -> None:
    def connect(self: socket.socket, address: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    def ioctl(fd: int, request: int, asked: bytes) -> bytes:
        ip = interfaces[asked.rstrip(b"\0").decode()]
        if not ip:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return asked[:20] + socket.inet_aton(ip) + asked[24:]

    monkeypatch.setattr(tcp.socket.socket, "connect", connect)
    monkeypatch.setattr(tcp.socket, "if_nameindex", lambda: list(enumerate(interfaces, start=1)))
    monkeypatch.setattr(tcp.fcntl, "ioctl", ioctl)
    assert tcp.outward_ip() == told
