"""What every `transport.Network` does, real or fake: each test runs over TCP on loopback and in the simulated world."""

import io
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gevent
import pytest
from gevent.event import AsyncResult, Event

from gsync.core.names import Endpoint
from gsync.errors import AddressInUse, ConnectFailed, ConnectionBroken
from gsync.net.breathing import breathe
from gsync.net.memory import MemoryNetwork
from gsync.net.simulation import simulated
from gsync.net.tasks import TaskGroup
from gsync.net.tcp import TcpNetwork
from gsync.net.transport import Listener, Network, Stream

MIB = 1024 * 1024


@dataclass
class World:
    """Two networks that reach each other: one dials, one listens at `ip`."""

    near: Network
    far: Network
    ip: str

    @contextmanager
    def listening(self, handler: Callable[[Stream], None], *, limit: int = 8, port: int = 0) -> Iterator[Listener]:
        listener = self.far.listen(ip=self.ip, port=port, handler=handler, limit=limit)
        try:
            yield listener
        finally:
            listener.close()

    @contextmanager
    def connected(self) -> Iterator[tuple[Stream, Stream]]:
        """A stream as its dialler has it, and as the listener got it."""
        accepted: AsyncResult = AsyncResult()
        over = Event()

        def hold(stream: Stream) -> None:
            accepted.set(stream)
            over.wait()

        with self.listening(hold) as listener, self.near.dial(listener.endpoint) as stream:
            try:
                yield stream, accepted.get()
            finally:
                over.set()


@pytest.fixture(params=["tcp", "memory", "memory, slow"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "tcp":
        yield World(TcpNetwork(), TcpNetwork(), "127.0.0.1")
        return
    with simulated():
        latency_s = (0.001, 0.05) if "slow" in request.param else (0.0, 0.0)
        network = MemoryNetwork(rng=random.Random(1), latency_s=latency_s)
        yield World(network.host("10.0.0.1"), network.host("10.0.0.2"), "10.0.0.2")


def receive_all(stream: Stream) -> bytes:
    return b"".join(iter(lambda: stream.receive(65536), b""))


def keep_sending(stream: Stream) -> None:
    while True:
        stream.send(b"anybody there?")
        breathe()


def settle() -> None:
    """Let everybody go as far as they get without time passing."""
    for _ in range(10):
        breathe()


class BytesFile:
    """A file without a descriptor."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read_at(self, offset: int, count: int) -> bytes:
        return self.content[offset : offset + count]

    def fileno(self) -> int:
        raise io.UnsupportedOperation


class DiskFile(BytesFile):
    def __init__(self, content: bytes, path: Path) -> None:
        path.write_bytes(content)
        self.descriptor = os.open(path, os.O_RDONLY)

    def read_at(self, offset: int, count: int) -> bytes:
        return os.pread(self.descriptor, count, offset)

    def fileno(self) -> int:
        return self.descriptor


@pytest.fixture(params=["disk", "bytes"])
def make_file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[bytes], BytesFile]]:
    opened: list[DiskFile] = []

    def make(content: bytes) -> BytesFile:
        if request.param == "bytes":
            return BytesFile(content)
        opened.append(DiskFile(content, tmp_path / "content"))
        return opened[-1]

    yield make
    for file in opened:
        os.close(file.descriptor)


def test_what_is_sent_arrives_both_ways(world: World) -> None:
    with world.connected() as (near, far):
        near.send(b"question")
        assert far.receive(100) == b"question"
        far.send(memoryview(b"answer"))
        assert near.receive(100) == b"answer"


def test_both_ends_name_the_same_connection(world: World) -> None:
    with world.connected() as (near, far):
        assert (near.local, near.remote) == (far.remote, far.local)
        assert far.local.ip == world.ip


def test_receive_takes_no_more_than_its_limit(world: World) -> None:
    with world.connected() as (near, far):
        near.send(b"abcdef")
        near.wait_sent()
        assert far.receive(4) == b"abcd"
        assert far.receive(4) == b"ef"


def test_receive_into_fills_the_callers_buffer(world: World) -> None:
    buffer = bytearray(10)
    with world.connected() as (near, far):
        near.send(b"abc")
        near.end_sending()
        assert far.receive_into(memoryview(buffer)) == 3
        assert buffer[:3] == b"abc"
        assert far.receive_into(memoryview(buffer)) == 0


def test_the_end_comes_after_all_bytes_and_stays(world: World) -> None:
    with world.connected() as (near, far):
        near.send(b"last words")
        near.end_sending()
        assert receive_all(far) == b"last words"
        assert far.receive(1) == b""
        far.send(b"I heard")
        assert near.receive(100) == b"I heard"


def test_closing_ends_the_other_sides_receiving(world: World) -> None:
    with world.connected() as (near, far):
        near.send(b"bye")
        near.close()
        near.close()
        assert receive_all(far) == b"bye"


def test_a_reset_is_not_an_end(world: World) -> None:
    with world.connected() as (near, far):
        near.send(b"half of")
        assert far.receive(100) == b"half of"
        near.reset()
        with pytest.raises(ConnectionBroken):
            far.receive(100)
        with pytest.raises(ConnectionBroken):
            far.send(b"x")


def test_a_block_left_by_an_exception_resets_its_stream(world: World) -> None:
    with world.connected() as (near, far):
        with pytest.raises(ZeroDivisionError), near:
            raise ZeroDivisionError
        with pytest.raises(ConnectionBroken):
            far.receive(100)


def test_sending_to_a_closed_end_breaks_sooner_or_later(world: World) -> None:
    with world.connected() as (near, far):
        far.close()
        assert near.receive(1) == b""
        with pytest.raises(ConnectionBroken):
            keep_sending(near)


def test_closing_with_unread_bytes_is_a_reset(world: World) -> None:
    with world.connected() as (near, far):
        near.send(b"never read")
        near.wait_sent()
        far.close()
        with pytest.raises(ConnectionBroken):
            near.receive(1)


@pytest.mark.parametrize(
    "use", [lambda s: s.receive(1), lambda s: s.send(b"x"), lambda s: s.wait_sent(), lambda s: s.end_sending()]
)
def test_a_closed_stream_refuses_work(world: World, use: Callable[[Stream], object]) -> None:
    with world.connected() as (near, _):
        near.close()
        with pytest.raises(ConnectionBroken):
            use(near)


def test_closing_wakes_whoever_receives(world: World) -> None:
    told: AsyncResult = AsyncResult()

    def wait(stream: Stream) -> None:
        try:
            stream.receive(1)
        except ConnectionBroken:
            told.set("broken")

    with world.connected() as (near, _), TaskGroup() as tasks:
        tasks.spawn(wait, near)
        settle()
        near.close()
        assert told.get() == "broken"


def test_is_readable_tells_bytes_and_end_without_waiting(world: World) -> None:
    with world.connected() as (near, far):
        assert not far.is_readable()
        near.send(b"a")
        near.wait_sent()
        assert far.is_readable()
        far.receive(1)
        assert not far.is_readable()
        near.end_sending()
        far.receive(1)
        assert far.is_readable()


def test_a_sender_waits_for_a_slow_receiver_and_nothing_is_lost(world: World) -> None:
    content = random.Random(2).randbytes(20 * MIB)
    sent = Event()

    def send(stream: Stream) -> None:
        stream.send(content)
        sent.set()
        stream.end_sending()

    with world.connected() as (near, far), TaskGroup() as tasks:
        tasks.spawn(send, near)
        settle()
        assert not sent.is_set()
        assert receive_all(far) == content


def test_a_receive_that_timed_out_has_lost_nothing(world: World) -> None:
    with world.connected() as (near, far):
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.001):
            far.receive(10)
        near.send(b"late")
        assert far.receive(10) == b"late"


@pytest.mark.parametrize(("offset", "count"), [(0, 3 * MIB + 17), (5, MIB), (MIB - 1, 2), (0, 0)])
def test_send_file_sends_the_part_that_was_asked_for(
    world: World, make_file: Callable[[bytes], BytesFile], offset: int, count: int
) -> None:
    content = random.Random(3).randbytes(3 * MIB + 17)
    sent: AsyncResult = AsyncResult()

    def send(stream: Stream) -> None:
        sent.set(stream.send_file(make_file(content), offset=offset, count=count))
        stream.wait_sent()
        stream.end_sending()

    with world.connected() as (near, far), TaskGroup() as tasks:
        tasks.spawn(send, near)
        assert receive_all(far) == content[offset : offset + count]
        assert sent.get() == count


def test_send_file_says_how_much_a_shorter_file_gave(world: World, make_file: Callable[[bytes], BytesFile]) -> None:
    with world.connected() as (near, far):
        assert near.send_file(make_file(b"0123456789"), offset=4, count=100) == 6
        near.end_sending()
        assert receive_all(far) == b"456789"


def test_send_file_to_a_broken_connection_says_so(world: World, make_file: Callable[[bytes], BytesFile]) -> None:
    content = bytes(20 * MIB)
    with world.connected() as (near, far):
        far.reset()
        with pytest.raises(ConnectionBroken):
            near.send_file(make_file(content), offset=0, count=len(content))


def test_wait_sent_of_a_broken_connection_says_so(world: World) -> None:
    content = bytes(20 * MIB)
    with world.connected() as (near, far), TaskGroup() as tasks:

        def send() -> None:
            with pytest.raises(ConnectionBroken):
                near.send(content)
            with pytest.raises(ConnectionBroken):
                near.wait_sent()

        task = tasks.spawn(send)
        far.receive(1)
        far.reset()
        task.join()


def test_nobody_listens_is_a_failed_connect(world: World) -> None:
    with world.listening(lambda _: None) as listener:
        gone = listener.endpoint
    with pytest.raises(ConnectFailed):
        world.near.dial(gone)


def test_a_second_listener_on_the_port_is_refused(world: World) -> None:
    with world.listening(lambda _: None) as listener, pytest.raises(AddressInUse):
        world.far.listen(ip=world.ip, port=listener.endpoint.port, handler=lambda _: None, limit=1)


def test_a_port_is_free_again_once_its_listener_closed(world: World) -> None:
    with world.connected() as (_, far):
        port = far.local.port
    with world.listening(lambda _: None, port=port) as listener:
        assert listener.endpoint == Endpoint(world.ip, port)


def test_a_foreign_address_cannot_be_listened_at(world: World) -> None:
    with pytest.raises(ConnectFailed):
        world.far.listen(ip="192.0.2.1", port=0, handler=lambda _: None, limit=1)


def test_a_listener_for_everybody_is_reached(world: World) -> None:
    listener = world.far.listen(ip="0.0.0.0", port=0, handler=lambda stream: stream.send(b"hello"), limit=1)
    with world.near.dial(Endpoint(world.ip, listener.endpoint.port)) as stream:
        assert receive_all(stream) == b"hello"
    listener.close()


def test_a_free_port_is_not_a_privileged_one(world: World) -> None:
    with world.listening(lambda _: None) as listener:
        assert listener.endpoint.port >= 1024


def test_a_handlers_stream_is_closed_when_it_returns(world: World) -> None:
    with (
        world.listening(lambda stream: stream.send(b"served")) as listener,
        world.near.dial(listener.endpoint) as stream,
    ):
        assert receive_all(stream) == b"served"


def test_a_handler_that_fails_by_the_network_resets_and_reports_nothing(world: World) -> None:
    def fail(stream: Stream) -> None:
        raise ConnectionBroken("as it happens")

    with (
        world.listening(fail) as listener,
        world.near.dial(listener.endpoint) as stream,
        pytest.raises(ConnectionBroken),
    ):
        stream.receive(1)


def test_a_defect_of_a_handler_reaches_the_hub_and_the_next_is_served(
    world: World, hub_failures: list[BaseException]
) -> None:
    defects = [ZeroDivisionError("a defect")]

    def serve(stream: Stream) -> None:
        if defects:
            raise defects.pop()
        stream.send(b"served")

    with world.listening(serve) as listener:
        with world.near.dial(listener.endpoint) as stream, pytest.raises(ConnectionBroken):
            stream.receive(1)
        with world.near.dial(listener.endpoint) as stream:
            assert receive_all(stream) == b"served"
    assert [str(failure) for failure in hub_failures] == ["a defect"]
    hub_failures.clear()


def test_a_full_house_serves_the_next_when_one_leaves(world: World) -> None:
    doors = [Event(), Event()]
    served: list[int] = []
    entered = Event()

    def serve(stream: Stream) -> None:
        number = len(served)
        served.append(number)
        entered.set()
        doors[number].wait()
        stream.send(b"%d" % number)

    with (
        world.listening(serve, limit=1) as listener,
        world.near.dial(listener.endpoint) as first,
        world.near.dial(listener.endpoint) as second,
    ):
        entered.wait()
        settle()
        assert served == [0]
        assert not second.is_readable()
        doors[1].set()
        doors[0].set()
        assert receive_all(first) == b"0"
        assert receive_all(second) == b"1"


def test_closing_a_listener_ends_its_handlers_with_a_reset(world: World) -> None:
    started = Event()

    def serve(stream: Stream) -> None:
        started.set()
        stream.receive(1)

    with world.listening(serve) as listener, world.near.dial(listener.endpoint) as stream:
        started.wait()
        listener.close()
        listener.close()
        with pytest.raises(ConnectionBroken):
            stream.receive(1)


def test_closing_with_grace_lets_a_handler_finish(world: World) -> None:
    started = Event()

    def serve(stream: Stream) -> None:
        started.set()
        stream.send(stream.receive(100).upper())

    with world.listening(serve) as listener, world.near.dial(listener.endpoint) as stream, TaskGroup() as tasks:
        started.wait()
        task = tasks.spawn(listener.close, grace_s=30)
        settle()
        assert not task.done
        stream.send(b"finish me")
        assert receive_all(stream) == b"FINISH ME"


def test_own_addresses_are_known(world: World) -> None:
    assert world.far.is_own_address(world.ip)
    assert world.far.is_own_address("127.0.0.1")
    assert not world.far.is_own_address("192.0.2.1")
    assert not world.far.is_own_address("224.0.0.1")
