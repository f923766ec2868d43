"""Open files of the real disk: short writes, early writeback, and errors in our own words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gsync.errors import NoSpace, StorageError
from gsync.storage import files
from gsync.storage.files import HOLE_MIN_BYTES, WRITEBACK_EVERY_BYTES, DiskFile, DiskStaged, fingerprint_of


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[DiskStaged]:
    staged = DiskStaged(os.open(tmp_path / "s", os.O_RDWR | os.O_CREAT), name="s")
    yield staged
    staged.close()


def test_a_short_write_is_gone_on_with(staged: DiskStaged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(files.os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:3], offset))
    staged.write(b"0123456789")
    assert (tmp_path / "s").read_bytes() == b"0123456789"
    assert staged.size == 10


@pytest.mark.parametrize("count", [HOLE_MIN_BYTES - 1, HOLE_MIN_BYTES, 5 * HOLE_MIN_BYTES])
def test_zeros_that_are_added_read_the_same_and_long_ones_take_no_room(
    staged: DiskStaged, tmp_path: Path, count: int
) -> None:
    staged.write(b"x")
    staged.write(memoryview(bytes(count)))
    assert staged.size == count + 1
    assert (tmp_path / "s").read_bytes() == b"x" + bytes(count)
    staged.write(b"y")
    assert (tmp_path / "s").read_bytes() == b"x" + bytes(count) + b"y"
    stored = (tmp_path / "s").stat().st_blocks * 512
    assert stored <= 2 * HOLE_MIN_BYTES or count < HOLE_MIN_BYTES


def test_data_is_found_behind_holes_and_the_end_behind_the_last(staged: DiskStaged) -> None:
    staged.truncate(9 * HOLE_MIN_BYTES)
    staged.write_at(4 * HOLE_MIN_BYTES, b"x")
    if staged.data_at(0) == 0:
        pytest.skip("this file system knows no holes")
    assert staged.data_at(5) == 4 * HOLE_MIN_BYTES
    assert staged.data_at(4 * HOLE_MIN_BYTES) == 4 * HOLE_MIN_BYTES
    assert staged.data_at(8 * HOLE_MIN_BYTES) == 9 * HOLE_MIN_BYTES
    assert staged.data_at(99 * HOLE_MIN_BYTES) == 99 * HOLE_MIN_BYTES


@pytest.mark.parametrize(("number", "answer"), [(errno.EINVAL, 5), (errno.ENXIO, 9), (errno.EIO, None)])
def test_where_the_system_tells_of_no_holes_there_is_data(
    staged: DiskStaged, monkeypatch: pytest.MonkeyPatch, number: int, answer: int | None
) -> None:
    staged.truncate(9)

    def refuse(fd: int, offset: int, how: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "lseek", refuse)
    if answer is None:
        with pytest.raises(StorageError):
            staged.data_at(5)
    else:
        assert staged.data_at(5) == answer


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, NoSpace), (errno.EIO, StorageError)])
def test_a_disk_that_refuses_is_told_in_our_words(
    staged: DiskStaged, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[StorageError]
) -> None:
    def refuse(fd: int, data: memoryview, offset: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "pwrite", refuse)
    with pytest.raises(kind):
        staged.write(b"x")


def test_zeros_without_end_come_to_an_end_where_the_disk_would_though_they_take_no_room(
    staged: DiskStaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 10 * HOLE_MIN_BYTES
    monkeypatch.setattr(files, "floor_bytes", lambda size: 0)
    monkeypatch.setattr(files.os, "fstatvfs", lambda fd: SimpleNamespace(f_bavail=room, f_frsize=1, f_blocks=room))
    for _ in range(10):
        staged.write(bytes(HOLE_MIN_BYTES))
    with pytest.raises(NoSpace):
        staged.write(bytes(HOLE_MIN_BYTES))
    assert staged.size == room


EVERY = WRITEBACK_EVERY_BYTES


@pytest.mark.parametrize(
    ("sizes", "started"),
    [
        ([EVERY - 1], []),
        ([EVERY], [(0, EVERY)]),
        ([EVERY + 1], [(0, EVERY + 1)]),
        ([EVERY, 1, EVERY], [(0, EVERY), (EVERY, EVERY + 1)]),
    ],
)
def test_writeback_starts_early_in_pieces(
    staged: DiskStaged, monkeypatch: pytest.MonkeyPatch, sizes: list[int], started: list[tuple[int, int]]
) -> None:
    ranges: list[tuple[int, int]] = []

    def start(fd: int, offset: int, count: int) -> None:
        ranges.append((offset, count))
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr(files.syscalls, "start_writeback", start)
    monkeypatch.setattr(files.os, "pwrite", lambda fd, data, offset: len(data))
    for size in sizes:
        staged.write(memoryview(bytearray(size)))
    assert ranges == started


def test_writeback_starts_early_wherever_pieces_are_written(
    staged: DiskStaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges: list[tuple[int, int]] = []
    monkeypatch.setattr(files.syscalls, "start_writeback", lambda fd, offset, count: ranges.append((offset, count)))
    monkeypatch.setattr(files.os, "pwrite", lambda fd, data, offset: len(data))
    for offset in (5 * EVERY, EVERY, 3 * EVERY):
        staged.write_at(offset, memoryview(bytearray(EVERY // 2)))
    assert ranges == [(EVERY, 4 * EVERY + EVERY // 2)]
    staged.write_at(0, memoryview(bytearray(EVERY // 2)))
    assert ranges[1:] == [(0, 3 * EVERY + EVERY // 2)]


def test_a_closed_staged_file_says_so_and_may_be_closed_again(staged: DiskStaged) -> None:
    staged.close()
    staged.close()
    for call in (
        staged.fingerprint,
        lambda: staged.finish(mtime_ns=0, mode=0o600),
        lambda: staged.write(b"x"),
        lambda: staged.read_at(0, 1),
        lambda: staged.truncate(0),
    ):
        with pytest.raises(StorageError):
            call()


def test_a_file_that_cannot_be_read_is_told_in_our_words(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    fd = os.open(tmp_path / "a", os.O_WRONLY)
    with DiskFile(fd, name="a", fingerprint=fingerprint_of(os.fstat(fd))) as file:
        assert file.fileno() == fd
        with pytest.raises(StorageError, match="a: "):
            file.read_at(0, 1)
    file.close()


@pytest.mark.parametrize("mtime_s", [0, 1, 2**31 - 1, 2**31, 4_102_444_800])
def test_every_mtime_that_may_be_announced_can_be_set(staged: DiskStaged, mtime_s: int) -> None:
    staged.finish(mtime_ns=mtime_s * 10**9, mode=0o644)
    assert staged.fingerprint().mtime_ns == mtime_s * 10**9
