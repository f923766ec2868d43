"""The examples of docs/PROTOCOL.md, carried out; and the tables of limits, options, events and exit codes in the docs, compared
with the code.

An example is a fenced block that begins with `example` and its kind; the document says how to read one. A kind that no
runner knows, a line that a runner does not understand, or an answer that differs in a byte fails.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import gevent
import msgspec
import pytest

from gsync.cli import (
    conflicts,
    copies,
    demo,
    lab,
    listing,
    mode,
    orders,
    restore,
    run,
    search,
    shell,
    status,
    stress,
    tracker,
    wait,
    why,
)
from gsync.cli.exits import Exit
from gsync.cli.main import COMMANDS
from gsync.core.directory import Directory
from gsync.core.holders import PeerId
from gsync.core.ignore import is_ignored
from gsync.core.model import Offer, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.vouching import Ticket, Vouching
from gsync.errors import NameRefused, RemoteProtocolError
from gsync.net.simulation import simulated
from gsync.peer.events import Cause, Event
from gsync.tracker.events import TrackerEvent
from gsync.tracker.responses import Asker, Responses
from gsync.wire.answers import AnswerReader, Ending
from gsync.wire.classic import encode_initial, encode_keepalive, parse_directory, parse_peer_message
from gsync.wire.foreign import dialled_endpoint, mtime_s
from gsync.wire.frames import FrameSplitter, frame
from gsync.wire.framing import DIRECTORY_LIMIT_BYTES, JsonSplitter
from gsync.wire.messages import Initial, Keepalive, Refusal
from gsync.wire.native import header
from gsync.wire.overlay import parse_on_overlay_link
from gsync.wire.records import WireRecord, parse_record
from gsync.wire.requests import (
    Edition,
    NativeStart,
    Reading,
    Request,
    RequestReader,
    SortedNames,
    Unfinished,
    Unservable,
)
from tests.unit.peer.native_world import Shop, Talker
from tests.unit.peer.world import THERE, Lan
from tests.unit.tracker.world import Caller, NativeCaller, Swarm, swarm

DOCS = Path(__file__).parents[2] / "docs"
TRACKER_IP = "192.0.2.1"

_BLOCK = re.compile(r"^```example (?P<kind>[a-z ]+)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
_ESCAPE = re.compile(r"\\(?:n|r|t|0|\\|x[0-9a-f]{2})")
_LIMIT = re.compile(r"^\| `(?P<module>gsync[a-z_.]+)\.(?P<name>[A-Z_]+)` \| (?P<value>[^|]+) \|", re.MULTILINE)
_BYTES = {r"\n": b"\n", r"\r": b"\r", r"\t": b"\t", r"\0": b"\0", r"\\": b"\\"}
_UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "ms": 0.001, "s": 1, "days": 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One block: its kind, its lines without remarks, and the line of the document on which it begins."""

    kind: str
    lines: tuple[str, ...]
    at: int

    def __str__(self) -> str:
        return f"{self.kind.replace(' ', '-')}-line-{self.at}"


def examples() -> list[Example]:
    text = (DOCS / "PROTOCOL.md").read_text(encoding="utf-8")
    return [
        Example(
            kind=block["kind"],
            lines=tuple(line for line in block["body"].splitlines() if line and not line.startswith("#")),
            at=text.count("\n", 0, block.start()) + 1,
        )
        for block in _BLOCK.finditer(text)
    ]


def to_bytes(text: str) -> bytes:
    """The bytes that a line of an example stands for."""
    raw, place = b"", 0
    for escape in _ESCAPE.finditer(text):
        raw += text[place : escape.start()].encode()
        raw += _BYTES.get(escape[0]) or bytes.fromhex(escape[0][2:])
        place = escape.end()
    return raw + text[place:].encode()


def to_text(text: str) -> str:
    return to_bytes(text).decode()


# Runners: each carries its lines out and returns what gsync said, as such lines. The example is true if they are equal.


def run_split(lines: tuple[str, ...]) -> list[str]:
    """The objects come out where the example says, in whatever pieces the bytes of a line are fed."""
    told = [_split(lines, step) for step in (10_000, 3, 1)]
    assert told[0] == told[1] == told[2]
    return told[0]


def _split(lines: tuple[str, ...], step: int) -> list[str]:
    splitter, said = JsonSplitter(DIRECTORY_LIMIT_BYTES), list[str]()
    for line in lines:
        if not line.startswith("> "):
            continue
        said.append(line)
        piece = to_bytes(line[2:])
        try:
            for start in range(0, len(piece), step):
                said += [f"< {escaped(message)}" for message in splitter.feed(piece[start : start + step])]
        except RemoteProtocolError as error:
            said.append(f"= refused: {error}" if step > 100 else lines[-1])  # the message quotes what came at once
    return said


def run_peer_message(lines: tuple[str, ...]) -> list[str]:
    (message,) = (line for line in lines if line.startswith("> "))
    try:
        said = parse_peer_message(to_bytes(message[2:]))
    except RemoteProtocolError:
        return [message, "= not a message"]
    match said:
        case Keepalive():
            return [message, "= keepalive"]
        case Initial():
            port = f"port {said.port}" if said.port else "no port"
            files = [f"= {name} at {mtime}" for name, mtime in said.files.items()]
            return [message, f"= initial, {port}", *files, *refusals(said.refused)]


def run_directory(lines: tuple[str, ...]) -> list[str]:
    (message,) = (line for line in lines if line.startswith("> "))
    directory = parse_directory(to_bytes(message[2:]))
    offers = [f"= {name} at {offer.version.mtime_s} from {sources(offer)}" for name, offer in directory.offers.items()]
    tracker = "a tracker of ours" if directory.from_gsync else "a foreign tracker"
    tracker = "a native tracker" if directory.from_native else tracker
    return [message, f"= from {tracker}", *offers, *refusals(directory.refused)]


def run_tracker(lines: tuple[str, ...]) -> list[str]:
    directory = Directory()
    responses = Responses(directory)
    numbers: dict[str, int] = {}
    ours: dict[str, bool] = {}
    said: list[str] = []
    for line in lines:
        ip, _, rest = line.partition(" ")
        number = numbers.setdefault(ip, len(numbers))
        if rest == "leaves":
            directory.leave(PeerId(number))
            said.append(line)
            continue
        if rest.startswith("< "):
            continue
        assert rest.startswith("> "), line
        said.append(line)
        for message in JsonSplitter(DIRECTORY_LIMIT_BYTES).feed(to_bytes(rest[2:])):
            heard = parse_peer_message(message)
            if isinstance(heard, Initial):
                ours[ip] = heard.knows_gsync
                endpoint = Endpoint(ip, heard.port) if heard.port else None
                directory.announce(PeerId(number), endpoint=endpoint, files=heard.files, knows_gsync=heard.knows_gsync)
            asker = Asker(number=number, knows_gsync=ours.get(ip, False), reached_ip=TRACKER_IP)
            said.append(f"{ip} < {in_order(responses.to(asker))}")
    return said


def run_spelling(lines: tuple[str, ...]) -> list[str]:
    said: list[str] = []
    for line in lines:
        if line.startswith("> "):
            continue
        said.append(line)
        kind, port, *files = line.split(", ")
        number = int(port.removeprefix("port "))
        if kind == "initial":
            named = {RelPath.parse(name): int(at) for name, at in (file.split(" at ") for file in files)}
            message = encode_initial(number, named, knows_gsync=True)
        else:
            message = encode_keepalive(number)
        said.append(f"> {escaped(message)}")
    return said


def run_answer(lines: tuple[str, ...]) -> list[str]:
    """What a source's answer means, also when its bytes come one by one."""
    asked = [to_bytes(line[2:]) for line in lines if line.startswith("> ")]
    came = [to_bytes(line[2:]) for line in lines if line.startswith("< ")]
    singly = [bytes([byte]) for piece in came for byte in piece]
    means = _answer(asked, came)
    assert means.startswith("= refused") or means == _answer(asked, singly)
    closes = [line for line in lines if line == "closes"]
    given = [line for line in lines if line.startswith(("> ", "< "))]
    return [*given, *closes, means]


def _answer(asked: list[bytes], came: list[bytes]) -> str:
    edition = Edition.TWO if asked[0].endswith(b"\n") else Edition.ONE
    reader = AnswerReader.undecided() if len(asked) == 2 else AnswerReader(edition)
    try:
        body = b"".join([bytes(reader.body(memoryview(piece))) for piece in came])
    except RemoteProtocolError as error:
        return f"= refused: {error}"
    ending, rest = reader.finish()
    body += bytes(rest)
    if ending is Ending.NOTHING:
        return "= nothing"
    words = {Ending.WHOLE: "whole", Ending.SHORT: "short", Ending.UNTOLD: "length untold"}
    return f"= {words[ending]}: {escaped(body)}" if body else f"= {words[ending]}, empty"


def run_request(lines: tuple[str, ...]) -> list[str]:
    serves = lines[0].removeprefix("serves: ").split(", ")
    reader = RequestReader(SortedNames(RelPath.parse(name) for name in serves))
    said = [lines[0]]
    for line in lines[1:]:
        if line.startswith("= "):
            continue
        reading = reader.settle() if line == "50 ms pass" else reader.feed(to_bytes(line.removeprefix("> ")))
        said += [line, f"= {meaning(reading)}"]
    return said


def run_peer_link(lines: tuple[str, ...]) -> list[str]:
    """Headers are said to a serving peer; its answers come as header and body."""
    name, _, content = lines[0].removeprefix("serves ").partition(": ")
    said = [lines[0]]
    with simulated() as world:
        lan = Lan(world)
        shop = Shop(world, lan, {name: content.encode()})
        with lan.here.dial(THERE) as stream:
            talker = Talker(stream, begins=True)
            for line in lines[1:]:
                if line.startswith("> "):
                    stream.send(frame(line.removeprefix("> ").encode()))
                    said += [line, *_answers(talker)]
        shop.close()
    return said


def _answers(talker: Talker) -> list[str]:
    """What is answered until nothing more comes."""
    came: list[str] = []
    with gevent.Timeout(1.0, False):
        try:
            while True:
                heard = talker.hear()
                came.append(f"< {header(heard.message).decode()} {heard.body.decode()}".rstrip())
        except EOFError:
            came.append("= the link ends")
    return came


def meaning(reading: Reading) -> str:
    match reading:
        case Request():
            return f"edition {reading.edition.value}: {reading.path}"
        case NativeStart():
            return "a native link"
        case Unservable():
            return f"refused: {reading.reason}"
        case Unfinished.NEED_MORE:
            return "reads on"
        case Unfinished.WAIT:
            return "waits 50 ms"


def run_vouching(lines: tuple[str, ...]) -> list[str]:
    vouching = Vouching()
    connected: dict[Endpoint, Ticket] = {}
    free: list[str] = []
    for line in lines[:-1]:
        at, _, event = line.partition(" ")
        endpoint = _endpoint(at)
        for word in event.split(", "):
            match word.split():
                case ["is", "connected", "to"]:
                    connected[endpoint] = vouching.now()
                case ["ends", name, *empty]:
                    vouching.hold(endpoint, RelPath.parse(name), empty=bool(empty))
                case ["gives", "bytes"]:
                    free += vouching.gave_bytes(endpoint, connected[endpoint])
                case ["answers", name, "with", "nothing"]:
                    path = RelPath.parse(name)
                    free += [path] if vouching.gave_nothing(endpoint, path, connected[endpoint]) else []
                case _:
                    pytest.fail(f"what does {line!r} mean?")
    return [*lines[:-1], f"= {', '.join(free) or 'nothing'} is vouched for"]


def _endpoint(text: str) -> Endpoint:
    ip, _, port = text.rpartition(":")
    return Endpoint(ip, int(port))


def judged(judge: Callable[[str], str]) -> Callable[[tuple[str, ...]], list[str]]:
    """A runner of lines `value = verdict`."""

    def run(lines: tuple[str, ...]) -> list[str]:
        said = []
        for line in lines:
            value = line.rpartition(" = ")[0]
            try:
                verdict = judge(value)
            except NameRefused as refused:
                verdict = refused.reason
            said.append(f"{value} = {verdict}")
        return said

    return run


def judge_name(value: str) -> str:
    name = RelPath.parse_flat(to_text(value))
    return "good" if name == to_text(value) else f"read as {name!r}"


def judge_ignored(value: str) -> str:
    return "ignored" if is_ignored(RelPath.parse(value)) else "synced"


def judge_mtime(value: str) -> str:
    return str(mtime_s(json.loads(value)))


def judge_dial(value: str) -> str:
    ip, port = value.split(" ")
    return "good" if dialled_endpoint(ip, int(port)) == Endpoint(ip, int(port)) else "another address"


def judge_record(value: str) -> str:
    parse_record(msgspec.json.decode(value, type=WireRecord))
    return "good"


def judge_overlay(text: str) -> str:
    """Whether a header is one that neighbours say, with nothing lost in it."""
    try:
        message = parse_on_overlay_link(text.encode())
    except RemoteProtocolError:
        return "refused"
    return "good" if header(message).decode() == text else "otherwise"


def run_frames(lines: tuple[str, ...]) -> list[str]:
    """The headers come out where the example says."""
    splitter, said = FrameSplitter(), list[str]()
    for line in lines:
        if not line.startswith("> "):
            continue
        said.append(line)
        splitter.feed(to_bytes(line[2:]))
        try:
            said += [f"< {escaped(found)}" for found in iter(splitter.next, None)]
        except RemoteProtocolError as error:
            said.append(f"= refused: {error}")
    return said


def run_going_native(lines: tuple[str, ...]) -> list[str]:
    """A peer and a tracker of ours, from the first byte to the first frame."""
    said: list[str] = []
    with swarm() as world:
        peer = world.caller()
        for line in lines:
            if not line.startswith("> "):
                continue
            said.append(line)
            peer.say(to_bytes(line[2:]))
            came = peer.raw()
            said += [f"< {escaped(came)}"] if came else []
            said += ["= frames"] if came.endswith(b"\0") else []
            said += ["= closed"] if peer.is_closed() else []
    return said


def run_native_tracker(lines: tuple[str, ...]) -> list[str]:
    """A tracker of ours and native peers: the headers of the frames; between two lines of theirs there are two quiet seconds."""
    said: list[str] = []
    peers: dict[str, Caller] = {}
    with swarm() as world:
        for line in lines:
            ip, verb, rest = f"{line} ".split(" ", 2)
            if verb in ("<", "hears"):
                continue
            said.append(line)
            if ip not in peers:
                peers[ip] = _native_or_classic(world, int(ip.rpartition(".")[2]), verb)
            _do(peers, ip, verb, to_bytes(rest.strip()))
            world.later(2.0)
            said += [f"{name} {told}" for name, peer in peers.items() for told in _told(peer)]
    return said


def _native_or_classic(world: Swarm, number: int, verb: str) -> Caller:
    if verb == "says":
        return world.caller(number)
    peer = world.native(number)
    peer.negotiate()
    return peer


def _do(peers: dict[str, Caller], ip: str, verb: str, said: bytes) -> None:
    match verb:
        case "leaves":
            peers.pop(ip).leave()
        case "says":
            peers[ip].say(said)
        case _:
            peers[ip].say(frame(said))


def _told(peer: Caller) -> list[str]:
    if isinstance(peer, NativeCaller):
        return [f"< {escaped(header(told))}" for told in peer.hear()]
    return [f"hears {line}" for line in peer.raw().decode().splitlines()]


RUNNERS: dict[str, Callable[[tuple[str, ...]], list[str]]] = {
    "split": run_split,
    "peer message": run_peer_message,
    "directory": run_directory,
    "tracker": run_tracker,
    "spelling": run_spelling,
    "answer": run_answer,
    "request": run_request,
    "peer link": run_peer_link,
    "vouching": run_vouching,
    "names": judged(judge_name),
    "ignored": judged(judge_ignored),
    "mtimes": judged(judge_mtime),
    "dials": judged(judge_dial),
    "records": judged(judge_record),
    "overlay": judged(judge_overlay),
    "frames": run_frames,
    "going native": run_going_native,
    "native tracker": run_native_tracker,
}


def escaped(raw: bytes) -> str:
    r"""`raw` as the examples spell it; of the bytes that come back, only backslash, \n, \t and \0 need it."""
    return raw.decode().replace("\\", "\\\\").replace("\n", r"\n").replace("\t", r"\t").replace("\0", r"\0")


def in_order(response: bytes) -> str:
    """A response with its names in order, which the protocol does not promise, and every other byte as it is."""
    start = re.match(rb"\{\t*", response)
    assert start is not None
    entries = re.findall(rb'"(?:[^"\\]|\\.)*":\{[^}]*\}', response)
    end = response[start.end() + len(b",".join(entries)) :]
    return escaped(start[0] + b",".join(sorted(entries)) + end)


def refusals(refused: tuple[Refusal, ...]) -> list[str]:
    return [f"= refused {refusal.name!r}: {refusal.reason}" for refusal in refused]


def sources(offer: Offer) -> str:
    return ", ".join(f"{source.endpoint}{_kind(source)}" for source in offer.sources)


def _kind(source: Source) -> str:
    if source.speaks_native:
        return " (native)"
    return " (ours)" if source.speaks_gsync else ""


@pytest.mark.parametrize("example", examples(), ids=str)
def test_the_example_is_true(example: Example) -> None:
    assert RUNNERS[example.kind](example.lines) == list(example.lines)


def test_there_is_an_example_of_every_kind() -> None:
    assert {example.kind for example in examples()} == RUNNERS.keys()
    assert len(examples()) == (DOCS / "PROTOCOL.md").read_text(encoding="utf-8").count("\n```example ")


@pytest.mark.parametrize("document", ["PROTOCOL.md", "ARCHITECTURE.md"])
def test_the_limits_in_the_docs_are_those_of_the_code(document: str) -> None:
    rows = list(_LIMIT.finditer((DOCS / document).read_text(encoding="utf-8")))
    assert len(rows) > 15
    wrong = {}
    for row in rows:
        real = getattr(importlib.import_module(row["module"]), row["name"], "no such constant")
        if quantity(row["value"]) != real:
            wrong[f"{row['module']}.{row['name']}"] = f"docs: {row['value']}, code: {real}"
    assert not wrong


def quantity(text: str) -> float:
    number, _, unit = text.strip().partition(" ")
    return float(number.replace(",", "")) * _UNITS[unit]


TEXTS = {
    "run": run.TEXT,
    "tracker": tracker.TEXT,
    "demo": demo.TEXT,
    "stress": stress.TEXT,
    "lab": lab.TEXT,
    "status": status.TEXT,
    "wait": wait.TEXT,
    "ls": listing.LS_TEXT,
    "peers": listing.PEERS_TEXT,
    "log": listing.LOG_TEXT,
    "why": why.TEXT,
    "conflicts": conflicts.TEXT,
    "restore": restore.TEXT,
    **{word: orders.text_of(word) for word in orders.TEXTS},
    "search": search.TEXT,
    "get": copies.GET_TEXT,
    "free": copies.FREE_TEXT,
    "refresh": copies.REFRESH_TEXT,
    "mark": copies.MARK_TEXT,
    "mode": mode.MODE_TEXT,
    "ttr": mode.TTR_TEXT,
    "shell": shell.TEXT,
}


def test_every_command_has_its_text_and_its_place_in_the_guide() -> None:
    assert TEXTS.keys() == COMMANDS.keys()
    guide = (DOCS / "guide.md").read_text(encoding="utf-8")
    assert [word for word in TEXTS if f"gsync {word}" not in guide] == []


@pytest.mark.parametrize("word", TEXTS)
def test_the_guide_has_every_option(word: str) -> None:
    guide = (DOCS / "guide.md").read_text(encoding="utf-8")
    options = re.findall(r"(?:^  |, )(--?[a-z][a-z-]*)", TEXTS[word].partition("Options:")[2], re.M)
    assert len(options) > 3
    assert [option for option in options if not re.search(rf"`{option}[`=]", guide)] == []


def test_the_guide_has_every_event_with_its_fields() -> None:
    guide = (DOCS / "guide.md").read_text(encoding="utf-8")
    told = {
        name: re.findall(r"`(\w+)`", row) for name, row in re.findall(r"^\| `([a-z.]+)` \| ([^|]+) \|", guide, re.M)
    }
    for event in (*get_args(Event), *get_args(TrackerEvent)):
        assert told.get(event.name) == list(event.__struct_fields__), event.name


def test_the_guide_has_every_cause_and_exit_code() -> None:
    guide = (DOCS / "guide.md").read_text(encoding="utf-8")
    assert [cause for cause in Cause if f"`{cause}`" not in guide] == []
    told = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|", guide, re.M)}
    assert told.items() <= {code.name: code.value for code in Exit}.items()
