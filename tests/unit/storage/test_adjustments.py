"""Adjustments: version, mtime and exec bit move, content does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from gsync.core.actions import Displaced
from gsync.core.model import FileMeta
from gsync.core.names import RelPath
from gsync.storage.downloads import Adjustment, Overtaken, Published
from tests.unit.storage.publishing import NEW_S, THEIRS, World, download

A = RelPath.parse("a")
NS = 10**9


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.end()


def adjustment(meta: FileMeta, *, mtime_ns: int | None = None, executable: bool | None = None) -> Adjustment:
    return Adjustment(path=A, expected=meta, version=THEIRS, author="aa", mtime_ns=mtime_ns, executable=executable)


def assert_known(world: World, outcome: object) -> None:
    assert isinstance(outcome, Published)
    contents = world.index.load()
    assert contents.local == {A: outcome.meta}
    assert contents.synced == {A: THEIRS}
    assert (outcome.meta.version, outcome.meta.author, outcome.meta.fingerprint) == (THEIRS, "aa", world.shown(A))
    assert world.index.journal() == []
    assert not world.changes().changed


def test_mtime_and_exec_bit_move_on_the_disk(world: World) -> None:
    old = world.save("a", b"content")
    (outcome,) = world.publish(adjustment(old, mtime_ns=NEW_S * NS + 1, executable=True))
    assert_known(world, outcome)
    assert world.shown(A).mtime_ns == NEW_S * NS + 1
    assert world.shown(A).mode == 0o755
    assert world.in_folder() == {"a": b"content"}
    assert world.index.load().local[A].digest == old.digest


def test_where_only_the_version_moves_the_disk_is_left_alone(world: World) -> None:
    old = replace(world.save("a", b"content"), moved_from=RelPath.parse("b"))
    calls: list[str] = []
    world.watch(calls.append)
    (outcome,) = world.publish(adjustment(old))
    world.unwatch()
    assert calls == ["record", "recorded"]
    assert_known(world, outcome)
    assert world.index.load().local[A].moved_from is None


def test_links_and_directories_take_a_version(world: World) -> None:
    (outcome,) = world.publish(adjustment(world.save_link("a", "b")))
    assert_known(world, outcome)
    world.folder.remove("a")
    (outcome,) = world.publish(adjustment(world.save_directory("a")))
    assert_known(world, outcome)


@pytest.mark.parametrize("what", ["edit", "remove", "mkdir"])
def test_what_is_not_as_it_was_seen_is_not_touched(world: World, what: str) -> None:
    old = world.save("a", b"content")
    match what:
        case "edit":
            world.folder.edit("a", b"edited")
        case "remove":
            world.folder.remove("a")
        case _:
            world.folder.remove("a")
            world.folder.mkdir("a")
    before = world.folder.tree()
    assert world.publish(adjustment(old, mtime_ns=NEW_S * NS, executable=None)) == [Overtaken(path=A)]
    assert world.folder.tree() == before
    assert world.index.load().local == {A: old}
    assert world.index.journal() == []


def test_an_edit_after_a_version_moved_still_shows(world: World) -> None:
    old = world.save("a", b"content")
    world.folder.edit("a", b"edited")
    world.publish(adjustment(old))
    assert world.edits() == {A}


@pytest.mark.parametrize(
    ("was", "executable", "mode"),
    [
        (None, None, 0o644),
        (None, False, 0o644),
        (None, True, 0o755),
        (0o640, None, 0o640),
        (0o640, True, 0o750),
        (0o700, True, 0o700),
        (0o750, None, 0o750),
        (0o755, False, 0o644),
    ],
)
def test_the_exec_bit_of_a_download_moves_and_the_other_bits_stay(
    world: World, was: int | None, executable: bool | None, mode: int
) -> None:
    over = None
    if was is not None:
        old = world.save("a", b"old")
        world.folder.chmod("a", was)
        over = replace(old, fingerprint=world.shown(A))
    world.publish(replace(download("a", b"new", over=over), executable=executable))
    assert world.shown(A).mode == mode


def test_author_and_origin_of_a_download_are_remembered(world: World) -> None:
    change = replace(download("a", b"new", version=THEIRS), author="aa", moved_from=RelPath.parse("b"))
    (outcome,) = world.publish(change)
    assert isinstance(outcome, Published)
    assert (outcome.meta.author, outcome.meta.moved_from) == ("aa", "b")
    assert world.index.load().local == {A: outcome.meta}


def test_the_entry_of_a_loser_keeps_its_author(world: World) -> None:
    old = replace(world.save("a", b"old"), author="bb")
    (outcome,) = world.publish(download("a", b"new", over=old, displaced=Displaced.CONFLICT_COPY))
    assert isinstance(outcome, Published)
    assert outcome.conflict_copy is not None
    assert outcome.conflict_copy[1].author == "bb"
