"""Every native message means the same on both ends, whole and byte by byte, and nothing hostile passes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gsync.core.blocks import digest_of_bytes
from gsync.core.copies import CopyState
from gsync.core.flood import HITS_MAX, TTL_MAX
from gsync.core.model import Source
from gsync.core.names import PEER_NAME_MAX, Endpoint
from gsync.core.polls import POLL_MAX
from gsync.core.versions import MTIME
from gsync.errors import NameRefused, RemoteProtocolError
from gsync.wire import native, overlay
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.native import (
    WANTS_MAX,
    Ack,
    Alive,
    Announce,
    Block,
    BlockList,
    Busy,
    Delta,
    Get,
    GetBlocks,
    Held,
    Join,
    Keep,
    Kept,
    Locate,
    Located,
    PeerRow,
    Peers,
    Ping,
    Pong,
    Resync,
    Same,
    Snapshot,
    Want,
    Welcome,
    Withdraw,
    header,
    parse_from_tracker,
    parse_on_peer_link,
    parse_peer,
    parse_to_tracker,
)
from gsync.wire.overlay import (
    MARKS_MAX,
    RANGES_MAX,
    TTR_MAX_MS,
    Ask,
    Digests,
    Hello,
    Hit,
    Invalidate,
    PeerAt,
    Poll,
    Query,
    Reconcile,
    Verdict,
    WireMark,
    WireRange,
    WireRuling,
    parse_on_overlay_link,
)
from gsync.wire.records import WireRecord

DIGEST = digest_of_bytes(b"content")
RECORD = WireRecord(
    p="a/b", v={"f" * 16: 2, MTIME: 5}, d=DIGEST, s=7, mtime_ns=5_000_000_001, executable=True, by="f" * 16
)
BURIED = WireRecord(p="c", v={MTIME: 5}, gone=True, k="link", was="d")

TO_TRACKER: list[native.ToTracker] = [
    Join(author="f" * 16, name="anna"),
    Join(author=""),
    Announce(records=[RECORD, BURIED], all=True),
    Announce(),
    Withdraw(paths=["a", "b/c"]),
    Alive(seq=7, digest="0123456789abcdef"),
    Locate(id=1, paths=["a"]),
    Resync(),
]
FROM_TRACKER: list[native.FromTracker] = [
    Welcome(epoch="e", seq=7),
    Peers(peers=[PeerRow(n=1, ip="192.0.2.2", port=9000, speaks=2, name="anna"), PeerRow(n=2, ip="", port=65535)]),
    Snapshot(seq=7, held=[Held(r=RECORD, h=[1, 2]), Held(r=BURIED)], last=True),
    Snapshot(seq=0, held=[]),
    Same(seq=7, holders=[1, 2]),
    Same(seq=0, holders=[]),
    Delta(prev=7, seq=8, held=[Held(r=RECORD, h=[1])], lost=["x"]),
    Ack(seq=7, digest=""),
    Resync(),
    Located(id=1, holders=[[1, 2], []]),
]
ON_PEER_LINK: list[native.OnPeerLink] = [
    Get(id=1, wants=[Want(p="a", d=DIGEST), Want(p="b", d=DIGEST, offset=2**40, count=2**20)]),
    Block(id=1, want=0, body=2**20),
    Block(id=1, want=1, gone=True),
    GetBlocks(id=2, p="a", d=DIGEST),
    BlockList(id=2, body=64),
    BlockList(id=2, gone=True),
    Keep(id=3, p="a", v={"x": 1, "mtime": 5}, d=DIGEST),
    Kept(id=3, ok=True),
    Busy(id=3),
    Ping(id=4),
    Pong(id=4),
]
ANNA = PeerAt(name="anna", port=9000)
QUESTION = "0123456789abcdef" * 2
ON_OVERLAY_LINK: list[overlay.OnOverlayLink] = [
    Hello(author="f" * 16, name="anna", port=9000, life="l", seq=7),
    Hello(author="f" * 16, name="anna", port=9000, life="l", visit=True),
    Query(id=QUESTION, ttl=16, q="*.txt", most=7),
    Hit(id=QUESTION, r=RECORD, at=ANNA, hops=3, ttr_ms=5000),
    Hit(
        id=QUESTION,
        r=RECORD,
        at=ANNA,
        origin=PeerAt(name="ben", port=9001, ip="192.0.2.2"),
        state=CopyState.OWNED,
        load=2,
    ),
    Invalidate(r=BURIED, at=ANNA, life="l", seq=7, hops=3, ttr_ms=5000),
    Poll(id=1, asks=[Ask(p="a", v={MTIME: 5}), Ask(p="b", v={"f" * 16: 1, MTIME: 6})]),
    Verdict(id=1, rulings=[WireRuling(p="a", ok=True, ttr_ms=5000), WireRuling(p="b", r=RECORD), WireRuling(p="c")]),
    Reconcile(id=2, ranges=[WireRange(digest="0" * 16, count=7), WireRange(start="a", end="b")], wants=["a"]),
    Digests(id=2, ranges=[WireRange()], listed=[WireRange(start="b")], marks=[WireMark(p="b", m="0" * 16)]),
    Ping(id=4),
    Pong(id=4),
]
PARSERS: list[tuple[Callable[[bytes], Any], list[Any]]] = [
    (parse_to_tracker, list(TO_TRACKER)),
    (parse_from_tracker, list(FROM_TRACKER)),
    (parse_on_peer_link, list(ON_PEER_LINK)),
    (parse_on_overlay_link, list(ON_OVERLAY_LINK)),
]
DIRECTIONS = pytest.mark.parametrize(("parse", "said"), PARSERS)


@DIRECTIONS
def test_every_message_means_the_same_on_both_ends_whole_and_byte_by_byte(
    parse: Callable[[bytes], Any], said: list[Any]
) -> None:
    wire = b"".join(frame(header(message)) for message in said)
    for step in (len(wire), 1, 7):
        splitter, heard = FrameSplitter(), []
        for start in range(0, len(wire), step):
            splitter.feed(wire[start : start + step])
            heard += [parse(found) for found in iter(splitter.next, None)]
        assert heard == said


@DIRECTIONS
def test_each_kind_of_message_is_tried_here(parse: Callable[[bytes], Any], said: list[Any]) -> None:
    kinds = {
        parse_to_tracker: native.ToTracker,
        parse_from_tracker: native.FromTracker,
        parse_on_peer_link: native.OnPeerLink,
        parse_on_overlay_link: overlay.OnOverlayLink,
    }[parse]
    assert {type(message) for message in said} == set(kinds.__args__)


@DIRECTIONS
def test_an_unknown_field_is_refused_wherever_it_stands(parse: Callable[[bytes], Any], said: list[Any]) -> None:
    tried = 0
    for message in said:
        spelled = json.loads(header(message))
        for place in objects(spelled):
            if any(isinstance(value, int) and key == MTIME for key, value in place.items()):
                continue  # a version: its keys are authors
            place["unknown"] = 1
            with pytest.raises(RemoteProtocolError, match="unknown field"):
                parse(json.dumps(spelled).encode())
            del place["unknown"]
            tried += 1
        assert parse(json.dumps(spelled).encode()) == message
    assert tried >= len(said)


def objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for element in value for found in objects(element)]
    if isinstance(value, dict):
        return [value, *(found for element in value.values() for found in objects(element))]
    return []


@DIRECTIONS
def test_a_message_of_another_direction_is_refused(parse: Callable[[bytes], Any], said: list[Any]) -> None:
    mine = {type(message) for message in said}
    others = [message for _, messages in PARSERS for message in messages if type(message) not in mine]
    assert others
    for message in others:
        with pytest.raises(RemoteProtocolError):
            parse(header(message))


HOSTILE = [
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"7",
    b"{}",
    b'{"t":7}',
    b'{"t":"hello"}',
    b'{"t":"alive","seq":1,"digest":""}{}',
    b'{"t":"alive","seq":1,"digest":"\xed\xa0\x80"}',
    b'{"t":"alive","seq":1,"digest":"\\ud800"}',
    b'{"t":"alive","seq":1}',
    b'{"t":"alive","seq":1,"digest":null}',
    b'{"t":"alive","seq":"1","digest":""}',
    b'{"t":"alive","seq":true,"digest":""}',
    b'{"t":"alive","seq":1.0,"digest":""}',
    b'{"t":"alive","seq":1e400,"digest":""}',
    b'{"t":"alive","seq":NaN,"digest":""}',
    b'{"t":"alive","seq":-1,"digest":""}',
    b'{"t":"alive","seq":9007199254740993,"digest":""}',
    b'{"t":"alive","seq":' + b"9" * 5000 + b',"digest":""}',
    b'{"t":"withdraw","paths":' + b"[" * 100_000,
    b'{"t":"announce","records":[{"p":"a","v":{},"k":"file\\n"}]}',
    b'{"t":"announce","records":[{"p":"a","v":{},"k":"socket"}]}',
    b'{"t":"announce","records":[{"p":"a","v":{},"s":-1}]}',
    b'{"t":"announce","records":[{"p":"a","v":{},"s":4611686018427387905}]}',
    b'{"t":"announce","records":[{"p":"a","v":{},"m":-1}]}',
    b'{"t":"announce","records":[{"p":"a","v":{},"m":4102444801000000000}]}',
    b'{"t":"announce","records":[{"p":"a","v":{"x":-1}}]}',
    b'{"t":"announce","records":[{"p":"a","v":{"x":9007199254740993}}]}',
    b'{"t":"announce","records":[{"p":"a","v":{"x":1.5}}]}',
    b'{"t":"announce","records":[{"p":"a","v":[]}]}',
    b'{"t":"announce","records":[{"p":"a"}]}',
    b'{"t":"announce","records":[{"v":{}}]}',
    b'{"t":"announce","records":[{"p":"a","v":{},"x":1}]}',
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_what_makes_no_sense_is_refused(hostile: bytes) -> None:
    for parse, _ in PARSERS:
        with pytest.raises(RemoteProtocolError):
            parse(hostile)


LIMITS: list[tuple[Callable[[bytes], Any], Callable[[int], dict[str, Any]], int]] = [
    (parse_to_tracker, lambda n: {"t": "locate", "id": 1, "paths": ["a"] * n}, WANTS_MAX),
    (parse_on_peer_link, lambda n: {"t": "get", "id": 1, "wants": [{"p": "a", "d": DIGEST}] * n}, WANTS_MAX),
    (parse_to_tracker, lambda n: {"t": "join", "author": "x" * n}, 80),
    (parse_to_tracker, lambda n: {"t": "withdraw", "paths": ["x" * n]}, 4096),
    (parse_to_tracker, lambda n: {"t": "alive", "seq": n, "digest": ""}, 2**53),
    (parse_to_tracker, lambda n: {"t": "announce", "records": [{"p": "a", "v": {}, "s": n}]}, 2**62),
    (
        parse_to_tracker,
        lambda n: {"t": "announce", "records": [{"p": "a", "v": {}, "m": n}]},
        4_102_444_800_999_999_999,
    ),
    (parse_to_tracker, lambda n: {"t": "announce", "records": [{"p": "a", "v": {"x": n}}]}, 2**53),
    (parse_on_peer_link, lambda n: {"t": "block", "id": 1, "want": 1, "body": n}, 2**62),
    (parse_from_tracker, lambda n: {"t": "peers", "peers": [{"n": 1, "ip": "", "port": n}]}, 65535),
    (parse_from_tracker, lambda n: {"t": "peers", "peers": [{"n": 1, "ip": "", "port": 1, "speaks": n}]}, 2),
    (parse_from_tracker, lambda n: {"t": "peers", "peers": [{"n": 1, "ip": "x" * n, "port": 1}]}, 64),
    (parse_on_overlay_link, lambda n: {"t": "query", "id": QUESTION, "ttl": n, "q": "a"}, TTL_MAX),
    (parse_on_overlay_link, lambda n: {"t": "query", "id": QUESTION, "ttl": 1, "q": "a" * n}, 4096),
    (parse_on_overlay_link, lambda n: {"t": "query", "id": QUESTION, "ttl": 1, "q": "a", "most": n}, HITS_MAX),
    (
        parse_on_overlay_link,
        lambda n: {"t": "hello", "author": "", "name": "x" * n, "port": 1, "life": ""},
        PEER_NAME_MAX,
    ),
    (parse_on_overlay_link, lambda n: {"t": "poll", "id": 1, "asks": [{"p": "a", "v": {}}] * n}, POLL_MAX),
    (parse_on_overlay_link, lambda n: {"t": "verdict", "id": 1, "rulings": [{"p": "a"}] * n}, POLL_MAX),
    (parse_on_overlay_link, lambda n: {"t": "verdict", "id": 1, "rulings": [{"p": "a", "ttr_ms": n}]}, TTR_MAX_MS),
    (parse_on_overlay_link, lambda n: {"t": "reconcile", "id": 1, "ranges": [{}] * n}, RANGES_MAX),
    (parse_on_overlay_link, lambda n: {"t": "reconcile", "id": 1, "wants": ["a"] * n}, MARKS_MAX),
    (parse_on_overlay_link, lambda n: {"t": "digests", "id": 1, "marks": [{"p": "a", "m": "0" * 16}] * n}, MARKS_MAX),
]


@pytest.mark.parametrize(("parse", "spell", "limit"), LIMITS, ids=range(len(LIMITS)))
def test_limits_are_kept(parse: Callable[[bytes], Any], spell: Callable[[int], dict[str, Any]], limit: int) -> None:
    parse(json.dumps(spell(limit - 1)).encode())
    parse(json.dumps(spell(limit)).encode())
    with pytest.raises(RemoteProtocolError):
        parse(json.dumps(spell(limit + 1)).encode())


def test_a_message_says_what_it_is_first() -> None:
    assert header(Alive(seq=7, digest="")) == b'{"t":"alive","seq":7,"digest":""}'
    assert header(Block(id=1, want=2, body=3)) == b'{"t":"block","id":1,"want":2,"body":3}'


def test_a_peer_is_reached_where_its_row_says_or_on_the_trackers_machine() -> None:
    row = PeerRow(n=1, ip="192.0.2.7", port=9000, speaks=2)
    there = Source(endpoint=Endpoint("192.0.2.7", 9000), speaks_gsync=True, speaks_native=True)
    here = Source(endpoint=Endpoint("192.0.2.1", 9000))
    assert parse_peer(row, tracker_ip="192.0.2.1") == there
    assert parse_peer(PeerRow(n=1, ip="", port=9000), tracker_ip="192.0.2.1") == here
    assert parse_peer(PeerRow(n=1, ip="", port=9000, speaks=1), tracker_ip="192.0.2.1").speaks_gsync


@pytest.mark.parametrize("row", [("192.0.2.7", 80), ("224.0.0.1", 9000), ("fe80::1%eth0", 9000), ("anna", 9000)])
def test_a_row_that_would_send_us_astray_is_refused(row: tuple[str, int]) -> None:
    with pytest.raises(NameRefused):
        parse_peer(PeerRow(n=1, ip=row[0], port=row[1]), tracker_ip="192.0.2.1")


def test_what_is_decoded_by_the_thousand_is_no_burden_to_the_collector() -> None:
    for kind in (WireRecord, Held, PeerRow, Want, Ask, WireRuling, WireMark):
        assert kind.__struct_config__.gc is False
    assert msgspec.json.decode(msgspec.json.encode(RECORD), type=WireRecord) == RECORD
