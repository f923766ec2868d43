"""What strangers may do to a tracker, and what its people are told."""

from __future__ import annotations

import tracemalloc

import gevent
import pytest

from gsync.core.names import Endpoint
from gsync.errors import ConnectionBroken
from gsync.tracker import talk as talk_module
from gsync.tracker.connections import Limits
from gsync.tracker.events import PeerJoined, PeerLeft
from gsync.wire import framing
from tests.unit.tracker.world import Caller, swarm

TRACKER_MESSAGES = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\0\0\0\x10",
    b"[]",
    b"}",
    b"\x16\x03\x01\x02\x00",
    b'{"a":{"a":{"a":{"a":{"a":1}}}}}',
    b'{"port":9000,}',
    b'{"port":\xff}',
    b"{]",
]


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("peer.refused")]
    return [line.partition("reason=")[2] for line in lines]


@pytest.mark.parametrize("garbage", TRACKER_MESSAGES)
def test_garbage_costs_its_sender_the_connection_and_nobody_else_anything(
    garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with swarm() as world:
        honest, stranger = world.caller(2), world.caller(3)
        honest.announce({"a": 5})
        stranger.announce({"b": 5})
        stranger.say(garbage)
        assert stranger.is_closed()
        assert honest.keepalive().keys() == {"a"}
    assert len(reasons(caplog)) == 1


def test_a_stranger_who_says_nothing_is_closed_after_30_s(caplog: pytest.LogCaptureFixture) -> None:
    with swarm() as world:
        stranger = world.caller()
        world.later(29.0)
        assert not stranger.is_closed()
        world.later(2.0)
        assert stranger.is_closed()
    assert reasons(caplog) == ["no valid message within 30 s"]


def test_a_stranger_who_speaks_only_after_5_s_is_welcome() -> None:
    with swarm() as world:
        stranger = world.caller()
        world.later(25.0)
        assert stranger.keepalive() == {}
        world.later(60.0)
        assert stranger.keepalive() == {}


def test_a_message_that_comes_byte_by_byte_for_30_s_is_no_message() -> None:
    with swarm() as world:
        stranger = world.caller()
        stranger.say(b"{")
        for _ in range(29):
            world.later(1.0)
            stranger.say(b" ")
        world.later(2.0)
        assert stranger.is_closed()


@pytest.mark.parametrize(("size", "taken"), [(-1, True), (0, True), (1, False)])
def test_a_message_may_be_4_mib_long(size: int, taken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert framing.TRACKER_LIMIT_BYTES == 4 * 1024 * 1024
    monkeypatch.setattr(talk_module, "TRACKER_LIMIT_BYTES", 200_000)
    with swarm() as world:
        peer = world.caller()
        frame = b'{"port":9000,"files":[],"x":"%s"}'
        message = frame % (b"x" * (200_000 + size - len(frame % b"")))
        if taken:
            assert peer.ask(message) == {}
            return
        peer.say(message)
        assert dead(peer)


def test_a_newcomer_displaces_the_oldest_who_said_nothing_when_the_tracker_is_full(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with swarm(limits=Limits(connections=3)) as world:
        spoken = world.caller(2)
        spoken.keepalive()
        silent = [world.caller(number) for number in (3, 4)]
        newcomer = world.caller(5)
        assert newcomer.keepalive() == {}
        assert dead(silent[0])
        assert not dead(silent[1])
        assert spoken.keepalive() == {}
        silent[1].keepalive()
        assert dead(world.caller(6))
    assert reasons(caplog) == ["the tracker is full"] * 2


def test_an_address_may_have_32_connections_that_say_nothing() -> None:
    with swarm() as world:
        silent = [world.caller(2) for _ in range(32)]
        assert not any(dead(one) for one in silent)
        another = world.caller(2)
        assert dead(silent[0])
        assert not any(dead(one) for one in [*silent[1:], another])
        here = [world.neighbour() for _ in range(40)]
        assert not any(dead(one) for one in here)


def dead(caller: Caller) -> bool:
    try:
        return caller.is_closed()
    except ConnectionBroken:
        return True


LONG = b'{"port":9000,"x":"' + b"x" * 30_000


def test_a_long_message_waits_unread_while_others_come_in_and_is_taken_then() -> None:
    with swarm(limits=Limits(long_messages=1)) as world:
        first, second = world.caller(2), world.caller(3)
        first.say(LONG)
        world.later(1.0)
        second.say(LONG + b'"}')
        assert second.hears_nothing(within_s=5.0)
        first.say(b'"}')
        assert first.answer() == second.answer() == {}


def test_who_keeps_his_place_for_too_long_makes_way_for_those_who_wait(caplog: pytest.LogCaptureFixture) -> None:
    with swarm(limits=Limits(long_messages=1)) as world:
        slow, patient = world.caller(2), world.caller(3)
        slow.say(LONG)
        world.later(8.0)
        slow.say(b"x")
        patient.say(LONG + b'"}')
        assert patient.answer() == {}
        assert dead(slow)
        assert world.world.now_s == pytest.approx(10.0, abs=1.5)
    assert reasons(caplog) == ["too slow a message while others wait"]


def test_a_slow_message_is_no_offence_while_nobody_waits() -> None:
    with swarm(limits=Limits(long_messages=1)) as world:
        slow = world.caller(2)
        slow.say(LONG)
        world.later(25.0)
        assert slow.ask(b'"}') == {}


def test_short_messages_wait_for_nobody() -> None:
    with swarm(limits=Limits(long_messages=1)) as world:
        world.caller(2).say(LONG)
        world.later(1.0)
        other = world.caller(3)
        assert other.announce({"a": 5}).keys() == {"a"}
        assert world.world.now_s == pytest.approx(1.0, abs=0.1)


def test_waiting_for_a_place_does_not_count_as_silence() -> None:
    with swarm(limits=Limits(long_messages=1)) as world:
        slow = [world.caller(2), world.caller(3), world.caller(4)]
        for one in slow:
            one.say(LONG)
        patient = world.caller(5)
        patient.say(LONG + b'"')
        world.later(35.0)
        assert all(dead(one) for one in slow)
        assert patient.ask(b"}") == {}


def test_one_who_waits_holds_nothing_of_his_last_message() -> None:
    with swarm() as world:
        peers = [world.caller(number) for number in range(2, 22)]
        for peer in peers:
            peer.keepalive()
        tracemalloc.start()
        try:
            for peer in peers:
                assert peer.ask(b'{"port":9000,"files":[],"x":"%s"}' % (b"x" * 100_000)) == {}
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 20 * 20_000


def many_files(count: int = 3000) -> dict[str, int]:
    return {f"file-{number:05}.txt": 5 for number in range(count)}


def test_a_peer_that_does_not_read_its_answer_is_dropped_after_30_s(caplog: pytest.LogCaptureFixture) -> None:
    with swarm() as world:
        deaf, other = world.caller(2), world.caller(3)
        deaf.say({"port": 9000, "files": [{"name": name, "mtime": 5} for name in many_files()]})
        world.later(29.0)
        assert len(other.keepalive()) == 3000
        world.later(2.0)
        assert other.keepalive() == {}
    assert reasons(caplog) == ["it does not read its answer"]


def test_a_slow_reader_is_dropped_when_too_many_answers_are_on_their_way(caplog: pytest.LogCaptureFixture) -> None:
    with swarm(limits=Limits(sending_bytes=300_000)) as world:
        deaf, other = world.caller(2), world.caller(3)
        deaf.say({"port": 9000, "files": [{"name": name, "mtime": 5} for name in many_files()]})
        world.later(1.0)
        assert len(other.announce(many_files(3100))) == 3100
    assert reasons(caplog) == ["too slow a reader while the directory changes"]


def test_people_are_told_who_joins_and_who_leaves() -> None:
    with swarm() as world:
        peer = world.caller(2)
        peer.keepalive()
        assert world.events == []
        peer.say(b'{\t"port":9000,"files":[{"name":"a","mtime":5}]}')
        peer.answer()
        peer.announce({"a": 5, "b": 5})
        remote = peer.stream.local
        assert world.events == [PeerJoined(remote=remote, port=9000, files=1, knows_gsync=True)]
        peer.leave()
        world.later(0.1)
        assert world.events[1:] == [PeerLeft(remote=remote, reason="it closed the connection")]


def test_who_never_announced_never_joined() -> None:
    with swarm() as world:
        peer = world.caller(2)
        peer.keepalive()
        peer.leave()
        world.later(0.1)
        assert world.events == []


def test_the_reason_of_leaving_is_told() -> None:
    with swarm(expire_s=20.0) as world:
        silent, garbage = world.caller(2), world.caller(3)
        silent.announce({})
        garbage.announce({})
        garbage.say(b"?")
        world.later(21.0)
        left = [event.reason for event in world.events if isinstance(event, PeerLeft)]
        assert left == ["b'?' where a JSON object should begin", "no message for 20 s"]


def test_a_peer_without_a_port_is_answered_but_not_named(caplog: pytest.LogCaptureFixture) -> None:
    with swarm() as world:
        world.caller(2).announce({"a": 5})
        assert world.caller(3).announce({"b": 5}, port="9000").keys() == {"a"}
    assert "nobody can fetch them" in caplog.text
    assert "name='port' reason=a port is a whole number, not text" in caplog.text


def test_bad_entries_are_logged_one_by_one_up_to_a_few(caplog: pytest.LogCaptureFixture) -> None:
    with swarm() as world:
        world.caller(2).announce({f"f{number}": "x" for number in range(100)})
    lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(lines) == 6
    assert lines[-1].endswith("count=100")


def test_a_tracker_that_stops_takes_its_connections_with_it() -> None:
    with swarm() as world:
        peer = world.caller(2)
        peer.announce(many_files(100))
        world.listener.close()
        assert dead(peer)
        assert [event.reason for event in world.events if isinstance(event, PeerLeft)] == ["the tracker is stopping"]
        assert len(world.tracker._directory) == 0


def test_a_long_announcement_that_is_cut_short_leaves_nothing() -> None:
    with swarm() as world:
        peer = world.caller(2)
        peer.say({"port": 9000, "files": [{"name": name, "mtime": 5} for name in many_files()]})
        peer.stream.reset()
        world.later(1.0)
        assert world.caller(3).keepalive() == {}
        assert len(world.tracker._connections) == 1


def test_when_the_last_listener_closes_everything_is_forgotten() -> None:
    with swarm() as world:
        second = world.tracker.listen(ip="0.0.0.0", port=9001)
        peer = Caller(world.network.host("192.0.2.3").dial(Endpoint("192.0.2.1", 9001)))
        peer.announce({"a": 5})
        second.close()
        second.close()
        assert world.caller(2).keepalive() == {}
        world.caller(2).announce({"b": 5})
        world.listener.close()
        third = world.tracker.listen(ip="0.0.0.0", port=9000)
        assert world.caller(2).keepalive() == {}
        third.close()


def test_two_addresses_serve_one_directory() -> None:
    with swarm() as world:
        second = world.tracker.listen(ip="0.0.0.0", port=9001)
        world.caller(2).announce({"a": 5})
        there = Caller(world.network.host("192.0.2.3").dial(Endpoint("192.0.2.1", 9001)))
        assert there.keepalive().keys() == {"a"}
        second.close()


def test_messages_that_are_here_when_the_tracker_wakes_up_are_heard_before_anyone_is_blamed() -> None:
    """As after SIGSTOP: the deadline has passed, but not by the peer's fault."""
    with swarm() as world:
        peer = world.caller(2)
        peer.announce({"a": 5})
        gevent.get_hub().loop._now_s += 500.0  # the world was asleep
        peer.say({"port": 9000})
        assert peer.answer().keys() == {"a"}
