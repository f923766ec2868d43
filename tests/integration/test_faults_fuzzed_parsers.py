"""faults.md row 16: every parser is given mutated input; it raises nothing but the errors of its room, and memory stays flat.

An input is named by its target and its number, and is made again from these. What comes in pieces is
in `test_faults_fuzzed_streams.py`, and what running programs make of it in `test_faults_fuzzed_conversations.py`.
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

from gsync.core.ignore import IgnoreRules, RuleFile
from gsync.core.names import RelPath
from gsync.core.topology import parse_shape, parse_topology
from gsync.errors import ConfigError, GsyncError, IndexDamaged, NameRefused, RemoteProtocolError
from gsync.net.clock import HubClock
from gsync.storage import rows
from gsync.web import api as web_api
from gsync.wire import native, overlay
from gsync.wire.classic import parse_directory, parse_peer_message
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.records import parse_paths, parse_record, parse_records
from tests.integration.fuzzing import mutated
from tests.integration.native_seeds import (
    DIRECTORY,
    FROM_TRACKER,
    GRAVE,
    JOURNAL,
    META,
    ON_OVERLAY,
    ON_PEER_LINK,
    PATH,
    PEER_MESSAGES,
    TO_TRACKER,
    VERSION,
    headers,
)
from tests.integration.sizes import limit_s, times
from tests.unit.web.controls import FakeControls

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300))]

INPUTS = 2_500
GROWTH_MAX = 24 * 1024**2

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


def _frames(data: bytes) -> list[bytes]:
    """All headers that a link would take from these bytes."""
    splitter = FrameSplitter()
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
    Target(name="frames", seeds=[frame(h) for h in headers(TO_TRACKER + ON_PEER_LINK)], parse=_frames),
    Target(name="to the tracker", seeds=headers(TO_TRACKER), parse=_to_tracker),
    Target(
        name="from the tracker",
        seeds=headers(FROM_TRACKER),
        parse=_from_tracker,
        may_raise=(RemoteProtocolError, NameRefused),
    ),
    Target(name="on a peer link", seeds=headers(ON_PEER_LINK), parse=native.parse_on_peer_link),
    Target(name="first on a peer link", seeds=headers((*ON_PEER_LINK, ON_OVERLAY[0])), parse=overlay.parse_first),
    Target(
        name="between neighbours",
        seeds=headers(ON_OVERLAY),
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


def test_what_the_mutations_begin_with_is_good_input() -> None:
    """A seed that a parser refuses would fuzz nothing but its first line."""
    for target in TARGETS:
        for seed in target.seeds:
            if target.name in {"topologies", "classic directories"} and seed in (b"random:4", b"grid"):
                continue
            target.parse(seed)
    assert json.loads(native.header(ON_OVERLAY[0]))["t"] == "hello"
