"""New directories and links: over nothing, over what was expected, and over what somebody put there meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.core.actions import Displaced
from gsync.core.blocks import digest_of_bytes
from gsync.core.conflicts import conflict_name
from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.errors import PathRefused
from gsync.storage.downloads import Overtaken, Published, Released, Unpublished
from tests.unit.storage.publishing import AUTHOR_OF_OLD, THEIRS, World, directory, download, link

A = RelPath.parse("a")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.end()


def assert_clean(world: World) -> None:
    assert world.folder.staged_names() == []
    assert world.index.journal() == []
    assert not world.changes().changed
    assert not world.changes().buried


def test_a_new_directory_stands_and_is_known(world: World) -> None:
    (outcome,) = world.publish(directory("a"))
    assert isinstance(outcome, Published)
    assert (outcome.meta.kind, outcome.meta.version, outcome.meta.author) == (Kind.DIRECTORY, THEIRS, "aa")
    assert outcome.meta.fingerprint == world.shown(A)
    assert world.index.load().local == {A: outcome.meta}
    assert world.index.load().synced == {A: THEIRS}
    assert_clean(world)


def test_one_that_stands_already_will_do(world: World) -> None:
    was = world.save_directory("a")
    world.folder.put("a/mine", b"mine")
    (outcome,) = world.publish(directory("a"))
    assert isinstance(outcome, Published)
    assert outcome.meta.fingerprint == was.fingerprint
    assert outcome.meta.version == THEIRS


def test_directories_come_before_what_is_in_them_whatever_the_order(world: World) -> None:
    outcomes = world.publish(
        download("a/b/c", b"new"), directory("a/b/d"), directory("a/b"), link("a/l", "b/c"), directory("a")
    )
    assert all(isinstance(outcome, Published) for outcome in outcomes)
    assert set(world.index.load().local) == set(world.folder.tree())
    assert_clean(world)


@pytest.mark.parametrize("displaced", list(Displaced))
def test_a_file_that_it_takes_the_place_of_finds_its_place(world: World, displaced: Displaced) -> None:
    old = world.save("a", b"old")
    (outcome,) = world.publish(directory("a", over=old, displaced=displaced))
    assert isinstance(outcome, Published)
    kept = outcome.trashed or (outcome.conflict_copy and outcome.conflict_copy[0])
    assert world.folder.contents()[str(kept)] == b"old"
    assert (outcome.conflict_copy is not None) == (displaced is Displaced.CONFLICT_COPY)
    assert world.folder.tree()["a"] == (Kind.DIRECTORY, b"")
    assert_clean(world)


def test_a_program_that_has_the_file_open_is_waited_for(world: World) -> None:
    old = world.save("a", b"old")
    node = world.folder.hold_open("a")
    (outcome,) = world.publish(directory("a", over=old))
    assert isinstance(outcome, Published)
    assert outcome.trashed == ""
    world.folder.write_into(node, b"typed on")
    world.kill_and_start()
    node.writers = 0
    (released,) = world.publisher.review_limbo()
    assert isinstance(released, Released)
    assert b"typed on" in world.in_folder().values()


@pytest.mark.parametrize("what", ["edited", "unexpected", "gone"])
def test_something_else_there_stays(world: World, what: str) -> None:
    old = world.save("a", b"old")
    match what:
        case "edited":
            world.folder.edit("a", b"edited")
        case "gone":
            world.folder.remove("a")
    change = directory("a", over=None if what == "unexpected" else old)
    before = world.folder.tree()
    assert world.publish(change) == [Overtaken(path=A)]
    assert world.folder.tree() == before


def test_an_edit_at_that_very_instant_stands_again_where_it_stood(world: World) -> None:
    old = world.save("a", b"old")
    world.watch(lambda method: world.folder.put("a", b"mine") if method == "take_out" else None)
    assert world.publish(directory("a", over=old)) == [Overtaken(path=A)]
    assert world.in_folder() == {"a": b"mine"}
    assert world.folder.staged_names() == []


def test_who_takes_the_name_while_it_is_free_keeps_it(world: World) -> None:
    old = world.save("a", b"old")
    world.watch(lambda method: world.folder.put("a", b"mine") if method == "make_directory" else None)
    (outcome,) = world.publish(directory("a", over=old))
    assert isinstance(outcome, Unpublished)
    world.unwatch()
    world.publisher.review_limbo()
    assert world.in_folder() == {"a": b"mine"}
    assert world.in_trash() == [b"old"]
    assert world.folder.staged_names() == []
    assert world.index.journal() == []


def test_when_no_directory_can_be_made_the_file_stands_again(world: World) -> None:
    old = world.save("a", b"old")

    def fail(method: str) -> None:
        if method == "make_directory":
            raise PathRefused("not today")

    world.watch(fail)
    (outcome,) = world.publish(directory("a", over=old))
    assert isinstance(outcome, Unpublished)
    assert world.in_folder() == {"a": b"old"}
    assert world.index.journal() == []


def test_a_new_link_stands_and_is_known(world: World) -> None:
    (outcome,) = world.publish(link("a", "where/ever"))
    assert isinstance(outcome, Published)
    assert (outcome.meta.target, outcome.meta.digest) == ("where/ever", digest_of_bytes(b"where/ever"))
    assert world.folder.tree() == {"a": (Kind.LINK, b"where/ever")}
    assert world.index.load().local == {A: outcome.meta}
    assert_clean(world)


def test_a_link_that_leads_nowhere_at_all_is_refused(world: World) -> None:
    outcomes = world.publish(link("a", "x" * 5000), download("b", b"new"))
    assert [type(outcome) for outcome in outcomes] == [Unpublished, Published]


def test_a_link_replaces_a_file_and_a_file_a_link(world: World) -> None:
    file, other = world.save("a", b"old"), world.save_link("b", "old")
    outcomes = world.publish(link("a", "new", over=file), download("b", b"new", over=other))
    assert all(isinstance(outcome, Published) and outcome.trashed for outcome in outcomes)
    assert world.folder.tree() == {"a": (Kind.LINK, b"new"), "b": (Kind.FILE, b"new")}
    assert world.shown(RelPath.parse("b")).mode == world.folder.new_file_mode, "not that of the link"
    assert_clean(world)


def test_a_link_that_lost_a_conflict_stays_under_its_conflict_name(world: World) -> None:
    old = world.save_link("a", "old")
    (outcome,) = world.publish(download("a", b"new", over=old, displaced=Displaced.CONFLICT_COPY))
    assert isinstance(outcome, Published)
    assert outcome.conflict_copy is not None
    name, meta = outcome.conflict_copy
    assert name == conflict_name(A, version=AUTHOR_OF_OLD, digest=old.digest)
    assert (meta.version, meta.digest, meta.target) == (AUTHOR_OF_OLD, old.digest, "old")
    assert world.folder.tree() == {"a": (Kind.FILE, b"new"), name: (Kind.LINK, b"old")}
    assert_clean(world)


@pytest.mark.parametrize(("there", "trash"), [("old", ""), ("other", "-unseen")])
def test_a_losing_link_whose_name_is_taken_goes_to_the_trash(world: World, there: str, trash: str) -> None:
    old = world.save_link("a", "old")
    world.folder.link(conflict_name(A, version=old.version, digest=old.digest), there)
    (outcome,) = world.publish(download("a", b"new", over=old, displaced=Displaced.CONFLICT_COPY))
    assert isinstance(outcome, Published)
    assert outcome.trashed.split("/")[2].endswith("-unseen") == bool(trash)
    assert bool(outcome.remark) == bool(trash)


@pytest.mark.parametrize("kind", [Kind.LINK, Kind.DIRECTORY])
def test_a_link_or_directory_that_came_between_goes_back_to_its_name(world: World, kind: Kind) -> None:
    old = world.save("a", b"old")

    def swap(method: str) -> None:
        if method == "exchange":
            world.unwatch()
            world.folder.remove("a")
            world.folder.link("a", "mine") if kind is Kind.LINK else world.folder.mkdir("a")

    world.watch(swap)
    (outcome,) = world.publish(download("a", b"new", over=old))
    assert isinstance(outcome, Overtaken | Unpublished)
    assert world.folder.tree()["a"][0] is kind
    assert world.folder.staged_names() == []
    assert world.index.journal() == []
