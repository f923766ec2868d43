"""Digests of files, and of files that move while they are read."""

from __future__ import annotations

import pytest

from gsync.core.blocks import digest_of_bytes
from gsync.core.names import RelPath
from gsync.errors import FileChanged
from gsync.storage.hashing import digest_of
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
