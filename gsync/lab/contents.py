"""Makes the files of a run, and judges the folders at its end: content by BLAKE3, mtime in whole seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Final

from blake3 import blake3
from msgspec import Struct

from gsync.core.names import OWN_FOLDER

CHUNK: Final = 1024 * 1024
_MARK: Final = 32


class Content(Struct, frozen=True, kw_only=True):
    """What a file must be, wherever it arrives."""

    size: int
    mtime_s: int
    digest: str


class Author:
    """Writes files that nobody has seen before; `scratch` lies on the folders' file system, outside of them."""

    def __init__(self, *, scratch: Path, rng: Random) -> None:
        self._scratch = scratch
        self._rng = rng
        self._noise = rng.randbytes(CHUNK)

    def write(self, path: Path, *, size: int, mtime_s: int) -> Content:
        """Put a new file at `path`, whole from the first moment, in place of what stands there."""
        hasher = blake3()
        with self._scratch.open("wb") as file:
            for piece in self._pieces(size):
                hasher.update(piece)
                file.write(piece)
        os.utime(self._scratch, (mtime_s, mtime_s))
        self._scratch.replace(path)
        return Content(size=size, mtime_s=mtime_s, digest=hasher.hexdigest())

    def _pieces(self, size: int) -> Iterator[bytes]:
        """`size` bytes; a mark in each piece makes it differ from all others, and is all that must be drawn anew."""
        for start in range(0, size, CHUNK):
            yield (self._rng.randbytes(_MARK) + self._noise)[: min(CHUNK, size - start)]


def has(folder: Path, name: str, content: Content) -> bool:
    """Whether a file of that size and mtime stands there; its bytes are not looked at."""
    try:
        seen = (folder / name).lstat()
    except FileNotFoundError:
        return False
    return (seen.st_size, seen.st_mtime_ns // 10**9) == (content.size, content.mtime_s)


def differences(folder: Path, expected: Mapping[str, Content]) -> dict[str, str]:
    """What is wrong with the files of the folder, in words; one that is not there is not wrong, it never arrived."""
    found = set(os.listdir(folder)) - {OWN_FOLDER}
    wrong = dict.fromkeys(sorted(found - expected.keys()), "nobody made this file")
    for name in sorted(found & expected.keys()):
        told, is_ = expected[name], _content(folder / name)
        if is_ != told:
            what = "content" if is_.digest != told.digest else f"mtime ({is_.mtime_s} for {told.mtime_s})"
            wrong[name] = f"another {what}"
    return wrong


def _content(path: Path) -> Content:
    seen, hasher = path.lstat(), blake3()
    if seen.st_size:
        hasher.update_mmap(path)
    return Content(size=seen.st_size, mtime_s=seen.st_mtime_ns // 10**9, digest=hasher.hexdigest())
