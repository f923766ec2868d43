"""Which connections must go, case by case, at the limits and beside them."""

from __future__ import annotations

import pytest

from gsync.core.names import Endpoint
from gsync.tracker.connections import Connection, Connections, Drop, Limits

LIMITS = Limits(connections=5, unspoken_per_address=2, sending_bytes=100)


def connection(ip: str = "192.0.2.1") -> Connection:
    return Connection(remote=Endpoint(ip, 50_000), end=lambda: None)


def dropped(drops: list[Drop]) -> list[Connection]:
    return [drop.connection for drop in drops]


def test_the_oldest_silent_one_of_an_address_goes_first() -> None:
    connections = Connections(LIMITS)
    first, second, third, other = (connection(), connection(), connection(), connection("192.0.2.2"))
    assert connections.enter(first) == connections.enter(other) == connections.enter(second) == []
    assert dropped(connections.enter(third)) == [first]
    assert len(connections) == 3


def test_those_that_have_spoken_do_not_count_for_their_address() -> None:
    connections = Connections(LIMITS)
    for _ in range(4):
        spoken = connection()
        assert connections.enter(spoken) == []
        connections.spoke(spoken)
    assert connections.enter(connection()) == []


def test_loopback_is_exempt_from_the_limit_of_an_address() -> None:
    connections = Connections(LIMITS)
    for ip in ("127.0.0.1",) * 4 + ("::1",):
        assert connections.enter(connection(ip)) == []


def test_a_full_tracker_drops_the_oldest_that_said_nothing() -> None:
    connections = Connections(LIMITS)
    there = [connection(f"192.0.2.{number}") for number in range(5)]
    for one in there:
        connections.enter(one)
    connections.spoke(there[0])
    assert dropped(connections.enter(connection("192.0.2.9"))) == [there[1]]
    assert len(connections) == 5


def test_a_tracker_full_of_peers_refuses_the_newcomer() -> None:
    connections = Connections(LIMITS)
    for number in range(5):
        spoken = connection(f"192.0.2.{number}")
        assert connections.enter(spoken) == []
        connections.spoke(spoken)
    newcomer = connection("192.0.2.9")
    assert dropped(connections.enter(newcomer)) == [newcomer]


@pytest.mark.parametrize(("last", "count"), [(39, 0), (40, 0), (41, 1)])
def test_the_slowest_reader_goes_when_too_many_answers_are_on_their_way(last: int, count: int) -> None:
    connections = Connections(LIMITS)
    first, second = connection(), connection()
    connections.enter(first)
    connections.enter(second)
    connections.sends(first, b"x" * 60)
    assert dropped(connections.sends(second, b"y" * last)) == [first][:count]


def test_an_answer_that_goes_to_many_counts_once() -> None:
    connections = Connections(LIMITS)
    response = b"x" * 60
    for number in range(5):
        connections.enter(one := connection(f"192.0.2.{number}"))
        assert connections.sends(one, response) == []
    connections.leave(one)
    assert connections.sends(connection(), b"y" * 40) == []


def test_one_answer_may_be_as_long_as_it_likes() -> None:
    connections = Connections(LIMITS)
    connections.enter(one := connection())
    assert connections.sends(one, b"x" * 1000) == []
    connections.sent(one)
    connections.enter(other := connection())
    assert connections.sends(other, b"x" * 100) == []


def test_leaving_twice_is_leaving_once() -> None:
    connections = Connections(LIMITS)
    connections.enter(one := connection())
    connections.sends(one, b"x")
    connections.leave(one)
    connections.leave(one)
    assert len(connections) == 0
