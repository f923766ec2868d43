"""Whether somebody still writes into a file, asked of the kernel."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.storage.leases import has_writer


@pytest.fixture
def dir_fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(b"x" * 4096)
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_file_that_nobody_has_open_has_no_writer(dir_fd: int) -> None:
    assert has_writer(dir_fd, "file") is False


def test_a_reader_is_no_writer(dir_fd: int, tmp_path: Path) -> None:
    with (tmp_path / "file").open("rb"):
        assert has_writer(dir_fd, "file") is False


@pytest.mark.parametrize("mode", ["r+b", "ab", "wb"])
def test_whoever_has_it_open_for_writing_is_a_writer_until_the_end(dir_fd: int, tmp_path: Path, mode: str) -> None:
    with (tmp_path / "file").open(mode):
        assert has_writer(dir_fd, "file") is True
    assert has_writer(dir_fd, "file") is False


def test_a_shared_writable_mapping_is_a_writer_even_after_its_descriptor_is_closed(dir_fd: int, tmp_path: Path) -> None:
    with (tmp_path / "file").open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 4096)
    mapping[0:1] = b"y"
    assert has_writer(dir_fd, "file") is True
    mapping.close()
    assert has_writer(dir_fd, "file") is False


def test_asking_leaves_no_descriptor_open(dir_fd: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        has_writer(dir_fd, "file")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_is_gone_says_so(dir_fd: int) -> None:
    with pytest.raises(FileNotFoundError):
        has_writer(dir_fd, "gone")


def test_where_there_are_no_leases_it_cannot_be_told(dir_fd: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert has_writer(dir_fd, "fifo") is None


BREAKS_ITS_OWN_LEASE = """
import fcntl, os, sys
from gsync.storage import leases
unlock = fcntl.F_UNLCK
def ask(fd, command, *rest, original=fcntl.fcntl):
    if rest == (unlock,):  # the lease is held now: break it, as a writer in these microseconds would
        try:
            os.open(sys.argv[1] + "/file", os.O_WRONLY | os.O_NONBLOCK)
        except BlockingIOError:
            print("broken")
    return original(fd, command, *rest)
leases.fcntl.fcntl = ask
print(leases.has_writer(os.open(sys.argv[1], os.O_RDONLY), "file"))
"""


@pytest.mark.slow
def test_a_lease_that_is_broken_while_it_is_held_does_not_kill(dir_fd: int, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", BREAKS_ITS_OWN_LEASE, tmp_path], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "broken\nFalse\n"), run.stderr
