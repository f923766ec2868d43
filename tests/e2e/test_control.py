"""The commands as processes of their own, against a peer that only answers, and against real ones in a swarm of two."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gsync.core.status import Settled
from gsync.net.clock import SystemClock
from gsync.web.control import ControlServer
from tests.e2e import folders
from tests.e2e.cluster import Cluster, Peer, Program
from tests.unit.web.controls import FakeControls

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def controls(cluster: Cluster) -> Iterator[FakeControls]:
    """What answers in the folder `kept` of the cluster."""
    own = cluster.folder("kept") / ".gsync"
    (own / "trash").mkdir(parents=True)
    own_fd = os.open(own, os.O_RDONLY | os.O_DIRECTORY)
    controls = FakeControls()
    server = ControlServer(controls, own_fd=own_fd, clock=SystemClock())
    yield controls
    server.close()
    os.close(own_fd)


def run(cluster: Cluster, *words: str) -> Program:
    return cluster.gsync(*words, cwd=cluster.base / "kept")


def test_each_command_is_answered_from_within_the_folder(cluster: Cluster, controls: FakeControls) -> None:
    words = [
        *[["status"], ["wait"], ["ls"], ["peers"], ["log"], ["why", "a.txt"], ["conflicts"], ["restore", "notes.txt"]],
        *[["release"], ["pause"], ["resume"], ["scan"]],
    ]
    programs = [run(cluster, *one, "--json") for one in words]
    assert [program.ends() for program in programs] == [0] * len(words)
    assert [program.err for program in programs] == [""] * len(words)
    for program in programs:
        assert all(json.loads(line)["v"] == 1 for line in program.out.splitlines())


def test_a_name_that_nobody_knows_and_a_wait_that_is_over_have_their_codes(
    cluster: Cluster, controls: FakeControls
) -> None:
    controls.settled_answers = [Settled(settled=False, reason="3 names to fetch")]
    assert run(cluster, "why", "no.txt").ends() == 4
    late = run(cluster, "wait", "--timeout=0.1")
    assert late.ends() == 7
    assert "3 names to fetch" in late.err


def test_a_reader_that_goes_away_ends_a_long_list_without_a_word(cluster: Cluster, controls: FakeControls) -> None:
    controls.entries = controls.entries * 20_000
    line = f"{sys.executable} -P -m gsync ls | head -n 1"
    program = cluster.run(["sh", "-c", line], cwd=cluster.base / "kept")
    program.ends()
    assert len(program.out.splitlines()) == 1
    assert program.err == ""


def test_where_nobody_runs_the_code_is_ten_and_the_command_can_be_pasted(cluster: Cluster) -> None:
    cluster.folder("kept")
    program = run(cluster, "status")
    assert program.ends() == 10
    assert f"gsync 127.0.0.1 9000 --dir={cluster.base / 'kept'}" in program.err


# Real peers


@pytest.fixture
def swarm(cluster: Cluster) -> list[Peer]:
    """Two peers that are in sync, in the folders `ann` and `ben`."""
    folders.write(cluster.folder("ann"), "notes.txt", b"work")
    tracker = cluster.tracker()
    return [cluster.peer(name, tracker.port) for name in ("ann", "ben")]


def ask(cluster: Cluster, folder: str, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """The objects that the command says in this folder; it must end with `code`."""
    program = cluster.gsync(*words, "--json", f"--dir={cluster.base / folder}")
    assert program.ends() == code, program.last_words()
    return [json.loads(line) for line in program.out.splitlines()]


def both_in_sync(cluster: Cluster) -> None:
    for folder in ("ann", "ben", "ann"):
        cluster.until(
            lambda at=folder: (cluster.base / at / ".gsync/control").exists(), f"a control socket of {folder}"
        )
        ask(cluster, folder, "wait", "--timeout=60")


def test_when_wait_returns_the_folders_are_equal(cluster: Cluster, swarm: list[Peer]) -> None:
    both_in_sync(cluster)
    for number in range(5):
        folders.write(cluster.base / "ann", f"{number}.txt", b"%d" % number)
        (cluster.base / "ben" / f"d{number}").mkdir()
        both_in_sync(cluster)
        assert visible(cluster.base / "ann") == visible(cluster.base / "ben")


def test_a_real_peer_answers_and_obeys(cluster: Cluster, swarm: list[Peer]) -> None:
    both_in_sync(cluster)
    (status,) = ask(cluster, "ben", "status")
    assert (status["in_sync"], status["here"]["files"], status["peers"]) == (True, 1, 1)
    assert [line["state"] for line in ask(cluster, "ben", "ls")] == ["synced"]
    assert ask(cluster, "ben", "why", "notes.txt")[0]["state"] == "synced"
    ask(cluster, "ben", "why", "no.txt", code=4)
    assert "file.fetched" in [line["event"] for line in ask(cluster, "ben", "log")]
    ask(cluster, "ben", "pause")
    assert "paused" in ask(cluster, "ben", "wait", "--timeout=0", code=7)[0]["reason"]
    ask(cluster, "ben", "resume")
    ask(cluster, "ben", "stop")
    assert swarm[1].ends() == 0
    ask(cluster, "ben", "status", code=10)


def test_what_was_deleted_elsewhere_comes_back_from_the_trash_and_travels(cluster: Cluster, swarm: list[Peer]) -> None:
    both_in_sync(cluster)
    (cluster.base / "ann" / "notes.txt").unlink()
    cluster.until(lambda: not (cluster.base / "ben" / "notes.txt").exists(), "the deletion")
    assert [one["path"] for one in ask(cluster, "ben", "restore", "notes.txt")] == ["notes.txt"]
    cluster.until((cluster.base / "ann" / "notes.txt").exists, "the restored file, elsewhere")
    assert (cluster.base / "ann" / "notes.txt").read_bytes() == b"work"


def visible(folder: Path) -> dict[str, bytes | None]:
    """Everything in it but what is ours."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if ".gsync" not in path.relative_to(folder).parts
    }
