"""Each test of the contract of `Folder` runs over the real one and over the one in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.places import DiskPlace, MemoryPlace, Place


@pytest.fixture(params=["disk", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "memory":
        yield MemoryPlace()
        return
    disk = DiskPlace(tmp_path / "folder")
    yield disk
    disk.end()
