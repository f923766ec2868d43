"""The commands that look at a running peer, against one that only answers, over a real socket in a temporary folder."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gsync.cli import orders
from gsync.cli.exits import Exit
from gsync.cli.main import COMMANDS, run_command
from gsync.core.copies import CopyState, Mode
from gsync.core.hits import Refreshed
from gsync.core.keeping import ConflictWaiting, Keep
from gsync.core.model import Kind
from gsync.core.status import Here, LogLine, Settled, State, TrackerSeen
from gsync.net.clock import HubClock
from gsync.net.unix import Door
from gsync.storage.visiting import TRACKER_NOTE, note
from gsync.web.control import ControlServer
from tests.unit.web.controls import COPY, TRACKER, FakeControls, copy, entry, found, name, status

Run = Callable[..., tuple[int, str, str]]
LOOKING = [word for word in COMMANDS if word not in ("run", "tracker", "demo", "stress", "lab")]
WORDS = {
    **{word: [word, "a.txt"] for word in ("search", "get", "free")},
    "mark": ["mark", "valid", "a.txt"],
    "why": ["why", "a.txt"],
    "restore": ["restore", "a.txt"],
}


class World:
    """A folder that a peer keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".gsync" / "trash").mkdir(parents=True)
        self.own_fd = os.open(folder / ".gsync", os.O_RDONLY | os.O_DIRECTORY)
        self.controls = FakeControls()
        self.server = ControlServer(self.controls, own_fd=self.own_fd, clock=HubClock())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "Shared")
    yield world
    world.server.close()
    os.close(world.own_fd)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        code = run_command([*words, f"--dir={tmp_path / 'Shared'}"])
        return (code, *capsys.readouterr())

    return run


def printed(run: Run, *words: str, code: int = 0) -> list[str]:
    """What the command writes to stdout, which must go well."""
    got, out, err = run(*words)
    assert (got, err) == (code, "")
    return out.splitlines()


def objects(run: Run, *words: str, code: int = 0) -> list[dict[str, object]]:
    """The same with --json; every line must say its schema."""
    lines = [json.loads(line) for line in printed(run, *words, "--json", code=code)]
    assert all(line["v"] == 1 for line in lines)
    return lines


# status, wait


def test_a_status_in_good_order_is_short(world: World, run: Run) -> None:
    assert printed(run, "status") == [
        "folder   /home/ann/Shared",
        "state    in sync",
        "tracker  192.0.2.10:9000, answers (native)",
        "others   2 peers, offering 5 names",
        "here     3 files, 1 directory, 1 link, 2.0 KiB",
        "peer     ann, process 4711, for 1 h 2 min, serving at 0.0.0.0:40001",
    ]


def test_a_status_says_all_that_a_person_must_know(world: World, run: Run) -> None:
    world.controls.shown = status(
        tracker=TrackerSeen(endpoint=TRACKER, is_up=False, reason="connection refused"),
        peers=0,
        here=Here(files=1, directories=2),
        left=3,
        left_bytes=12 * 1024**2,
        conflicts=2,
        held_deletions=412,
        paused=True,
        sends=False,
        serving=None,
        in_sync=False,
        reason="the tracker does not answer, so nobody knows what the others have",
    )
    assert printed(run, "status")[1:] == [
        "state      not in sync: the tracker does not answer, so nobody knows what the others have",
        "tracker    192.0.2.10:9000, does not answer (connection refused)",
        "others     0 peers",
        "here       1 file, 2 directories, 0 B",
        "to fetch   3 names, 12.0 MiB",
        f"conflicts  2; see them: gsync conflicts --dir={world.folder}",
        f"held       412 deletions; let them travel: gsync release --dir={world.folder}",
        f"paused     go on: gsync resume --dir={world.folder}",
        "role       receive-only",
        "peer       ann, process 4711, for 1 h 2 min",
    ]


def test_a_status_without_a_tracker_says_that_there_is_none(world: World, run: Run) -> None:
    world.controls.shown = status(tracker=None, in_sync=False, reason="without a tracker nobody knows")
    assert printed(run, "status")[1:3] == [
        "state    not in sync: without a tracker nobody knows",
        "tracker  none",
    ]


def test_a_status_as_json_is_one_object(world: World, run: Run) -> None:
    (said,) = objects(run, "status")
    assert (said["in_sync"], said["tracker"]["dialect"]) == (True, "native")  # type: ignore[index]


def test_wait_is_silent_when_all_is_in_sync(world: World, run: Run) -> None:
    world.controls.settled_answers = [Settled(settled=False, reason="3 names to fetch"), Settled(settled=True)]
    assert printed(run, "wait") == []
    assert world.controls.told == ["settled", "settled"]


def test_wait_gives_up_after_its_time_and_says_what_is_missing(world: World, run: Run) -> None:
    world.controls.settled_answers = [Settled(settled=False, reason="3 names to fetch")]
    code, out, err = run("wait", "--timeout=0.03")
    assert (code, out) == (7, "")
    see = f"see what is missing: gsync status --dir={world.folder}"
    assert err == f"gsync: not in sync after 0.03 s: 3 names to fetch\n  {see}\n"


def test_wait_ends_at_once_where_only_a_person_can_help(world: World, run: Run) -> None:
    world.controls.settled_answers = [Settled(settled=False, reason="1 version of others not taken", stuck=True)]
    code, out, err = run("wait")
    assert (code, out) == (5, "")
    assert err == "gsync: not in sync, and to wait is of no use: 1 version of others not taken\n"


def test_wait_for_no_time_only_looks(world: World, run: Run) -> None:
    world.controls.settled_answers = [Settled(settled=False, reason="paused")]
    (said,) = objects(run, "wait", "--timeout=0", code=7)
    assert (said["settled"], said["reason"], said["stuck"]) == (False, "paused", False)
    assert world.controls.told == ["settled"]


@pytest.mark.parametrize("timeout", ["-1", "soon", "nan", "1e99"])
def test_wait_takes_only_a_time(world: World, run: Run, timeout: str) -> None:
    code, _, err = run("wait", f"--timeout={timeout}")
    assert code == 2
    assert "is no timeout" in err


# ls, peers, log, why


def test_ls_shows_how_every_path_stands(world: World, run: Run) -> None:
    world.controls.entries = [
        entry("photos", State.LOCAL, kind=Kind.DIRECTORY, size=0, holders=()),
        entry("photos/\u202eb.jpg", State.MISSING, size=5 * 1024**3),
        entry("photos/l", State.CONFLICT, kind=Kind.LINK, mtime_ns=10**30),
    ]
    assert printed(run, "ls") == [
        "local              -  2025-06-15 15:06:40    0  photos/",
        "missing      5.0 GiB  2025-06-15 15:06:40    1  photos/\\u202eb.jpg",
        "conflict           -  -                      1  photos/l@",
    ]


def test_ls_takes_a_name_and_states(world: World, run: Run) -> None:
    assert [line["path"] for line in objects(run, "ls")] == ["a.txt", "photos/b.jpg"]
    assert [line["path"] for line in objects(run, "ls", "photos")] == ["photos/b.jpg"]
    assert [line["path"] for line in objects(run, "ls", ".")] == ["a.txt", "photos/b.jpg"]
    assert [line["path"] for line in objects(run, "ls", "--state=missing,stale")] == ["photos/b.jpg"]
    assert objects(run, "ls", "photos", "--state=stale") == []


def test_ls_of_what_is_not_there_is_an_error(world: World, run: Run) -> None:
    code, out, err = run("ls", "no.txt")
    assert (code, out) == (4, "")
    assert err == f"gsync: nothing is known of no.txt\n  see what there is: gsync ls --dir={world.folder}\n"


def test_ls_knows_its_states(world: World, run: Run) -> None:
    code, _, err = run("ls", "--state=stael")
    assert code == 2
    assert "did you mean 'stale'?" in err


def test_peers_are_a_table(world: World, run: Run) -> None:
    world.controls.overlay_is_off = "no overlay"
    assert printed(run, "peers") == [
        "address           speaks  names  only there",
        "192.0.2.20:42603  native      5           1",
    ]
    assert objects(run, "peers")[0]["offers"] == 5


def test_the_log_shows_what_happened_with_the_path_first(world: World, run: Run) -> None:
    world.controls.lines = [
        LogLine(
            time_s=1_750_000_000.25,
            event="file.fetched",
            facts={"source": "x:1", "path": "a\n.txt", "seconds": 0.00312},
        ),
        LogLine(time_s=1_750_000_001.0, event="error", facts={"what": "no room", "advice": ""}),
    ]
    assert printed(run, "log") == [
        "2025-06-15 15:06:40  file.fetched  a\\n.txt  source=x:1 seconds=0.00312",
        "2025-06-15 15:06:41  error         what=no room",
    ]
    assert len(objects(run, "log", "--last=1")) == 1
    world.controls.lines = []
    assert printed(run, "log") == []


def test_why_explains_a_path(world: World, run: Run) -> None:
    assert printed(run, "why", "a.txt") == [
        "a.txt: synced",
        "  here         a file",
        "  elsewhere    nobody offers it now",
        "  agreed last  v",
    ]
    assert objects(run, "why", "a.txt")[0]["state"] == "synced"
    assert run("why", "no.txt") == (4, "", f"gsync: nothing is known of no.txt\n  gsync ls --dir={world.folder}\n")


# the overlay: search, copies, mode


def test_ls_says_how_far_copies_can_be_believed_where_there_is_an_overlay(world: World, run: Run) -> None:
    world.controls.seen_copies = [copy("photos/b.jpg", CopyState.INVALID, origin="ben", reason="ann has a newer one")]
    assert printed(run, "ls") == [
        "synced    -               15 B  2025-06-15 15:06:40    1  a.txt",
        "missing   INVALID         15 B  2025-06-15 15:06:40    1  photos/b.jpg  of ben",
    ]
    assert [line["path"] for line in objects(run, "ls", "--state=INVALID")] == ["photos/b.jpg"]
    assert [line["path"] for line in objects(run, "ls", "--state=synced,VALID")] == ["a.txt"]
    assert objects(run, "ls", "photos")[0]["copy"]["reason"] == "ann has a newer one"  # type: ignore[index]


def test_why_says_how_far_the_copy_can_be_believed(world: World, run: Run) -> None:
    world.controls.seen_copies = [
        copy("a.txt", CopyState.VALID, since_s=1_750_000_000.0, ttr_s=85.0, origin="ben", reason="ben said so"),
        copy("a.txt/x", CopyState.INVALID),
    ]
    assert printed(run, "why", "a.txt")[-1] == (
        "  this copy    VALID since 2025-06-15 15:06:40: ben said so; believed for 85.0 s more; its origin is ben"
    )
    assert objects(run, "why", "a.txt")[0]["copy"]["state"] == "VALID"  # type: ignore[index]


def test_peers_shows_the_neighbours_too(world: World, run: Run) -> None:
    assert printed(run, "peers")[2:] == [
        "neighbour  address           link",
        "ben        192.0.2.20:42603  up",
        "cleo       -                 nobody knows where it is",
    ]
    assert [line.get("neighbour") for line in objects(run, "peers")] == [None, "ben", "cleo"]
    world.controls.overlay_is_off = "no overlay"
    assert len(printed(run, "peers")) == 2


def test_hits_are_printed_with_holder_version_size_state_and_way(world: World, run: Run) -> None:
    world.controls.found.append(
        found("Grüße\u202e.txt", "somebody with a long name", hops=1, ms=1234.56, size=5 * 1024**2)
    )
    assert printed(run, "search", "*.txt") == [
        "OWNED     ann, here             15 B  1a2b3c4d:3     0 hops     0.0 ms  a.txt",
        "VALID     ben                   15 B  1a2b3c4d:3     2 hops     3.4 ms  a.txt",
        "VALID     somebody with a long name     5.0 MiB  1a2b3c4d:3      1 hop  1234.6 ms  Grüße\\u202e.txt",
    ]
    assert world.controls.told == [("*.txt", 16, 2.0)]


def test_a_search_takes_how_far_and_how_long(world: World, run: Run) -> None:
    hits = objects(run, "search", "photos/*", "--ttl=1", "--wait=0.5")
    assert [(hit["holder"], hit["hops"]) for hit in hits] == [("ann", 0), ("ben", 2)]
    assert world.controls.told == [("photos/*", 1, 0.5)]


def test_a_search_without_a_hit_is_told(world: World, run: Run) -> None:
    world.controls.found = []
    assert run("search", "no.txt", "--wait=0") == (
        4,
        "",
        "gsync: nobody who answered within 0 s has no.txt\n  see who is asked: gsync peers\n",
    )


@pytest.mark.parametrize("option", ["--ttl=0", "--ttl=256", "--ttl=x", "--wait=-1", "--wait=31", "--wait=nan"])
def test_a_search_keeps_within_its_limits(world: World, run: Run, option: str) -> None:
    assert run("search", "a.txt", option)[0] == 2
    assert world.controls.told == []


def test_get_fetches_and_says_from_where(world: World, run: Run, tmp_path: Path) -> None:
    assert printed(run, "get", "a.txt") == ["+ a.txt  15 B from ben"]
    assert printed(run, "get", "a.txt", "--from=cleo", "-o", f"{tmp_path}/x") == [
        f"+ a.txt  15 B from cleo, as {tmp_path}/x"
    ]
    assert printed(run, "get", "a.txt", "unknown", code=5) == [
        "+ a.txt  15 B from ben",
        "- unknown  nobody who answered has it",
    ]
    assert world.controls.told == [
        (("a.txt",), None, ""),
        (("a.txt",), "cleo", f"{tmp_path}/x"),
        (("a.txt", "unknown"), None, ""),
    ]


def test_an_output_is_meant_from_the_working_directory(
    world: World, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert objects(run, "get", "a.txt", "b.txt", "--output=.")[0]["output"] == str(tmp_path)


@pytest.mark.parametrize("words", [["a", "b", "-o", "/nowhere/x"], ["a", "-o", "/nowhere/x"], ["a", "b", "-o", ""]])
def test_an_output_that_cannot_be_is_refused_before_anything_is_fetched(
    world: World, run: Run, words: list[str]
) -> None:
    assert run("get", *words)[0] == 2
    assert world.controls.told == []


def test_free_says_what_was_kept(world: World, run: Run) -> None:
    assert printed(run, "free", "a.txt") == ["a.txt  freed 15 B"]
    assert printed(run, "free", "a.txt", "only.txt", code=5)[1] == "only.txt  kept: nobody else has it"


def test_refresh_says_how_copies_stand_now(world: World, run: Run) -> None:
    assert printed(run, "refresh", "a.txt") == ["VALID     a.txt"]
    world.controls.refreshed = [Refreshed(path=name("a.txt"), state=CopyState.EXPIRED, reason="ben does not answer")]
    assert printed(run, "refresh", code=5) == ["EXPIRED   a.txt  ben does not answer"]
    assert world.controls.told == [("a.txt",), ()]


def test_marking_is_a_new_version_and_refused_where_the_file_was_not_made(world: World, run: Run) -> None:
    assert printed(run, "mark", "invalid", "a.txt") == ["a.txt  marked invalid, version 1a2b3c4d:4"]
    assert objects(run, "mark", "valid", "a.txt")[0]["version"] == "1a2b3c4d:4"
    assert world.controls.told == [("a.txt", False), ("a.txt", True)]
    assert run("mark", "invalid", "theirs.txt") == (
        11,
        "",
        "gsync: theirs.txt is not of this peer's making\n  mark it where it was made: at ben\n",
    )
    assert run("mark", "stale", "a.txt")[0] == 2


def test_the_mode_and_the_ttr_are_shown_and_set(world: World, run: Run) -> None:
    assert printed(run, "mode") == ["hybrid"]
    assert printed(run, "ttr") == ["120 s"]
    assert objects(run, "mode", "push")[0]["topology"] == "random:4"
    assert objects(run, "ttr", "30")[0]["v"] == 1
    assert world.controls.told == [Mode.PUSH, 30.0]


@pytest.mark.parametrize("words", [["mode", "pusj"], ["ttr", "0"], ["ttr", "soon"], ["ttr", "86401"]])
def test_a_mode_or_ttr_that_cannot_be_is_refused(world: World, run: Run, words: list[str]) -> None:
    assert run(*words)[0] == 2
    assert world.controls.told == []


@pytest.mark.parametrize("words", [["search", "a"], ["get", "a"], ["refresh"], ["mode"], ["ttr", "5"]])
def test_where_there_is_no_overlay_it_is_said_why(world: World, run: Run, words: list[str]) -> None:
    world.controls.overlay_is_off = "this gsync has no neighbours"
    assert run(*words) == (11, "", "gsync: this gsync has no neighbours\n")


# conflicts, restore


def waiting() -> list[ConflictWaiting]:
    return [
        ConflictWaiting(copy=COPY, path=name("notes.txt"), stands=True, size=15, mtime_ns=10**18, against_size=2048),
        ConflictWaiting(copy=name("b" + COPY[5:]), path=name("b.txt"), stands=False, size=1, mtime_ns=10**18),
    ]


def test_no_conflict_is_no_word(world: World, run: Run) -> None:
    assert printed(run, "conflicts") == []


def test_conflicts_stand_beside_what_they_lost_against(world: World, run: Run) -> None:
    world.controls.conflicting = waiting()
    code, out, err = run("conflicts")
    choose = f"choose: gsync conflicts keep (mine|theirs|both) 'notes.txt' --dir={world.folder}\n"
    assert (code, err) == (6, choose)
    assert out.splitlines() == [
        "theirs  2.0 KiB  1970-01-01 00:00:00  notes.txt",
        f"mine       15 B  2001-09-09 01:46:40  {COPY}",
        "theirs        -  gone                 b.txt",
        f"mine        1 B  2001-09-09 01:46:40  b{COPY[5:]}",
    ]
    assert [line["stands"] for line in objects(run, "conflicts", code=6)] == [True, False]


@pytest.mark.parametrize("choice", list(Keep))
def test_a_conflict_is_settled(world: World, run: Run, choice: Keep) -> None:
    assert printed(run, "conflicts", "keep", choice, "notes.txt", "photos/b.jpg") == [
        f"{COPY} stands at notes.txt; what stood there is at .gsync/trash/box/notes.txt",
        f"{COPY} stands at photos/b.jpg; what stood there is at .gsync/trash/box/notes.txt",
    ]
    assert world.controls.told == [(choice, ("notes.txt", "photos/b.jpg"))]
    assert objects(run, "conflicts", "keep", choice, "a.txt")[0]["stands_at"] == "a.txt"


def test_a_name_without_a_conflict_ends_it(world: World, run: Run) -> None:
    code, out, err = run("conflicts", "keep", "mine", "notes.txt", "unknown.txt")
    assert code == 4
    assert len(out.splitlines()) == 1
    assert err == f"gsync: unknown.txt has no conflict copy here\n  gsync conflicts --dir={world.folder}\n"


@pytest.mark.parametrize("words", [["keep"], ["keep", "mine"], ["keep", "yours", "a.txt"], ["a.txt"]])
def test_a_choice_that_cannot_be_understood_is_answered_with_the_right_way(
    world: World, run: Run, words: list[str]
) -> None:
    assert run("conflicts", *words)[0] == 2
    assert world.controls.told == []


def test_a_running_peer_restores_by_itself(world: World, run: Run) -> None:
    assert printed(run, "restore", "notes.txt") == ["+ notes.txt  from 20261122T060018Z-62c09ab6"]
    assert objects(run, "restore", "notes.txt", "--at=20261122T060018Z-62c09ab6")[0]["path"] == "notes.txt"
    assert world.controls.told == [(("notes.txt",), ""), (("notes.txt",), "20261122T060018Z-62c09ab6")]
    see = f"gsync restore --list --dir={world.folder}"
    assert run("restore", "no.txt") == (4, "", f"gsync: no.txt is not in the trash\n  {see}\n")


@pytest.fixture
def trashed(tmp_path: Path) -> Path:
    """A folder in which no peer runs, with two versions of a file in its trash."""
    folder = tmp_path / "Shared"
    for box, content in (("20261121T060018Z-62c09ab6", "old"), ("20261122T060018Z-00000000", "newer")):
        (folder / ".gsync/trash" / box).mkdir(parents=True)
        (folder / ".gsync/trash" / box / "notes.txt").write_text(content)
    return folder


def test_what_lies_in_the_trash_is_listed_whether_a_peer_runs_or_not(trashed: Path, run: Run) -> None:
    lines = [
        "20261122T060018Z-00000000                5 B  notes.txt",
        "20261121T060018Z-62c09ab6                3 B  notes.txt",
    ]
    assert printed(run, "restore", "--list") == lines
    assert printed(run, "restore", "--list", "notes.txt") == lines
    assert printed(run, "restore", "--list", "other.txt") == []
    assert objects(run, "restore", "--list")[0]["since_s"] == 1795327218.0


def test_where_no_peer_runs_the_command_restores_by_itself(trashed: Path, run: Run) -> None:
    (trashed / "notes.txt").write_text("mine")
    (line,) = printed(run, "restore", "notes.txt")
    assert line.startswith("+ notes.txt  from 20261122T060018Z-00000000; what stood there is at .gsync/trash/")
    assert (trashed / "notes.txt").read_text() == "newer"
    assert (trashed / line.split()[-1]).read_text() == "mine"
    assert printed(run, "restore", "notes.txt", "--at=20261121T060018Z-62c09ab6")
    assert (trashed / "notes.txt").read_text() == "old"


def test_what_is_not_in_the_trash_is_told(trashed: Path, run: Run) -> None:
    code, out, err = run("restore", "no.txt")
    assert (code, out) == (4, "")
    assert err == f"gsync: no.txt is not in the trash\n  see what is: gsync restore --list --dir={trashed}\n"
    assert run("restore", "notes.txt", "--at=20261121T000000Z-62c09ab6")[0] == 4


def test_a_folder_that_was_never_kept_has_no_trash_and_gets_none(tmp_path: Path, run: Run) -> None:
    (tmp_path / "Shared").mkdir()
    assert run("restore", "notes.txt")[0] == 10
    assert run("restore", "--list")[0] == 10
    assert list((tmp_path / "Shared").iterdir()) == []


# orders


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("release", "released 412 deletions"),
        ("pause", "paused; go on: gsync resume --dir=DIR"),
        ("resume", "going on"),
        ("scan", "2 names had changed"),
    ],
)
def test_an_order_is_given_and_told(world: World, run: Run, word: str, line: str) -> None:
    assert run(word) == (0, "", f"{line}\n".replace("DIR", str(world.folder)))
    assert world.controls.told == [word]
    assert objects(run, word)[0]["v"] == 1


def test_stop_returns_when_the_peer_has_ended(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = os.open(world.folder / ".gsync" / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            world.server.close()
        if len(slept) == 3:
            os.close(lock)

    monkeypatch.setattr(time, "sleep", sleep)
    assert run("stop") == (0, "", "stopped\n")
    assert world.controls.told == ["stop"]
    assert len(slept) == 3


def test_a_peer_that_does_not_stop_is_told_of(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "STOP_S", 0.0)
    code, _, err = run("stop")
    assert code == 1
    assert "has not ended after 0 s" in err


# where no peer runs


@pytest.mark.parametrize("word", [word for word in LOOKING if word != "restore"])
def test_where_no_peer_runs_the_command_to_start_one_is_told(tmp_path: Path, run: Run, word: str) -> None:
    folder = tmp_path / "Shared"
    (folder / ".gsync").mkdir(parents=True)
    told = run(*WORDS.get(word, [word]))
    start = f"start one, for this machine alone: gsync 127.0.0.1 9000 --dir={folder}"
    assert told == (10, "", f"gsync: no gsync runs in {folder}\n  {start}\n")


def test_the_command_to_start_it_again_names_the_tracker_of_before(world: World, run: Run) -> None:
    world.server.close()
    note(world.own_fd, TRACKER_NOTE, "192.0.2.10 9000")
    assert run("status")[2].splitlines()[1] == f"  start one: gsync 192.0.2.10 9000 --dir={world.folder}"
    note(world.own_fd, TRACKER_NOTE, "$(rm -rf ~) 9000")
    assert run("status")[2].splitlines()[1] == f"  start one: gsync 127.0.0.1 9000 --dir={world.folder}"


def test_a_peer_that_was_killed_is_none(world: World, run: Run) -> None:
    world.server.close()
    Door.open(world.own_fd, "control").socket.close()
    assert run("status")[0] == 10


def test_a_peer_that_holds_the_folder_but_takes_no_questions_is_told_with_its_process(world: World, run: Run) -> None:
    world.server.close()
    lock = os.open(world.folder / ".gsync" / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    code, _, err = run("status")
    os.close(lock)
    assert code == 1
    assert f"(process {os.getpid()})" in err
    assert f"kill {os.getpid()}" in err


# which folder, which names


def test_the_folder_is_the_nearest_one_above_that_gsync_keeps(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = world.folder / "photos" / "2026"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep.parent)
    assert run_command(["why", "b.jpg", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == "photos/b.jpg"
    assert run_command(["why", "../a.txt"]) == 0
    monkeypatch.chdir(deep)
    assert run_command(["why", f"{world.folder}/a.txt"]) == 0
    assert run_command(["ls", ".."]) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()][-1] == "photos/b.jpg"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("..", "is not in the folder"),
        ("../x", "is not in the folder"),
        ("/etc/passwd", "is not in the folder"),
        (".", "is the folder itself"),
        ("", "'' is no name"),
        ("a/../..", "is not in the folder"),
    ],
)
def test_a_name_outside_the_folder_is_refused_and_the_names_within_are_a_command_away(
    world: World, run: Run, path: str, reason: str
) -> None:
    code, _, err = run("why", path)
    what, advice = err.splitlines()
    assert code == 2
    assert reason in what
    assert advice == f"  names are meant from {world.folder}; see which there are: gsync ls --dir={world.folder}"


@pytest.mark.parametrize("path", [".gsync/lock", "a\nb"])
def test_a_name_that_cannot_be_synced_is_refused(world: World, run: Run, path: str) -> None:
    code, _, err = run("why", path)
    assert code == 2
    assert err.splitlines()[1:] == ["  gsync why --help"]


@pytest.mark.parametrize(("make", "what"), [(Path.touch, "is no directory"), (lambda _: None, "does not exist")])
@pytest.mark.parametrize("word", [word for word in LOOKING if word != "shell"])
def test_a_folder_that_is_none_is_not_to_be_started_in(
    tmp_path: Path, run: Run, word: str, make: Callable[[Path], None], what: str
) -> None:
    make(tmp_path / "Shared")
    code, _, err = run(*WORDS.get(word, [word]))
    assert (code, err.splitlines()[0]) == (10, f"gsync: no gsync runs in {tmp_path / 'Shared'}: it {what}")
    assert "start one" not in err


def test_a_folder_that_was_never_kept_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["status"]) == Exit.NOT_RUNNING
    assert f"no gsync runs in {tmp_path}" in capsys.readouterr().err


def test_a_planted_link_is_no_folder_of_ours(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / ".gsync").symlink_to(world.folder / ".gsync")
    assert run_command(["stop", f"--dir={planted}"]) == Exit.NOT_RUNNING
    assert world.controls.told == []
