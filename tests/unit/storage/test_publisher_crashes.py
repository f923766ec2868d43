"""A crash at every call while publishing, with every state of the disk that a power cut can leave: nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gsync.core.actions import Displaced
from gsync.core.conflicts import is_conflict_copy
from gsync.core.names import RelPath
from gsync.storage.downloads import Download, Outcome, Published, Unpublished
from gsync.storage.memory import FailAt
from tests.unit.storage.publishing import Crash, World, download

OLD = {"a": b"old a", "b": b"old b", "held": b"old held"}
NEW = {"a": b"new a", "b": b"new b", "c": b"new c", "held": b"new held"}

Restart = Callable[[World], object]


def plan(world: World) -> list[Download]:
    """One of each kind: superseded, lost, new, held open by its writer."""
    over = {name: world.save(name, content) for name, content in OLD.items()}
    world.folder.hold_open("held")
    return [
        download("a", NEW["a"], over=over["a"]),
        download("b", NEW["b"], over=over["b"], displaced=Displaced.CONFLICT_COPY),
        download("c", NEW["c"]),
        download("held", NEW["held"], over=over["held"]),
    ]


def crash_at(directory: Path, at: int, restart: Restart) -> bool:
    """Crash at call `at` of publishing, start again, and look; False when publishing came to its end before that."""
    directory.mkdir()
    world = World(directory)
    downloads = plan(world)
    world.watch(FailAt(at, Crash()))
    try:
        world.publish(*downloads)
    except Crash:
        world.unwatch()
    else:
        world.end()
        return False
    restart(world)
    assert_nothing_is_lost(world)
    world.crash_and_start(keep=0)
    assert_nothing_is_lost(world)
    assert_the_rest_can_follow(world)
    world.end()
    return True


def assert_nothing_is_lost(world: World) -> None:
    kept = world.everything()
    assert all(content in kept for content in OLD.values())
    shown = world.in_folder()
    for name, content in NEW.items():
        assert shown.get(name) in {OLD.get(name), content}, "a name holds the whole old or the whole new content"
    assert not world.edits(), "nothing of ours is taken for an edit"
    assert all(row.state.value == "limbo" for row in world.index.journal())
    remembered = world.index.load()
    for path, meta in remembered.local.items():
        if not is_conflict_copy(path):
            assert remembered.synced[path] == meta.version


def assert_the_rest_can_follow(world: World) -> None:
    """Look again at what stands there, plan again, publish again: now everything is in place."""
    for node in world.folder.disk.names.values():
        node.writers = 0
    world.publisher.review_limbo()
    known = {**world.index.load().local, **world.changes().changed}
    world.index.record(entries=known)
    missing = [
        download(name, content, over=known.get(RelPath.parse(name)), displaced=_displaced(name))
        for name, content in NEW.items()
        if world.in_folder().get(name) != content
    ]
    outcomes: list[Outcome] = world.publish(*missing)
    assert not [one for one in outcomes if isinstance(one, Unpublished)]
    assert all(isinstance(one, Published) for one in outcomes)
    shown = world.in_folder()
    assert {name: shown[name] for name in NEW} == NEW
    assert [content for name, content in shown.items() if is_conflict_copy(RelPath.parse(name))] == [OLD["b"]]
    assert {OLD["a"], OLD["held"]} <= set(world.in_trash())
    assert world.folder.staged_names() == []
    assert world.index.journal() == []


def _displaced(name: str) -> Displaced:
    return Displaced.CONFLICT_COPY if name == "b" else Displaced.TRASH


def test_the_process_may_be_killed_at_any_call(tmp_path: Path) -> None:
    at = 0
    while crash_at(tmp_path / str(at), at, World.kill_and_start):
        at += 1
    assert at > 40


@pytest.mark.slow
@pytest.mark.parametrize("keep", range(12))
def test_the_power_may_be_cut_at_any_call_with_any_renames_on_the_disk(tmp_path: Path, keep: int) -> None:
    at = 0
    while crash_at(tmp_path / str(at), at, lambda world: world.crash_and_start(keep=keep)):
        at += 1
    assert at > 40


@pytest.mark.slow
def test_the_look_at_start_may_itself_be_cut_short_at_any_call(tmp_path: Path) -> None:
    def crash_again(world: World, at: int) -> None:
        world.index.close()
        world.folder.on_call = FailAt(at, Crash())
        try:
            world.start()
        except Crash:
            world.folder.on_call = lambda method: None
            world.kill_and_start()
        world.folder.on_call = lambda method: None

    for first in (20, 26, 32, 38):
        for second in range(25):
            assert crash_at(tmp_path / f"{first}-{second}", first, lambda world, at=second: crash_again(world, at))
