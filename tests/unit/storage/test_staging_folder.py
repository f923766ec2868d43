"""Staging on the real disk: small contents in one go, with nothing left of one that failed."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsync.errors import NoSpace, StorageError
from gsync.storage import staging_folder
from gsync.storage.staging_folder import ROOM_BYTES, StagingFolder


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[StagingFolder]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield StagingFolder(fd, random_hex=secrets.token_hex)
    os.close(fd)


@pytest.mark.parametrize("call", ["write", "utime", "fstat"])
def test_nothing_stays_of_a_content_that_the_disk_did_not_take(
    staging: StagingFolder, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*args: object, **options: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse)
        with pytest.raises(StorageError):
            staging.stage_content(b"content", mtime_ns=0, mode=0o644)
    assert staging.names() == []


def test_a_content_that_goes_in_pieces_comes_whole(staging: StagingFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    staged, fingerprint = staging.stage_content(b"0123456789", mtime_ns=0, mode=0o644)
    assert staged.read_at(0, 100) == b"0123456789"
    assert (staged.size, fingerprint.size) == (10, 10)
    staged.close()


def test_the_free_space_is_asked_for_once_for_many_small_contents(
    staging: StagingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def require_space(fd: int, count: int) -> int:
        asked.append(count)
        if len(asked) == 3:
            raise NoSpace("full")
        return 10 * ROOM_BYTES

    monkeypatch.setattr(staging_folder, "require_space", require_space)
    content = bytes(ROOM_BYTES // 4)
    for _ in range(10):  # the first takes what it asked for; what is granted with it does for four more
        staging.stage_content(content, mtime_ns=0, mode=0o644)[0].close()
    assert asked == [len(content)] * 2
    with pytest.raises(NoSpace):
        staging.stage_content(content, mtime_ns=0, mode=0o644)
    assert len(staging.names()) == 10


def test_no_more_room_is_granted_than_the_disk_has(staging: StagingFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def require_space(fd: int, count: int) -> int:
        asked.append(count)
        return 0

    monkeypatch.setattr(staging_folder, "require_space", require_space)
    for _ in range(3):
        staging.stage_content(b"x", mtime_ns=0, mode=0o644)[0].close()
    assert asked == [1, 1, 1]
