"""Interrupted downloads: kept for a while, given back once, and never in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from gsync.core.blocks import digest_of_bytes
from gsync.core.names import RelPath
from gsync.errors import NoSpace
from gsync.storage import partials as module
from gsync.storage.downloads import Published
from gsync.storage.memory import MemoryFolder
from gsync.storage.partials import (
    PARTIAL_KEEP_S,
    PARTIALS_MAX,
    PARTIALS_MAX_BYTES,
    Partial,
    Partials,
    spared,
)
from tests.unit.storage.publishing import START_S, World, download

A = RelPath.parse("a")
WHOLE = b"half of it, and the rest"
DIGEST = digest_of_bytes(WHOLE)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.end()


def begun(world: World, content: bytes = b"half of it") -> str:
    staged = world.publisher.begin(A, digest=DIGEST, size=len(WHOLE))
    staged.write(content)
    return staged.name


def one(number: int, *, size: int = 1, since_s: float = 0.0) -> Partial:
    return Partial(name=f"{number}", digest=DIGEST, inode=number, size=size, since_s=since_s)


def test_what_was_kept_is_given_back_once(world: World) -> None:
    staged = world.publisher.begin(A, digest=DIGEST)
    staged.write(b"half of it")
    world.publisher.keep(staged)
    again = world.publisher.partial(DIGEST)
    assert again is not None
    assert (again.name, again.read_at(0, 100)) == (staged.name, b"half of it")
    assert world.publisher.partial(DIGEST) is None
    assert world.publisher.partial("b3:other") is None


def test_a_crash_keeps_what_was_being_written_and_it_can_be_finished(world: World) -> None:
    name = begun(world)
    assert world.kill_and_start() == []
    staged = world.publisher.partial(DIGEST)
    assert staged is not None
    assert staged.name == name
    staged.write_at(len(b"half of it"), WHOLE[len(b"half of it") :])
    (outcome,) = world.publish(replace(download("a", b""), content=staged, digest=DIGEST))
    assert isinstance(outcome, Published)
    assert world.in_folder() == {"a": WHOLE}
    assert world.folder.staged_names() == []
    assert world.index.journal() == []


def test_it_outlives_any_number_of_starts(world: World) -> None:
    begun(world)
    for _ in range(3):
        world.kill_and_start()
    assert world.publisher.partial(DIGEST) is not None


def test_a_download_without_a_digest_is_not_kept(world: World) -> None:
    staged = world.publisher.begin(A)
    world.publisher.keep(staged)
    assert world.folder.staged_names() == []
    world.publisher.begin(A)
    world.kill_and_start()
    assert world.folder.staged_names() == []
    assert world.index.journal() == []


def test_what_is_abandoned_is_gone(world: World) -> None:
    begun(world)
    world.kill_and_start()
    staged = world.publisher.partial(DIGEST)
    assert staged is not None
    world.publisher.abandon(staged)
    assert world.folder.staged_names() == []
    assert world.index.journal() == []


def test_after_a_week_it_is_forgotten(world: World) -> None:
    begun(world)
    world.wall_s = START_S + PARTIAL_KEEP_S + 60
    assert world.kill_and_start() == []
    assert world.publisher.partial(DIGEST) is None
    assert world.folder.staged_names() == []
    assert world.index.journal() == []


def test_keeping_too_many_drops_the_oldest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARTIALS_MAX", 2)
    for number in range(3):
        staged = world.publisher.begin(A, digest=f"b3:{number}")
        staged.write(b"some")
        world.publisher.keep(staged)
    assert len(world.folder.staged_names()) == 2
    assert len(world.index.journal()) == 2
    assert world.publisher.partial("b3:0") is None
    assert world.publisher.partial("b3:2") is not None


def test_a_partial_that_somebody_deleted_or_replaced_is_not_given_back(world: World) -> None:
    name = begun(world)
    world.kill_and_start()
    world.folder.put(f".gsync/staging/{name}", b"somebody's")
    assert world.publisher.partial(DIGEST) is None
    assert b"somebody's" in world.everything()
    world.kill_and_start()
    assert world.in_trash() == [b"somebody's"]
    name = begun(world)
    world.kill_and_start()
    world.folder.remove(f".gsync/staging/{name}")
    assert world.publisher.partial(DIGEST) is None
    world.publish(download("b", b"new"))
    assert world.index.journal() == []


def test_a_download_without_room_is_refused_before_it_begins(tmp_path: Path) -> None:
    world = World(tmp_path, folder=MemoryFolder(wall_clock=lambda: float(START_S), capacity=1000))
    with pytest.raises(NoSpace):
        world.publisher.begin(A, digest=DIGEST, size=2000)
    assert world.folder.staged_names() == []
    world.end()


def test_the_newest_are_spared_first() -> None:
    assert spared([one(1, since_s=1), one(3, since_s=3), one(2, since_s=2)], now_s=3) == [
        one(3, since_s=3),
        one(2, since_s=2),
        one(1, since_s=1),
    ]


@pytest.mark.parametrize(
    ("age_s", "stays"), [(PARTIAL_KEEP_S - 1, True), (PARTIAL_KEEP_S, True), (PARTIAL_KEEP_S + 1, False)]
)
def test_they_are_spared_for_a_week(age_s: float, stays: bool) -> None:
    assert bool(spared([one(1, since_s=0)], now_s=age_s)) == stays


@pytest.mark.parametrize(("count", "stay"), [(PARTIALS_MAX - 1, PARTIALS_MAX - 1), (PARTIALS_MAX + 1, PARTIALS_MAX)])
def test_there_is_a_most_of_them(count: int, stay: int) -> None:
    assert len(spared([one(n) for n in range(count)], now_s=0)) == stay


@pytest.mark.parametrize(("size", "stay"), [(PARTIALS_MAX_BYTES - 1, 2), (PARTIALS_MAX_BYTES, 1)])
def test_they_share_their_room_but_the_newest_stays_whatever_its_size(size: int, stay: int) -> None:
    assert len(spared([one(2, size=size, since_s=1), one(1)], now_s=1)) == stay
    assert spared([one(1, size=2 * PARTIALS_MAX_BYTES)], now_s=1) == [one(1, size=2 * PARTIALS_MAX_BYTES)]


def test_the_largest_of_a_content_is_taken_first() -> None:
    partials = Partials()
    partials.keep([one(1, size=5), one(2, size=7), one(3, size=6)], now_s=0)
    assert [taken.inode for taken in iter(lambda: partials.take(DIGEST), None)] == [2, 3, 1]
