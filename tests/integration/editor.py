"""A person's programs, as one process that is told when to do what: each edits a file of the folder in its own manner.

Reads lines `open <manner> <path> <mark>`, `go`, `close`, does it, and answers each with `done`. Whatever manner, an edit that was
finished can be told by `mark`. Standard library only.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

MARK_AT = 16
"""Where edits in place begin: after what the file began with."""


class Edit:
    """One edit in one manner: what it does before, at the instant, and afterwards."""

    def __init__(self, path: Path, mark: bytes) -> None:
        self.path = path
        self.mark = mark
        half = len(mark) // 2
        self.first, self.second = mark[:half], mark[half:]

    def prepare(self) -> None:
        """Before the instant."""

    def go(self) -> None:
        """The instant."""

    def finish(self) -> None:
        """When everybody else has done his part."""


class InPlace(Edit):
    """Opens, overwrites a part, closes."""

    def go(self) -> None:
        with self.path.open("r+b") as file:
            file.seek(MARK_AT)
            file.write(self.mark)


class Replaced(Edit):
    """Writes a new file and renames it over the old one, as most editors do."""

    def go(self) -> None:
        new = self.path.with_name(f"{self.path.name}~")
        new.write_bytes(self.mark)
        new.replace(self.path)


class Removed(Edit):
    """Removes the file and makes another one."""

    def go(self) -> None:
        self.path.unlink()
        self.path.write_bytes(self.mark)


class KeptOpen(Edit):
    """Has the file open all the time, writes one half of the mark at the instant and the other half much later."""

    file: IO[bytes]

    def prepare(self) -> None:
        self.file = self.path.open("r+b", buffering=0)
        self.file.seek(MARK_AT)

    def go(self) -> None:
        self.file.write(self.first)

    def finish(self) -> None:
        self.file.write(self.second)
        self.file.close()


class Mapped(Edit):
    """Has the file mapped, the descriptor closed, and stores into the mapping, half of it much later."""

    map: mmap.mmap

    def prepare(self) -> None:
        with self.path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)

    def go(self) -> None:
        self.map[MARK_AT : MARK_AT + len(self.first)] = self.first

    def finish(self) -> None:
        self.map[MARK_AT + len(self.first) : MARK_AT + len(self.mark)] = self.second
        self.map.close()


MANNERS: dict[str, Callable[[Path, bytes], Edit]] = {
    "in-place": InPlace,
    "replaced": Replaced,
    "removed": Removed,
    "kept-open": KeptOpen,
    "mapped": Mapped,
}


def main() -> None:
    """Do as told until the input ends."""
    edit = Edit(Path(), b"")
    for line in sys.stdin:
        word, *rest = line.split()
        match word:
            case "open":
                manner, path, mark = rest
                edit = MANNERS[manner](Path(path), mark.encode())
                edit.prepare()
            case "go":
                edit.go()
            case "close":
                edit.finish()
        os.write(1, b"done\n")


if __name__ == "__main__":
    main()
