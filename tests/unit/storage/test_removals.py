"""Removals: what goes, where it goes, and what stays because somebody was quicker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.core.actions import Displaced
from gsync.core.conflicts import is_conflict_copy
from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.errors import PathRefused
from gsync.storage.downloads import Overtaken, Released, Removed, Unpublished
from gsync.storage.limbo import SECOND_LOOK_S
from tests.unit.storage.publishing import World, directory, download, removal

A = RelPath.parse("a")
D = RelPath.parse("d")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.end()


def assert_gone(world: World, change: object) -> None:
    contents = world.index.load()
    assert A not in contents.local
    assert contents.buried[A] == change
    assert contents.synced[A] == contents.buried[A].version
    assert world.folder.staged_names() == []
    assert world.index.journal() == []
    assert not world.changes().changed
    assert not world.changes().buried


def test_a_file_that_was_deleted_elsewhere_goes_to_the_trash(world: World) -> None:
    change = removal("a", world.save("a", b"old"))
    (outcome,) = world.publish(change)
    assert isinstance(outcome, Removed)
    assert outcome.tombstone == change.tombstone
    assert world.folder.contents()[outcome.trashed] == b"old"
    assert not outcome.trashed.split("/")[2].endswith("-unseen")
    assert world.in_folder() == {}
    assert_gone(world, change.tombstone)


def test_what_was_never_agreed_goes_to_the_trash_unseen(world: World) -> None:
    (outcome,) = world.publish(removal("a", world.save("a", b"old"), displaced=Displaced.UNSEEN_TRASH))
    assert isinstance(outcome, Removed)
    assert outcome.trashed.split("/")[2].endswith("-unseen")


def test_a_link_goes_to_the_trash_as_a_link(world: World) -> None:
    change = removal("a", world.save_link("a", "where/ever"))
    (outcome,) = world.publish(change)
    assert isinstance(outcome, Removed)
    assert world.folder.disk.names[outcome.trashed].target == "where/ever"
    assert_gone(world, change.tombstone)


def test_what_is_gone_already_is_removed(world: World) -> None:
    change = removal("a", world.save("a", b"old"))
    world.folder.remove("a")
    assert world.publish(change) == [Removed(path=A, tombstone=change.tombstone)]
    assert_gone(world, change.tombstone)


def test_what_goes_at_that_very_instant_is_removed(world: World) -> None:
    change = removal("a", world.save("a", b"old"))
    world.watch(lambda method: world.folder.remove("a") if method == "take_out" else None)
    assert world.publish(change) == [Removed(path=A, tombstone=change.tombstone)]


def test_what_was_edited_stays(world: World) -> None:
    change = removal("a", world.save("a", b"old"))
    world.folder.edit("a", b"edited")
    assert world.publish(change) == [Overtaken(path=A)]
    assert world.in_folder() == {"a": b"edited"}
    assert A in world.index.load().local
    assert world.index.journal() == []


@pytest.mark.parametrize("how", ["put", "edit"])
def test_what_is_edited_at_that_very_instant_stands_again_where_it_stood(world: World, how: str) -> None:
    change = removal("a", world.save("a", b"old"))

    def edit(method: str) -> None:
        if method == "take_out":
            getattr(world.folder, how)("a", b"mine")

    world.watch(edit)
    assert world.publish(change) == [Overtaken(path=A)]
    world.unwatch()
    assert world.in_folder() == {"a": b"mine"}
    assert world.edits() == {A}
    assert world.folder.staged_names() == []
    assert world.index.journal() == []


def test_an_edit_whose_name_was_taken_meanwhile_becomes_a_conflict_copy(world: World) -> None:
    change = removal("a", world.save("a", b"old"))

    def be_quick(method: str) -> None:
        if method == "take_out":
            world.folder.put("a", b"mine")
        elif method == "put_new":
            world.folder.on_call = lambda method: None
            world.folder.put("a", b"mine too")

    world.watch(be_quick)
    assert world.publish(change) == [Overtaken(path=A)]
    assert [row.state.value for row in world.index.journal()] == ["limbo"]
    (released,) = world.publisher.review_limbo()
    assert isinstance(released, Released)
    assert released.conflict_copy is not None
    name, meta = released.conflict_copy
    assert world.in_folder() == {"a": b"mine too", name: b"mine"}
    assert meta.author == world.index.author
    assert world.index.load().local[name] == meta
    assert world.index.journal() == []


def test_a_program_that_has_it_open_is_waited_for(world: World) -> None:
    change = removal("a", world.save("a", b"old"))
    node = world.folder.hold_open("a")
    assert world.publish(change) == [Removed(path=A, tombstone=change.tombstone)]
    world.folder.write_into(node, b"typed on")
    assert world.publisher.review_limbo() == []
    assert world.kill_and_start() == []
    node.writers = 0
    (released,) = world.publisher.review_limbo()
    assert isinstance(released, Released)
    assert b"typed on" in world.in_folder().values()
    assert all(is_conflict_copy(path) for path in world.index.load().local)
    assert world.index.load().buried == {A: change.tombstone}


def test_what_was_written_into_it_in_the_trash_comes_back_under_its_conflict_name(world: World) -> None:
    (outcome,) = world.publish(removal("a", world.save("a", b"old")))
    assert isinstance(outcome, Removed)
    world.folder.write_into(world.folder.disk.names[outcome.trashed], b"typed by who was just opening it")
    assert world.publisher.review_limbo() == []
    world.seconds = SECOND_LOOK_S
    (released,) = world.publisher.review_limbo()
    assert isinstance(released, Released)
    assert list(world.in_folder().values()) == [b"typed by who was just opening it"]


def test_an_empty_directory_goes(world: World) -> None:
    change = removal("a", world.save_directory("a"))
    assert world.publish(change) == [Removed(path=A, tombstone=change.tombstone)]
    assert_gone(world, change.tombstone)


def test_a_whole_tree_goes_in_one_batch_in_whatever_order_it_is_asked_for(world: World) -> None:
    known = {name: world.save_directory(name) for name in ("d", "d/e")} | {
        name: world.save(name, b"old") for name in ("d/f", "d/e/f")
    }
    outcomes = world.publish(*(removal(name, meta) for name, meta in known.items()))
    assert all(isinstance(outcome, Removed) and not outcome.tombstone.leftover_inode for outcome in outcomes)
    assert [outcome.path for outcome in outcomes] == list(known)
    assert world.folder.tree() == {}


def test_a_directory_with_something_of_its_own_stays_and_its_tombstone_knows_it(world: World) -> None:
    change = removal("d", world.save_directory("d"))
    world.folder.put("d/ignored", b"mine")
    (outcome,) = world.publish(change)
    assert isinstance(outcome, Removed)
    assert outcome.tombstone.leftover_inode == world.shown(D).inode
    assert world.index.load().buried == {D: outcome.tombstone}
    assert world.in_folder() == {"d/ignored": b"mine"}


def test_another_directory_or_another_kind_stays(world: World) -> None:
    change = removal("d", world.save_directory("d"))
    world.folder.remove("d")
    world.folder.mkdir("d")
    assert world.publish(change) == [Overtaken(path=D)]
    world.folder.remove("d")
    world.folder.put("d", b"mine")
    assert world.publish(change) == [Overtaken(path=D)]
    assert world.in_folder() == {"d": b"mine"}


def test_a_directory_where_a_file_was_expected_stays(world: World) -> None:
    change = removal("a", world.save("a", b"old"))
    world.folder.remove("a")
    world.folder.mkdir("a")
    assert world.publish(change) == [Overtaken(path=A)]
    assert world.folder.tree() == {"a": (Kind.DIRECTORY, b"")}


def test_where_something_odd_stands_the_disk_refuses(world: World) -> None:
    change = removal("a", world.save("a", b"old"))
    world.folder.remove("a")
    world.folder.obstruct("a", "a FIFO")
    (outcome,) = world.publish(change)
    assert isinstance(outcome, Unpublished)
    assert isinstance(outcome.error, PathRefused)


def test_a_file_may_take_the_place_of_a_directory_that_goes_with_all_that_is_in_it(world: World) -> None:
    d, e, f = world.save_directory("d"), world.save_directory("d/e"), world.save("d/f", b"old")
    outcomes = world.publish(download("d", b"new", over=d), removal("d/e", e), removal("d/f", f))
    assert not [one for one in outcomes if isinstance(one, Unpublished | Overtaken)]
    assert world.folder.tree() == {"d": (Kind.FILE, b"new")}
    assert not world.changes().changed


def test_a_file_never_takes_the_place_of_a_directory_with_unsynced_things_in_it(world: World) -> None:
    d = world.save_directory("d")
    world.folder.put("d/ignored", b"mine")
    (outcome,) = world.publish(download("d", b"new", over=d))
    assert isinstance(outcome, Unpublished)
    assert "not synced" in str(outcome.error)
    assert world.in_folder() == {"d/ignored": b"mine"}
    assert world.folder.staged_names() == []


def test_a_directory_may_take_the_place_of_what_is_removed_in_the_same_batch_but_not_at_the_same_path(
    world: World,
) -> None:
    change = removal("a", world.save("a", b"old"))
    outcomes = world.publish(change, directory("a"))
    assert [type(outcome) for outcome in outcomes] == [Removed, Overtaken]
