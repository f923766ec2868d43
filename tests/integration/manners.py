"""How a person's programs change a file in place, or put another one there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

INVERTED: Final = bytes(byte ^ 0xFF for byte in range(256))
"""Makes of any content another one that differs in each byte (`bytes.translate`)."""


def rewritten(path: Path, new: bytes) -> None:
    with path.open("r+b") as file:
        file.write(new)


def rewritten_in_secret(path: Path, new: bytes) -> None:
    """As programs do that leave the mtime as it was: encrypted containers, editors of tags."""
    status = path.stat()
    rewritten(path, new)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path, new: bytes) -> None:
    with path.open("r+b") as file:
        file.truncate(len(new))


def added_to(path: Path, new: bytes) -> None:
    with path.open("r+b") as file:
        start = file.seek(0, 2)
        file.write(new[start:])


def replaced(path: Path, new: bytes) -> None:
    beside = path.with_name(f"{path.name}~")
    beside.write_bytes(new)
    beside.replace(path)


MANNERS: dict[Callable[[Path, bytes], None], Callable[[bytes, bytes], bytes]] = {
    rewritten: lambda old, other: other,
    rewritten_in_secret: lambda old, other: other,
    cut: lambda old, other: old[: len(old) * 2 // 3],
    added_to: lambda old, other: old + other[: len(other) // 3],
    replaced: lambda old, other: other,
}
"""How a file is changed, and what it holds then; `other` is as long as the old content, and different everywhere."""
