"""The commands as processes of their own, against a peer that only answers: exit codes, output, and how soon it comes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

import pytest

from gsync.net.clock import SystemClock
from gsync.web.control import ControlServer
from tests.e2e.cluster import Cluster, Program
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
    controls.settled_answers = [(False, "3 names to fetch")]
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
    assert f"gsync <ip> <port> --dir={cluster.base / 'kept'}" in program.err
