"""This machine's own rules are read, whatever stands in their place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.errors import PathRefused
from gsync.storage.own_folder import read_own_rules


@pytest.fixture
def own_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_rules_are_read_as_far_as_asked(own_fd: int, tmp_path: Path) -> None:
    assert read_own_rules(own_fd, bytes_max=100) == b""
    (tmp_path / "ignore").write_bytes(b"*.o\n")
    assert read_own_rules(own_fd, bytes_max=100) == b"*.o\n"
    assert read_own_rules(own_fd, bytes_max=2) == b"*."


def test_a_link_is_not_followed(own_fd: int, tmp_path: Path) -> None:
    (tmp_path / "ignore").symlink_to("/etc/hostname")
    with pytest.raises(PathRefused):
        read_own_rules(own_fd, bytes_max=100)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_holds_no_rules(own_fd: int, tmp_path: Path, make: object) -> None:
    make(tmp_path / "ignore")  # type: ignore[operator]
    assert read_own_rules(own_fd, bytes_max=100) == b""
