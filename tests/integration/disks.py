"""Disks that a test makes for itself, as root: a small one, and one that cannot hold late mtimes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.cluster import eventually, skip_or_fail


@contextmanager
def memory_disk(at: Path, *, mib: int) -> Iterator[Path]:
    """A tmpfs of that size, mounted at `at` and gone afterwards."""
    at.mkdir()
    with mounted(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "gsync-test", str(at)], at):
        yield at


@contextmanager
def disk_until_2038(at: Path) -> Iterator[Path]:
    """An ext4 with inodes of 128 bytes, which clamps each later mtime to January 2038."""
    at.mkdir()
    image = at.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(32 * 1024**2)
    run(["mkfs.ext4", "-q", "-I", "128", str(image)])
    with mounted(["mount", "-o", "loop", str(image), str(at)], at):
        yield at


@contextmanager
def mounted(command: list[str], at: Path) -> Iterator[None]:
    """Mount at `at` as `command` says, and unmount it afterwards."""
    run(command)
    with unmounted(at):
        yield


@contextmanager
def unmounted(at: Path) -> Iterator[None]:
    """Unmount what is mounted at `at` in the end; after a failure as soon as nobody uses it any more."""
    try:
        yield
    except BaseException:
        subprocess.run(["umount", "--lazy", str(at)], check=True)
        raise
    eventually(lambda: subprocess.run(["umount", str(at)], check=False).returncode == 0, f"nobody who uses {at}")


def run(command: list[str]) -> None:
    """Do what only root can, where it can be done."""
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        skip_or_fail(f"{command[0]} is not possible here: {getattr(error, 'stderr', error)!r}")
