"""Swarms of plain machines: planner, versions, joins and diff against everything that people and faults do.

`make sim N=100000` runs more of them; docs/simulation.md has what that found.
"""

from __future__ import annotations

import pytest

from gsync.core import planner, records
from gsync.core.actions import Relocate
from gsync.core.model import Kind, Record
from gsync.core.names import RelPath
from tests.sim.judgement import Violation
from tests.sim.plain_hands import act
from tests.sim.plain_machine import EXECUTABLE, PlainMachine, digest_of
from tests.sim.planner_swarm import PlannerSwarm, Shape, shape_of

SEEDS = 400
CHUNK = 50


def run(seeds: range) -> None:
    for seed in seeds:
        PlannerSwarm(seed).run()


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_is_lost_and_all_come_to_rest_with_equal_folders(first: int) -> None:
    run(range(first, first + CHUNK))


@pytest.mark.parametrize("seed", [50_039_826, 50_029_239, 50_041_684, 40_039_155])
def test_what_once_went_wrong_goes_right(seed: int) -> None:
    PlannerSwarm(seed).run()  # docs/simulation.md says what it was


@pytest.mark.slow
def test_a_seed_tells_the_same_story_twice() -> None:
    for seed in range(20):
        one, other = PlannerSwarm(seed), PlannerSwarm(seed)
        one.run(), other.run()
        assert one.trace == other.trace
        assert one.trace


def test_all_shapes_are_drawn() -> None:
    shapes = [shape_of(seed) for seed in range(SEEDS)]
    assert {shape.machines for shape in shapes} == {2, 3, 4}
    for quality in (
        "has_classic",
        "loses_indexes",
        "starts_full",
        "has_skew",
        "has_one_writer",
        "is_plain",
        "on_demand",
    ):
        assert 0 < sum(bool(getattr(shape, quality)) for shape in shapes) < SEEDS


@pytest.mark.slow
def test_a_planner_that_lets_each_machine_win_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def mine_wins(a: Record, b: Record) -> bool:
        return False

    monkeypatch.setattr(planner, "beats", mine_wins)
    with pytest.raises(Violation, match=r"folders differ|trees differ|has what others have not|knows otherwise"):
        run(range(50))


@pytest.mark.slow
def test_a_planner_that_believes_every_version_to_be_seen_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = records.compare_vectors

    def never_concurrent(a: object, b: object) -> object:
        found = real(a, b)  # type: ignore[arg-type]
        return records.Order.NEWER if found is records.Order.CONCURRENT else found

    monkeypatch.setattr(records, "compare_vectors", never_concurrent)
    with pytest.raises(Violation):
        run(range(50))


# What it has found, told again step by step


class Story:
    """Some machines with nothing in their folders, and what happens to them."""

    def __init__(self, machines: int = 2) -> None:
        self.swarm = PlannerSwarm(1, Shape(machines=machines, steps=0))
        self.machines = self.swarm.machines
        for machine in self.machines:
            machine.scan()

    def write(self, n: int, path: str, token: str) -> None:
        machine = self.machines[n]
        before = machine.disk.get(RelPath.parse(path))
        self.swarm.people.owed.add(token)
        if before is not None:
            self.swarm.people.owed.discard(before.token)
        machine.put(RelPath.parse(path), machine.node(Kind.FILE, token, mtime_ns=self.swarm.now_ns(machine)))

    def mkdir(self, n: int, path: str) -> None:
        machine = self.machines[n]
        machine.put(RelPath.parse(path), machine.node(Kind.DIRECTORY, "", mtime_ns=0, mode=EXECUTABLE))

    def rename(self, n: int, source: str, target: str) -> None:
        self.machines[n].move(RelPath.parse(source), RelPath.parse(target))

    def delete(self, n: int, path: str) -> None:
        for inner in [RelPath.parse(path), *self.machines[n].beneath(RelPath.parse(path))]:
            self.swarm.people.owed.discard(self.machines[n].disk.pop(inner).token)

    def tell(self, n: int) -> None:
        """Machine `n` sees what its person did, and says so."""
        self.machines[n].scan()
        self.swarm._announce(self.machines[n])

    def hear(self, n: int) -> None:
        """Machine `n` hears all there is, and plans."""
        self.swarm._listen(self.machines[n], paths=self.swarm.tracker.paths())

    def do(self, n: int, path: str, *, has_fault: bool = False) -> None:
        machine = self.machines[n]
        action = machine.queue[RelPath.parse(path)]
        act(machine, action, self.swarm._content(machine, action), has_fault=has_fault)

    def ends(self, **files: str) -> None:
        """All come to rest, nothing was lost, and these are the files in each folder (`__` stands for a slash)."""
        self.swarm._settle()
        self.swarm._judge()
        disk = self.machines[0].disk
        assert {str(path): node.token for path, node in disk.items() if node.kind is not Kind.DIRECTORY} == {
            name.replace("__", "/"): token for name, token in files.items()
        }

    def shared(self, **files: str) -> None:
        for name, token in files.items():
            self.write(0, name.replace("__", "/"), token)
        self.swarm._settle()


def test_an_edit_follows_a_rename_of_its_file() -> None:
    for editor_speaks_first in (True, False):
        story = Story()
        story.shared(old="1")
        story.rename(0, "old", "new")
        story.write(1, "old", "2")
        for n in (1, 0) if editor_speaks_first else (0, 1):
            story.tell(n)
        story.ends(new="2")


def test_an_edit_follows_a_rename_of_its_directory() -> None:
    story = Story(3)
    story.shared(d__x="1", d__y="2")
    story.rename(0, "d", "e")
    story.write(1, "d/x", "3")
    story.ends(e__x="3", e__y="2")


def test_an_edit_under_the_new_name_is_no_step_of_an_edit_under_the_old_one() -> None:
    """Machine 0 counts once under the new name and twice under the old one: a join of both would hide its edit there."""
    story = Story()
    story.shared(old="1")
    story.write(0, "old", "2")
    story.tell(0)
    story.rename(1, "old", "new")
    story.tell(1)
    story.hear(0)
    story.do(0, "new")
    story.write(0, "new", "3")
    story.tell(0)
    story.swarm._settle()
    story.swarm._judge()
    assert {"2", "3"} <= {node.token for node in story.machines[1].disk.values()}


def test_what_took_the_place_of_a_renamed_file_does_not_follow_it() -> None:
    story = Story()
    story.shared(a="1", b="2")
    story.rename(0, "a", "new")
    story.rename(1, "a", "new")
    story.rename(1, "b", "a")
    story.ends(new="1", a="2")


def test_a_swap_is_no_edit_that_could_follow_a_rename() -> None:
    story = Story(3)
    story.shared(a="1", c="2")
    story.rename(1, "c", "b")
    story.tell(1)
    story.rename(2, "a", "aside")
    story.rename(2, "c", "a")
    story.rename(2, "aside", "c")
    story.ends(a="2", b="2", c="1")


def test_an_edit_does_not_wait_for_a_new_name_that_lost_a_conflict() -> None:
    story = Story()
    story.shared(old="1")
    story.rename(0, "old", "new")
    story.tell(0)
    story.write(1, "old", "2")
    story.write(1, "new", "3")
    story.swarm._settle()
    story.swarm._judge()
    assert {"2", "3"} <= {node.token for node in story.machines[0].disk.values()}


def test_a_renamed_directory_that_could_not_be_moved_is_planned_entry_by_entry() -> None:
    story = Story()
    story.shared(d__x="1", d__y="2")
    story.rename(0, "d", "e")
    story.tell(0)
    story.hear(1)
    assert isinstance(story.machines[1].queue[RelPath.parse("e")], Relocate)
    story.delete(1, "d")
    story.swarm.people.owed |= {"1", "2"}  # they stand under the new name, and nobody deleted that
    story.swarm._act(story.machines[1])
    story.ends(e__x="1", e__y="2")


def test_a_new_directory_in_a_renamed_one_does_not_keep_the_old_one() -> None:
    story = Story()
    story.mkdir(0, "d")
    story.swarm._settle()
    story.rename(0, "d", "e")
    story.mkdir(0, "e/f")
    story.tell(0)
    story.hear(1)
    story.do(1, "e/f")
    story.ends()
    assert set(story.machines[1].disk) == {"e", "e/f"}


def test_who_changes_a_directory_to_a_file_meets_who_makes_something_in_it() -> None:
    story = Story(3)
    story.shared(d__x="1")
    story.delete(0, "d")
    story.write(0, "d", "2")
    story.write(1, "d/y", "3")
    story.swarm._settle()
    story.swarm._judge()
    tokens = {str(path): node.token for path, node in story.machines[2].disk.items() if node.token}
    assert tokens.pop("d/y") == "3"
    assert list(tokens.values()) == ["2"]
    assert next(iter(tokens)).startswith("d.conflict-")


def test_a_directory_that_only_stands_for_what_is_not_synced_does_not_come_back() -> None:
    story = Story()
    story.shared(d__x="1")
    leftover: PlainMachine = story.machines[1]
    leftover.put(RelPath.parse("d/x~"), leftover.node(Kind.FILE, "", mtime_ns=0))
    story.delete(0, "d")
    story.ends()
    assert set(leftover.disk) == {"d", "d/x~"}
    assert leftover.buried[RelPath.parse("d")].leftover_inode


def test_what_one_machine_wrote_in_the_same_second_as_another_is_a_conflict() -> None:
    story = Story()
    story.machines[0].has_history = story.machines[1].has_history = False
    for n, token in enumerate("12"):
        machine = story.machines[n]
        machine.put(RelPath.parse("a"), machine.node(Kind.FILE, token, mtime_ns=1_700_000_000 * 10**9 + n))
        story.swarm.people.owed.add(token)
    story.swarm._settle()
    story.swarm._judge()
    assert {node.token for node in story.machines[0].disk.values()} == {"1", "2"}
    assert digest_of("1") != digest_of("2")
