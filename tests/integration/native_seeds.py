"""One good message of each kind that our programs say to each other, and rows that they remember, for fuzzers to begin with."""

from __future__ import annotations

from collections.abc import Sequence

from gsync.core.blocks import digest_of_bytes
from gsync.core.model import FileMeta, Fingerprint, Kind, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.storage.journal import JournalRow, RowState
from gsync.wire import native, overlay
from gsync.wire.classic import encode_initial, encode_keepalive
from gsync.wire.records import wire_record

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
"""Two entries of an index, and a row of its journal."""


def headers(messages: Sequence[native.Message]) -> list[bytes]:
    """How they are spelled."""
    return [native.header(message) for message in messages]
