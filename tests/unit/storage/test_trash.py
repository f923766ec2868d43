"""What stays in the trash and for how long."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from gsync.core.names import PATH_MAX_BYTES, RelPath
from gsync.storage import trash
from gsync.storage.filesystem import Worth
from gsync.storage.renames import Spot
from gsync.storage.trash import KEEP_S, SUPERSEDED_MIN_BYTES, Box, Trash, box_name, expired, parse_box, superseded_room

A = RelPath.parse("a")
GIB = 1024**3
NOW = 100 * 24 * 3600.0


def box(age_s: float, size: int = 0, worth: Worth = Worth.SUPERSEDED) -> Box:
    return Box(name=f"{age_s}", since_s=NOW - age_s, size=size, worth=worth)


@pytest.mark.parametrize("worth", list(Worth))
@pytest.mark.parametrize(("age_s", "over"), [(KEEP_S - 1, False), (KEEP_S, False), (KEEP_S + 1, True)])
def test_everything_stays_thirty_days(worth: Worth, age_s: float, over: bool) -> None:
    assert (expired([box(age_s, worth=worth)], now_s=NOW, disk_bytes=0) != []) == over


@pytest.mark.parametrize(
    ("disk_bytes", "room"),
    [(0, GIB), (10 * GIB - 10, GIB), (10 * GIB, GIB), (10 * GIB + 10, GIB + 1), (100 * GIB, 10 * GIB)],
)
def test_superseded_versions_may_take_a_tenth_of_the_disk_but_at_least_one_gib(disk_bytes: int, room: int) -> None:
    assert superseded_room(disk_bytes) == room


@pytest.mark.parametrize(("extra", "gone"), [(-1, []), (0, []), (1, ["3"])])
def test_beyond_their_room_the_oldest_superseded_versions_go_first(extra: int, gone: list[str]) -> None:
    size = SUPERSEDED_MIN_BYTES // 2
    boxes = [box(2, size), box(3, extra + size - 1), box(1, 1)]
    assert [one.name for one in expired(boxes, now_s=NOW, disk_bytes=0)] == gone


def test_what_nobody_has_seen_is_never_purged_for_its_size() -> None:
    boxes = [box(1, 5 * GIB, Worth.UNSEEN), box(2, 10), box(3, 9 * GIB, Worth.UNSEEN)]
    assert expired(boxes, now_s=NOW, disk_bytes=0) == []


@pytest.mark.parametrize("worth", list(Worth))
def test_the_name_of_a_box_says_when_and_why(worth: Worth) -> None:
    name = box_name(NOW + 0.5, worth=worth, random_hex=lambda count: "ab" * count)
    assert parse_box(name, size=3) == Box(name=name, since_s=NOW, size=3, worth=worth)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "mine",
        "20240101T000000Z",
        "20240101T000000Z-abc",
        "20241301T000000Z-00000000",
        "20240101T000000Z-00000000-x",
    ],
)
def test_other_names_are_not_boxes(name: str) -> None:
    assert parse_box(name, size=0) is None


class Shelf:
    """A trash on the disk, whose clock and dice are ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        dice = count()
        self.fd = os.open(path, os.O_RDONLY)
        self.trash = Trash(self.fd, wall_clock=lambda: self.now, random_hex=lambda n: f"{next(dice):0{2 * n}x}")

    def put(self, content: str, *, path: RelPath = A, worth: Worth = Worth.SUPERSEDED) -> str:
        (self.path.parent / "source").write_text(content)
        parent = os.open(self.path.parent, os.O_RDONLY)
        try:
            return self.trash.put(Spot(parent, "source"), path, worth=worth)
        finally:
            os.close(parent)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    (tmp_path / "trash").mkdir()
    shelf = Shelf(tmp_path / "trash")
    yield shelf
    shelf.trash.close()
    os.close(shelf.fd)


def test_files_of_one_path_in_one_second_go_to_boxes_of_their_own(shelf: Shelf) -> None:
    names = [shelf.put("first"), shelf.put("second"), shelf.put("third", worth=Worth.UNSEEN)]
    assert [(shelf.path / name / A).read_text() for name in names] == ["first", "second", "third"]


def test_each_second_has_a_box_of_its_own(shelf: Shelf) -> None:
    first = shelf.put("first")
    shelf.now = 0.9
    (shelf.path / first / A).unlink()
    assert shelf.put("same second") == first
    shelf.now = 1.0
    assert shelf.put("next second") != first


def test_a_box_that_a_person_deleted_is_followed_by_another(shelf: Shelf) -> None:
    gone = shelf.put("first", path=RelPath.parse("sub/a"))
    subprocess.run(["rm", "-rf", shelf.path / gone], check=True)
    kept = shelf.put("second", path=RelPath.parse("sub/a"))
    assert kept != gone
    assert (shelf.path / kept / "sub/a").read_text() == "second"


def test_what_is_not_there_to_be_put_is_no_matter_of_the_trash(shelf: Shelf) -> None:
    with pytest.raises(FileNotFoundError):
        shelf.trash.put(Spot(shelf.fd, "nothing"), A, worth=Worth.SUPERSEDED)


def test_boxes_tell_their_size_and_others_are_left_out(shelf: Shelf) -> None:
    name = shelf.put("12345")
    (shelf.path / "somebody's").mkdir()
    (shelf.path / "19700101T000000Z-ffffffff").write_text("not a directory")
    (shelf.path / name / "link").symlink_to("/etc")
    assert list(shelf.trash.boxes()) == [Box(name=name, since_s=0, size=5, worth=Worth.SUPERSEDED)]


def test_a_box_that_is_removed_takes_nothing_else_along(shelf: Shelf, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "work").write_text("work")
    name = shelf.put("x")
    (shelf.path / name / "link").symlink_to(precious)
    (one,) = shelf.trash.boxes()
    shelf.trash.remove(one)
    assert not (shelf.path / name).exists()
    assert (precious / "work").read_text() == "work"


def test_syncing_twice_is_harmless_and_a_later_put_goes_on(shelf: Shelf) -> None:
    shelf.put("one")
    shelf.trash.sync()
    shelf.trash.sync()
    shelf.put("two")
    shelf.trash.sync()
    assert len(list(shelf.trash.boxes())) == 2


def test_paths_keep_their_directories_which_are_private(shelf: Shelf) -> None:
    name = shelf.put("content", path=RelPath.parse("x/y/z"))
    assert shelf.put("other", path=RelPath.parse("x/y/w")) == name
    assert (shelf.path / name / "x" / "y" / "z").read_text() == "content"
    assert (shelf.path / name / "x").stat().st_mode & 0o077 == 0
    with shelf.trash.spot(f"{name}/x/y/z") as spot:
        assert spot.exists()


@pytest.mark.parametrize(("first", "second"), [("x", "x/y"), ("x/y", "x"), ("x/y", "x/y/z"), ("x/y", "x/y")])
def test_paths_that_leave_each_other_no_room_go_to_boxes_of_their_own(shelf: Shelf, first: str, second: str) -> None:
    boxes = [shelf.put(content, path=RelPath.parse(content)) for content in (first, second)]
    assert len(set(boxes)) == 2
    assert [(shelf.path / box / one).read_text() for box, one in zip(boxes, (first, second), strict=True)] == [
        first,
        second,
    ]


def test_every_directory_in_which_something_was_put_is_synced(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        trash.os, "fsync", lambda fd: synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), shelf.path))
    )
    name = shelf.put("one", path=RelPath.parse("x/y"))
    shelf.put("two", path=RelPath.parse("x/z"))
    shelf.trash.sync()
    assert sorted(synced) == [".", name, f"{name}/x"]
    shelf.trash.sync()
    assert len(synced) == 3


@pytest.mark.slow
def test_the_deepest_path_is_counted_and_removed(shelf: Shelf) -> None:
    deepest = RelPath.parse("d/" * (PATH_MAX_BYTES // 2) + "f")
    shelf.put("12345", path=deepest)
    shelf.put("123", path=RelPath.parse("other/file"))
    shelf.trash.sync()
    try:
        (one,) = shelf.trash.boxes()
        assert one.size == 8
        shelf.trash.remove(one)
        assert list(shelf.path.iterdir()) == []
    finally:
        subprocess.run(["rm", "-rf", shelf.path], check=True)  # pytest cannot remove what lies so deep
