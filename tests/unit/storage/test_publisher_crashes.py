"""A crash at every call while publishing, with every state of the disk that a power cut can leave: nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from gsync.core.actions import Displaced
from gsync.core.conflicts import is_conflict_copy
from gsync.core.names import RelPath
from gsync.storage.downloads import Download, Outcome, Published, Unpublished
from tests.unit.storage.crashing import Story, assert_what_is_remembered_is_agreed, crash_again
from tests.unit.storage.publishing import World, download

OLD = {"a": b"old a", "b": b"old b", "held": b"old held"}
NEW = {"a": b"new a", "b": b"new b", "c": b"new c", "held": b"new held"}


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


def assert_nothing_is_lost(world: World) -> None:
    kept = world.everything()
    assert all(content in kept for content in OLD.values())
    shown = world.in_folder()
    for name, content in NEW.items():
        assert shown.get(name) in {OLD.get(name), content}, "a name holds the whole old or the whole new content"
    assert not world.edits(), "nothing of ours is taken for an edit"
    assert_what_is_remembered_is_agreed(world)


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


STORY = Story(begin=plan, nothing_is_lost=assert_nothing_is_lost, the_rest_can_follow=assert_the_rest_can_follow)


def test_the_process_may_be_killed_at_any_call(tmp_path: Path) -> None:
    assert STORY.crash_at_each(tmp_path, World.kill_and_start) > 40


@pytest.mark.slow
@pytest.mark.parametrize("keep", range(12))
def test_the_power_may_be_cut_at_any_call_with_any_renames_on_the_disk(tmp_path: Path, keep: int) -> None:
    assert STORY.crash_at_each(tmp_path, lambda world: world.crash_and_start(keep=keep)) > 40


@pytest.mark.slow
def test_the_look_at_start_may_itself_be_cut_short_at_any_call(tmp_path: Path) -> None:
    for first in (20, 26, 32, 38):
        for second in range(25):
            assert STORY.crash_at(
                tmp_path / f"{first}-{second}", first, lambda world, at=second: crash_again(world, at)
            )
