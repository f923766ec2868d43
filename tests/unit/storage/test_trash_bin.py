"""What a person finds in the real trash, and what somebody planted there; the rest is in tests/contract/test_bin.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.core.names import RelPath
from gsync.core.status import Trashed
from gsync.errors import FileVanished, PathRefused, UnknownName
from gsync.storage.trash_bin import TrashBin
from gsync.storage.visiting import look_into

BOX = "20261121T060018Z-62c09ab6"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    box = tmp_path / ".gsync" / "trash" / BOX
    box.mkdir(parents=True)
    (box / "a.txt").write_text("x")
    return tmp_path


@pytest.fixture
def trash(root: Path) -> Iterator[TrashBin]:
    fd = look_into(root)
    yield TrashBin(fd)
    os.close(fd)


def test_no_link_to_a_directory_is_entered(trash: TrashBin, root: Path) -> None:
    (root / ".gsync/trash" / BOX / "dir").symlink_to(root)
    assert [one.path for one in trash.trashed()] == ["a.txt", "dir"]
    with pytest.raises(PathRefused):
        trash.open(Trashed(box=BOX, path=RelPath.parse("dir/.gsync-no"), size=0, since_s=0))


def test_what_is_not_ours_is_not_shown(trash: TrashBin, root: Path) -> None:
    (root / ".gsync/trash/20261123T060018Z-62c09ab6").write_text("a file, and no box")
    (root / ".gsync/trash" / BOX / os.fsdecode(b"\xff")).write_text("no path")
    (root / ".gsync/trash/20261124T060018Z-62c09ab6").symlink_to(root)
    assert [one.path for one in trash.trashed()] == ["a.txt"]


def test_a_pipe_in_the_trash_is_waited_for_by_nobody(trash: TrashBin, root: Path) -> None:
    os.mkfifo(root / ".gsync/trash" / BOX / "pipe")
    with pytest.raises(PathRefused, match="not a regular file"):
        trash.open(Trashed(box=BOX, path=RelPath.parse("pipe"), size=0, since_s=0))


def test_a_trash_that_a_person_deleted_is_an_empty_one(trash: TrashBin, root: Path) -> None:
    (found,) = trash.trashed()
    (root / ".gsync/trash").rename(root / "away")
    assert list(trash.trashed()) == []
    with pytest.raises(UnknownName, match=BOX):
        list(trash.trashed(box=BOX))
    with pytest.raises(FileVanished, match="the trash was deleted"):
        trash.open(found)


def test_a_trash_that_is_no_directory_is_told(trash: TrashBin, root: Path) -> None:
    (root / ".gsync/trash").rename(root / "away")
    (root / ".gsync/trash").symlink_to(root / "away")
    with pytest.raises(PathRefused, match="the trash"):
        list(trash.trashed())
