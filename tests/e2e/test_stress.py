"""`gsync stress`, small: each scenario holds, what goes wrong is seen, and nothing is left behind.

All scenarios run at the same time, and beside the other tests: mostly each of them waits for keepalives and for bad peers.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, Program, cluster_beneath

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

DEADLINE_S = 85.0

RUNS = {
    "flash": ["--scenario=flash", "--size=64K:20,2M:1"],
    "disjoint": ["--scenario=disjoint", "--peers=3", "--files=150"],
    "classic": ["--scenario=disjoint", "--peers=3", "--files=150", "--classic"],
    "churn": ["--scenario=churn", "--peers=3", "--size=4K:100,8M:3"],
    "tracker": ["--scenario=tracker", "--peers=3", "--files=150"],
    "bad": ["--scenario=bad", "--peers=12", "--files=48", "--timeout=3"],
    "giant": ["--scenario=giant", "--peers=2", "--size=64M:1,1K:200"],
    "soak": ["--scenario=soak", "--peers=3", "--seconds=15", "--size=4K:50,1M:2"],
}


class Run:
    """A stress run, and the folder that it may use."""

    def __init__(self, cluster: Cluster, name: str, *words: str) -> None:
        self.folder = cluster.folder(name)
        self.program: Program = cluster.gsync("stress", "--json", f"--dir={self.folder}", *words)

    def report(self) -> dict[str, Any]:
        """The last line, once it has ended."""
        self.program.ends(within_s=DEADLINE_S)
        last = self.program.events()[-1]
        assert last["event"] == "stress.report", self.program.last_words()
        return last


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    with cluster_beneath(tmp_path_factory.mktemp("stress") / "cluster") as cluster:
        yield {name: Run(cluster, name, *words) for name, words in RUNS.items()}


def test_a_file_that_nobody_made_is_found(cluster: Cluster) -> None:
    run = Run(cluster, "run", "--peers=2", "--files=20")
    run.program.says("started a tracker")
    (base,) = run.folder.iterdir()
    (base / "peer-1" / "stranger").write_text("from outside")
    report = run.report()
    assert report["exit"] == run.program.code == 8
    assert "peer-1: stranger: nobody made this file" in report["differing"]


def test_what_does_not_arrive_in_time_is_missing_and_the_report_is_written(cluster: Cluster, tmp_path: Path) -> None:
    run = Run(cluster, "run", "--peers=2", "--size=256M:2", "--seconds=1", f"--report={tmp_path / 'report.json'}")
    report = run.report()
    assert report["exit"] == run.program.code == 5
    assert report["missing"]
    assert json.loads((tmp_path / "report.json").read_text())["missing"] == report["missing"]


def test_for_people_it_is_a_table(cluster: Cluster) -> None:
    program = cluster.gsync("stress", f"--dir={cluster.folder('run')}", "--peers=2", "--files=10")
    assert program.ends() == 0, program.last_words()
    assert [line.split()[0] for line in program.out.splitlines()][:3] == ["swarm", "makespan", "rate"]
    assert program.out.endswith("it held\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_process_and_removes_every_file(cluster: Cluster, number: signal.Signals) -> None:
    run = Run(cluster, "run", "--peers=2", "--files=20", "--scenario=soak")
    run.program.says("started a tracker")
    (base,) = run.folder.iterdir()
    mine = [pid for pid in _processes() if str(base) in _command_line(pid)]
    assert len(mine) == 2
    run.program.signal(number)
    assert run.program.ends() == 130
    assert list(run.folder.iterdir()) == []
    assert not [pid for pid in mine if str(base) in _command_line(pid)]


@pytest.mark.parametrize("name", RUNS)
def test_the_scenario_holds(runs: dict[str, Run], name: str) -> None:
    run = runs[name]
    report = run.report()
    troubles = (report["missing"], report["differing"], report["broken"], report["is_flat"])
    assert (run.program.code, *troubles) == (0, [], [], [], True)
    assert list(run.folder.iterdir()) == []


def test_every_arrival_is_counted_and_timed(runs: dict[str, Run]) -> None:
    report = runs["disjoint"].report()
    assert (report["peers"], report["files"], report["arrivals"]) == (3, 150, 300)
    assert report["file_s"]["count"] == report["first_byte_s"]["count"] == 300
    assert 0 < report["first_byte_s"]["p50"] <= report["file_s"]["p50"] < report["makespan_s"]
    assert report["lag_ms"]["count"] > 10
    assert len(report["cpu_s"]) == len(report["rss_peak"]) == len(report["descriptors_peak"]) == 4
    assert all(cpu_s > 0 for cpu_s in report["cpu_s"].values())


def test_in_the_churn_somebody_is_killed_and_comes_back(runs: dict[str, Run]) -> None:
    report = runs["churn"].report()
    assert report["killed"] == 1
    assert len(report["cpu_s"]) == 1 + 3 + 1


def test_the_tracker_comes_back(runs: dict[str, Run]) -> None:
    assert sum(name.startswith("tracker.") for name in runs["tracker"].report()["cpu_s"]) == 2


def test_bad_peers_are_met_and_named_by_what_they_did(runs: dict[str, Run]) -> None:
    report = runs["bad"].report()
    assert (report["peers"], report["bad_peers"]) == (6, 6)
    assert set(report["failed"]) == {"stalled", "short", "reset"}


def test_the_soak_tells_how_much_everything_grew(runs: dict[str, Run]) -> None:
    assert set(runs["soak"].report()["growth"]) == {"rss", "descriptors", "greenlets"}


def _processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
