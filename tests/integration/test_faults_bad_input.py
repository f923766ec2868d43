"""What is malformed, forged or plain garbage: a log line that says what was refused and why, and everything goes on."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest

from gsync.wire.frames import frame
from tests.e2e import folders
from tests.e2e.cluster import Cluster, Peer, Tracker, dead_ports
from tests.e2e.pretenders import PretendedSource, PretendedTracker, contents, listing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# Towards a tracker.

NOT_MESSAGES = {
    "no JSON": (b"hello, tracker\n", "where a JSON object should begin"),
    "a list": (b"[]\n", "where a JSON object should begin"),
    "text": (b'"port"\n', "where a JSON object should begin"),
    "cut short and ended": (b'{"port":5000,,}\n', "not JSON"),
    "single quotes": (b"{'port':5000}\n", "not JSON"),
    "too deep": (b'{"files":[[[[[]]]]],"port":5000}\n', "nested deeper than 4"),
    "TLS": (bytes.fromhex("16030100f5010000f1"), "where a JSON object should begin"),
    "NULs": (b"\0\0\0\0", "where a JSON object should begin"),
    "a comment": (b"// port\n", "where a JSON object should begin"),
}
ODD_MESSAGES = {
    "the files are an object": (b'{"port":5000,"files":{"a":1}}\n', "the files are a list, not an object"),
    "the files are text": (b'{"port":5000,"files":"a"}\n', "the files are a list, not text"),
    "a file is text": (b'{"port":5000,"files":["a"]}\n', "a file is an object, not text"),
    "a file without a name": (b'{"port":5000,"files":[{"mtime":1}]}\n', "a name is text, not"),
    "a name is a number": (b'{"port":5000,"files":[{"name":5,"mtime":1}]}\n', "a name is text, not"),
    "a lone surrogate": (b'{"port":5000,"files":[{"name":"\\ud800","mtime":1}]}\n', "not valid UTF-8"),
    "the port is text": (b'{"port":"5000","files":[]}\n', "a port is a whole number, not text"),
    "the port is true": (b'{"port":true,"files":[]}\n', "a port is a whole number, not true or false"),
    "the port is too high": (b'{"port":65536,"files":[]}\n', "a port lies in 1..65535"),
    "the port is missing": (b'{"files":[{"name":"a","mtime":1}]}\n', "a port is a whole number, not null"),
}


def _town(cluster: Cluster) -> tuple[Tracker, Peer]:
    folders.write(cluster.folder("alice"), "honest", b"for everybody")
    tracker = cluster.tracker("-v")
    alice = cluster.peer("alice", tracker.port, "-v")
    alice.until(lambda: alice.events("tracker.up"), "alice announced")
    return tracker, alice


def _still_serves(cluster: Cluster, port: int) -> None:
    """An honest peer that comes now gets the file of the other honest one."""
    guest = cluster.peer("guest", port)
    cluster.until(lambda: folders.names(guest.folder) == {"honest"}, "the file for an honest guest")


def test_a_tracker_drops_who_sends_no_messages_and_says_why(cluster: Cluster) -> None:
    tracker, _ = _town(cluster)

    for message, why in NOT_MESSAGES.values():
        with socket.create_connection(("127.0.0.1", tracker.port), 20) as conn:
            conn.sendall(message)
            with suppress(ConnectionResetError):
                assert conn.recv(4096) == b""
            tracker.says(f":{conn.getsockname()[1]} ")
        tracker.says(why)

    _still_serves(cluster, tracker.port)
    assert "Traceback" not in tracker.err
    assert tracker.code is None


def test_a_tracker_answers_odd_messages_and_says_what_it_left_out(cluster: Cluster) -> None:
    tracker, _ = _town(cluster)

    for message, why in ODD_MESSAGES.values():
        with socket.create_connection(("127.0.0.1", tracker.port), 20) as conn, conn.makefile("rb") as answers:
            conn.sendall(message + b'{"port":5000}\n')
            assert json.loads(answers.readline()).keys() == {"honest"}
            assert json.loads(answers.readline()).keys() == {"honest"}
        tracker.says(why)

    _still_serves(cluster, tracker.port)
    assert "Traceback" not in tracker.err


def test_connections_that_end_anywhere_harm_no_tracker(cluster: Cluster) -> None:
    tracker, _ = _town(cluster)
    initial = b'{"port":5000,"files":[{"name":"gone","mtime":1}]}'

    for cut in range(len(initial) + 1):
        for ending in (_reset, socket.socket.close):
            conn = socket.create_connection(("127.0.0.1", tracker.port), 20)
            conn.sendall(initial[:cut])
            ending(conn)

    cluster.until(lambda: set(cluster.directory(tracker.port)) == {"honest"}, "the dead forgotten")
    _still_serves(cluster, tracker.port)
    assert "Traceback" not in tracker.err


def _reset(conn: socket.socket) -> None:
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


# Towards the port where files are served.

GARBAGE = {
    "nothing": (b"", "an empty request"),
    "a newline": (b"\n", "an empty request"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "a separator|no such file here"),
    "no file of ours": (b"no such file\n", "no such file here"),
    "NUL, and no frame": (b"\0rest", "a frame header of 1919251316 bytes"),
    "NUL, and a frame that is none of a peer": (b"\0" + frame(b'{"t":"alive"}'), "RemoteProtocolError"),
    "not UTF-8": (b"\xff\xfe\xfd", "not valid UTF-8"),
    "a control character": (b"\x1b[2J", "a control character"),
    "too long": (b"x" * 5000, "a request longer than 4096 bytes"),
    "our own folder": (b".gsync/root\n", "the name of gsync's own folder"),
    "the parent": (b"../honest\n", "'..' is not a name"),
    "JSON": (b'{"port":5000,"files":[]}\n', "no such file here"),
    "TLS": (bytes.fromhex("16030100f5010000f1"), "a control character|not valid UTF-8"),
}


def test_a_peer_refuses_garbage_at_its_port_and_says_why(cluster: Cluster) -> None:
    tracker, alice = _town(cluster)
    port = int(alice.endpoint.rpartition(":")[2])

    for request, why in GARBAGE.values():
        said = len(alice.err)
        with socket.create_connection(("127.0.0.1", port), 20) as conn:
            conn.sendall(request)
            conn.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                assert conn.recv(4096) == b""
        alice.until(
            lambda said=said, why=why: any(part in alice.err[said:] for part in why.split("|")), f"a word on: {why}"
        )
        assert "upload.refused" in alice.err[said:]

    _still_serves(cluster, tracker.port)
    assert "Traceback" not in alice.err
    assert all(character.isprintable() or character == "\n" for character in alice.err)


# From a tracker that forges every field.


def _entry(source: PretendedSource, **forged: object) -> dict[str, object]:
    return {"ip": "127.0.0.1", "port": source.port, "mtime": folders.NEW, **forged}


FORGED: dict[str, tuple[dict[str, object], str]] = {
    "no ip": ({"ip": None}, "an address is text"),
    "ip is a number": ({"ip": 2130706433}, "an address is text"),
    "ip is a name": ({"ip": "localhost"}, "not a numeric IP address"),
    "ip is a long number": ({"ip": "1" * 5000}, "not a numeric IP address"),
    "ip of nobody": ({"ip": "0.0.0.0"}, "an address that names nobody"),
    "ip of nobody, 6": ({"ip": "::"}, "an address that names nobody"),
    "ip of many": ({"ip": "224.0.0.1"}, "a multicast address"),
    "ip of all": ({"ip": "255.255.255.255"}, "the broadcast address"),
    "ip with a zone": ({"ip": "fe80::1%lo"}, "an address with a zone"),
    "ip in disguise": ({"ip": "::ffff:224.0.0.1"}, "a multicast address"),
    "no port": ({"port": None}, "a port is a whole number"),
    "port is text": ({"port": "9000"}, "a port is a whole number"),
    "port is true": ({"port": True}, "a port is a whole number"),
    "port is a fraction": ({"port": 9000.5}, "a port is a whole number"),
    "port 0": ({"port": 0}, "a port lies in 1..65535"),
    "port below 0": ({"port": -1}, "a port lies in 1..65535"),
    "port too high": ({"port": 65536}, "a port lies in 1..65535"),
    "port of mail": ({"port": 25}, "port 25 is below 1024"),
    "mtime is text": ({"mtime": "now"}, "an mtime is a number"),
    "mtime too late": ({"mtime": 2**63}, "an mtime lies in"),
}
HARMLESS: dict[str, dict[str, object]] = {
    "extra keys": {"colour": "red", "size": 5, "list": [1]},
    "gsync is text": {"gsync": "yes"},
    "gsync is huge": {"gsync": 2**70},
    "gsync is below 0": {"gsync": -1},
    "also is a number": {"also": 5},
    "also is garbage": {"also": ":: [ ] 1:2:3 \ud800 127.0.0.1:99999999 999.1.1.1:5000 127.0.0.1: :5000"},
    "also is long": {"also": "127.0.0.1:1 " * 10_000},
}


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "all at once"])
def test_an_evil_tracker_that_forges_every_field_is_seen_through(cluster: Cluster, at_once: bool) -> None:
    """Each forged entry is refused with its reason, and the good one beside it is fetched."""
    good = [*HARMLESS, "honest"]
    files = {name: name.encode() for name in [*good, *FORGED]}
    with PretendedSource(contents(files)) as source, PretendedTracker() as tracker:
        entries: dict[str, object] = {"honest": _entry(source)}
        entries |= {name: _entry(source, **extra) for name, extra in HARMLESS.items()}
        forged: dict[str, object] = {name: _entry(source, **extra) for name, (extra, _) in FORGED.items()}
        forged |= {f"the entry is {value!r}": value for value in (None, 5, "text", [], True)}
        peer = cluster.peer("alice", tracker.port, "-v")
        peer.until(lambda: peer.events("tracker.up"), "the first directory")
        if at_once:
            tracker.push((json.dumps({**forged, **entries}) + "\n").encode())
        else:
            for name, entry in forged.items():
                tracker.push((json.dumps({name: entry, **entries}) + "\n").encode())

        cluster.until(lambda: folders.names(peer.folder) == set(good), "every good file")
        for _, why in list(FORGED.values())[: 10 if at_once else None]:  # one directory tells ten refusals at most
            peer.says(why)
        assert {request.decode().strip() for request in source.requests} == set(good)
    assert len(peer.events("tracker.up")) == 1
    assert "Traceback" not in peer.err
    assert peer.code is None


NOT_DIRECTORIES = {
    "no JSON": (b"hello, peer\n", "where a JSON object should begin"),
    "a list": (b"[{}]\n", "where a JSON object should begin"),
    "bad JSON": (b'{"a":}\n', "not JSON"),
    "too deep": (b'{"a":{"b":{"c":{"d":{}}}}}\n', "nested deeper than 4"),
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "where a JSON object should begin"),
    "NULs": (b"\0\0\0", "where a JSON object should begin"),
}


def test_a_tracker_that_talks_nonsense_is_left_and_tried_again(cluster: Cluster) -> None:
    """The last good directory stays meanwhile, and a good one is taken when it comes."""
    with PretendedSource(contents({"honest": b"1", "later": b"2"})) as source, PretendedTracker() as tracker:
        good = listing({"honest": (source.port, folders.NEW)})
        tracker.answer = good
        peer = cluster.peer("alice", tracker.port, "-v")
        cluster.all_in_sync([peer])

        for count, (nonsense, why) in enumerate(NOT_DIRECTORIES.values(), start=1):
            said = len(peer.err)
            tracker.push(nonsense)
            tracker.answer = good
            peer.until(lambda said=said, why=why: why in peer.err[said:], f"a word on: {why}")
            peer.until(lambda count=count: len(peer.events("tracker.up")) > count, "the tracker tried again")
        tracker.push(listing({"honest": (source.port, folders.NEW), "later": (source.port, folders.NEW)}))

        cluster.until(lambda: folders.names(peer.folder) == {"honest", "later"}, "the later file")
    assert "Traceback" not in peer.err


# From sources that lie.

LIES: dict[str, bytes] = {
    "short": b"Content-Length: 500\nonly this",
    "long": b"Content-Length: 4\nmore than was promised",
    "negative": b"Content-Length: -4\nbody",
    "huge": b"Content-Length: 99999999999999999999999\nbody",
    "no number": b"Content-Length: many\nbody",
    "no header": b"just the content",
    "endless header": b"Content-Length: " + b" " * 100_000,
    "HTTP": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    "nothing": b"",
}


def test_sources_of_edition_2_that_lie_give_nothing_and_cost_their_own_files_only(cluster: Cluster) -> None:
    def lie(conn: socket.socket, request: bytes) -> None:
        conn.sendall(LIES[request.decode().removesuffix("\n")])

    with PretendedSource(contents({"honest": b"for everybody"})) as source, PretendedTracker() as tracker:
        liars = {name: PretendedSource(lie) for name in LIES}
        try:
            entries = {name: (liar.port, folders.NEW) for name, liar in liars.items()}
            tracker.answer = listing({**entries, "honest": (source.port, folders.NEW)}, ours=True)
            peer = cluster.peer("alice", tracker.port, "-v")
            skipped: Callable[[], set[str]] = lambda: {event["path"] for event in peer.events("file.skipped")}  # noqa: E731
            peer.until(lambda: skipped() >= LIES.keys(), "each lie found out")
            cluster.until(lambda: "honest" in folders.names(peer.folder), "the honest file")
        finally:
            for liar in liars.values():
                liar.vanish()
        assert folders.names(peer.folder) - {"no header", "HTTP"} == {"honest"}
        honest = PretendedSource(contents({name: b"the truth about " + name.encode() for name in LIES}))
        with honest:
            entries = {name: (honest.port, folders.NEW) for name in LIES if name not in folders.names(peer.folder)}
            tracker.push(listing({**entries, "honest": (source.port, folders.NEW)}, ours=True))
            cluster.until(lambda: folders.names(peer.folder) >= entries.keys(), "the truth, from an honest source")
            for name in entries:
                assert (peer.folder / name).read_bytes() == b"the truth about " + name.encode()
    assert "Traceback" not in peer.err


def test_a_directory_full_of_dead_sources_hinders_no_good_one(cluster: Cluster) -> None:
    files = {f"good {number}": os.urandom(1000) for number in range(10)}
    with PretendedSource(contents(files)) as source, PretendedTracker() as tracker, dead_ports(150) as ports:
        dead = {f"dead {number}": (port, folders.NEW) for number, port in enumerate(ports)}
        tracker.answer = listing({**dead, **dict.fromkeys(files, (source.port, folders.NEW))})
        peer = cluster.peer("alice", tracker.port)
        cluster.until(lambda: folders.names(peer.folder) == files.keys(), "the good files")

    assert {name: (peer.folder / name).read_bytes() for name in files} == files
