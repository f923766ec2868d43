"""Each test of the contract of `Folder` runs over the real one (as on old kernels, too) and over the one in memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gsync.storage import syscalls
from tests.contract.places import DiskPlace, MemoryPlace, Place


@pytest.fixture(params=["disk", "disk of an old kernel", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param == "memory":
        yield MemoryPlace()
        return
    if request.param == "disk of an old kernel":
        _take_away(monkeypatch)
    disk = DiskPlace(tmp_path / "folder")
    yield disk
    disk.end()


def _take_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave neither openat2 nor renameat2."""
    function = syscalls._function

    def lacking(name: str) -> Callable[..., int]:
        if name == "renameat2":
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return function(name)

    def openat2(name: str, flags: int, *, dir_fd: int, resolve: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)

    monkeypatch.setattr(syscalls, "_function", lacking)
    monkeypatch.setattr(syscalls, "openat2", openat2)
