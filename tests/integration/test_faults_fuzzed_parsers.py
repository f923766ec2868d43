"""faults.md row 16: every parser is given mutated input; it raises nothing but the errors of its room, and memory stays flat.

What comes over a wire comes in any pieces, too: each reader of a stream is fed an input whole and cut in two at every offset, and
must say the same. An input is named by its target and its number, and is made again from these.
"""

from __future__ import annotations

import gc
import io
import json
import os
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gsync.core.blocks import digest_of_bytes
from gsync.core.ignore import IgnoreRules, RuleFile
from gsync.core.model import FileMeta, Fingerprint, Kind, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.topology import parse_shape, parse_topology
from gsync.core.versions import Version
from gsync.errors import ConfigError, GsyncError, IndexDamaged, NameRefused, RemoteProtocolError, StorageError
from gsync.net.clock import HubClock
from gsync.storage import rows
from gsync.storage.index import FILE, Index
from gsync.storage.journal import JournalRow, RowState
from gsync.web import api as web_api
from gsync.wire import native, overlay
from gsync.wire.answers import AnswerReader
from gsync.wire.classic import encode_initial, encode_keepalive, parse_directory, parse_peer_message
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.framing import TRACKER_LIMIT_BYTES, JsonSplitter
from gsync.wire.records import parse_paths, parse_record, parse_records, wire_record
from gsync.wire.requests import Edition, NativeStart, Request, RequestReader, SortedNames, Unfinished, Unservable
from tests.integration.fuzzing import mutated
from tests.integration.sizes import limit_s, times
from tests.unit.web.controls import FakeControls

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300))]

INPUTS = 2_500
SPLIT_INPUTS = 100
"""Each of these is read as often as it has bytes; and an index is a file, which takes its time."""

SPLIT_MAX = 600
GROWTH_MAX = 24 * 1024**2

AUTHOR, OTHER = "5f0c2a1b9d3e4f60", "00c4f1e2d3b4a596"
VERSION = Version.from_vector({AUTHOR: 3, OTHER: 1, "mtime": 1_700_000_000})
DIGEST = digest_of_bytes(b"hello")
PATH = RelPath.parse("a/b c.txt")


def _record(**changes: object) -> Record:
    usual = {"path": PATH, "kind": Kind.FILE, "version": VERSION, "digest": DIGEST, "size": 5, "mtime_ns": 5 * 10**9}
    return Record(**{**usual, "author": AUTHOR, **changes})  # type: ignore[arg-type]


RECORDS = (
    _record(),
    _record(executable=True, moved_from=RelPath.parse("was")),
    _record(kind=Kind.LINK, digest="", size=0, mtime_ns=0, target="../elsewhere"),
    _record(kind=Kind.DIRECTORY, digest="", size=0, mtime_ns=0),
    _record(deleted=True, size=0, mtime_ns=0),
)
WIRES = [wire_record(record) for record in RECORDS]
HELD = [native.Held(r=wire, h=[0, 3]) for wire in WIRES]
PEER = native.PeerRow(n=1, ip="192.0.2.3", port=9000, speaks=2, name="ann", author=AUTHOR)
AT = overlay.PeerAt(name="ann", port=9000, ip="192.0.2.3")
SPAN = overlay.WireRange(start="a", end="b", digest="0123456789abcdef", count=3)

TO_TRACKER = (
    native.Join(author=AUTHOR, name="ann"),
    native.Announce(records=WIRES, all=True, more=True),
    native.Withdraw(paths=["a", "b/c"]),
    native.Alive(seq=7, digest="0123456789abcdef"),
    native.Locate(id=1, paths=["a", "b/c"]),
    native.Resync(),
)
FROM_TRACKER = (
    native.Welcome(epoch="epoch", seq=3, names_only=True),
    native.Peers(peers=[PEER], gone=[2]),
    native.Snapshot(seq=3, held=HELD, last=True),
    native.Delta(prev=3, seq=4, held=HELD, lost=["a/b"], more=True),
    native.Ack(seq=4, digest="0123456789abcdef"),
    native.Located(id=1, holders=[[1, 2], []]),
)
ON_PEER_LINK = (
    native.Get(id=7, wants=[native.Want(p="a", d=DIGEST), native.Want(p="b", d=DIGEST, offset=1024, count=5)]),
    native.Block(id=7, want=0, body=5),
    native.GetBlocks(id=8, p="a", d=DIGEST),
    native.BlockList(id=8, body=32),
    native.Busy(id=9),
    native.Ping(id=10),
    native.Pong(id=10),
)
ON_OVERLAY = (
    overlay.Hello(author=AUTHOR, name="ann", port=9000, life="0123456789abcdef", seq=3, visit=True),
    overlay.Query(id="0" * 32, ttl=16, q="*.txt", most=3),
    overlay.Hit(id="0" * 32, r=WIRES[0], at=AT, origin=AT, ttr_ms=500, load=2, hops=3),
    overlay.Invalidate(r=WIRES[1], at=AT, life="0123456789abcdef", seq=9, hops=3, ttr_ms=10),
    overlay.Poll(id=1, asks=[overlay.Ask(p="a", v={AUTHOR: 1})]),
    overlay.Verdict(
        id=1, rulings=[overlay.WireRuling(p="a", ok=True, ttr_ms=5), overlay.WireRuling(p="b", r=WIRES[0])]
    ),
    overlay.Reconcile(id=2, ranges=[SPAN], wants=["a", "b/c"]),
    overlay.Digests(id=2, ranges=[SPAN], listed=[SPAN], marks=[overlay.WireMark(p="a", m="0123456789abcdef")]),
)
DIRECTORY = (
    b'{\t\t"a":{"ip":"192.0.2.3","port":9002,"mtime":5,"gsync":2,"also":"192.0.2.4:9003 [2001:db8::1]:9004"}}\n',
    b'{"a":{"ip":"::1","port":9002,"mtime":5.75},"b":{"ip":"127.0.0.1","port":1,"mtime":-1}}',
)
PEER_MESSAGES = (
    encode_initial(9000, {RelPath.parse("a"): 5, RelPath.parse("b c"): 6}, knows_gsync=True, knows_native=True),
    b'{"port":9000,"files":[{"name":"a","mtime":5.5},{"name":"b","mtime":1e9}]}',
    encode_keepalive(9000),
)
NAMES = SortedNames()
for _name in ("a", "a b", "ab", "\u00fcber", "quoted", "x.txt"):
    NAMES.add(RelPath.parse(_name))

Parse = Callable[[bytes], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A parser, good input for it, and what it may raise."""

    name: str
    seeds: Sequence[bytes]
    parse: Parse
    may_raise: tuple[type[GsyncError], ...] = (RemoteProtocolError,)

    def __str__(self) -> str:
        return self.name


def _headers(messages: Sequence[native.Message]) -> list[bytes]:
    return [native.header(message) for message in messages]


def _frames(data: bytes) -> list[bytes]:
    """All that a link would take from these bytes, bodies as well."""
    splitter = FrameSplitter()
    return _more_frames(splitter, data)


def _more_frames(splitter: FrameSplitter, data: bytes) -> list[bytes]:
    splitter.feed(data)
    found: list[bytes] = []
    while (head := splitter.next()) is not None:
        found.append(head)
    return found


def _to_tracker(data: bytes) -> object:
    match native.parse_to_tracker(data):
        case native.Announce(records=records):
            return parse_records(records)
        case native.Withdraw(paths=paths) | native.Locate(paths=paths):
            return parse_paths(paths)
        case other:
            return other


def _from_tracker(data: bytes) -> object:
    match native.parse_from_tracker(data):
        case native.Peers(peers=peers):
            return [native.parse_peer(peer, tracker_ip="192.0.2.1") for peer in peers]
        case native.Snapshot(held=held):
            return [parse_record(one.r) for one in held]
        case native.Delta(held=held, lost=lost):
            return [parse_record(one.r) for one in held], parse_paths(lost)
        case other:
            return other


def _on_overlay(data: bytes) -> object:
    match overlay.parse_on_overlay_link(data):
        case overlay.Hit(r=record, at=at, origin=origin):
            places = [overlay.placed(one, neighbour_ip="192.0.2.9") for one in (at, origin) if one]
            return parse_record(record), [overlay.parse_place(one, neighbour_ip="127.0.0.1") for one in places]
        case overlay.Invalidate(r=record, at=at):
            return parse_record(record), overlay.parse_place(at, neighbour_ip="192.0.2.9")
        case overlay.Verdict(rulings=rulings):
            return [parse_record(ruling.r) for ruling in rulings if ruling.r]
        case overlay.Reconcile(ranges=ranges, wants=wants):
            return [overlay.parse_range(one) for one in ranges], parse_paths(wants)
        case overlay.Digests() as digests:
            return overlay.parse_digests(digests)
        case other:
            return other


def _ignore_rules(data: bytes) -> object:
    rules = IgnoreRules(RuleFile.parse(data), RuleFile.parse(data[::-1]))
    return [rules.is_ignored(RelPath.parse(path)) for path in ("a", "a/b/c.txt", "build/x", "\u00fc/[1]", "x" * 200)]


def _topology(data: bytes) -> object:
    text = data.decode(errors="surrogateescape")
    return parse_shape(text), parse_topology(text, source="a file")


def _entry_row(data: bytes) -> object:
    return rows.Reader().entry(_columns(data, 9))


def _synced_row(data: bytes) -> object:
    return rows.Reader().synced(_columns(data, 2))


def _journal_row(data: bytes) -> object:
    return rows.parse_journal(_columns(data, 7))


def _columns(data: bytes, count: int) -> list[str]:
    """What SQLite would hand out: so many texts, of which none need be what was put in."""
    columns = data.decode(errors="replace").split("\x1f")
    return (columns + [""] * count)[:count]


def _row(columns: Sequence[str]) -> bytes:
    return "\x1f".join(columns).encode()


META = FileMeta(
    fingerprint=Fingerprint(size=5, mtime_ns=7, ctime_ns=8, inode=9, mode=0o100644, kind=Kind.FILE),
    version=VERSION,
    digest=DIGEST,
    author=AUTHOR,
)
GRAVE = Tombstone(version=VERSION, kind=Kind.FILE, digest=DIGEST, author=AUTHOR, leftover_inode=7)
JOURNAL = JournalRow(
    name="0123456789abcdef", path=PATH, state=RowState.STAGED, entry=META, expected=META.fingerprint, loser=META
)

API = web_api.api(FakeControls(), clock=HubClock())
ORDERS = (
    b'POST /v1/keep {"choice":"mine","names":["a"]}',
    b'POST /v1/restore {"names":["a"],"box":""}',
    b'POST /v1/get {"names":["a"],"holder":"ann","output":""}',
    b'POST /v1/mark {"name":"a","valid":true}',
    b'POST /v1/mode {"mode":"push"}',
    b'POST /v1/ttr {"seconds":5}',
    b'POST /v1/free {"names":["a"]}',
    b"POST /v1/pause {}",
    b"GET /v1/status ",
    b"GET /v1/why?path=a%2fb ",
    b"GET /v1/wait?seconds=0 ",
    b"GET /v1/ls?beneath=a ",
    b"GET /v1/log?last=5 ",
    b"GET /v1/trash?beneath=%ff ",
    b"GET /v1/search?pattern=*&ttl=3&wait=0.1 ",
    b"GET /v1/copies?beneath=a ",
)


def _asked(data: bytes) -> int:
    """What the control API answers to a method, a place and a body; whatever it is, it is an answer."""
    method, _, rest = data.decode("latin-1").partition(" ")
    place, _, body = rest.partition(" ")
    path, _, query = place.partition("?")
    if "wait" in path or "search" in path:
        query = ""  # how long to wait is not fuzzed: it would be waited
    raw = body.encode("latin-1")
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(raw)),
        "SERVER_NAME": "gsync",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": io.BytesIO(raw),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
    }
    b"".join(API(environ, lambda status, headers, exc_info=None: said.append(status)))
    status = int(said[0].split()[0])
    assert status < 500, said
    return status


TARGETS = (
    Target(name="frames", seeds=[frame(h) for h in _headers(TO_TRACKER + ON_PEER_LINK)], parse=_frames),
    Target(name="to the tracker", seeds=_headers(TO_TRACKER), parse=_to_tracker),
    Target(
        name="from the tracker",
        seeds=_headers(FROM_TRACKER),
        parse=_from_tracker,
        may_raise=(RemoteProtocolError, NameRefused),
    ),
    Target(name="on a peer link", seeds=_headers(ON_PEER_LINK), parse=native.parse_on_peer_link),
    Target(name="first on a peer link", seeds=_headers((*ON_PEER_LINK, ON_OVERLAY[0])), parse=overlay.parse_first),
    Target(
        name="between neighbours",
        seeds=_headers(ON_OVERLAY),
        parse=_on_overlay,
        may_raise=(RemoteProtocolError, NameRefused),
    ),
    Target(name="classic messages", seeds=PEER_MESSAGES, parse=parse_peer_message),
    Target(name="classic directories", seeds=DIRECTORY, parse=parse_directory),
    Target(name="the control API", seeds=ORDERS, parse=_asked),
    Target(
        name="ignore rules",
        seeds=(b"*.tmp\n!keep.tmp\n/build/\n**/x\n[a-c]?\n# no\n\\#yes\n", b"a/**/b\n[!x]\n*" * 3),
        parse=_ignore_rules,
        may_raise=(),
    ),
    Target(
        name="topologies",
        seeds=(b"ann,ben,cleo\nben,ann\ncleo,ann\n", b"# all\nann,ben\nben,ann", b"random:4", b"grid"),
        parse=_topology,
        may_raise=(ConfigError,),
    ),
    Target(
        name="entries of the index",
        seeds=[_row(rows.entry_row(PATH, entry)) for entry in (META, GRAVE)],
        parse=_entry_row,
        may_raise=(IndexDamaged,),
    ),
    Target(
        name="agreed versions of the index",
        seeds=[_row(rows.synced_row(PATH, VERSION))],
        parse=_synced_row,
        may_raise=(IndexDamaged,),
    ),
    Target(
        name="journal rows of the index",
        seeds=[_row(rows.journal_row(JOURNAL))],
        parse=_journal_row,
        may_raise=(IndexDamaged,),
    ),
)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_no_parser_raises_anything_but_its_own_errors_and_none_grows(target: Target) -> None:
    refused = 0
    before = 0
    for number in range(times(INPUTS)):
        data = mutated(random.Random(f"{target} {number}"), target.seeds)
        try:
            target.parse(data)
        except target.may_raise:
            refused += 1
        except Exception as error:
            raise AssertionError(f"{target}, input {number}: {data[:2000]!r}") from error
        if number == INPUTS // 5:
            before = _memory()
    grown = _memory() - before
    print(f"row 16: {target}: {times(INPUTS)} inputs, {refused} refused, {grown // 1024} KiB grown")
    assert grown < GROWTH_MAX


def _memory() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _split_objects(pieces: Sequence[bytes]) -> object:
    splitter = JsonSplitter(TRACKER_LIMIT_BYTES)
    return [found for piece in pieces for found in splitter.feed(piece)], splitter.pending


def _split_frames(pieces: Sequence[bytes]) -> object:
    splitter = FrameSplitter()
    return [found for piece in pieces for found in _more_frames(splitter, piece)], splitter.pending


def _split_request(pieces: Sequence[bytes]) -> object:
    """Nothing to be compared: a name that no newline follows *yet* is a request of edition 1 (PROTOCOL.md, "Requests")."""
    reader = RequestReader(NAMES)
    for piece in pieces:
        reading = reader.feed(piece)
        assert isinstance(reading, Request | Unservable | NativeStart | Unfinished)
        if not isinstance(reading, Unfinished):
            return None
    assert isinstance(reader.settle(), Request | Unfinished)
    assert isinstance(reader.end(), Request | Unservable)
    return None


def _split_answer(make: Callable[[], AnswerReader]) -> Callable[[Sequence[bytes]], object]:
    def read(pieces: Sequence[bytes]) -> object:
        reader = make()
        body = b"".join(bytes(reader.body(memoryview(piece))) for piece in pieces if piece)
        ending, rest = reader.finish()
        return body + bytes(rest), ending, reader.expected

    return read


STREAMS: dict[str, tuple[Sequence[bytes], Callable[[Sequence[bytes]], object]]] = {
    "objects": ((*PEER_MESSAGES, *DIRECTORY, b"".join(PEER_MESSAGES)), _split_objects),
    "frames": ([frame(h) for h in _headers(TO_TRACKER + ON_PEER_LINK)], _split_frames),
    "requests": ((b"a b\n", b"\xc3\xbcber\r\n", b'"quoted"\n', b"nothing\n"), _split_request),
    "answers of edition 1": (
        (b"some bytes", b"Content-Length: 5\nhello"),
        _split_answer(lambda: AnswerReader(Edition.ONE)),
    ),
    "answers of edition 2": (
        (b"Content-Length: 5\nhello", b"content-length:0\r\n"),
        _split_answer(lambda: AnswerReader(Edition.TWO)),
    ),
    "answers of either": (
        (b"Content-Length: 5\nhello", b"Content-Leng", b"bytes"),
        _split_answer(AnswerReader.undecided),
    ),
}
"""How a stream is read that comes in these pieces: what it says, which must not depend on them."""


@pytest.mark.parametrize("name", STREAMS)
def test_no_reader_cares_where_its_input_is_cut(name: str) -> None:
    seeds, read = STREAMS[name]
    cuts = 0
    for number in range(times(SPLIT_INPUTS)):
        data = mutated(random.Random(f"{name} {number}"), seeds)[:SPLIT_MAX]
        whole = _outcome(read, [data])
        for at in range(1, len(data)):
            assert _outcome(read, [data[:at], data[at:]]) == whole, f"{name}, input {number} at {at}: {data!r}"
            cuts += 1
    print(f"row 16: {name}: {times(SPLIT_INPUTS)} inputs, cut at {cuts} offsets")


def _outcome(read: Callable[[Sequence[bytes]], object], pieces: Sequence[bytes]) -> object:
    try:
        return read(pieces)
    except RemoteProtocolError:
        return "refused"


def test_a_damaged_index_file_is_told_and_never_trips_us(tmp_path: Path) -> None:
    place = tmp_path / "own"
    place.mkdir()
    index = Index.open(place, root_id="root")
    index.record(
        entries={RelPath.parse(f"file {number}"): META for number in range(50)},
        synced={PATH: VERSION},
        journal=[JOURNAL],
        scanned=True,
    )
    index.close()
    good = (place / FILE).read_bytes()
    told = 0
    for number in range(times(SPLIT_INPUTS)):
        for path in place.iterdir():
            path.unlink()
        rng = random.Random(number)
        damaged = bytearray(good)
        for _ in range(rng.choice((1, 4, 64))):
            damaged[rng.randrange(len(good))] = rng.randrange(256)
        (place / FILE).write_bytes(damaged[: rng.choice((len(good), rng.randrange(len(good))))])
        try:
            index = Index.open(place, root_id="root")
            try:
                index.load()
                index.journal()
            finally:
                index.close()
        except (StorageError, ConfigError):
            told += 1
        except Exception as error:
            raise AssertionError(f"damaged index {number}") from error
    print(f"row 16: {times(SPLIT_INPUTS)} damaged index files, {told} of them refused, the others set aside or read")


def test_what_the_mutations_begin_with_is_good_input() -> None:
    """A seed that a parser refuses would fuzz nothing but its first line."""
    for target in TARGETS:
        for seed in target.seeds:
            if target.name in {"topologies", "classic directories"} and seed in (b"random:4", b"grid"):
                continue
            target.parse(seed)
    assert json.loads(native.header(ON_OVERLAY[0]))["t"] == "hello"
