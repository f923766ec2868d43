"""What a receiver has, what it is to get, and whether at any instant all of it is whole and nothing is lost (promises P1, P2)."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.e2e import folders

SMALL, LARGE = 3_000, 2_500_000
"""One that waits in memory for its batch, one that goes to staging while it comes."""

OFFERED = {
    **{f"new {number}": folders.noise(SMALL, seed=number) for number in range(8)},
    **{f"replaced {number}": folders.noise(SMALL, seed=100 + number) for number in range(8)},
    "new large": folders.noise(LARGE, seed=200),
    "replaced large": folders.noise(LARGE, seed=201),
}
BEFORE = {name: f"what stood at {name} before".encode() * 50 for name in OFFERED if name.startswith("replaced")}
MINE = {"mine": b"a file that nobody else has"}

CALLS = {"renameat2": 27, "fsync": 22, "utimensat": 18, "fchmod": 2, "fdatasync": 4, "pwrite64": 8, "write": 12}
"""Calls that publishing all this makes in one thread, and how many there are at the least, however it is cut into batches."""


def prepare(folder: Path) -> Path:
    """Put into `folder` what stands there before anything is offered."""
    for name, content in (BEFORE | MINE).items():
        folders.write(folder, name, content)
    return folder


def is_done(folder: Path) -> bool:
    """Whether everything that was offered is here."""
    return all(_read(folder / name) == content for name, content in OFFERED.items())


def wrongs(folder: Path) -> list[str]:
    """What is half, lost or too much in this folder now; may be asked at any instant, also while a peer works there."""
    wrong: list[str] = []
    displaced: set[str] = set()
    for name in OFFERED | MINE:
        content = _read(folder / name)
        whole = {OFFERED.get(name), BEFORE.get(name), MINE.get(name)} - {None}
        if content is None and name in BEFORE | MINE:
            wrong.append(f"{name} is gone")
        elif content is not None and content not in whole:
            wrong.append(f"{name} is neither old nor new: {len(content)} bytes")
        if name in BEFORE and content != BEFORE[name]:
            displaced.add(name)
    # A displaced file goes from the folder to staging and from there to the trash: looked for in that order, it cannot slip by.
    kept = {_read(path) for place in ("staging/*", "trash/*/*") for path in sorted((folder / folders.OWN).glob(place))}
    wrong += [f"the old {name} is lost" for name in displaced if BEFORE[name] not in kept]
    wrong += [f"{name!r} was not asked for" for name in folders.names(folder) - OFFERED.keys() - MINE.keys()]
    return wrong


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None
