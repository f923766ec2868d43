"""Relocations: one rename for a file or for a whole tree, and nothing at all where something is not as it was seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gsync.core.actions import Relocated
from gsync.core.model import FileMeta, Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import join
from gsync.errors import PathRefused
from gsync.storage.downloads import Moved, Outcome, Overtaken, Published, Relocation, Unpublished
from tests.unit.storage.publishing import THEIRS, Crash, World, download

B = RelPath.parse("b")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.end()


def relocation(source: str, target: str, known: Mapping[str, FileMeta]) -> Relocation:
    """The move of `source` with all that is `known` at and in it."""
    entries = {
        RelPath.parse(target + name.removeprefix(source)): Relocated(
            source=RelPath.parse(name), expected=meta, version=THEIRS, author="aa"
        )
        for name, meta in known.items()
    }
    buried = {
        RelPath.parse(name): Tombstone(version=join([meta.version, THEIRS]), kind=meta.kind, digest=meta.digest)
        for name, meta in known.items()
    }
    return Relocation(path=RelPath.parse(target), source=RelPath.parse(source), entries=entries, buried=buried)


def a_tree(world: World) -> dict[str, FileMeta]:
    return {
        "a": world.save_directory("a"),
        "a/d": world.save_directory("a/d"),
        "a/d/f": world.save("a/d/f", b"content"),
        "a/l": world.save_link("a/l", "d/f"),
    }


def assert_moved(world: World, change: Relocation, outcome: Outcome) -> None:
    assert isinstance(outcome, Moved)
    contents = world.index.load()
    assert contents.local == outcome.entries
    assert contents.buried == outcome.buried == change.buried
    assert {path: contents.synced[path] for path in contents.local} == dict.fromkeys(change.entries, THEIRS)
    for path, meta in contents.local.items():
        one = change.entries[path]
        assert (meta.version, meta.author, meta.moved_from) == (THEIRS, "aa", one.source)
        assert (meta.digest, meta.target) == (one.expected.digest, one.expected.target)
    assert not world.changes().changed
    assert not world.changes().buried


def test_a_file_is_renamed_and_keeps_its_digest(world: World) -> None:
    change = relocation("a", "b", {"a": world.save("a", b"content")})
    (outcome,) = world.publish(change)
    assert world.in_folder() == {"b": b"content"}
    assert_moved(world, change, outcome)


def test_a_whole_tree_goes_with_one_rename_into_directories_that_are_made(world: World) -> None:
    change = relocation("a", "new/b", a_tree(world))
    calls: list[str] = []
    world.watch(calls.append)
    (outcome,) = world.publish(change)
    world.unwatch()
    assert calls.count("move") == 1
    assert calls.count("record") == 1
    assert world.folder.tree() == {
        "new": (Kind.DIRECTORY, b""),
        "new/b": (Kind.DIRECTORY, b""),
        "new/b/d": (Kind.DIRECTORY, b""),
        "new/b/d/f": (Kind.FILE, b"content"),
        "new/b/l": (Kind.LINK, b"d/f"),
    }
    assert isinstance(outcome, Moved)


def test_the_index_learns_all_of_a_tree(world: World) -> None:
    change = relocation("a", "b", a_tree(world))
    (outcome,) = world.publish(change)
    assert_moved(world, change, outcome)


def test_what_nobody_knows_goes_along(world: World) -> None:
    change = relocation("a", "b", a_tree(world))
    world.folder.put("a/ignored", b"mine")
    (outcome,) = world.publish(change)
    assert isinstance(outcome, Moved)
    assert world.in_folder()["b/ignored"] == b"mine"


def test_nothing_moves_where_something_was_edited_or_is_gone_or_taken(world: World) -> None:
    change = relocation("a", "b", a_tree(world))
    world.folder.edit("a/d/f", b"edited")
    assert world.publish(change) == [Overtaken(path=B)]
    world.folder.remove("a/d")
    assert world.publish(change) == [Overtaken(path=B)]
    world.folder.remove("a")
    assert world.publish(change) == [Overtaken(path=B)]
    assert world.folder.tree() == {}


def test_a_target_that_is_taken_stays_what_it_is(world: World) -> None:
    change = relocation("a", "b", a_tree(world))
    world.folder.put("b", b"mine")
    assert world.publish(change) == [Overtaken(path=B)]
    assert world.in_folder() == {"a/d/f": b"content", "a/l": b"", "b": b"mine"}


def test_a_source_that_goes_at_that_very_instant_is_overtaken(world: World) -> None:
    change = relocation("a", "b", {"a": world.save("a", b"content")})
    world.watch(lambda method: world.folder.remove("a") if method == "move" else None)
    assert world.publish(change) == [Overtaken(path=B)]


def test_an_edit_at_that_very_instant_moves_along_and_shows_as_an_edit(world: World) -> None:
    change = relocation("a", "b", a_tree(world))
    world.watch(lambda method: world.folder.edit("a/d/f", b"edited") if method == "move" else None)
    (outcome,) = world.publish(change)
    world.unwatch()
    assert isinstance(outcome, Moved)
    assert world.edits() == {RelPath.parse("b/d/f")}


def test_a_directory_never_moves_into_itself(world: World) -> None:
    (outcome,) = world.publish(relocation("a", "a/b", {"a": world.save_directory("a")}))
    assert isinstance(outcome, Unpublished)
    assert isinstance(outcome.error, PathRefused)


def test_a_new_file_may_stand_where_something_was_moved_away_in_an_earlier_batch(world: World) -> None:
    world.publish(relocation("a", "b", {"a": world.save("a", b"content")}))
    (outcome,) = world.publish(download("a", b"new"))
    assert isinstance(outcome, Published)
    assert world.in_folder() == {"a": b"new", "b": b"content"}
    assert world.index.load().buried == {}


def test_changes_of_one_batch_that_meet_at_a_path_do_not_follow_each_other(world: World) -> None:
    change = relocation("a", "b", {"a": world.save("a", b"content")})
    outcomes = world.publish(change, download("a", b"new"), download("b", b"new"))
    assert [type(outcome) for outcome in outcomes] == [Moved, Overtaken, Overtaken]
    assert world.folder.staged_names() == []
    assert world.index.journal() == []


def test_a_rename_that_a_crash_kept_from_the_index_is_found_as_a_rename(world: World) -> None:
    known = a_tree(world)

    def crash(method: str) -> None:
        if method == "record":
            raise Crash

    world.watch(crash)
    with pytest.raises(Crash):
        world.publish(relocation("a", "b", known))
    world.unwatch()
    world.kill_and_start()
    changes = world.changes()
    assert {path: meta.moved_from for path, meta in changes.changed.items()} == {
        RelPath.parse("b" + name.removeprefix("a")): name for name in known
    }
    assert all(meta.digest == known[str(meta.moved_from)].digest for meta in changes.changed.values())
