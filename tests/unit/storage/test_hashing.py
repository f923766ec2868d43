"""Digests of files, and of files that move while they are read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gsync.core.blocks import BLOCK_BYTES, ContentHasher, digest_of_bytes
from gsync.core.names import RelPath
from gsync.errors import FileChanged
from gsync.storage.files import DiskFile, fingerprint_of
from gsync.storage.hashing import digest_of, hash_on
from gsync.storage.memory import MemoryFolder

A = RelPath.parse("a")
MIB = 1024 * 1024


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB])
def test_a_file_has_the_digest_of_its_bytes(size: int) -> None:
    folder, content = MemoryFolder(), bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    folder.put("a", content)
    with folder.open(A) as file:
        assert digest_of(file) == digest_of_bytes(content)


def test_the_digest_of_nothing_is_the_known_one() -> None:
    assert digest_of_bytes(b"") == "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_a_file_that_changes_while_it_is_read_has_none() -> None:
    folder = MemoryFolder()
    folder.put("a", b"before")
    with folder.open(A) as file:
        folder.edit("a", b"after")
        with pytest.raises(FileChanged):
            digest_of(file)


class Counted(DiskFile):
    """A file of the real disk that counts what is read of it."""

    read = 0

    def read_at(self, offset: int, count: int) -> bytes:
        self.read += count
        return super().read_at(offset, count)


@contextmanager
def sparse(place: Path, *, size: int, data: dict[int, bytes]) -> Iterator[Counted]:
    with (place / "sparse").open("wb") as out:
        out.truncate(size)
        for offset, piece in data.items():
            out.seek(offset)
            out.write(piece)
    fd = os.open(place / "sparse", os.O_RDONLY)
    with Counted(fd, name="sparse", fingerprint=fingerprint_of(os.fstat(fd))) as file:
        yield file


DATA = {0: b"first", 5 * MIB + 77: b"x" * 2 * MIB, 11 * MIB - 1: b"in two blocks"}


@pytest.mark.parametrize("size", [12 * MIB, 11 * MIB + 12, 13 * MIB + 1])
def test_holes_have_the_digest_of_the_zeros_that_they_are(tmp_path: Path, size: int) -> None:
    with sparse(tmp_path, size=size, data=DATA) as file:
        assert digest_of(file) == digest_of_bytes((tmp_path / "sparse").read_bytes())


def test_a_tebibyte_that_is_nearly_all_hole_is_read_at_once(tmp_path: Path) -> None:
    with sparse(tmp_path, size=2**40, data={2**39: b"in the middle of nothing"}) as file:
        if file.data_at(MIB) == MIB:
            pytest.skip("this file system knows no holes")
        digest_of(file)
        assert file.read <= 4 * MIB


def test_what_is_read_at_a_time_is_bounded_but_for_holes(tmp_path: Path) -> None:
    with sparse(tmp_path, size=40 * MIB, data={20 * MIB: b"x" * 10 * MIB}) as file:
        hasher = ContentHasher()
        while hash_on(file, hasher, end=40 * MIB, budget=2 * MIB):
            assert file.read <= 3 * MIB
            file.read = 0
        assert hasher.digest() == digest_of_bytes((tmp_path / "sparse").read_bytes())


def test_a_file_that_was_cut_ends_where_it_ends(tmp_path: Path) -> None:
    with sparse(tmp_path, size=BLOCK_BYTES, data={0: b"x"}) as file:
        hasher = ContentHasher()
        assert hash_on(file, hasher, end=9 * MIB, budget=9 * MIB) == MIB
        assert hash_on(file, hasher, end=9 * MIB, budget=9 * MIB) == 0
