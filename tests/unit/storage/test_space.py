"""The floor that every disk keeps."""

from __future__ import annotations

import pytest

from gsync.core.names import RelPath
from gsync.errors import NoSpace
from gsync.storage.memory import MemoryFolder
from gsync.storage.space import FLOOR_MAX_BYTES, floor_bytes

EDGE = FLOOR_MAX_BYTES * 20


@pytest.mark.parametrize(
    ("disk_bytes", "floor"),
    [
        (0, 0),
        (1000, 50),
        (EDGE - 20, FLOOR_MAX_BYTES - 1),
        (EDGE, FLOOR_MAX_BYTES),
        (EDGE + 20, FLOOR_MAX_BYTES),
        (1 << 50, FLOOR_MAX_BYTES),
    ],
)
def test_the_floor_is_a_twentieth_of_the_disk_but_at_most_64_mib(disk_bytes: int, floor: int) -> None:
    assert floor_bytes(disk_bytes) == floor


@pytest.mark.parametrize(("count", "fits"), [(949, True), (950, True), (951, False)])
def test_a_file_fits_down_to_the_floor(count: int, fits: bool) -> None:
    folder = MemoryFolder(capacity=1000)
    if fits:
        folder.require_space(count)
    else:
        with pytest.raises(NoSpace):
            folder.require_space(count)


def test_what_is_written_takes_room_and_what_is_unlinked_gives_it_back() -> None:
    folder = MemoryFolder(capacity=1000)
    staged = folder.stage()
    staged.write(bytes(900))
    with pytest.raises(NoSpace):
        staged.write(bytes(101))
    folder.unlink_staged(staged.name)
    folder.require_space(950)
    folder.put(RelPath.parse("a"), bytes(100))
    with pytest.raises(NoSpace):
        folder.require_space(851)
