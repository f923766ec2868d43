"""Files that are made, and what is found wrong with them afterwards."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from gsync.lab.contents import CHUNK, Author, Content, differences, has

MTIME_S = 1_600_000_000


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(scratch=tmp_path / "scratch", rng=Random(1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("size", [0, 1, 31, 33, CHUNK - 1, CHUNK, CHUNK + 1])
def test_a_file_is_what_its_author_says(author: Author, folder: Path, size: int) -> None:
    content = author.write(folder / "a", size=size, mtime_s=MTIME_S)
    assert (content.size, (folder / "a").stat().st_size, (folder / "a").stat().st_mtime) == (size, size, MTIME_S)
    assert has(folder, "a", content)
    assert differences(folder, {"a": content}) == {}


def test_no_two_files_have_the_same_content(author: Author, folder: Path) -> None:
    digests = {author.write(folder / "a", size=4096, mtime_s=MTIME_S).digest for _ in range(100)}
    assert len(digests) == 100


def test_what_is_wrong_is_named(author: Author, folder: Path) -> None:
    names = ("byte", "time", "fraction", "short", "gone")
    made = {name: author.write(folder / name, size=2 * CHUNK, mtime_s=MTIME_S) for name in names}
    (folder / ".gsync").mkdir()
    (folder / "more").touch()
    (folder / "gone").unlink()
    with (folder / "byte").open("r+b") as file:
        file.seek(CHUNK)
        file.write(b"other")
    os.truncate(folder / "short", CHUNK)
    os.utime(folder / "byte", (MTIME_S, MTIME_S))
    os.utime(folder / "short", (MTIME_S, MTIME_S))
    os.utime(folder / "time", (MTIME_S + 1, MTIME_S + 1))
    os.utime(folder / "fraction", (MTIME_S + 0.9, MTIME_S + 0.9))
    assert differences(folder, made) == {
        "byte": "another content",
        "more": "nobody made this file",
        "short": "another content",
        "time": f"another mtime ({MTIME_S + 1} for {MTIME_S})",
    }


def test_a_file_of_another_size_or_mtime_is_not_had(author: Author, folder: Path) -> None:
    old = author.write(folder / "a", size=5, mtime_s=MTIME_S)
    assert not has(folder, "b", old)
    assert not has(folder, "a", Content(size=5, mtime_s=MTIME_S + 1, digest=old.digest))
    assert not has(folder, "a", Content(size=6, mtime_s=MTIME_S, digest=old.digest))
