"""What must hold for every plan: one tree perturbed twice comes together again, and how a plan was asked for changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gsync.core import pausing
from gsync.core.actions import Action, Relocate
from gsync.core.model import Entry, FileMeta, Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.planner import Policy, plan
from gsync.core.records import record_of
from gsync.core.versions import Version
from tests.sim.plain_machine import EXECUTABLE, PlainMachine
from tests.sim.planner_swarm import PlannerSwarm, Shape
from tests.unit.core.planning import NOW, directory, file, gone, link, offer, path, v

NAMES = tuple(path(name) for name in ("a", "b", "d", "d/a", "d/b", "e", "e/a"))

versions = st.builds(
    lambda m, counters: Version.from_vector({**{a: n for a, n in counters.items() if n}, "mtime": m}),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 2)),
)
contents = st.sampled_from(["one", "two"])
lives = st.one_of(
    st.builds(file, versions, contents, mtime_ns=st.integers(1, 2)),
    st.builds(directory, versions),
    st.builds(link, versions),
)
entries: st.SearchStrategy[Entry] = st.one_of(lives, st.builds(gone, versions, lives))
trees = st.dictionaries(st.sampled_from(NAMES), entries)
agreed = st.dictionaries(st.sampled_from(NAMES), versions)


def planned(
    paths: list[RelPath],
    here: Mapping[RelPath, Entry],
    offered: Mapping[RelPath, Entry],
    synced: Mapping[RelPath, Version],
) -> dict[RelPath, Action]:
    actions = plan(
        paths,
        local={name: entry for name, entry in here.items() if isinstance(entry, FileMeta)},
        buried={name: entry for name, entry in here.items() if isinstance(entry, Tombstone)},
        remote={name: offer(name, entry) for name, entry in offered.items()},
        synced=synced,
        policy=NOW,
    ).actions
    assert len({action.path for action in actions}) == len(actions)
    return {action.path: action for action in actions}


@given(trees, trees, agreed)
def test_planning_in_groups_equals_planning_at_once(
    here: dict[RelPath, Entry], offered: dict[RelPath, Entry], synced: dict[RelPath, Version]
) -> None:
    whole = planned(list(NAMES), here, offered, synced)
    parts: dict[RelPath, Action] = {}
    for name in NAMES:
        parts |= planned([name], here, offered, synced)
    assert parts == whole
    assert planned(list(reversed(NAMES)), here, offered, synced) == whole


@given(trees, trees, agreed)
def test_to_pause_changes_nothing_where_nothing_changes(
    here: dict[RelPath, Entry], offered: dict[RelPath, Entry], synced: dict[RelPath, Version]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pausing, "PAUSE_EVERY", 1)
        paused = plan(NAMES, **moment(here, offered, synced), pause=lambda: None)
    assert paused.again == ()
    assert {action.path: action for action in paused.actions} == planned([*NAMES], here, offered, synced)


@given(trees, trees, agreed, st.lists(st.tuples(st.integers(0, 30), trees, trees), max_size=3))
def test_what_changes_at_a_pause_is_left_out_and_named(
    here: dict[RelPath, Entry],
    offered: dict[RelPath, Entry],
    synced: dict[RelPath, Version],
    changes: list[tuple[int, dict[RelPath, Entry], dict[RelPath, Entry]]],
) -> None:
    now, pauses = moment(here, offered, synced), 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1
        for at, changed_here, changed_offers in changes:
            if at == pauses:
                for tree, told in moment(changed_here, changed_offers, {}).items():
                    if tree != "policy":
                        now[tree].clear()
                        now[tree].update(told)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pausing, "PAUSE_EVERY", 1)
        found = plan(NAMES, **now, pause=pause)
    for action in found.actions:
        assert set(found.again).isdisjoint(paths_of(action))


def test_a_rename_whose_file_changes_while_it_is_planned_is_planned_again_whole() -> None:
    before = {path("d"): directory(v(5, x=1)), path("d/a"): file(v(5, x=1), "one")}
    stones = {name: gone(v(6, x=2), entry) for name, entry in before.items()}
    new = {path("e"): directory(v(5, x=1), was="d"), path("e/a"): file(v(5, x=1), "one", was="d/a")}
    now = moment(before, {**stones, **new}, {name: entry.version for name, entry in before.items()})
    pauses = list[int]()

    def pause() -> None:
        pauses.append(0)
        if len(pauses) == 2 * undisturbed - 4:  # all four are decided, and not looked at again
            now["local"][path("d/a")] = file(v(9, me=1, x=1), "edited here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pausing, "PAUSE_EVERY", 1)
        undisturbed = 0
        whole = plan([*stones, *new], **now, pause=pause)
        undisturbed = len(pauses)
        overtaken = plan([*stones, *new], **now, pause=pause)
    assert [type(action) for action in whole.actions] == [Relocate]
    assert (overtaken.actions, set(overtaken.again)) == ((), {*stones, *new})


def moment(
    here: Mapping[RelPath, Entry], offered: Mapping[RelPath, Entry], synced: Mapping[RelPath, Version]
) -> dict[str, Any]:
    """What a plan is made from."""
    return {
        "local": {name: entry for name, entry in here.items() if isinstance(entry, FileMeta)},
        "buried": {name: entry for name, entry in here.items() if isinstance(entry, Tombstone)},
        "remote": {name: offer(name, entry) for name, entry in offered.items()},
        "synced": dict(synced),
        "policy": NOW,
    }


def paths_of(action: Action) -> set[RelPath]:
    return {action.path, *action.entries, *action.buried} if isinstance(action, Relocate) else {action.path}


@given(trees, trees, agreed)
def test_who_only_sends_does_nothing_to_its_disk(
    here: dict[RelPath, Entry], offered: dict[RelPath, Entry], synced: dict[RelPath, Version]
) -> None:
    local = {name: entry for name, entry in here.items() if isinstance(entry, FileMeta)}
    remote = {name: offer(name, entry) for name, entry in offered.items()}
    policy = Policy(now_s=NOW.now_s, author=NOW.author, receives=False)
    actions = plan(NAMES, local=local, remote=remote, synced=synced, policy=policy).actions
    assert {type(action).__name__ for action in actions} <= {"Adopt"}


@given(st.sampled_from(NAMES), entries, entries, agreed)
def test_of_two_who_hear_of_each_other_one_at_most_acts(
    name: RelPath, one: Entry, other: Entry, synced: dict[RelPath, Version]
) -> None:
    """Whoever holds what wins does nothing; only what is equal on both sides is agreed on both."""
    first = planned([name], {name: one}, {name: other}, synced)
    second = planned([name], {name: other}, {name: one}, synced)
    if record_of(name, one) != record_of(name, other):
        assert not (first and second)


# One tree, perturbed twice

verbs = st.sampled_from(["write", "touch", "delete", "mkdir", "link", "rename"])
steps = st.lists(st.tuples(verbs, st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=4)


def apply(swarm: PlannerSwarm, machine: PlainMachine, step: tuple[str, RelPath, RelPath]) -> None:
    """What a person does, as far as it can be done."""
    verb, name, other = step
    there = machine.disk.get(name)
    match verb:
        case "touch" if there is not None and there.kind is Kind.FILE:
            touched = machine.node(Kind.FILE, there.token, mtime_ns=swarm.now_ns(machine), mode=EXECUTABLE)
            machine.disk[name] = touched
        case "rename" if there is not None and not other.is_beneath(name) and name != other:
            if machine.can_hold(other) and other not in machine.disk:
                machine.move(name, other)
        case "delete" | "write" | "mkdir" | "link":
            if not machine.can_hold(name):
                return
            for inner in [*machine.beneath(name), *([name] if there is not None else [])]:
                swarm.people.owed.discard(machine.disk.pop(inner).token)
            if verb != "delete":
                kind = {"write": Kind.FILE, "mkdir": Kind.DIRECTORY, "link": Kind.LINK}[verb]
                token = "" if kind is Kind.DIRECTORY else swarm.people.token()
                swarm.people.owed |= {token} - {""}
                machine.put(name, machine.node(kind, token, mtime_ns=swarm.now_ns(machine)))


BASE = [("write", name, name) for name in NAMES if name not in {"d", "e"}]


@pytest.mark.slow
@settings(max_examples=200)
@given(st.lists(st.sampled_from(BASE), unique=True), steps, steps)
@example(
    BASE, [("rename", path("d"), path("x"))], [("write", path("d/a"), path("a")), ("write", path("d/c"), path("a"))]
)
@example(BASE, [("write", path("d"), path("d"))], [("write", path("d/c"), path("a"))])
@example(BASE, [("rename", path("a"), path("c")), ("rename", path("b"), path("a"))], [("write", path("a"), path("a"))])
@example(BASE, [("mkdir", path("a"), path("a"))], [("link", path("a"), path("a"))])
def test_one_tree_perturbed_twice_comes_together_with_nothing_lost(
    base: list[tuple[str, RelPath, RelPath]],
    one: list[tuple[str, RelPath, RelPath]],
    other: list[tuple[str, RelPath, RelPath]],
) -> None:
    swarm = PlannerSwarm(0, Shape(machines=2, steps=0))
    for machine in swarm.machines:
        machine.scan()
    for step in base:
        apply(swarm, swarm.machines[0], step)
    swarm._settle()
    for machine, perturbed in zip(swarm.machines, (one, other), strict=True):
        for step in perturbed:
            apply(swarm, machine, step)
    swarm._settle()
    swarm._judge()
