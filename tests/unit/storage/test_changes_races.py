"""A person who works in the folder at the very instant of any change, at every instant: no edit is lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gsync.core.actions import Displaced, Relocated
from gsync.core.model import FileMeta, Kind
from gsync.core.names import RelPath
from gsync.errors import StorageError
from gsync.storage.downloads import Adjustment, Change, Overtaken, Relocation, Unpublished
from gsync.storage.memory import FailAt
from tests.unit.storage.publishing import NEW_S, THEIRS, World, directory, link, removal
from tests.unit.storage.test_publisher_races import EDITS, At, save_anew


def adjustment(old: FileMeta) -> Change:
    return Adjustment(path=RelPath.parse("a"), expected=old, version=THEIRS, mtime_ns=NEW_S * 10**9, executable=True)


def relocation(old: FileMeta) -> Change:
    a, b = RelPath.parse("a"), RelPath.parse("b")
    return Relocation(path=b, source=a, entries={b: Relocated(source=a, expected=old, version=THEIRS)})


CHANGES: dict[str, Callable[[FileMeta], Change]] = {
    "removal": lambda old: removal("a", old),
    "removal of what nobody else has": lambda old: removal("a", old, displaced=Displaced.UNSEEN_TRASH),
    "directory": lambda old: directory("a", over=old),
    "directory that won": lambda old: directory("a", over=old, displaced=Displaced.CONFLICT_COPY),
    "link": lambda old: link("a", "there", over=old),
    "link that won": lambda old: link("a", "there", over=old, displaced=Displaced.CONFLICT_COPY),
    "adjustment": adjustment,
    "relocation": relocation,
}


def calls_of(directory: Path, change: Callable[[FileMeta], Change]) -> int:
    directory.mkdir()
    world = World(directory)
    watch = At({})
    old = world.save("a", b"old")
    world.watch(watch)
    world.publish(change(old))
    world.end()
    return watch.calls


@pytest.mark.slow
@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("edit", list(EDITS))
def test_an_edit_at_any_instant_stays_in_the_folder(tmp_path: Path, edit: str, change: str) -> None:
    act, mine = EDITS[edit]
    for at in range(calls_of(tmp_path / "count", CHANGES[change])):
        path = tmp_path / str(at)
        path.mkdir()
        world = World(path)
        old = world.save("a", b"old")

        edited: list[bool] = []

        def edit_now(world: World = world, edited: list[bool] = edited) -> None:
            if world.folder.tree().get("a", (Kind.LINK, b""))[0] is Kind.FILE or act is save_anew:
                with suppress(IsADirectoryError):
                    act(world.folder)
                    edited.append(True)

        world.watch(At({at: edit_now}))
        world.publish(CHANGES[change](old))
        world.unwatch()
        world.publisher.review_limbo()
        if edited:
            assert mine in world.in_folder().values(), f"at call {at}"
        else:
            assert b"old" in world.everything()
        assert world.folder.staged_names() == []
        assert world.index.journal() == []
        world.end()


@pytest.mark.slow
@pytest.mark.parametrize("change", list(CHANGES))
def test_a_deletion_at_any_instant_loses_nothing_else(tmp_path: Path, change: str) -> None:
    for at in range(calls_of(tmp_path / "count", CHANGES[change])):
        path = tmp_path / str(at)
        path.mkdir()
        world = World(path)
        old = world.save("a", b"old")
        world.watch(At({at: lambda world=world: world.folder.remove("a")}))
        world.publish(CHANGES[change](old))
        world.unwatch()
        world.publisher.review_limbo()
        assert world.folder.staged_names() == []
        assert world.index.journal() == []
        world.end()


@pytest.mark.slow
@pytest.mark.parametrize("change", list(CHANGES))
def test_a_writer_that_writes_at_any_instant_and_closes_later_loses_nothing(tmp_path: Path, change: str) -> None:
    for at in range(calls_of(tmp_path / "count", CHANGES[change])):
        path = tmp_path / str(at)
        path.mkdir()
        world = World(path)
        old = world.save("a", b"old")
        node = world.folder.hold_open("a")
        watch = At({at: lambda world=world, node=node: world.folder.write_into(node, b"typed")})
        world.watch(watch)
        world.publish(CHANGES[change](old))
        world.unwatch()
        node.writers = 0
        world.publisher.review_limbo()
        assert watch.calls <= at or b"typed" in world.in_folder().values(), f"at call {at}"
        assert world.folder.staged_names() == []
        world.end()


@pytest.mark.slow
@pytest.mark.parametrize("change", list(CHANGES))
def test_a_disk_that_refuses_at_any_call_loses_nothing(tmp_path: Path, change: str) -> None:
    for at in range(calls_of(tmp_path / "count", CHANGES[change])):
        path = tmp_path / str(at)
        path.mkdir()
        world = World(path)
        old = world.save("a", b"old")
        world.watch(FailAt(at, StorageError("not now")))
        (outcome,) = world.publish(CHANGES[change](old))
        world.unwatch()
        late = world.publisher.review_limbo()
        assert b"old" in world.everything()
        assert world.folder.staged_names() == []
        if isinstance(outcome, Unpublished | Overtaken) and not late:
            assert world.in_folder().get("a") == b"old", f"at call {at}: it was not done"
        world.publish()
        assert world.index.journal() == []
        assert world.publisher.busy_paths() == frozenset()
        world.end()
