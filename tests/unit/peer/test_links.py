"""Native links outward: dialled once, used again, bounded, closed when nobody needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import gevent
import pytest

from gsync.core.names import Endpoint
from gsync.errors import ConnectFailed, ConnectionBroken, NoAnswer, RemoteProtocolError, Stalled
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.net.throttle import Throttle
from gsync.net.transport import Stream
from gsync.peer.fetcher import CONNECT_S, RATE_MIN, RATE_WINDOW_S, STALL_S
from gsync.peer.link import Link, Use
from gsync.peer.links import IDLE_MAX, IDLE_S, LINKS_PER_SOURCE, Links
from gsync.wire.frames import NATIVE_START, frame
from gsync.wire.native import Block, OnPeerLink, Ping, Pong, header
from tests.unit.peer.native_world import Talker, native_script
from tests.unit.peer.world import THERE, Lan, Witness


class Desk:
    def __init__(self, world: World) -> None:
        self.world = world
        self.lan = Lan(world)
        self.witness = Witness()
        self.tasks = TaskGroup()
        self.links = Links(network=self.lan.here, witness=self.witness, clock=world.clock)
        self.tasks.spawn(self.links.run)

    def ping(self, use: Use = Use.SMALL, source: Endpoint = THERE) -> OnPeerLink:
        with self.links.link(source, use) as link:
            return ask(link)


def ask(link: Link) -> OnPeerLink:
    link.ask(Ping(id=link.next_id()))
    return link.next()


@pytest.fixture
def desk() -> Iterator[Desk]:
    with simulated() as world:
        desk = Desk(world)
        yield desk
        desk.tasks.stop()


pong = native_script(lambda talker, question: talker.say(Pong(id=question.id)))


def test_a_link_is_used_again(desk: Desk) -> None:
    with desk.lan.serving(pong) as came:
        for id_ in (1, 2, 3):
            assert desk.ping() == Pong(id=id_)
        assert len(came) == 1
        assert desk.witness.said == [("connected", THERE)]


def test_small_files_and_large_ones_have_links_of_their_own(desk: Desk) -> None:
    with desk.lan.serving(pong) as came, desk.links.link(THERE, Use.SMALL), desk.links.link(THERE, Use.BULK):
        assert len(came) == 2


def test_whoever_comes_when_all_links_are_taken_waits(desk: Desk) -> None:
    freed: list[float] = []

    def third() -> None:
        desk.ping()
        freed.append(desk.world.now_s)

    with desk.lan.serving(pong) as came:
        with desk.links.link(THERE, Use.SMALL), desk.links.link(THERE, Use.SMALL):
            task = desk.tasks.spawn(third)
            gevent.sleep(5)
            assert not freed
        task.join()
        assert freed == [pytest.approx(5.0)]
        assert len(came) == LINKS_PER_SOURCE


def test_a_link_that_was_left_by_an_error_is_not_used_again(desk: Desk) -> None:
    with desk.lan.serving(pong) as came:
        with suppress(RemoteProtocolError), desk.links.link(THERE, Use.SMALL) as link:
            ask(link)
            raise RemoteProtocolError("nonsense")
        desk.ping()
        assert len(came) == 2


def test_a_link_with_an_answer_that_nobody_took_is_not_used_again(desk: Desk) -> None:
    with desk.lan.serving(pong) as came:
        with desk.links.link(THERE, Use.SMALL) as link:
            link.ask(Ping(id=1), Ping(id=2))
            link.next()
            gevent.sleep(1)
        assert desk.ping() == Pong(id=1)
        assert len(came) == 2


def test_a_link_that_the_source_closed_meanwhile_is_made_anew(desk: Desk) -> None:
    def once(stream: Stream) -> None:
        stream.receive(1)
        talker = Talker(stream)
        talker.say(Pong(id=talker.hear().message.id))  # type: ignore[union-attr]

    with desk.lan.serving(once, pong) as came:
        desk.ping()
        gevent.sleep(1)
        assert desk.ping() == Pong(id=1)
        assert len(came) == 2


def test_a_link_that_nobody_uses_is_closed(desk: Desk) -> None:
    closed: list[float] = []

    def serve(stream: Stream) -> None:
        pong(stream)
        closed.append(desk.world.now_s)

    with desk.lan.serving(serve):
        desk.ping()
        gevent.sleep(IDLE_S - 1)
        desk.ping()
        desk.ping(Use.BULK)
        gevent.sleep(IDLE_S - 1)
        assert closed == []
        gevent.sleep(2)
        assert closed == [pytest.approx(2 * IDLE_S - 1, abs=0.1)] * 2
    assert desk.links.idle == 0


def test_all_links_are_closed_at_the_end() -> None:
    with simulated() as world:
        desk, closed = Desk(world), []

        def serve(stream: Stream) -> None:
            pong(stream)
            closed.append(True)

        with desk.lan.serving(serve):
            desk.ping()
            desk.tasks.stop()
            gevent.sleep(0.1)
            assert closed == [True]
            desk.ping()
            gevent.sleep(0.1)
            assert desk.links.idle == 0


def test_few_links_stand_ready_at_a_time(desk: Desk) -> None:
    hosts = [Endpoint(f"192.0.2.{100 + number}", 2000) for number in range(IDLE_MAX + 5)]
    listeners = [
        desk.lan.network.host(host.ip).listen(ip="0.0.0.0", port=2000, handler=pong, limit=10) for host in hosts
    ]
    for host in hosts:
        desk.ping(source=host)
        gevent.sleep(0.01)
    assert desk.links.idle == IDLE_MAX
    for listener in listeners:
        listener.close()


# Sources that are no good


def test_nobody_listens(desk: Desk) -> None:
    with pytest.raises(ConnectFailed):
        desk.ping()


def test_nobody_answers_the_dial(desk: Desk) -> None:
    desk.lan.network.partition([desk.lan.here.ip], [THERE.ip])
    with pytest.raises(NoAnswer):
        desk.ping()
    assert desk.world.now_s == CONNECT_S


def test_it_says_nothing(desk: Desk) -> None:
    with desk.lan.serving(native_script(lambda talker, question: None)), pytest.raises(Stalled):
        desk.ping()
    assert desk.world.now_s == pytest.approx(STALL_S, abs=0.1)


def test_it_ends_the_link(desk: Desk) -> None:
    with desk.lan.serving(lambda stream: stream.receive(100)), pytest.raises(ConnectionBroken):
        desk.ping()


@pytest.mark.parametrize("words", [b"\0\0\0\0", b"HTTP/1.1 400 Bad Request\r\n", frame(b"{}"), frame(b'{"t":"hello"}')])
def test_it_speaks_something_else(desk: Desk, words: bytes) -> None:
    def serve(stream: Stream) -> None:
        stream.receive(1)
        stream.send(words)
        while stream.receive(100):
            pass

    with desk.lan.serving(serve), pytest.raises(RemoteProtocolError):
        desk.ping()


def test_it_trickles(desk: Desk) -> None:
    def serve(stream: Stream) -> None:
        stream.receive(1)
        Talker(stream).hear()
        stream.send(frame(header(Block(id=1, want=0, body=10_000_000))))
        while True:
            stream.send(bytes(int(RATE_MIN)))
            gevent.sleep(1.1)

    with desk.lan.serving(serve), desk.links.link(THERE, Use.BULK) as link:
        ask(link)
        with pytest.raises(Stalled):
            link.body_into(memoryview(bytearray(10_000_000)))
    assert desk.world.now_s == pytest.approx(RATE_WINDOW_S, abs=2)


def test_it_takes_no_questions(desk: Desk) -> None:
    deaf = desk.lan.serving(lambda stream: gevent.sleep(1000))
    with deaf, pytest.raises(Stalled), desk.links.link(THERE, Use.SMALL) as link:
        link.ask(*[Ping(id=1)] * 10_000)


def test_the_time_between_two_fetches_is_not_held_against_the_source(desk: Desk) -> None:
    with desk.lan.serving(pong), desk.links.link(THERE, Use.SMALL) as link:
        for _ in range(3):
            link.begin()
            ask(link)
            gevent.sleep(RATE_WINDOW_S + 1)


def test_bodies_come_whole_however_they_are_cut(desk: Desk) -> None:
    body = bytes(range(256)) * 1000

    def serve(stream: Stream) -> None:
        assert stream.receive(1) == NATIVE_START
        Talker(stream).hear()
        words = frame(header(Block(id=1, want=0, body=len(body)))) + body
        words += frame(header(Block(id=1, want=1, body=len(body)))) + body
        for start in range(0, len(words), 7001):
            stream.send(words[start : start + 7001])
            gevent.sleep(0.01)
        stream.receive(1)

    for use in Use:
        with desk.lan.serving(serve), desk.links.link(THERE, use) as link:
            link.ask(Ping(id=1))
            link.next()
            assert link.body(len(body)) == body
            link.next()
            room = bytearray(len(body))
            link.body_into(memoryview(room))
            assert room == body


def test_a_limited_downlink_is_kept() -> None:
    body = bytes(100_000)

    def serve(stream: Stream) -> None:
        stream.receive(1)
        Talker(stream).hear()
        stream.send(frame(header(Block(id=1, want=0, body=len(body)))) + body)
        stream.receive(1)

    with simulated() as world:
        lan = Lan(world)
        links = Links(network=lan.here, witness=Witness(), clock=world.clock, downlink=Throttle(10_000.0, world.clock))
        with lan.serving(serve), links.link(THERE, Use.SMALL) as link:
            ask(link)
            assert link.body(len(body)) == body
        assert world.now_s == pytest.approx(10, abs=0.5)
        assert links.counts.bytes_received >= len(body)
