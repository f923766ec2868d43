"""What native receivers have, how it changes at their source, and whether at an instant all of it is whole and nothing is lost.

The same as `workload.py`, for the native dialect: folders, links, exec bits, deletions and renames as well.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.e2e import folders, live

SMALL, LARGE = 3_000, 2_500_000
"""One of a batch, one that comes in blocks."""

BEFORE = {
    **{f"kept {number}": folders.noise(SMALL, seed=number) for number in range(8)},
    **{f"replaced {number}": folders.noise(SMALL, seed=100 + number) for number in range(8)},
    **{f"deleted {number}": folders.noise(SMALL, seed=200 + number) for number in range(4)},
    **{f"old folder/{number}": folders.noise(SMALL, seed=300 + number) for number in range(8)},
    "old name": folders.noise(SMALL, seed=400),
    "program": folders.noise(SMALL, seed=401),
    "replaced large": folders.noise(LARGE, seed=402),
}
AFTER = {
    **{name: content for name, content in BEFORE.items() if name.startswith("kept")},
    **{f"replaced {number}": folders.noise(SMALL, seed=500 + number) for number in range(8)},
    **{f"new folder/{number}": BEFORE[f"old folder/{number}"] for number in range(8)},
    **{f"new {number}": folders.noise(SMALL, seed=600 + number) for number in range(8)},
    **{f"deep/deeper/{number}": folders.noise(SMALL, seed=700 + number) for number in range(4)},
    "new name": BEFORE["old name"],
    "program": BEFORE["program"],
    "replaced large": folders.noise(LARGE, seed=800),
    "new large": folders.noise(LARGE, seed=801),
}

CALLS = {
    "renameat2": 38,
    "fsync": 22,
    "utimensat": 20,
    "fchmod": 2,
    "fdatasync": 4,
    "pwrite64": 16,
    "mkdirat": 5,
    "symlinkat": 1,
}
"""Calls that taking over all this makes in one thread, and how many there are at the least, however it is cut into batches."""


def prepare(folder: Path) -> Path:
    """Put into `folder` what stands there before anything changes."""
    (folder / "old folder").mkdir()
    for name, content in BEFORE.items():
        folders.write(folder, name, content)
    (folder / "link").symlink_to("kept 0")
    return folder


def change(folder: Path) -> None:
    """Work as persons do in the folder of a peer that runs: everything that turns BEFORE into AFTER."""
    for name in ("deep", "deep/deeper", "empty"):
        (folder / name).mkdir()
    for name, content in AFTER.items():
        if content not in BEFORE.values():
            folders.write(folder, name, content, mtime_s=folders.NEW)
    (folder / "old folder").rename(folder / "new folder")
    (folder / "old name").rename(folder / "new name")
    (folder / "program").chmod(0o755)
    for name in BEFORE:
        if name.startswith("deleted"):
            (folder / name).unlink()
    (folder / "link").unlink()
    (folder / "link").symlink_to("kept 1")


def is_done(folder: Path) -> bool:
    """Whether all that was changed is as it should be here."""
    return (
        _files(folder).items() >= AFTER.items()
        and os.readlink(folder / "link") == "kept 1"
        and os.access(folder / "program", os.X_OK)
        and (folder / "empty").is_dir()
        and not any((folder / name).exists() for name in BEFORE.keys() - AFTER.keys())
    )


def wrongs(folder: Path) -> list[str]:
    """What is half, lost or too much in this folder of a peer that does not run now; what persons added is passed over."""
    wrong: list[str] = []
    files = _files(folder)
    for name, content in files.items():
        allowed = {BEFORE.get(name), AFTER.get(name)} - {None}
        if allowed and content not in allowed:
            wrong.append(f"{name} is neither old nor new: {len(content)} bytes")
    wrong += [f"{name} is gone" for name in BEFORE.keys() & AFTER.keys() - files.keys()]
    # What only changes its place must be in the folder all the time; what goes, somewhere where it is found again.
    here = contents(folder)
    staging = folder / folders.OWN / "staging"
    staged = {path.read_bytes() for path in staging.rglob("*") if path.is_file() and not path.is_symlink()}
    kept = here | live.trashed_contents(folder) | staged
    for name, content in BEFORE.items():
        if content in AFTER.values() and content not in here:
            wrong.append(f"what was {name} is in the folder no more")
        elif content not in kept:
            wrong.append(f"the old {name} is lost")
    return wrong


def contents(folder: Path) -> set[bytes]:
    """All that the files in the folder hold."""
    return set(_files(folder).values())


def _files(folder: Path) -> dict[str, bytes]:
    found = {}
    for at, directories, names in os.walk(folder):
        directories[:] = [name for name in directories if name != folders.OWN]
        for path in (Path(at, name) for name in names):
            if not path.is_symlink():
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found
