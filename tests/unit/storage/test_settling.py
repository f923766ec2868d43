"""A person's choice in a conflict, carried out with their files."""

from __future__ import annotations

import contextlib

import pytest

from gsync.core.conflicts import conflict_name
from gsync.core.keeping import NAMES_TRIED, Keep, Kept, free_names
from gsync.core.model import FileMeta
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import FileVanished, PathRefused, StorageError
from gsync.storage.memory import FailAt, MemoryFolder
from gsync.storage.settling import Settler

PATH = RelPath.parse("d/notes.txt")
COPY = conflict_name(PATH, version=Version.from_mtime(1), digest="b3:" + "89abcdef" * 8)


class World:
    """A folder with one conflict, as the index knows it."""

    def __init__(self) -> None:
        self.folder = MemoryFolder()
        self.folder.put(PATH, b"theirs")
        self.folder.put(COPY, b"mine")
        self.known: dict[RelPath, FileMeta] = {}
        self.learn()

    def learn(self) -> None:
        for path in (PATH, COPY):
            fingerprint = self.folder.fingerprint(path)
            assert fingerprint is not None
            self.known[path] = FileMeta(fingerprint=fingerprint, version=Version.from_mtime(1))

    def keep(self, choice: Keep, copy: RelPath = COPY, path: RelPath = PATH) -> Kept:
        return Settler(self.folder).keep(choice, copy, path, known=self.known)

    def standing(self) -> dict[str, bytes]:
        return {name: data for name, data in self.folder.contents().items() if not name.startswith(".gsync")}


@pytest.fixture
def world() -> World:
    return World()


def test_mine_takes_the_files_name(world: World) -> None:
    kept = world.keep(Keep.MINE)
    assert world.standing() == {PATH: b"mine"}
    assert (kept.copy, kept.stands_at) == (COPY, PATH)
    assert world.folder.contents()[kept.trashed] == b"theirs"
    assert not kept.trashed.split("/")[2].endswith("-unseen")


def test_mine_takes_the_files_name_where_nothing_stands(world: World) -> None:
    world.folder.remove(PATH)
    kept = world.keep(Keep.MINE)
    assert (world.standing(), kept.stands_at, kept.trashed) == ({PATH: b"mine"}, PATH, "")


def test_theirs_stays_and_mine_goes_to_the_trash(world: World) -> None:
    kept = world.keep(Keep.THEIRS)
    assert (world.standing(), kept.stands_at) == ({PATH: b"theirs"}, None)
    assert world.folder.contents()[kept.trashed] == b"mine"


def test_both_stay_under_plain_names(world: World) -> None:
    kept = world.keep(Keep.BOTH)
    assert kept == Kept(copy=COPY, stands_at=RelPath.parse("d/notes (copy).txt"))
    assert world.standing() == {PATH: b"theirs", "d/notes (copy).txt": b"mine"}


def test_both_find_a_name_that_is_free(world: World) -> None:
    world.folder.put("d/notes (copy).txt", b"another")
    assert world.keep(Keep.BOTH).stands_at == "d/notes (copy 2).txt"
    assert world.standing()["d/notes (copy).txt"] == b"another"


def test_where_there_are_no_names_left_nothing_is_done(world: World) -> None:
    for name in free_names(PATH):
        world.folder.put(name, b"")
    with pytest.raises(StorageError, match="as many copies"):
        world.keep(Keep.BOTH)
    assert world.standing()[COPY] == b"mine"
    assert len(world.standing()) == NAMES_TRIED + 2


@pytest.mark.parametrize(("choice", "edited"), [(Keep.MINE, PATH), (Keep.THEIRS, COPY)])
def test_an_edit_that_the_index_does_not_know_is_kept_in_the_trash_for_the_full_time(
    world: World, choice: Keep, edited: RelPath
) -> None:
    world.folder.edit(edited, b"edited since")
    kept = world.keep(choice)
    assert world.folder.contents()[kept.trashed] == b"edited since"
    assert kept.trashed.split("/")[2].endswith("-unseen")


@pytest.mark.parametrize("choice", list(Keep))
def test_a_copy_that_has_gone_is_told(world: World, choice: Keep) -> None:
    world.folder.remove(COPY)
    with pytest.raises(FileVanished):
        world.keep(choice)
    assert world.standing() == {PATH: b"theirs"}


def test_a_directory_in_the_way_leaves_the_copy_where_it_was(world: World) -> None:
    world.folder.remove(PATH)
    world.folder.put(f"{PATH}/x", b"theirs")
    with pytest.raises(PathRefused):
        world.keep(Keep.MINE)
    assert world.standing()[COPY] == b"mine"
    assert world.folder.staged_names() == []


def test_a_copy_without_a_plain_name_is_refused(world: World) -> None:
    with pytest.raises(PathRefused, match="rename it yourself"):
        world.keep(Keep.MINE, path=COPY)
    assert world.standing() == {PATH: b"theirs", COPY: b"mine"}


@pytest.mark.parametrize("choice", list(Keep))
def test_whichever_call_fails_nothing_is_lost(choice: Keep) -> None:
    calls = _fails_at(-1, choice)
    assert calls > 1
    for at in range(calls):
        _fails_at(at, choice)


def _fails_at(at: int, choice: Keep) -> int:
    """Settle the conflict, with the call numbered `at` failing; how many calls there were."""
    world = World()
    fails = FailAt(at, StorageError("the disk refused"))
    world.folder.on_call = fails
    with contextlib.suppress(StorageError):
        world.keep(choice)
    assert {b"mine", b"theirs"} <= set(world.folder.contents().values())
    return fails.calls
