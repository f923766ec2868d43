"""What those who do not hold a folder may learn of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.errors import FolderUnusable
from gsync.storage.disk import DiskFolder
from gsync.storage.visiting import holder, look_into, note, noted


@pytest.fixture
def own_fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / ".gsync").mkdir()
    fd = look_into(tmp_path)
    yield fd
    os.close(fd)


def test_to_look_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(FolderUnusable, match="no gsync was ever in"):
        look_into(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("plant", [lambda p: p.write_text("x"), lambda p: p.symlink_to("/")], ids=["file", "link"])
def test_what_is_no_directory_of_its_own_is_none(tmp_path: Path, plant: object) -> None:
    plant(tmp_path / ".gsync")  # type: ignore[operator]
    with pytest.raises(FolderUnusable):
        look_into(tmp_path)


def test_the_holder_is_the_process_that_has_the_lock_now(tmp_path: Path, own_fd: int) -> None:
    assert holder(own_fd) is None
    with DiskFolder(tmp_path):
        assert holder(own_fd) == os.getpid()
    assert (tmp_path / ".gsync" / "lock").exists()
    assert holder(own_fd) is None


def test_a_note_is_read_again(own_fd: int) -> None:
    assert noted(own_fd, "tracker") == ""
    note(own_fd, "tracker", "192.0.2.10 9000")
    note(own_fd, "tracker", "::1 9")
    assert noted(own_fd, "tracker") == "::1 9"


def test_a_note_follows_no_link_and_waits_for_nobody(own_fd: int, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("work")
    (tmp_path / ".gsync" / "tracker").symlink_to(precious)
    note(own_fd, "tracker", "x")
    assert (precious.read_text(), noted(own_fd, "tracker")) == ("work", "")
    os.mkfifo(tmp_path / ".gsync" / "pipe")
    note(own_fd, "pipe", "x")
    assert noted(own_fd, "pipe") == ""


def test_a_note_that_is_no_text_is_read_as_far_as_it_goes(own_fd: int, tmp_path: Path) -> None:
    (tmp_path / ".gsync" / "tracker").write_bytes(b"\xff" * 5000)
    assert len(noted(own_fd, "tracker")) == 1024
