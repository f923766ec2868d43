"""The weather of the in-process network; what it shares with TCP is in tests/contract/test_transport.py."""

import random
from collections.abc import Iterator

import gevent
import pytest
from gevent.event import Event

from gsync.core.names import Endpoint
from gsync.errors import ConnectFailed, ConnectionBroken
from gsync.net.memory import MemoryHost, MemoryNetwork
from gsync.net.memory_stream import PIPE_BYTES
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.net.transport import Stream

ANN, BOB, EVE = "10.0.0.1", "10.0.0.2", "10.0.0.3"
BOBS_DOOR = Endpoint(BOB, 5000)


@pytest.fixture(autouse=True)
def world() -> Iterator[World]:
    with simulated() as world:
        yield world


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork(rng=random.Random(1), latency_s=(1.0, 1.0))


def echo(stream: Stream) -> None:
    while piece := stream.receive(100):
        stream.send(piece)


@pytest.fixture
def ann(network: MemoryNetwork) -> Iterator[MemoryHost]:
    """A host that may dial bob, who answers with what he hears."""
    listener = network.host(BOB).listen(ip="0.0.0.0", port=BOBS_DOOR.port, handler=echo, limit=10)
    yield network.host(ANN)
    listener.close()


def test_a_dial_takes_a_round_trip_and_so_does_an_answer(ann: MemoryHost, world: World) -> None:
    with ann.dial(BOBS_DOOR) as stream:
        assert world.now_s == 2
        stream.send(b"a")
        assert stream.receive(1) == b"a"
        assert world.now_s == 4


def test_a_refusal_takes_a_round_trip(ann: MemoryHost, world: World) -> None:
    with pytest.raises(ConnectFailed):
        ann.dial(Endpoint(BOB, 5001))
    assert world.now_s == 2


def test_latency_varies_but_order_does_not(network: MemoryNetwork, ann: MemoryHost) -> None:
    network.latency_s = (0.0, 10.0)
    content = bytes(range(200))
    with ann.dial(BOBS_DOOR) as stream:
        for number in content:
            stream.send(bytes([number]))
        stream.end_sending()
        assert b"".join(iter(lambda: stream.receive(100), b"")) == content


def test_wait_sent_waits_until_the_other_side_has_it(ann: MemoryHost, world: World) -> None:
    with ann.dial(BOBS_DOOR) as stream:
        stream.send(b"a")
        stream.wait_sent()
        assert world.now_s == 3


def test_a_silent_endpoint_never_answers_until_it_does(network: MemoryNetwork, ann: MemoryHost, world: World) -> None:
    network.silence(BOBS_DOOR)
    with pytest.raises(gevent.Timeout), gevent.Timeout(60):
        ann.dial(BOBS_DOOR)
    with TaskGroup() as tasks:
        tasks.spawn(lambda: ann.dial(BOBS_DOOR).close())
        gevent.sleep(40)
        network.unsilence(BOBS_DOOR)
    assert world.now_s == 102


def test_a_partition_holds_what_is_sent_until_it_is_healed(
    network: MemoryNetwork, ann: MemoryHost, world: World
) -> None:
    with ann.dial(BOBS_DOOR) as stream:
        network.partition({ANN}, {BOB})
        stream.send(b"a")
        stream.send(b"b")
        with pytest.raises(gevent.Timeout), gevent.Timeout(60):
            stream.receive(2)
        with pytest.raises(gevent.Timeout), gevent.Timeout(60):
            ann.dial(BOBS_DOOR)
        network.heal()
        assert stream.receive(1) == b"a"
        assert stream.receive(1) == b"b"
        ann.dial(BOBS_DOOR).close()


def test_hosts_of_no_group_stay_together(network: MemoryNetwork, ann: MemoryHost) -> None:
    network.partition({EVE})
    ann.dial(BOBS_DOOR).close()
    with pytest.raises(gevent.Timeout), gevent.Timeout(60):
        network.host(EVE).dial(BOBS_DOOR)


def test_a_cut_breaks_what_is_there_and_nothing_else(network: MemoryNetwork, ann: MemoryHost) -> None:
    with ann.dial(BOBS_DOOR) as cut, network.host(EVE).dial(BOBS_DOOR) as spared:
        network.cut(BOB, ANN)
        with pytest.raises(ConnectionBroken):
            cut.receive(1)
        spared.send(b"a")
        assert spared.receive(1) == b"a"
        with ann.dial(BOBS_DOOR) as anew:
            anew.send(b"a")
            assert anew.receive(1) == b"a"


def test_a_dial_that_is_given_up_leaves_no_stream_behind(network: MemoryNetwork) -> None:
    heard: list[str] = []

    def serve(stream: Stream) -> None:
        try:
            stream.receive(1)
        except ConnectionBroken:
            heard.append("broken")

    listener = network.host(BOB).listen(ip=BOB, port=BOBS_DOOR.port, handler=serve, limit=1)
    with pytest.raises(gevent.Timeout), gevent.Timeout(1.5):
        network.host(ANN).dial(BOBS_DOOR)
    gevent.sleep(2)
    assert heard == ["broken"]
    listener.close()


def test_a_pipe_holds_a_bounded_number_of_bytes(network: MemoryNetwork) -> None:
    over = Event()
    listener = network.host(BOB).listen(ip=BOB, port=0, handler=lambda _: over.wait(), limit=1)
    with network.host(ANN).dial(listener.endpoint) as stream:
        stream.send(bytes(PIPE_BYTES))
        with pytest.raises(gevent.Timeout), gevent.Timeout(60):
            stream.send(b"x")
        over.set()
        with pytest.raises(ConnectionBroken):
            stream.send(b"x")
    listener.close()


def test_closing_wakes_whoever_waits_for_room_or_arrival(network: MemoryNetwork, ann: MemoryHost) -> None:
    told: list[str] = []

    def wait(work: object) -> None:
        try:
            work()
        except ConnectionBroken:
            told.append("broken")

    stream = ann.dial(BOBS_DOOR)
    network.partition({ANN})
    with TaskGroup() as tasks:
        tasks.spawn(wait, lambda: stream.send(bytes(2 * PIPE_BYTES)))
        tasks.spawn(wait, stream.wait_sent)
        gevent.sleep(1)
        stream.close()
    assert told == ["broken", "broken"]


def test_loopback_reaches_the_own_host_at_once(network: MemoryNetwork, ann: MemoryHost, world: World) -> None:
    with network.host(BOB).dial(Endpoint("127.0.0.1", BOBS_DOOR.port)) as stream:
        stream.send(b"a")
        assert stream.receive(1) == b"a"
        assert stream.local.ip == "127.0.0.1"
    assert world.now_s < 0.001
