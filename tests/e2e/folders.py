"""What stands in a folder that is kept in sync, as a person sees it: names, bytes and whole seconds; `.gsync` is not looked at."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

OWN = ".gsync"
OLD, NEW = 1_600_000_000, 1_700_000_000
"""Two mtimes, in whole seconds."""


@dataclass(frozen=True, slots=True)
class Look:
    """One file: its size, its mtime in whole seconds, the digest of its bytes."""

    size: int
    mtime_s: int
    digest: str


Looks = Mapping[str, Look]


def write(folder: Path, name: str, content: bytes, *, mtime_s: float = OLD) -> Path:
    """A file of that mtime; appears at once and whole, so that a peer that runs already never sees it half."""
    own = folder / OWN
    path, new = folder / name, (own if own.is_dir() else folder.parent) / "new"
    new.write_bytes(content)
    os.utime(new, (mtime_s, mtime_s))
    new.replace(path)
    return path


def noise(size: int, *, seed: int) -> bytes:
    """Bytes that look random, NULs among them, the same each time."""
    return random.Random(seed).randbytes(size)


def looks(folder: Path) -> dict[str, Look]:
    """Everything in the folder but what is ours; a thing that is no regular file fails the test."""
    return {name: look(folder / name) for name in names(folder)}


def look(path: Path) -> Look:
    """One file."""
    status = path.lstat()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Look(status.st_size, int(status.st_mtime_ns // 1_000_000_000), digest)


def names(folder: Path) -> set[str]:
    """The names in the folder, ours left out; none where the folder is not made yet."""
    return set(os.listdir(folder)) - {OWN} if folder.is_dir() else set()


def latest(folders: Iterable[Path]) -> dict[str, Look]:
    """What every one of `folders` must become: for each name the file with the latest mtime."""
    merged: dict[str, Look] = {}
    for folder in folders:
        for name, file in looks(folder).items():
            if name not in merged or file.mtime_s > merged[name].mtime_s:
                merged[name] = file
    return merged


def has(folder: Path, expected: Looks) -> Callable[[], bool]:
    """A condition: the folder shows exactly `expected`, judged by names, sizes and mtimes, which is quick to ask again."""

    def holds() -> bool:
        if names(folder) != expected.keys():
            return False
        for name, file in expected.items():
            status = (folder / name).lstat()
            if (status.st_size, status.st_mtime_ns // 1_000_000_000) != (file.size, file.mtime_s):
                return False
        return True

    return holds


def left_in_staging(folder: Path) -> list[str]:
    """Names of unfinished things."""
    return os.listdir(folder / OWN / "staging")


def staged_bytes(folder: Path) -> int:
    """How much of a large file has arrived and is not published yet."""
    staging = folder / OWN / "staging"
    total = 0
    for name in os.listdir(staging) if staging.is_dir() else ():
        try:
            total += (staging / name).lstat().st_size
        except FileNotFoundError:
            continue
    return total


def trashed(folder: Path) -> dict[str, list[bytes]]:
    """What the trash holds: for each name the contents found there."""
    found: dict[str, list[bytes]] = {}
    for path in (folder / OWN / "trash").glob("*/*"):
        found.setdefault(path.name, []).append(path.read_bytes())
    return found
