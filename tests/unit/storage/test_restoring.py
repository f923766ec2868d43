"""Getting something back from the trash: which version, and that nothing is lost by it."""

from __future__ import annotations

import contextlib

import pytest

from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.errors import NoSpace, PathRefused, StorageError, UnknownName
from gsync.storage.memory import FailAt, MemoryFolder
from gsync.storage.memory_bin import MemoryBin
from gsync.storage.restoring import Restorer
from gsync.storage.trash import parse_box

OLD = "20261121T060018Z-62c09ab6"
NEW = "20261122T060018Z-00000000-unseen"
NOW_NS = 1_800_000_000_000_000_007


class World:
    """A folder, and a trash with things in it."""

    def __init__(self) -> None:
        self.folder = MemoryFolder()
        self.restorer = Restorer(self.folder, MemoryBin(self.folder), wall_ns=lambda: NOW_NS)
        self.trash(OLD, "a.txt", b"old a")
        self.trash(NEW, "a.txt", b"new a")
        self.trash(OLD, "photos/b.jpg", b"b")
        self.trash(OLD, "photos/deep/c.jpg", b"old c")
        self.trash(NEW, "photos/deep/c.jpg", b"new c")

    def trash(self, box: str, path: str, content: bytes) -> None:
        self.folder.put(f".gsync/trash/{box}/{path}", content)

    def restore(self, *names: str, box: str = "") -> list[tuple[str, str, str]]:
        meant = self.restorer.meant([RelPath.parse(name) for name in names], box=box)
        told = [self.restorer.restore(one) for one in meant]
        return [(one.path, one.box, one.displaced) for one in told]

    def content(self, path: str) -> bytes:
        return self.folder.contents()[path]


@pytest.fixture
def world() -> World:
    return World()


def test_the_newest_version_comes_back_and_stays_in_the_trash(world: World) -> None:
    assert world.restore("a.txt") == [("a.txt", NEW, "")]
    assert world.content("a.txt") == b"new a"
    assert world.content(f".gsync/trash/{NEW}/a.txt") == b"new a"


def test_the_copy_is_an_edit_of_now_with_the_bits_of_a_new_file(world: World) -> None:
    world.folder.chmod(f".gsync/trash/{NEW}/a.txt", 0o700)
    world.restore("a.txt", "photos/b.jpg")
    runnable, plain = (world.folder.fingerprint(RelPath.parse(path)) for path in ("a.txt", "photos/b.jpg"))
    assert runnable is not None
    assert plain is not None
    assert (runnable.mtime_ns, runnable.mode, plain.mode) == (NOW_NS, 0o755, 0o644)


def test_a_box_can_be_chosen(world: World) -> None:
    assert world.restore("a.txt", box=OLD) == [("a.txt", OLD, "")]
    assert world.content("a.txt") == b"old a"


def test_what_stands_there_goes_to_the_trash_as_unseen(world: World) -> None:
    world.folder.put("a.txt", b"mine")
    ((_, _, displaced),) = world.restore("a.txt")
    assert (world.content("a.txt"), world.content(displaced)) == (b"new a", b"mine")
    box = parse_box(displaced.split("/")[2], size=0)
    assert box is not None
    assert box.worth.value == "-unseen"


def test_a_directory_means_what_it_lacks(world: World) -> None:
    world.folder.put("photos/deep/c.jpg", b"mine")
    assert world.restore("photos") == [("photos/b.jpg", OLD, "")]
    assert world.content("photos/deep/c.jpg") == b"mine"
    world.folder.remove("photos")
    assert world.restore("photos") == [("photos/deep/c.jpg", NEW, ""), ("photos/b.jpg", OLD, "")]
    assert world.restore("photos") == []


def test_a_directory_of_a_box_means_all_that_is_in_the_box(world: World) -> None:
    world.folder.put("photos/deep/c.jpg", b"mine")
    restored = world.restore("photos", box=OLD)
    assert [path for path, _, _ in restored] == ["photos/b.jpg", "photos/deep/c.jpg"]
    assert world.content("photos/deep/c.jpg") == b"old c"
    assert b"mine" in world.folder.contents().values()


def test_a_name_that_was_a_file_and_a_directory_means_the_file(world: World) -> None:
    world.trash(NEW, "photos", b"a file")
    assert world.restore("photos") == [("photos", NEW, "")]


def test_a_name_is_restored_once_however_often_it_is_named(world: World) -> None:
    assert len(world.restore("a.txt", "a.txt", "photos", "photos/b.jpg")) == 3


@pytest.mark.parametrize(("names", "box"), [(["no.txt"], ""), (["a.txt", "no.txt"], ""), (["photo"], ""), (["b"], OLD)])
def test_a_name_that_is_not_in_the_trash_is_told_before_anything_is_done(
    world: World, names: list[str], box: str
) -> None:
    with pytest.raises(UnknownName, match="is not in the"):
        world.restore(*names, box=box)
    assert "a.txt" not in world.folder.contents()


def test_a_box_that_is_not_there_is_told(world: World) -> None:
    with pytest.raises(UnknownName, match="no box"):
        world.restore("a.txt", box="20990101T000000Z-00000000")


def test_a_link_comes_back_as_a_link(world: World) -> None:
    world.folder.link(f".gsync/trash/{NEW}/l", "../x")
    world.folder.put("l", b"mine")
    ((_, _, displaced),) = world.restore("l")
    found = world.folder.look(RelPath.parse("l"))
    assert found is not None
    assert (found.fingerprint.kind, found.target) == (Kind.LINK, "../x")
    assert world.content(displaced) == b"mine"


def test_a_directory_in_the_way_is_left_alone(world: World) -> None:
    world.folder.put("a.txt/b", b"mine")
    with pytest.raises(PathRefused):
        world.restore("a.txt")
    assert world.folder.staged_names() == []


def test_a_full_disk_changes_nothing(world: World) -> None:
    world.folder.put("a.txt", b"mine")
    world.folder.on_call = FailAt(1, NoSpace("the disk is full"))  # the first call only looks
    with pytest.raises(NoSpace):
        world.restore("a.txt")
    assert world.content("a.txt") == b"mine"


def test_whichever_call_fails_nothing_is_lost_and_no_half_file_shows() -> None:
    calls = _fails_at(-1)
    assert calls > 5
    for at in range(calls):
        _fails_at(at)


def _fails_at(at: int) -> int:
    """Restore, with the call numbered `at` failing; how many calls there were."""
    world = World()
    world.folder.put("a.txt", b"mine")
    fails = FailAt(at, StorageError("the disk refused"))
    world.folder.on_call = fails
    with contextlib.suppress(StorageError):
        world.restore("a.txt")
    everything = world.folder.contents()
    assert everything["a.txt"] in (b"mine", b"new a")
    assert {b"mine", b"old a", b"new a"} <= set(everything.values())
    return fails.calls


def test_a_file_that_is_still_written_in_the_trash_is_left_there(world: World) -> None:
    def scribble(method: str) -> None:
        if method == "write":
            world.folder.edit(f".gsync/trash/{NEW}/a.txt", b"more")

    world.folder.on_call = scribble
    with pytest.raises(StorageError, match="still being changed"):
        world.restore("a.txt")
    assert world.folder.staged_names() == []


def test_a_name_that_comes_and_goes_is_given_up(world: World) -> None:
    def toggle(method: str) -> None:
        if method == "put_new":
            world.folder.put("a.txt", b"mine")
        if method == "exchange":
            world.folder.remove("a.txt")

    world.folder.on_call = toggle
    with pytest.raises(StorageError, match="comes and goes"):
        world.restore("a.txt")
    assert world.folder.staged_names() == []
