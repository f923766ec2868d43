"""How much of a disk is left alone: the free-space floor, which every folder keeps. Pure."""

from __future__ import annotations

from typing import Final

FLOOR_MAX_BYTES: Final = 64 * 1024 * 1024
FLOOR_SHARE: Final = 0.05
"""The floor is the smaller of 64 MiB and this share of the disk, so that small disks stay usable."""


def floor_bytes(disk_bytes: int) -> int:
    """The bytes that stay free on a disk of `disk_bytes`."""
    return min(FLOOR_MAX_BYTES, int(disk_bytes * FLOOR_SHARE))
