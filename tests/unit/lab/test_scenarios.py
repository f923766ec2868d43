"""What a load amounts to."""

from __future__ import annotations

import pytest

from gsync.lab.scenarios import SCENARIOS, Load, Share


def test_a_load_knows_how_many_files_and_bytes_it_has() -> None:
    load = Load(shares=(Share(size=10, count=3), Share(size=0, count=2)))
    assert (load.files, load.bytes) == (5, 30)


@pytest.mark.parametrize(("peers", "percent", "killed"), [(10, 0, 0), (10, 10, 1), (3, 1, 1), (4, 50, 2), (4, 100, 4)])
def test_any_percentage_kills_at_least_one(peers: int, percent: float, killed: int) -> None:
    assert Load(peers=peers, kill_percent=percent).killed == killed


def test_bad_peers_are_a_part_of_all_and_are_never_killed() -> None:
    load = Load(peers=8, bad_percent=50, kill_percent=100)
    assert (load.bad, load.good, load.killed) == (4, 4, 4)


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_has_files_that_somebody_else_wants(name: str) -> None:
    load = SCENARIOS[name]
    assert load.files >= 2
    assert load.good >= 2
