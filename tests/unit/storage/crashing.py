"""A crash at any call of publishing, and the looks afterwards; what is published, and what is looked for, is the test's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from gsync.core.conflicts import is_conflict_copy
from gsync.storage.downloads import Change
from gsync.storage.memory import FailAt
from tests.unit.storage.publishing import Crash, World

Restart = Callable[[World], object]


class Story(Struct, frozen=True, kw_only=True):
    """What is published, and what must be true after a crash, and after all has gone on."""

    begin: Callable[[World], Sequence[Change]]
    """Makes the world as it was before; the batch."""
    nothing_is_lost: Callable[[World], None]
    the_rest_can_follow: Callable[[World], None]

    def crash_at(self, directory: Path, at: int, restart: Restart) -> bool:
        """Crash at call `at` of publishing, start again, and look; False when publishing came to its end before that."""
        directory.mkdir()
        world = World(directory)
        batch = self.begin(world)
        world.watch(FailAt(at, Crash()))
        try:
            world.publish(*batch)
        except Crash:
            world.unwatch()
        else:
            world.end()
            return False
        restart(world)
        self.nothing_is_lost(world)
        world.crash_and_start(keep=0)
        self.nothing_is_lost(world)
        self.the_rest_can_follow(world)
        world.end()
        return True

    def crash_at_each(self, directory: Path, restart: Restart) -> int:
        """The same at every call; how many there are."""
        at = 0
        while self.crash_at(directory / str(at), at, restart):
            at += 1
        return at


def crash_again(world: World, at: int) -> None:
    """Start again, crash at call `at` of that, and start once more."""
    world.index.close()
    world.folder.on_call = FailAt(at, Crash())
    try:
        world.start()
    except Crash:
        world.folder.on_call = lambda method: None
        world.kill_and_start()
    world.folder.on_call = lambda method: None


def assert_what_is_remembered_is_agreed(world: World) -> None:
    """The index knows of nothing but conflict copies that was not agreed, and nothing is halfway."""
    assert all(row.state.value == "limbo" for row in world.index.journal())
    remembered = world.index.load()
    for path, meta in remembered.local.items():
        if not is_conflict_copy(path):
            assert remembered.synced[path] == meta.version
