"""Disks that a test makes for itself, as root: a small one, and one that cannot hold late mtimes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.cluster import skip_or_fail


@contextmanager
def memory_disk(at: Path, *, mib: int) -> Iterator[Path]:
    """A tmpfs of that size, mounted at `at` and gone afterwards."""
    at.mkdir()
    with _mounted(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "gsync-test", str(at)], at):
        yield at


@contextmanager
def disk_until_2038(at: Path) -> Iterator[Path]:
    """An ext4 with inodes of 128 bytes, which clamps each later mtime to January 2038."""
    at.mkdir()
    image = at.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(32 * 1024**2)
    _run(["mkfs.ext4", "-q", "-I", "128", str(image)])
    with _mounted(["mount", "-o", "loop", str(image), str(at)], at):
        yield at


@contextmanager
def _mounted(command: list[str], at: Path) -> Iterator[None]:
    _run(command)
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        skip_or_fail(f"{command[0]} is not possible here: {getattr(error, 'stderr', error)!r}")
