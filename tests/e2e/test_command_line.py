"""The command line as people and programs meet it: words, exit codes, signals, output."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e import folders
from tests.e2e.cluster import GSYNC, REPOSITORY, Cluster, Peer, Program, free_port, skip_or_fail
from tests.e2e.pretenders import PretendedSource, PretendedTracker, contents, listing, stuck_after

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MIB = 1024**2
STOPS_S = 20.0
"""gsync means to stop within a second; this is when a stop counts as hanging, on whatever machine."""
ESCAPE = "\x1b"
ON_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def _result(program: Program) -> tuple[int, str, str]:
    return program.ends(), program.out, program.err


# The ways to start.


def test_the_ways_to_start_are_one_program(cluster: Cluster) -> None:
    ways = [
        [sys.executable, REPOSITORY / "gsync.py"],
        [sys.executable, "-m", "gsync"],
        [sys.executable, "-P", "-m", "gsync"],
        [Path(sys.executable).parent / "gsync"],
    ]
    stamp, setup = REPOSITORY / ".venv" / ".gsync-installed", REPOSITORY / "setup.py"
    if (
        stamp.exists() and stamp.stat().st_mtime > setup.stat().st_mtime
    ):  # else it would install into the tree under test
        ways.append([REPOSITORY / "bin" / "gsync"])

    for words in (["--version"], ["run", "--help"], ["127.0.0.1", "no-port"]):
        answers = {_result(program) for program in [cluster.run([*way, *words]) for way in ways]}
        assert len(answers) == 1, answers
        assert not any("Traceback" in err for _, _, err in answers)


def test_words_that_cannot_be_written_make_it_fail(cluster: Cluster) -> None:
    nowhere = ["sh", "-c", '"$@" >/dev/full', "sh"]  # it takes what is said, and loses it at the last flush
    code, _, err = _result(cluster.run([*nowhere, *GSYNC, "--help"]))
    assert code
    assert "No space left on device" in err


@pytest.mark.timeout(700)
def test_a_fresh_clone_installs_itself_once_and_says_so_in_one_line(cluster: Cluster) -> None:
    if shutil.which("git") is None or not (REPOSITORY / ".git").exists():
        skip_or_fail("it needs git and a checkout")
    clone = cluster.base / "clone"
    git = cluster.run(["git", "-c", "safe.directory=*", "clone", "--quiet", str(REPOSITORY), str(clone)])
    assert git.ends() == 0, git.last_words()

    first, meanwhile = _both_end_well(cluster, clone)
    second = cluster.run([clone / "bin" / "gsync", "--version"])
    others = [[clone / ".venv/bin/python", clone / "gsync.py"], [clone / ".venv/bin/gsync"]]

    assert re.fullmatch(r"gsync \d+\.\d+\.\d+\n", first.out)
    assert meanwhile.out == first.out
    assert _result(second) == (0, first.out, "")
    for way in others:
        assert _result(cluster.run([*way, "--version"])) == (0, first.out, "")

    code, _, err = _result(cluster.run([clone / "bin" / "gsync", "status", f"--dir={cluster.folder('empty')}"]))
    assert (code, f" {clone}/bin/gsync 127.0.0.1 9000 --dir=" in err) == (10, True), err

    moved = clone.rename(cluster.base / "moved")
    _both_end_well(cluster, moved)
    where = cluster.run([moved / ".venv/bin/python", "-I", "-c", "import gsync; print(gsync.__file__)"])
    assert _result(where) == (0, f"{moved / 'gsync' / '__init__.py'}\n", "")
    assert _result(cluster.run([moved / "bin" / "gsync", "--version"])) == (0, first.out, "")


def _both_end_well(cluster: Cluster, clone: Path) -> tuple[Program, Program]:
    """Two first starts at the same time, each of which says in one line what it does: the one installs, the other waits."""
    both = [cluster.run([clone / "bin" / "gsync", "--version"]) for _ in range(2)]
    for program in both:
        assert program.ends(within_s=300) == 0, program.last_words()
    first, meanwhile = sorted(both, key=lambda program: "another start is installing" in program.err)
    assert re.fullmatch("gsync: first start in this checkout: installing into .*\n", first.err)
    assert re.fullmatch("gsync: another start is installing into .*: waiting until it has ended\n", meanwhile.err)
    return first, meanwhile


def test_a_planted_module_in_the_folder_is_never_imported(cluster: Cluster) -> None:
    folder = cluster.folder("planted")
    for name in ("docopt.py", "gevent.py", "json.py", "socket.py"):
        folders.write(folder, name, b"raise SystemExit('owned')\n")

    for way in ([REPOSITORY / "gsync.py"], ["-P", "-m", "gsync"]):
        code, _, err = _result(cluster.run([sys.executable, *way, "127.0.0.1", str(free_port()), "--once"], cwd=folder))
        assert code == 3
        assert "owned" not in err


# Wrong input.


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        ([], 2, "the address and the port of a tracker"),
        (["127.0.0.1"], 2, "its port is missing"),
        (["127.0.0.1", "0"], 2, "'0' is no port"),
        (["127.0.0.1", "99999"], 2, "'99999' is no port: a whole number from 1 to 65535"),
        (["127.0.0.1", "90x0"], 2, "'90x0' is no port"),
        (["9000", "127.0.0.1"], 2, "gsync 127.0.0.1 9000"),
        (["0.0.0.0", "9000"], 2, "gsync 127.0.0.1 9000"),
        (["127.0.0.1", "9000", "--onec"], 2, "did you mean '--once'?"),
        (["127.0.0.1", "9000", "--dri=x"], 2, "did you mean '--dir'?"),
        (["127.0.0.1", "9000", "--port=80"], 2, "from 1024 to 65535"),
        (["127.0.0.1", "9000", "--timeout=soon"], 2, "'soon' is no timeout"),
        (["127.0.0.1", "9000", "--timeout=nan"], 2, "'nan' is no timeout"),
        (["127.0.0.1", "9000", "--fetches=0"], 2, "'0' is no number of fetches"),
        (["127.0.0.1", "9000", "--verify-classic=thrice"], 2, "one of once, twice"),
        (["127.0.0.1", "9000", "--log-level=loud"], 2, "'loud' is no log level"),
        (["trakcer", "9000"], 2, "did you mean 'tracker'?"),
        (["tracker", "port"], 2, "'port' is no port"),
        (["dmeo"], 2, "did you mean 'demo'?"),
        (["127.0.0.1", "9000", "--\x1b[31mred"], 2, "\\x1b[31mred"),
        (["127.0.0.1", "9000", f"--dir={REPOSITORY}"], 11, "holds the running gsync itself"),
        (["127.0.0.1", "9000", f"--dir={REPOSITORY / 'gsync'}"], 11, "holds the running gsync itself"),
        (["127.0.0.1", "9000", f"--dir={REPOSITORY / 'gsync' / 'core'}"], 11, "holds the running gsync itself"),
        (["127.0.0.1", "9000", "--dir=/dev/null/folder"], 11, "cannot be used as a folder"),
    ],
    ids=lambda value: " ".join(value)[-40:].replace(ESCAPE, "ESC") if isinstance(value, list) else "",
)
def test_wrong_words_get_one_line_and_advice(cluster: Cluster, words: list[str], code: int, what: str) -> None:
    ended, out, err = _result(cluster.gsync(*words))

    assert ended == code
    assert what in err
    assert not out
    assert len(err.splitlines()) <= 2
    assert err.startswith("gsync: ")
    assert ESCAPE not in err
    assert not (REPOSITORY / ".gsync").exists()


def test_a_second_gsync_in_a_folder_names_the_first(cluster: Cluster) -> None:
    with PretendedTracker() as tracker:
        first = cluster.peer("alice", tracker.port)
        assert first.endpoint

        code, _, err = _result(cluster.peer("alice", tracker.port))

        assert code == 11
        assert f"process {first.pid}" in err
        first.kill()
        after = cluster.peer("alice", tracker.port)
        assert after.endpoint  # a lock dies with its holder


def test_a_taken_port_is_named(cluster: Cluster) -> None:
    with PretendedTracker() as tracker:
        code, _, err = _result(cluster.peer("alice", tracker.port, f"--port={tracker.port}"))
        tracker_code, _, tracker_err = _result(cluster.gsync("tracker", str(tracker.port), "--listen=127.0.0.1"))

    assert code == 2
    assert str(tracker.port) in err
    assert "Traceback" not in err
    assert tracker_code == 2
    assert str(tracker.port) in tracker_err


# --once.


def test_once_ends_with_0_when_all_is_here(cluster: Cluster) -> None:
    files = {"a.txt": b"some words", "empty": b""}
    with PretendedSource(contents(files)) as source, PretendedTracker() as tracker:
        tracker.answer = listing(dict.fromkeys(files, (source.port, folders.OLD)))
        peer = cluster.peer("alice", tracker.port, "--once", json=False)

        assert peer.ends() == 0, peer.last_words()

    assert {name: (peer.folder / name).read_bytes() for name in folders.names(peer.folder)} == files
    assert "fetched 2 files" in peer.out


def test_once_ends_with_3_when_no_tracker_answers(cluster: Cluster) -> None:
    port = free_port()
    peer = cluster.peer("alice", port, "--once", json=False)

    assert peer.ends() == 3
    assert f"no tracker answers at 127.0.0.1:{port}" in peer.err
    assert "gsync tracker" in peer.err


def test_once_ends_with_5_when_something_cannot_be_had(cluster: Cluster) -> None:
    with PretendedSource(contents({"a.txt": b"here"})) as source, PretendedTracker() as tracker:
        dead = free_port()
        tracker.answer = listing({"a.txt": (source.port, folders.OLD), "gone.txt": (dead, folders.OLD)})
        peer = cluster.peer("alice", tracker.port, "--once")

        assert peer.ends() == 5, peer.last_words()

    assert folders.names(peer.folder) == {"a.txt"}
    assert peer.events("summary")[0] | {"fetched": 1, "left": 1} == peer.events("summary")[0]


# Signals.


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGQUIT, 130)], ids=str
)
def test_a_signal_in_the_middle_of_a_transfer_leaves_nothing_half(
    cluster: Cluster, number: signal.Signals, code: int
) -> None:
    with PretendedSource(stuck_after(3 * MIB, promised=10 * MIB)) as source, PretendedTracker() as tracker:
        tracker.answer = listing({"big.bin": (source.port, folders.OLD)}, ours=True)
        peer = cluster.peer("alice", tracker.port, "--timeout=60")
        peer.until(lambda: folders.staged_bytes(peer.folder) >= 2 * MIB, "the middle of the transfer")

        peer.signal(number)

        assert peer.ends(within_s=STOPS_S) == code, peer.last_words()
    assert folders.names(peer.folder) == set()
    assert folders.left_in_staging(peer.folder) == []
    assert "Traceback" not in peer.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT], ids=lambda v: v.name)
def test_a_signal_to_an_idle_peer_ends_it_with_0_and_no_core_file(cluster: Cluster, number: signal.Signals) -> None:
    with PretendedTracker() as tracker:
        peer = cluster.peer("alice", tracker.port)
        cluster.all_in_sync([peer])

        peer.signal(number)

        assert peer.ends(within_s=STOPS_S) == 0
    assert folders.names(peer.folder) == set()
    assert not list(cluster.base.glob("core*"))
    assert not peer.err.replace(f"keeping {peer.folder}", "").count("Traceback")


@pytest.mark.parametrize("edition", [1, 2])
def test_a_peer_that_is_stopped_breaks_its_sends_so_that_nobody_takes_a_stump_for_a_file(
    cluster: Cluster, edition: int
) -> None:
    content = folders.noise(64 * MIB, seed=1)
    folders.write(cluster.folder("alice"), "big.bin", content)
    with PretendedTracker() as tracker:
        peer = cluster.peer("alice", tracker.port)
        port = int(peer.endpoint.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as conn:
            conn.settimeout(20)
            conn.sendall(b"big.bin" + b"\n" * (edition - 1))
            got = len(conn.recv(65536))

            peer.signal(signal.SIGINT)
            assert peer.ends(within_s=STOPS_S) == 0
            ended = "in order"
            try:
                while data := conn.recv(MIB):
                    got += len(data)
            except ConnectionResetError:
                ended = "reset"

    assert got < len(content)
    assert edition == 2 or ended == "reset"


def test_a_tracker_stops_in_order_at_a_signal(cluster: Cluster) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        tracker = cluster.tracker()
        with socket.create_connection(("127.0.0.1", tracker.port)) as conn:
            conn.sendall(b'{"port": 5000, "files": [{"name": "a", "mtime": 1}]}')
            assert conn.recv(4096)

            tracker.signal(number)

            assert tracker.ends(within_s=STOPS_S) == 0, tracker.last_words()
            with contextlib.suppress(ConnectionResetError):
                assert conn.recv(4096) == b""
        assert "Traceback" not in tracker.err


def test_usr1_makes_a_peer_look_and_announce(cluster: Cluster) -> None:
    with PretendedTracker(b"{\t}\n") as tracker:
        peer = cluster.peer("alice", tracker.port)
        cluster.all_in_sync([peer])
        assert [initial["files"] for initial in tracker.initials()] == [[]]

        folders.write(peer.folder, "new.txt", b"new")
        peer.signal(signal.SIGUSR1)

        expected = [{"name": "new.txt", "mtime": folders.OLD}]
        peer.until(lambda: tracker.initials()[-1]["files"] == expected, "the announcement")
    assert peer.code is None


# Output.


def test_json_lines_are_versioned_timed_and_named(cluster: Cluster) -> None:
    with PretendedSource(contents({"a.txt": b"here"})) as source, PretendedTracker() as tracker:
        tracker.answer = listing({"a.txt": (source.port, folders.OLD), "gone.txt": (free_port(), folders.OLD)})
        peer = cluster.peer("alice", tracker.port)
        peer.until(lambda: peer.events("file.fetched") and peer.events("file.skipped"), "one fetched, one skipped")
        tracker.push(b"{}\n")
        peer.until(lambda: peer.is_in_sync, "in sync")
        tracker.vanish()
        peer.until(lambda: peer.events("tracker.down"), "the tracker missed")
        peer.signal(signal.SIGINT)
        assert peer.ends() == 0

    lines = [json.loads(line) for line in peer.out.splitlines()]
    seen = {line["event"] for line in lines}
    assert {"peer.serving", "tracker.up", "file.stale", "file.fetching", "file.fetched", "file.skipped"} <= seen
    assert {"sync.done", "tracker.down"} <= seen
    assert all(line["v"] == 1 for line in lines)
    times = [datetime.fromisoformat(line["time"]) for line in lines]
    assert all(line["time"].endswith("Z") for line in lines)
    assert times == sorted(times)


def test_words_go_to_a_person_and_nothing_is_said_when_nothing_changes(cluster: Cluster) -> None:
    with PretendedSource(contents({"b.txt": b"fifteen bytes.."})) as source, PretendedTracker() as tracker:
        tracker.answer = listing({"b.txt": (source.port, folders.OLD)})
        peer = cluster.peer("alice", tracker.port, json=False)
        peer.says("in sync: fetched 1 file")
        asked = len(tracker.messages)
        before = peer.out, peer.err
        peer.until(lambda: len(tracker.messages) > asked, "another keepalive")

        assert (peer.out, peer.err) == before
    assert re.fullmatch(rf"\+ b\.txt  15 B from 127\.0\.0\.1:{source.port}, \S+ m?s\n", peer.out)
    for part in (str(peer.folder), f"127.0.0.1:{tracker.port}", "serving 0 files at 127.0.0.1:"):
        assert part in peer.err


def test_quiet_says_nothing(cluster: Cluster) -> None:
    with PretendedSource(contents({"b.txt": b"x"})) as source, PretendedTracker() as tracker:
        tracker.answer = listing({"b.txt": (source.port, folders.OLD)})
        peer = cluster.peer("alice", tracker.port, "--once", "-q", json=False)
        assert peer.ends() == 0

    assert (peer.out, peer.err) == ("", "")


@pytest.mark.parametrize(
    ("options", "env", "coloured"),
    [([], {}, True), ([], {"NO_COLOR": "1"}, False), (["--no-color"], {}, False), ([], {"TERM": "dumb"}, False)],
    ids=["plain", "NO_COLOR", "--no-color", "dumb"],
)
def test_colours_are_for_terminals_that_want_them(
    cluster: Cluster, options: list[str], env: dict[str, str], coloured: bool
) -> None:
    with PretendedSource(contents({"b.txt": b"x"})) as source, PretendedTracker() as tracker:
        tracker.answer = listing({"b.txt": (source.port, folders.OLD)})
        words = ["127.0.0.1", str(tracker.port), f"--dir={cluster.folder('alice')}", "--once", *options]
        terminal = cluster.run(
            [sys.executable, "-c", ON_A_TERMINAL, *GSYNC, *words], env={"TERM": "xterm-256color", **env}
        )
        assert terminal.ends() == 0, terminal.last_words()

    assert "b.txt" in terminal.out
    assert (f"{ESCAPE}[32m" in terminal.out) == coloured
    if env.get("TERM") == "dumb":
        assert ESCAPE not in terminal.out


def test_hostile_names_are_shown_escaped(cluster: Cluster) -> None:
    folder = cluster.folder("alice")
    offered = {"\u202egnp.exe": b"1", "line\u2028break": b"2", "zero\u200bwidth": b"3"}
    refused = {"\x1b]0;owned\x07": b"4", "new\nline": b"5", "\x9b31mred": b"6"}
    (folder / "\x1b[31mred\nfile").write_bytes(b"local")
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff\x1b[2J"))).write_bytes(b"local")
    with PretendedSource(contents(offered | refused)) as source, PretendedTracker() as tracker:
        dead = {"dead\u202e": (free_port(), folders.OLD)}
        tracker.answer = listing(dict.fromkeys(offered | refused, (source.port, folders.OLD)) | dead)
        peer = cluster.peer(folder, tracker.port, "-v", "--once", json=False)
        assert peer.ends() == 5, peer.last_words()

    said = peer.out + peer.err
    assert offered.keys() <= folders.names(folder)
    assert not refused.keys() & folders.names(folder)
    for escaped in (r"\u202egnp.exe", r"line\u2028break", r"zero\u200bwidth", r"\x1b[31mred\nfile", r"dead\u202e"):
        assert escaped in said
    assert all(character.isprintable() or character == "\n" for character in said)


# The embedded tracker.


def test_the_first_command_works_alone_and_another_peer_takes_its_tracker_over(cluster: Cluster) -> None:
    port = free_port()
    folders.write(cluster.folder("alice"), "a.txt", b"from alice")
    hosts, took_over = "so this peer runs it", "so this peer took it over"
    alice = cluster.peer("alice", port, json=False)
    alice.says(hosts)
    ben = cluster.peer("ben", port, json=False)
    cluster.until(folders.has(ben.folder, folders.latest([alice.folder])), "alice's file at ben's")
    assert hosts not in ben.err

    alice.kill()
    ben.says(took_over)
    folders.write(cluster.folder("carol"), "c.txt", b"from carol")
    carol = cluster.peer("carol", port, json=False)

    expected = folders.latest([ben.folder, carol.folder])
    assert len(expected) == 2
    for peer in (ben, carol):
        cluster.until(folders.has(peer.folder, expected), f"everything at {peer.name}")
    ben.says("+ c.txt")  # a file stands before its fetch has ended
    ben.signal(signal.SIGINT)
    assert ben.ends() == 0
    carol.says(took_over)


def test_nobody_takes_over_a_tracker_that_a_person_started(cluster: Cluster) -> None:
    tracker = cluster.tracker()
    peer = cluster.peer("alice", tracker.port)
    cluster.all_in_sync([peer])

    tracker.kill()

    peer.until(lambda: len(peer.events("tracker.down")) > 3, "some tries in vain")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", tracker.port)).close()


def test_no_tracker_starts_none(cluster: Cluster) -> None:
    port = free_port()
    peer: Peer = cluster.peer("alice", port, "--no-tracker")

    peer.until(lambda: len(peer.events("tracker.down")) > 1, "some tries in vain")

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()


# The demo.


def test_the_demo_converges_and_cleans_up(cluster: Cluster) -> None:
    demo = cluster.gsync("demo", "--big=8", env={"TMPDIR": str(cluster.folder("temporary"))})

    assert demo.ends() == 0, demo.last_words()

    assert demo.out
    assert "Traceback" not in demo.err
    assert list(cluster.folder("temporary").iterdir()) == []


def test_a_demo_that_is_interrupted_leaves_no_process_and_no_file(cluster: Cluster) -> None:
    temporary = cluster.folder("temporary")
    demo = cluster.gsync("demo", "--big=64", env={"TMPDIR": str(temporary)})
    demo.until(lambda: list(temporary.glob("**/.gsync/lock")), "a peer at work")

    demo.signal(signal.SIGINT)

    demo.ends()
    assert "Traceback" not in demo.err
    assert list(temporary.iterdir()) == []
    mine = str(temporary).encode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert mine not in process.read_bytes()
