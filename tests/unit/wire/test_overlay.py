"""What is special about the messages between neighbours; that they mean the same on both ends is tried in `test_native.py`."""

from __future__ import annotations

import json

import pytest

from gsync.core.names import Endpoint, RelPath
from gsync.core.reconcile import Answer, Span
from gsync.errors import NameRefused, RemoteProtocolError
from gsync.wire.native import Alive, Get, Ping, header
from gsync.wire.overlay import (
    Hello,
    PeerAt,
    Query,
    WireMark,
    digests,
    parse_digests,
    parse_first,
    parse_on_overlay_link,
    parse_place,
    placed,
)
from gsync.wire.records import parse_version

HELLO = Hello(author="f" * 16, name="anna", port=9000, life="l")
NEAR, FAR = "127.0.0.1", "192.0.2.7"


def test_the_first_frame_tells_an_overlay_link_from_any_other_native_one() -> None:
    assert parse_first(header(HELLO)) == HELLO
    assert parse_first(header(Get(id=1, wants=[]))) == Get(id=1, wants=[])
    assert parse_first(header(Ping(id=1))) == Ping(id=1)
    for message in (Query(id="0" * 32, ttl=1, q="a"), Alive(seq=1, digest="")):
        with pytest.raises(RemoteProtocolError):
            parse_first(header(message))


@pytest.mark.parametrize("id_", ["", "0" * 31, "0" * 33, "0" * 32 + "\n", "g" * 32, "A" * 32, "0" * 31 + "٣"])
def test_the_id_of_a_query_is_32_hex_digits(id_: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_on_overlay_link(json.dumps({"t": "query", "id": id_, "ttl": 1, "q": "a"}).encode())


@pytest.mark.parametrize(
    "hostile",
    [
        b'{"t":"query","id":"00000000000000000000000000000000","ttl":0,"q":"a"}',
        b'{"t":"query","id":"00000000000000000000000000000000","ttl":1,"q":""}',
        b'{"t":"hit","id":"00000000000000000000000000000000","r":{"p":"a","v":{}},"at":{"name":"a","port":0}}',
        b'{"t":"hit","id":"00000000000000000000000000000000","r":{"p":"a","v":{}},"at":{"name":"","port":1}}',
        b'{"t":"hit","id":"00000000000000000000000000000000","r":{"p":"a","v":{}},"at":{"name":"a","port":1},"state":"GOOD"}',
        b'{"t":"invalidate","r":{"p":"a","v":{}},"at":{"name":"a","port":1},"life":"","seq":0,"hops":0}',
        b'{"t":"invalidate","r":{"p":"a","v":{}},"at":{"name":"a","port":1},"life":"","seq":0,"ttr_ms":-1}',
        b'{"t":"poll","id":1,"asks":[{"p":"a","v":{"x":-1}}]}',
        b'{"t":"digests","id":1,"marks":[{"p":"a","m":"0"}]}',
    ],
)
def test_what_makes_no_sense_between_neighbours_is_refused(hostile: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_on_overlay_link(hostile)


def test_a_place_is_filled_in_by_the_first_one_on_another_machine() -> None:
    at = PeerAt(name="anna", port=9000)
    assert placed(at, neighbour_ip=NEAR) == at
    told = placed(at, neighbour_ip=FAR)
    assert told == PeerAt(name="anna", port=9000, ip=FAR)
    assert placed(told, neighbour_ip="192.0.2.9") == told


def test_a_place_is_reached_where_it_says_or_where_the_neighbour_was_reached() -> None:
    assert parse_place(PeerAt(name="a", port=9000), neighbour_ip=NEAR).endpoint == Endpoint(NEAR, 9000)
    there = parse_place(PeerAt(name="a", port=9000, ip=FAR), neighbour_ip="192.0.2.9")
    assert (there.endpoint, there.speaks_native) == (Endpoint(FAR, 9000), True)


@pytest.mark.parametrize(
    ("ip", "port"),
    [(NEAR, 9000), ("::1", 9000), ("224.0.0.1", 9000), (FAR, 80), ("anna", 9000), ("fe80::1%eth0", 9000)],
)
def test_a_place_that_would_send_us_astray_is_refused(ip: str, port: int) -> None:
    with pytest.raises(NameRefused):
        parse_place(PeerAt(name="a", port=port, ip=ip), neighbour_ip=FAR)


def test_the_version_of_a_question_is_judged_like_that_of_a_record() -> None:
    assert parse_version({"a": 1, "mtime": 5}).vector() == {"a": 1, "mtime": 5}
    with pytest.raises(NameRefused):
        parse_version({"a": 0})


def test_what_is_said_of_ranges_means_the_same_on_the_other_side_but_for_paths_that_are_no_names() -> None:
    near = Span(start="a", end="m", digest="0" * 16, count=3)
    answer = Answer(
        spans=(near,), listed=(Span(start="m", end="", digest="f" * 16, count=1),), marks=((RelPath("m/n"), "1" * 16),)
    )
    message = digests(1, answer)
    assert not message.more
    assert digests(1, answer, more=True).more
    assert parse_digests(message) == answer
    message.marks.append(WireMark(p="../out", m="2" * 16))
    assert parse_digests(message) == answer
