"""The local API over a real socket in a temporary folder: what is answered, and what is refused."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from gsync.core.copies import CopyState, Mode
from gsync.core.keeping import Keep
from gsync.core.status import Dialect, Settled, TrackerSeen
from gsync.errors import ConfigError, NameRefused, StorageError, UnknownName
from gsync.net.breathing import breathe
from gsync.net.clock import HubClock
from gsync.net.unix import dial
from gsync.web import control
from gsync.web.api import BODY_MAX_BYTES, LOG_MAX_LINES, WAIT_MAX_S
from gsync.web.client import Client, NotRunning, Unresponsive
from gsync.web.control import ControlServer
from gsync.web.controls import SEARCH_WAIT_MAX_S, TTR_MAX_S
from tests.unit.web.controls import COPY, TRACKER, FakeControls, copy, name, status


def eventually(condition: Callable[[], object]) -> None:
    """Let the others run until `condition` is true; the test's own timeout is the bound."""
    while not condition():
        gevent.sleep(0.001)


class World:
    """A served peer, and a client of it."""

    def __init__(self, own_fd: int) -> None:
        self.own_fd = own_fd
        self.controls = FakeControls()
        self.server = ControlServer(self.controls, own_fd=own_fd, clock=HubClock())
        self.client = Client(own_fd)

    def raw(self, request: bytes) -> tuple[int, dict[str, object]]:
        """What is answered to these bytes: the status, and the body as JSON; (0, {}) when it is only closed."""
        with dial(self.own_fd, "control", timeout_s=10) as sock:
            sock.sendall(request)
            return _parsed(_rest(sock))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    world = World(fd)
    yield world
    world.server.close()
    os.close(fd)


def _rest(sock: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionResetError):  # closed although more had been sent
        while piece := sock.recv(65536):
            got += piece
    return got


def _parsed(answer: bytes) -> tuple[int, dict[str, object]]:
    if not answer:
        return 0, {}
    head, _, body = answer.partition(b"\r\n\r\n")
    try:
        return int(head.split()[1]), json.loads(body)
    except ValueError:
        return int(head.split()[1]), {}


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: gsync", *headers, "", ""]).encode("ascii") + body


def test_a_status_is_answered_as_plain_json(world: World) -> None:
    world.controls.shown = status(
        tracker=TrackerSeen(endpoint=TRACKER, is_up=False, dialect=Dialect.NONE, reason="connection refused"),
        in_sync=False,
        reason="the tracker does not answer",
        conflict_names=(COPY,),
    )
    said = world.client.get("status")
    assert said["v"] == 1
    assert said["tracker"] == {
        "endpoint": "192.0.2.10:9000",
        "is_up": False,
        "dialect": "none",
        "reason": "connection refused",
    }
    assert (said["in_sync"], said["conflict_names"], said["here"]["bytes"]) == (False, [COPY], 2048)


def test_a_listing_comes_in_lines(world: World) -> None:
    lines = list(world.client.list("ls"))
    assert [(line["v"], line["path"], line["state"]) for line in lines] == [
        (1, "a.txt", "synced"),
        (1, "photos/b.jpg", "missing"),
    ]
    assert lines[0]["holders"] == ["192.0.2.20:42603"]
    assert [line["path"] for line in world.client.list("ls", beneath="photos")] == ["photos/b.jpg"]


def test_a_listing_of_nothing_is_no_line(world: World) -> None:
    world.controls.entries = []
    assert list(world.client.list("ls")) == []


@pytest.mark.parametrize("path", ["a.txt", "Grüße 🎉.txt", "a b&c=d%20?#.txt", "n" * 255, '"\\'])
def test_any_name_can_be_asked_for(world: World, path: str) -> None:
    world.controls.entries = [world.controls.entries[0].__class__(**{**_fields(world), "path": name(path)})]
    assert world.client.get("why", path=path)["path"] == path


def _fields(world: World) -> dict[str, object]:
    entry = world.controls.entries[0]
    return {field: getattr(entry, field) for field in entry.__struct_fields__}


def test_the_other_questions_have_their_answers(world: World) -> None:
    assert [peer["endpoint"] for peer in world.client.list("peers")] == ["192.0.2.20:42603"]
    assert [line["event"] for line in world.client.list("log", last="5")] == ["file.fetched"]
    assert list(world.client.list("conflicts")) == []
    assert [one["box"] for one in world.client.list("trash")] == ["20261122T060018Z-62c09ab6"]
    assert list(world.client.list("trash", beneath="other.txt")) == []


def test_orders_are_given_and_what_came_of_them_is_told(world: World) -> None:
    assert world.client.order("release")["released"] == 412
    assert world.client.order("scan")["changed"] == 2
    for word in ("pause", "resume", "stop"):
        assert world.client.order(word) == {"v": 1}
    kept = list(world.client.carry_out("keep", {"choice": "mine", "names": ["notes.txt", "b.txt"]}))
    restored = list(world.client.carry_out("restore", {"names": ["notes.txt"], "box": "here"}))
    assert [one["stands_at"] for one in kept] == ["notes.txt", "b.txt"]
    assert [one["path"] for one in restored] == ["notes.txt"]
    assert world.controls.told == [
        *["release", "scan", "pause", "resume", "stop"],
        (Keep.MINE, ("notes.txt", "b.txt")),
        (("notes.txt",), "here"),
    ]


def test_hits_are_told_as_they_come(world: World) -> None:
    comes = Event()
    inside = _held_at(world, comes)
    hits = world.client.list("search", pattern="a.*", ttl="3", seconds="1.5")
    first = gevent.spawn(next, hits)
    eventually(lambda: inside)
    comes.set()
    said = first.get()
    comes.clear()
    assert (said["holder"], said["state"], said["version"], said["is_here"]) == ("ann", "OWNED", "1a2b3c4d:3", True)
    eventually(lambda: len(inside) == 2)  # the first one was here before the second one came
    comes.set()
    assert [one["holder"] for one in hits] == ["ben"]
    assert world.controls.told == [("a.*", 3, 1.5)]


def test_the_overlay_and_the_copies_are_told(world: World) -> None:
    world.controls.seen_copies = [copy("a.txt", CopyState.VALID, ttr_s=85.0), copy("photos/b.jpg", CopyState.INVALID)]
    said = world.client.get("overlay")
    assert (said["name"], said["mode"], said["neighbours"][0]["endpoint"]) == ("ann", "hybrid", "192.0.2.20:42603")
    assert [one["state"] for one in world.client.list("copies")] == ["VALID", "INVALID"]
    assert [one["path"] for one in world.client.list("copies", beneath="photos")] == ["photos/b.jpg"]


def test_orders_that_go_over_the_overlay(world: World) -> None:
    got = list(world.client.carry_out("get", {"names": ["a.txt"], "holder": "cleo", "output": "/tmp/a.txt"}))
    assert [(one["holder"], one["output"], one["reason"]) for one in got] == [("cleo", "/tmp/a.txt", "")]
    assert [one["state"] for one in world.client.carry_out("refresh", {"names": []})] == ["VALID"]
    assert [one["path"] for one in world.client.carry_out("free", {"names": ["a.txt"]})] == ["a.txt"]
    marked = list(world.client.carry_out("mark", {"names": ["a.txt"], "valid": False}))
    assert marked == [{"v": 1, "path": "a.txt", "version": "1a2b3c4d:4"}]
    assert world.client.order("mode", {"mode": "lazy"}) == {"v": 1}
    assert world.client.order("ttr", {"seconds": 30}) == {"v": 1}
    assert world.controls.told == [
        (("a.txt",), "cleo", "/tmp/a.txt"),
        (),
        ("a.txt", False),
        Mode.LAZY,
        30.0,
    ]


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("get", {"names": []}),
        ("get", {"names": ["a"], "output": "here"}),
        ("get", {"names": ["a"], "output": "/a\0b"}),
        ("get", {"names": ["a"], "holder": "a,b"}),
        ("free", {"names": []}),
        ("mark", {"names": [], "valid": True}),
        ("mark", {"names": ["a"]}),
        ("mode", {"mode": "pushy"}),
        ("ttr", {"seconds": 0}),
        ("ttr", {"seconds": TTR_MAX_S + 1}),
        ("ttr", {}),
    ],
)
def test_an_order_over_the_overlay_that_makes_no_sense_is_refused(
    world: World, what: str, body: dict[str, object]
) -> None:
    with pytest.raises(NameRefused):
        list(world.client.carry_out(what, body))
    assert world.controls.told == []


def test_an_error_comes_back_as_what_it_was(world: World) -> None:
    with pytest.raises(UnknownName, match=r"nothing is known of no\.txt") as unknown:
        world.client.get("why", path="no.txt")
    assert unknown.value.advice == "gsync ls"
    with pytest.raises(NameRefused, match="is not a name"):
        world.client.get("why", path="../etc/passwd")


def test_an_error_in_the_middle_ends_the_lines_that_came_before_it(world: World) -> None:
    lines = world.client.carry_out("keep", {"choice": "both", "names": ["notes.txt", "unknown"]})
    assert next(lines)["stands_at"] == "notes.txt"
    with pytest.raises(UnknownName, match="unknown has no conflict copy"):
        next(lines)


@pytest.mark.parametrize(
    "error", [ConfigError("x", advice="y"), StorageError("x")], ids=lambda error: type(error).__name__
)
def test_errors_keep_their_kind(world: World, error: Exception) -> None:
    def fail() -> None:
        raise error

    world.controls.before_answer = fail
    with pytest.raises(type(error), match=r"^x$"):
        world.client.get("status")


def test_waiting_ends_when_all_is_settled(world: World) -> None:
    world.controls.settled_answers = [Settled(settled=False, reason="2 names to fetch")] * 3 + [Settled(settled=True)]
    assert world.client.get("wait", seconds="20") == {"v": 1, "settled": True, "reason": "", "stuck": False}
    assert world.controls.told == ["settled"] * 4


def test_waiting_for_no_time_tells_what_is_missing(world: World) -> None:
    world.controls.settled_answers = [Settled(settled=False, reason="2 names to fetch")]
    assert world.client.get("wait", seconds="0") == {
        "v": 1,
        "settled": False,
        "reason": "2 names to fetch",
        "stuck": False,
    }
    assert world.controls.told == ["settled"]


def test_waiting_ends_after_the_time_that_was_given(world: World) -> None:
    world.controls.settled_answers = [Settled(settled=False, reason="paused")]
    assert world.client.get("wait", seconds="0.05")["reason"] == "paused"
    assert len(world.controls.told) >= 2


def test_answers_that_are_made_at_the_same_time_are_not_mixed_up(world: World) -> None:
    """bottle's own request and response are shared by all greenlets of a thread."""
    turns: list[Event] = []
    world.controls.before_answer = lambda: _wait_for_my_turn(turns)

    def why(path: str) -> object:
        try:
            return world.client.get("why", path=path)["path"]
        except UnknownName as error:
            return str(error)

    asked = [gevent.spawn(why, path) for path in ("a.txt", "no.txt", "photos/b.jpg", "nor.txt")]
    listing = gevent.spawn(lambda: [line["path"] for line in world.client.list("ls")])
    everybody = [*asked, listing]
    while not all(one.ready() for one in everybody):
        if turns:
            turns.pop().set()  # the last one to come is the first one to go on
        gevent.sleep(0.001)
    assert [one.value for one in asked] == [
        *["a.txt", "nothing is known of no.txt", "photos/b.jpg", "nothing is known of nor.txt"],
    ]
    assert listing.value == ["a.txt", "photos/b.jpg"]


def _held_at(world: World, go_on: Event) -> list[int]:
    """From now on answers wait for `go_on`; the list grows with each that does."""
    inside: list[int] = []

    def hold() -> None:
        inside.append(1)
        go_on.wait()

    world.controls.before_answer = hold
    return inside


def _wait_for_my_turn(turns: list[Event]) -> None:
    turns.append(Event())
    turns[-1].wait()


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("GET /v1/status", ["Origin: http://evil.example"], 403),
        ("POST /v1/stop", ["Origin: null", "Content-Length: 0"], 403),
        ("GET /v1/stop", [], 405),
        ("POST /v1/status", ["Content-Length: 0"], 405),
        ("OPTIONS /v1/status", ["Access-Control-Request-Method: POST"], 405),
        ("GET /", [], 404),
        ("GET /v1/nothing", [], 404),
        ("GET /v1/why", [], 400),
        ("GET /v1/why?path=../x", [], 400),
        ("GET /v1/why?path=%ff", [], 400),
        ("GET /v1/ls?beneath=/etc", [], 400),
        ("GET /v1/wait?seconds=soon", [], 400),
        ("GET /v1/wait?seconds=nan", [], 400),
        (f"GET /v1/wait?seconds={WAIT_MAX_S + 1}", [], 400),
        (f"GET /v1/log?last={LOG_MAX_LINES + 1}", [], 400),
        ("GET /v1/search?ttl=3", [], 400),
        ("GET /v1/search?pattern=a&ttl=256", [], 400),
        (f"GET /v1/search?pattern=a&seconds={SEARCH_WAIT_MAX_S + 1}", [], 400),
        ("POST /v1/search", ["Content-Length: 0"], 405),
        ("GET /v1/get", [], 405),
        ("POST /v1/keep", ["Content-Length: 0"], 400),
        ("POST /v1/keep", ["Content-Type: application/json", "Content-Length: 0"], 400),
        ("POST /v1/keep", ["Content-Type: application/json", f"Content-Length: {BODY_MAX_BYTES + 1}"], 400),
        ("POST /v1/keep", ["Content-Type: application/json", "Transfer-Encoding: chunked"], 400),
        ("GET /v1/status", [f"X: {'x' * control.HEAD_MAX_BYTES}"], 400),
        ("GET /v1/status", ["X: x"] * 5000, 400),
        (f"GET /v1/why?path={'x' * 9000}", [], 414),
        ("nonsense", [], 400),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, (str, int)) else "",
)
def test_what_is_asked_wrongly_is_refused_and_does_nothing(
    world: World, line: str, headers: list[str], status: int
) -> None:
    code, said = world.raw(request(line, *headers))
    assert code == status
    assert said == {} or "what" in said["error"]  # type: ignore[operator]
    assert world.controls.told == []
    assert world.client.get("status")["v"] == 1


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"null", b"[]", b"{}", b'{"choice":"mine"}', b'{"choice":"ours","names":["a"]}'],
        *[b'{"choice":"mine","names":[]}', b'{"choice":"mine","names":[1]}', b'{"choice":"mine","names":["../a"]}'],
        *[b'{"choice":"mine","names":["a"],"more":1}', b'{"choice":"mine","names":["\xff"]}', b"[" * 100_000],
    ],
    ids=lambda body: repr(body)[:40],
)
def test_an_order_that_makes_no_sense_is_refused(world: World, body: bytes) -> None:
    headers = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    code, said = world.raw(request("POST /v1/keep", *headers, body=body))
    assert (code, said["error"]["kind"]) == (400, "bad_request")  # type: ignore[index]
    assert world.controls.told == []


def test_a_longest_body_is_taken(world: World) -> None:
    body = json.dumps({"choice": "mine", "names": ["a"]}).encode()
    body += b" " * (BODY_MAX_BYTES - len(body))
    headers = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    assert world.raw(request("POST /v1/keep", *headers, body=body))[0] == 200


def test_one_connection_is_one_request(world: World) -> None:
    with dial(world.own_fd, "control", timeout_s=10) as sock:
        sock.sendall(request("POST /v1/scan", "Content-Length: 0") + request("POST /v1/stop", "Content-Length: 0"))
        answer = _rest(sock)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert world.controls.told == ["scan"]


@pytest.mark.parametrize("start", [b"", b"GET /v1/sta", b"GET /v1/status HTTP/1.1\r\nX: y"])
def test_a_request_that_does_not_arrive_is_dropped(world: World, start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "ARRIVAL_S", 0.02)
    assert world.raw(start) == (0, {})


def test_a_body_that_does_not_arrive_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SILENCE_S", 0.02)
    headers = ["Content-Type: application/json", "Content-Length: 100"]
    world.raw(request("POST /v1/keep", *headers, body=b"{"))
    assert world.controls.told == []


def test_a_reader_that_takes_nothing_is_dropped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SILENCE_S", 0.02)
    world.controls.entries = world.controls.entries * 5000
    with dial(world.own_fd, "control", timeout_s=10) as sock:
        sock.sendall(request("GET /v1/ls"))
        eventually(lambda: world.server.requests == 1)
        eventually(lambda: world.server.requests == 0)
        assert b'"end"' not in _rest(sock)


def test_the_house_is_full_at_its_limit_and_goes_on_afterwards(world: World) -> None:
    go_on = Event()
    inside = _held_at(world, go_on)
    asked = [gevent.spawn(world.client.get, "status") for _ in range(control.CONNECTIONS + 1)]
    eventually(lambda: len(inside) == control.CONNECTIONS)
    breathe()
    assert len(inside) == control.CONNECTIONS
    go_on.set()
    gevent.joinall(asked, timeout=10)
    assert [one.value["v"] for one in asked] == [1] * len(asked)
    assert len(inside) == control.CONNECTIONS + 1


def test_whoever_is_being_answered_when_the_peer_ends_gets_the_end_of_it(world: World) -> None:
    go_on = Event()
    inside = _held_at(world, go_on)
    asked = gevent.spawn(world.client.get, "status")
    eventually(lambda: inside)
    gevent.spawn(go_on.set)
    world.server.close()
    assert asked.get(timeout=5)["v"] == 1
    with pytest.raises(NotRunning):
        world.client.get("status")


def test_whoever_waits_when_the_peer_ends_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "GRACE_S", 0.01)
    world.controls.settled_answers = [Settled(settled=False, reason="x")]
    asked = gevent.spawn(_error_of, world.client)
    eventually(lambda: world.controls.told)
    world.server.close()
    assert isinstance(asked.get(timeout=5), Unresponsive)


def _error_of(client: Client) -> object:
    try:
        return client.get("wait", seconds="20")
    except Unresponsive as error:
        return error


def test_a_defect_is_an_error_for_the_one_who_asked_and_reaches_the_hub(
    world: World, hub_failures: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    world.controls.before_answer = lambda: 1 / 0  # type: ignore[assignment, return-value]
    with pytest.raises(Unresponsive):
        world.client.get("status")
    assert [type(failure) for failure in hub_failures] == [ZeroDivisionError]
    hub_failures.clear()
    assert world.client.order("scan")["changed"] == 2
