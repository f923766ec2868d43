"""`make bench` works: lines and a table come out. How fast anything is, no test says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.cluster import REPOSITORY, Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_the_benchmark_prints_a_line_a_figure_and_a_table(cluster: Cluster, tmp_path: Path) -> None:
    words = [sys.executable, "-P", "-m", "tests.bench", "--quick", "--only=start,help", f"--out={tmp_path / 'out'}"]
    bench = cluster.run(words, cwd=REPOSITORY)
    assert bench.ends(within_s=100) == 0, bench.last_words()
    lines = [json.loads(line) for line in bench.out.splitlines() if line.startswith("{")]
    assert lines[0]["machine"]["cores"] > 0
    assert {"start", "help"} == {line["figure"] for line in lines[1:]}
    for line in lines[1:]:
        assert line["ours"][0]["samples"]
        assert line["against"][0]["samples"]
        assert not line["failures"]
    table = (tmp_path / "out" / "table.txt").read_text()
    assert bench.out.endswith(table)
    assert {"start", "help"} <= {line.split()[0] for line in table.splitlines() if line.strip()}
