"""A person who works in the folder at the very instant of publishing, at every instant: no edit is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gsync.core.actions import Displaced
from gsync.core.names import RelPath
from gsync.storage.downloads import Published
from gsync.storage.memory import MemoryFolder
from gsync.storage.memory_disk import Node
from tests.unit.storage.publishing import World, download

A = RelPath.parse("a")


class At:
    """Does each action at its call."""

    def __init__(self, actions: dict[int, Callable[[], None]]) -> None:
        self.calls = 0
        self._actions = actions

    def __call__(self, method: str) -> None:
        action = self._actions.get(self.calls)
        self.calls += 1
        if action is not None:
            action()


def calls_of_one_publish(directory: Path, displaced: Displaced) -> int:
    directory.mkdir()
    world = World(directory)
    watch = At({})
    old = world.save("a", b"old")
    world.watch(watch)
    world.publish(download("a", b"new", over=old, displaced=displaced))
    world.end()
    return watch.calls


def save_anew(folder: MemoryFolder) -> None:
    folder.put("a", b"mine")


def write_in_place(folder: MemoryFolder) -> None:
    folder.edit("a", b"mine")


def write_same_size(folder: MemoryFolder) -> None:
    folder.edit("a", b"mne")


EDITS: dict[str, tuple[Callable[[MemoryFolder], None], bytes]] = {
    "saved anew": (save_anew, b"mine"),
    "written in place": (write_in_place, b"mine"),
    "written in place, same size": (write_same_size, b"mne"),
}


@pytest.mark.parametrize("displaced", list(Displaced))
@pytest.mark.parametrize("edit", list(EDITS))
def test_an_edit_at_any_instant_stays_in_the_folder(tmp_path: Path, edit: str, displaced: Displaced) -> None:
    act, mine = EDITS[edit]
    for at in range(calls_of_one_publish(tmp_path / "count", displaced)):
        directory = tmp_path / str(at)
        directory.mkdir()
        world = World(directory)
        old = world.save("a", b"old")
        world.watch(At({at: lambda folder=world.folder: act(folder)}))
        (outcome,) = world.publish(download("a", b"new", over=old, displaced=displaced))
        world.unwatch()
        world.publisher.review_limbo()
        assert mine in world.in_folder().values(), f"at call {at}"
        if world.in_folder()["a"] == mine and isinstance(outcome, Published):
            assert world.edits() == {A}, "the edit of the new file will be announced"
        world.end()


def test_a_deletion_at_any_instant_loses_nothing(tmp_path: Path) -> None:
    for at in range(calls_of_one_publish(tmp_path / "count", Displaced.TRASH)):
        directory = tmp_path / str(at)
        directory.mkdir()
        world = World(directory)
        old = world.save("a", b"old")
        world.watch(At({at: lambda folder=world.folder: folder.remove("a")}))
        world.publish(download("a", b"new", over=old))
        world.unwatch()
        assert world.folder.staged_names() == []
        assert world.index.journal() == []
        world.end()


@pytest.mark.slow
@pytest.mark.parametrize("displaced", list(Displaced))
def test_a_writer_that_writes_and_closes_at_any_two_instants_loses_nothing(
    tmp_path: Path, displaced: Displaced
) -> None:
    count = calls_of_one_publish(tmp_path / "count", displaced)
    for write_at in range(count):
        for close_at in range(write_at + 1, count + 1):
            directory = tmp_path / f"{write_at}-{close_at}"
            directory.mkdir()
            world = World(directory)
            old = world.save("a", b"old")
            node = world.folder.hold_open("a")

            typed: list[bool] = []

            def write(folder: MemoryFolder = world.folder, node: Node = node, typed: list[bool] = typed) -> None:
                folder.write_into(node, b"typed")
                typed.append(True)

            def close(node: Node = node) -> None:
                node.writers = 0

            world.watch(At({close_at: close, write_at: write}))
            world.publish(download("a", b"new", over=old, displaced=displaced))
            world.unwatch()
            node.writers = 0
            world.publisher.review_limbo()
            if typed:
                assert b"typed" in world.in_folder().values(), f"written at {write_at}, closed at {close_at}"
            assert world.folder.staged_names() == []
            world.end()
