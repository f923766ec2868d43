"""The commands of the overlay on three real peers in a line, whose tracker only names them, and then is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import GSYNC, Cluster, Peer, Program, cluster_beneath
from tests.e2e.folders import write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

TOPOLOGY = "ann,ben\nben,ann,cleo\ncleo,ben\n"


class Line:
    """Ann, Ben and Cleo: each knows the next one, and Ann has a file."""

    def __init__(self, cluster: Cluster, tmp_path: Path) -> None:
        self.cluster = cluster
        self.tracker = cluster.tracker("--naming-only")
        topology = tmp_path / "peers.txt"
        topology.write_text(TOPOLOGY)
        write(cluster.folder("ann"), "a.txt", b"Ann's")
        self.ann, self.ben, self.cleo = (
            cluster.peer(name, self.tracker.port, f"--name={name}", f"--topology={topology}")
            for name in ("ann", "ben", "cleo")
        )
        self.until_linked()

    def until_linked(self) -> None:
        """Every link of the line stands."""
        for peer, count in ((self.ann, 1), (self.ben, 2), (self.cleo, 1)):
            self.cluster.until(lambda p=peer, n=count: self.links(p) == n, f"{count} links of {peer.name}")

    def links(self, peer: Peer) -> int:
        """How many links of this peer stand; -1 while it starts."""
        asked = self.ask(peer, "mode", "--json")
        if asked.code != 0:
            return -1
        return sum(one["is_up"] for one in json.loads(asked.out)["neighbours"])

    def ask(self, peer: Peer, *words: str) -> Program:
        """A command in this peer's folder, ended."""
        program = self.cluster.gsync(*words, f"--dir={peer.folder}")
        program.ends()
        return program

    def objects(self, peer: Peer, *words: str) -> list[dict[str, Any]]:
        """What it answers with --json."""
        asked = self.ask(peer, *words, "--json")
        assert asked.code == 0, asked.last_words()
        return [json.loads(line) for line in asked.out.splitlines()]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    base = tmp_path_factory.mktemp("overlay")
    with cluster_beneath(base / "cluster") as cluster:
        yield Line(cluster, base)


def test_a_search_finds_what_is_two_links_away_and_no_further_than_it_may(line: Line) -> None:
    hits = {hit["holder"]: hit for hit in line.objects(line.cleo, "search", "a.*", "--wait=1")}
    assert (hits["ann"]["state"], hits["ann"]["hops"], hits["ann"]["size"]) == ("OWNED", 2, 5)
    near = line.ask(line.cleo, "search", "a.*", "--wait=0.5", "--ttl=1")
    assert "ann" not in near.out


def test_what_was_found_is_got_and_can_be_marked_where_it_was_made_only(line: Line, tmp_path: Path) -> None:
    (got,) = line.objects(line.cleo, "get", "a.txt", "--from=ann", "-o", str(tmp_path / "theirs.txt"))
    assert (got["holder"], got["reason"]) == ("ann", "")
    assert (tmp_path / "theirs.txt").read_bytes() == b"Ann's"
    line.objects(line.cleo, "get", "a.txt")
    assert (line.cleo.folder / "a.txt").read_bytes() == b"Ann's"
    refused = line.ask(line.cleo, "mark", "invalid", "a.txt")
    assert refused.code == 11, refused.last_words()
    assert line.objects(line.ann, "mark", "invalid", "a.txt")[0]["path"] == "a.txt"


def test_the_mode_and_the_ttr_change_while_it_runs(line: Line) -> None:
    assert line.objects(line.ben, "mode")[0]["mode"] == "hybrid"
    assert line.objects(line.ben, "mode", "passive")[0]["mode"] == "passive"
    assert line.objects(line.ben, "ttr", "30")[0]["ttr_s"] == 30
    assert line.objects(line.ben, "mode", "hybrid")[0]["mode"] == "hybrid"


def test_without_the_tracker_searches_go_on(line: Line) -> None:
    line.tracker.stop()
    hits = line.objects(line.cleo, "search", "a.txt", "--wait=1")
    assert "ann" in {hit["holder"] for hit in hits}


def test_a_peer_that_knows_a_neighbour_starts_without_a_tracker(line: Line) -> None:
    port = line.ben.endpoint.rpartition(":")[2]
    folder = line.cluster.folder("dora")
    dora = line.cluster.gsync(f"--neighbours=127.0.0.1:{port}", f"--dir={folder}", "--name=dora")
    dora.says("without a tracker")
    asked: list[Program] = []

    def finds() -> bool:
        asked.append(line.cluster.gsync("search", "a.txt", "--wait=1", f"--dir={folder}"))
        return asked[-1].ends() == 0 and "ann" in asked[-1].out

    line.cluster.until(finds, "a hit at Dora's")


def test_a_script_of_commands_is_carried_out_at_the_prompt(line: Line) -> None:
    script = line.cluster.base / "script"
    script.write_text("search a.txt --wait=0.5\nls a.txt\n")
    shell = line.cluster.run(["sh", "-c", 'exec "$0" "$@" < script', *GSYNC, "shell", f"--dir={line.ann.folder}"])
    assert shell.ends() == 0
    assert "OWNED" in shell.out
