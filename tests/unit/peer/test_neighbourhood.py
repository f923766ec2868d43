"""Whom a tracker's numbers mean, and which addresses it may aim us at."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gsync.core.model import Source
from gsync.core.names import Endpoint
from gsync.errors import RemoteProtocolError
from gsync.peer import neighbourhood
from gsync.peer.neighbourhood import HOLDERS_MAX, ROWS_MAX, Neighbourhood, Whereabouts
from gsync.wire.native import PeerRow
from tests.unit.peer.native import row

LAN = Whereabouts(
    own=Endpoint("192.0.2.1", 2001), tracker_ip="192.0.2.2", is_own_address=lambda ip: ip in ("192.0.2.1", "127.0.0.1")
)
LOOPBACK = Whereabouts(
    own=Endpoint("127.0.0.1", 2001), tracker_ip="127.0.0.1", is_own_address=lambda ip: ip.startswith("127.")
)


def native(ip: str, port: int = 2000) -> Source:
    return Source(endpoint=Endpoint(ip, port), speaks_gsync=True, speaks_native=True)


@pytest.mark.parametrize(
    ("where", "told", "reached"),
    [
        pytest.param(LAN, row(1, "192.0.2.9"), native("192.0.2.9"), id="another machine"),
        pytest.param(LAN, row(1, ""), native("192.0.2.2"), id="the tracker's machine is where we reached the tracker"),
        pytest.param(LAN, row(1, "", 2001), native("192.0.2.2", 2001), id="our port on the tracker's machine"),
        pytest.param(LOOPBACK, row(1, ""), native("127.0.0.1"), id="another peer on our machine, tracker on loopback"),
        pytest.param(LOOPBACK, row(1, "127.0.0.1"), native("127.0.0.1"), id="the same, with its address"),
        pytest.param(LOOPBACK, row(1, "127.0.0.2", 2001), native("127.0.0.2", 2001), id="our port at another loopback"),
        pytest.param(LOOPBACK, row(1, "192.0.2.9", 2001), native("192.0.2.9", 2001), id="our port on another machine"),
        pytest.param(LAN, row(1, "192.0.2.1", 2000), native("192.0.2.1"), id="another peer on our machine"),
        pytest.param(LAN, row(1, "2001:db8::9"), native("2001:db8::9"), id="IPv6"),
        pytest.param(LAN, row(1, "192.0.2.1", 2001), None, id="ourselves"),
        pytest.param(LOOPBACK, row(1, "", 2001), None, id="ourselves, told without address"),
        pytest.param(LOOPBACK, row(1, "127.0.0.1", 2001), None, id="ourselves on loopback"),
    ],
)
def test_a_row_is_a_source_unless_it_is_this_peer(where: Whereabouts, told: PeerRow, reached: Source | None) -> None:
    assert where.source(told) == reached


def test_a_number_is_spoken_of_by_name_and_address() -> None:
    known = Neighbourhood(LAN)
    known.add(
        [row(1, "192.0.2.9"), replace(row(2, "192.0.2.9", 2002), name="ben", speaks=2), row(3, "192.0.2.1", 2001)]
    )
    assert known.spoken(1) == "192.0.2.9:2000"
    assert known.spoken(2) == "ben (192.0.2.9:2002)"
    assert known.spoken(3) == "this peer"
    assert known.spoken(4) == "another peer"


@pytest.mark.parametrize(("speaks", "gsync", "knows_native"), [(0, False, False), (1, True, False), (2, True, True)])
def test_a_row_says_what_its_peer_speaks(speaks: int, gsync: bool, knows_native: bool) -> None:
    source = LAN.source(row(1, speaks=speaks))
    assert source is not None
    assert (source.speaks_gsync, source.speaks_native) == (gsync, knows_native)


@pytest.mark.parametrize(
    "told",
    [
        row(1, "127.0.0.1"),
        row(1, "::1"),
        row(1, "::ffff:127.0.0.1"),
        row(1, "192.0.2.9", 22),
        row(1, "224.0.0.1"),
        row(1, "255.255.255.255"),
        row(1, "0.0.0.0"),
        row(1, "localhost"),
        row(1, "fe80::1%eth0"),
        row(1, "\ud800"),
    ],
)
def test_an_address_where_no_peer_can_be_is_refused_and_never_a_source(told: PeerRow) -> None:
    known = Neighbourhood(LAN)
    (refusal,) = known.add([told, row(2)])
    assert refusal.name == f"{told.ip}:{told.port}"
    assert known.sources([1, 2]) == (native("192.0.2.9"),)


def test_sources_come_in_the_order_of_the_numbers_each_once_and_the_unknown_are_passed_over() -> None:
    known = Neighbourhood(LAN)
    known.add([row(1, "192.0.2.7"), row(2, "192.0.2.8"), row(3, "192.0.2.7"), row(4, "192.0.2.1", 2001)])
    assert known.sources([2, 9, 3, 4, 1]) == (native("192.0.2.8"), native("192.0.2.7"))
    assert known.sources([4]) == ()
    assert known.sources([]) == ()


def test_a_peer_that_is_named_later_is_known_from_then_on() -> None:
    known = Neighbourhood(LAN)
    assert known.sources([1]) == ()
    known.add([row(1)])
    assert known.sources([1]) == (native("192.0.2.9"),)


def test_offers_with_the_same_holders_share_their_sources() -> None:
    known = Neighbourhood(LAN)
    known.add([row(1), row(2, "192.0.2.8")])
    assert known.sources([1, 2]) is known.sources([1, 2])


def test_what_is_shared_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbourhood, "_SHARED_MAX", 10)
    known = Neighbourhood(LAN)
    known.add([row(1)])
    for number in range(100):
        assert known.sources([1, number + 2]) == (native("192.0.2.9"),)
    assert len(known._shared) <= 10


def test_only_the_first_holders_are_looked_at() -> None:
    known = Neighbourhood(LAN)
    known.add([row(1)])
    assert known.sources([*range(2, HOLDERS_MAX + 1), 1]) == (native("192.0.2.9"),)
    assert known.sources([*range(2, HOLDERS_MAX + 2), 1]) == ()


def test_one_peer_more_than_there_may_be_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbourhood, "ROWS_MAX", 3)
    known = Neighbourhood(LAN)
    known.add([row(1), row(2), row(3)])
    known.add([row(3)])
    with pytest.raises(RemoteProtocolError, match="more than 3 peers"):
        known.add([row(4)])
    assert ROWS_MAX == 65536


def test_peers_that_have_names_are_known_by_them_until_they_leave() -> None:
    known = Neighbourhood(LAN)
    ours = PeerRow(n=0, ip="192.0.2.1", port=2001, speaks=2, name="we")
    anna = PeerRow(n=1, ip="192.0.2.9", port=2000, speaks=2, name="anna", author="aa")
    known.add([ours, anna, row(2, "192.0.2.8"), PeerRow(n=3, ip="192.0.2.7", port=2000, speaks=1, name="classic")])
    (named,) = known.named().values()
    assert (named.name, named.author, named.endpoint) == ("anna", "aa", Endpoint("192.0.2.9", 2000))
    known.part([1, 99])
    assert known.named() == {}


def test_of_several_peers_with_one_name_it_means_the_one_who_came_last() -> None:
    known = Neighbourhood(LAN)
    known.add([PeerRow(n=n, ip="192.0.2.9", port=2000 + n, speaks=2, name="anna") for n in (2, 1)])
    (named,) = known.named().values()
    assert named.endpoint.port == 2002
    known.part([2])
    (named,) = known.named().values()
    assert named.endpoint.port == 2001


def test_a_name_that_no_topology_could_spell_costs_the_name_and_not_the_source() -> None:
    known = Neighbourhood(LAN)
    assert known.add([PeerRow(n=1, ip="192.0.2.9", port=2000, speaks=2, name="a,b")]) == ()
    assert known.named() == {}
    assert known.sources([1]) == (native("192.0.2.9"),)
