"""The rules of this machine alone: read where they are, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.core.ignore import RULES_MAX_BYTES
from gsync.errors import StorageError
from gsync.storage.local_rules import read_local_rules


@pytest.fixture
def own(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_without_a_file_there_are_no_rules(own: int) -> None:
    assert read_local_rules(own) == b""


def test_what_stands_there_is_read_up_to_a_byte_more_than_is_used(own: int, tmp_path: Path) -> None:
    (tmp_path / "ignore").write_bytes(b"*.tmp\n")
    assert read_local_rules(own) == b"*.tmp\n"
    (tmp_path / "ignore").write_bytes(b"#" * (RULES_MAX_BYTES + 5))
    assert len(read_local_rules(own)) == RULES_MAX_BYTES + 1


def test_a_link_is_not_followed(own: int, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"*")
    (tmp_path / "ignore").symlink_to("elsewhere")
    with pytest.raises(StorageError):
        read_local_rules(own)


def test_a_fifo_makes_nobody_wait(own: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ignore")
    assert read_local_rules(own) == b""
