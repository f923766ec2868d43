"""Whole swarms of live folders on fakes, in virtual time: all end equal and at rest, and nobody's work is lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gsync.core.model import Kind
from gsync.peer.events import FileDeleted, FileFetched, FileMoved
from tests.sim.cluster import Cluster, Machine, cluster
from tests.sim.live_history import LiveHistory

HEALED_WITHIN_S = 240.0
QUIET_S = 120.0


def trees(swarm: Cluster) -> list[Mapping[str, tuple[Kind, bytes]]]:
    return [machine.folder.tree() for machine in swarm.machines]


def wait_until_the_same(swarm: Cluster, *, within_s: float = HEALED_WITHIN_S) -> None:
    """All folders are equal; those on demand in what they have."""

    def are_equal() -> bool:
        whole, *others = trees(swarm)
        parts = [machine.on_demand for machine in swarm.machines[1:]]
        return all(
            (tree.items() <= whole.items()) if is_part else tree == whole
            for tree, is_part in zip(others, parts, strict=True)
        )

    swarm.wait_until(lambda: are_equal() and all(m.is_at_rest for m in swarm.machines), within_s=within_s)


def kept(swarm: Cluster) -> set[bytes]:
    """All that is in a folder or in a trash of anybody."""
    return {content for machine in swarm.machines for content in machine.folder.contents().values()}


def started(swarm: Cluster, count: int, files: Mapping[str, bytes] | None = None) -> list[Machine]:
    """`count` machines, the first of which has `files`, running and in sync."""
    machines = [swarm.machine(files if not number else None) for number in range(count)]
    for machine in machines:
        machine.start()
    swarm.rest(1)
    wait_until_the_same(swarm, within_s=60)
    return machines


def test_an_edit_reaches_everybody_in_a_blink(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True, latency_s=(0.0001, 0.001)) as swarm:
        first, *others = started(swarm, 4, {"a.txt": b"old", "d/b.txt": b"deep"})
        swarm.rest(5)
        began = swarm.world.now_s
        first.folder.edit("a.txt", b"new")
        while not all(machine.files()["a.txt"] == b"new" for machine in others):
            swarm.rest(0.001)
            assert swarm.world.now_s - began < 1.0
        assert swarm.world.now_s - began < 0.1


def test_a_renamed_directory_moves_everywhere_and_not_a_byte_travels(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True) as swarm:
        first, second = started(swarm, 2, {f"d/{n:03}": b"%d" % n for n in range(40)})
        before = len(second.events)
        first.folder.rename("d", "e")
        swarm.wait_until(lambda: "e/001" in second.files(), within_s=5)
        wait_until_the_same(swarm, within_s=10)
        told = [event for event in second.events[before:] if isinstance(event, FileFetched | FileMoved | FileDeleted)]
        assert [type(event) for event in told] == [FileMoved]


def test_a_deletion_travels_and_the_content_is_in_the_trash(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True) as swarm:
        first, second = started(swarm, 2, {"d/a.txt": b"precious", "b.txt": b"other"})
        first.folder.remove("d")
        swarm.wait_until(lambda: set(second.folder.tree()) == {"b.txt"}, within_s=5)
        assert b"precious" in {c for name, c in second.folder.contents().items() if "/trash/" in name}


def test_two_edits_at_once_leave_both_under_the_same_names_everywhere(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True) as swarm:
        first, second, third = started(swarm, 3, {"a.txt": b"old"})
        swarm.network.partition({first.ip})
        swarm.rest(1)
        first.folder.edit("a.txt", b"by the first")
        second.folder.edit("a.txt", b"by the second")
        swarm.rest(5)
        swarm.network.heal()
        swarm.wait_until(lambda: len(third.files()) == 2, within_s=60)
        wait_until_the_same(swarm)
        assert sorted(third.files().values()) == [b"by the first", b"by the second"]


def test_an_edit_beats_a_deletion(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True) as swarm:
        first, second = started(swarm, 2, {"a.txt": b"old"})
        swarm.network.partition({first.ip})
        swarm.rest(1)
        first.folder.remove("a.txt")
        second.folder.edit("a.txt", b"edited meanwhile")
        swarm.rest(5)
        swarm.network.heal()
        swarm.wait_until(lambda: first.files() == {"a.txt": b"edited meanwhile"}, within_s=60)
        wait_until_the_same(swarm)


def test_an_edit_follows_a_file_that_is_renamed_elsewhere(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True) as swarm:
        first, second = started(swarm, 2, {"a.txt": b"old"})
        swarm.network.partition({first.ip})
        swarm.rest(1)
        first.folder.rename("a.txt", "b.txt")
        second.folder.edit("a.txt", b"edited meanwhile")
        swarm.rest(5)
        swarm.network.heal()
        swarm.wait_until(lambda: first.files() == {"b.txt": b"edited meanwhile"}, within_s=60)
        wait_until_the_same(swarm)


def test_a_tracker_that_comes_back_empty_deletes_nothing(tmp_path: Path) -> None:
    with cluster(tmp_path, watches=True) as swarm:
        machines = started(swarm, 3, {"a.txt": b"a", "d/b.txt": b"b"})
        swarm.stop_tracker()
        swarm.rest(20)
        machines[1].folder.put("c.txt", b"made meanwhile")
        machines[2].folder.remove("a.txt")
        swarm.rest(5)
        swarm.start_tracker()
        swarm.wait_until(lambda: set(machines[0].files()) == {"d/b.txt", "c.txt"}, within_s=60)
        wait_until_the_same(swarm)


@pytest.mark.parametrize("watches", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_random_histories_end_equal_and_lose_nothing(tmp_path: Path, seed: int, watches: bool) -> None:
    live(tmp_path, seed=seed, watches=watches)


@pytest.mark.parametrize("seed", range(6))
def test_random_histories_with_folders_on_demand_end_equal_in_what_they_have(tmp_path: Path, seed: int) -> None:
    live(tmp_path, seed=seed, watches=True, machines=4, on_demand=1 + seed % 3)


def test_a_seed_gives_the_same_history_each_time(tmp_path: Path) -> None:
    logs = []
    for run in ("once", "again"):
        base = tmp_path / run
        base.mkdir()
        logs.append(live(base, seed=7, watches=True))
    assert logs[0] == logs[1]


def live(base: Path, *, seed: int, watches: bool, machines: int = 3, steps: int = 40, on_demand: int = 0) -> list[str]:
    """One history; fails with its log, and returns it with all that happened. The last machines are `on_demand`."""
    with cluster(base, seed=seed, watches=watches) as swarm:
        for number in range(machines):
            machine = swarm.machine()
            machine.on_demand = number >= machines - on_demand
            machine.start()
        history = LiveHistory(swarm, seed=seed)
        history.run(steps)
        history.end_faults()
        try:
            swarm.rest(20)
            wait_until_the_same(swarm)
            assert history.owed <= kept(swarm), f"lost: {history.owed - kept(swarm)}"
            events = [len(machine.events) for machine in swarm.machines]
            before = trees(swarm)
            swarm.rest(QUIET_S)
            assert [len(machine.events) for machine in swarm.machines] == events, (
                "something happens though all is equal"
            )
            assert trees(swarm) == before
        except AssertionError as failure:
            shown = "\n".join(str(sorted(tree.items())) for tree in trees(swarm))
            raise AssertionError(f"seed {seed}\n" + "\n".join(history.log) + f"\n{shown}\n{failure}") from failure
        return [*history.log, *(str(event) for machine in swarm.machines for event in machine.events)]
