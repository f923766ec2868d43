"""Freeings: what goes from here alone leaves no tombstone, whatever happens meanwhile, and nothing of a person's is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gsync.core.demand import beside
from gsync.core.model import FileMeta
from gsync.core.names import RelPath
from gsync.core.versions import Order, compare_vectors
from gsync.storage.downloads import Freed, Freeing, Overtaken
from gsync.storage.limbo import SECOND_LOOK_S
from tests.unit.storage.publishing import AUTHOR_OF_OLD, Crash, World

A, D = RelPath.parse("a"), RelPath.parse("d")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.end()


def freeing(name: str, meta: FileMeta) -> Freeing:
    return Freeing(path=RelPath.parse(name), expected=meta)


def second_look(world: World) -> None:
    world.seconds += SECOND_LOOK_S
    world.publisher.review_limbo()


def assert_freed(world: World, path: RelPath = A) -> None:
    contents = world.index.load()
    assert path not in contents.local
    assert path not in contents.buried
    assert contents.synced[path] == AUTHOR_OF_OLD
    assert world.index.journal() == []
    assert world.folder.staged_names() == []
    assert not world.changes().changed
    assert not world.changes().buried


def test_a_file_goes_and_a_moment_later_its_content_too(world: World) -> None:
    (outcome,) = world.publish(freeing("a", world.save("a", b"old")))
    assert isinstance(outcome, Freed)
    assert world.in_folder() == {}
    assert_freed(world)
    second_look(world)
    assert b"old" not in world.folder.contents().values()
    assert_freed(world)


def test_a_link_goes(world: World) -> None:
    assert world.publish(freeing("a", world.save_link("a", "there"))) != [Overtaken(path=A)]
    assert_freed(world)


def test_a_directory_goes_if_it_is_empty(world: World) -> None:
    meta = world.save_directory("d")
    world.folder.put("d/unknown", b"x")
    assert world.publish(freeing("d", meta)) == [Overtaken(path=D)]
    assert world.index.load().local[D] == meta
    world.folder.remove("d/unknown")
    assert world.publish(freeing("d", meta)) == [Freed(path=D, version=AUTHOR_OF_OLD)]
    assert_freed(world, D)


def test_what_is_gone_already_is_freed_and_not_deleted(world: World) -> None:
    meta = world.save("a", b"old")
    world.folder.remove("a")
    assert world.publish(freeing("a", meta)) == [Freed(path=A, version=AUTHOR_OF_OLD)]
    assert_freed(world)


def test_what_was_edited_stays(world: World) -> None:
    meta = world.save("a", b"old")
    world.folder.edit("a", b"edited")
    assert world.publish(freeing("a", meta)) == [Overtaken(path=A)]
    assert world.in_folder() == {"a": b"edited"}
    assert world.index.load().local[A] == meta


def test_what_is_edited_at_that_very_instant_stays(world: World) -> None:
    meta = world.save("a", b"old")
    world.watch(lambda method: world.folder.edit("a", b"edited") if method == "take_out" else None)
    assert world.publish(freeing("a", meta)) == [Overtaken(path=A)]
    assert world.in_folder() == {"a": b"edited"}


def test_what_a_program_writes_into_what_it_had_open_is_kept(world: World) -> None:
    meta = world.save("a", b"old")
    node = world.folder.hold_open("a")
    (outcome,) = world.publish(freeing("a", meta))
    assert isinstance(outcome, Freed)
    world.folder.write_into(node, b"written")
    world.folder.let_go(node)
    second_look(world)
    assert b"written" in world.in_folder().values()


def test_who_writes_under_the_name_again_has_made_something_else(world: World) -> None:
    world.publish(freeing("a", world.save("a", b"old")))
    world.folder.put("a", b"new")
    contents = world.index.load()
    assert contents.synced[A] == AUTHOR_OF_OLD
    made = beside(contents.synced[A], world.index.author, 10**9)
    assert compare_vectors(made, AUTHOR_OF_OLD) is Order.CONCURRENT


STEPS = range(12)


@pytest.mark.parametrize("keep", [0, 1, 5])
@pytest.mark.parametrize("stop", STEPS)
@pytest.mark.parametrize("pulls_the_plug", [False, True])
def test_a_crash_at_any_step_leaves_it_here_or_frees_it_and_never_deletes_it(
    world: World, stop: int, keep: int, pulls_the_plug: bool
) -> None:
    meta = world.save("a", b"old")
    world.folder.sync_names()
    calls = 0

    def crash(method: str) -> None:
        nonlocal calls
        calls += 1
        if calls > stop:
            raise Crash

    world.watch(crash)
    with suppress(Crash):
        world.publish(freeing("a", meta))
    world.unwatch()
    if pulls_the_plug:
        world.crash_and_start(keep=keep)
    else:
        world.kill_and_start()
    contents = world.index.load()
    assert contents.buried == {}
    stands = world.in_folder().get("a") == b"old"
    assert stands == (A in contents.local)
    assert stands or b"old" in world.folder.contents().values() or calls > 3
    assert not world.changes().buried
