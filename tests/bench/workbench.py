"""What every figure is measured with: how often, how much, where, and a place for its pictures."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.options import Options, Scale
from tests.bench.place import Place

MTIME_S: Final = 1_600_000_000
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """Handed to each figure's `measure`."""

    options: Options
    places: tuple[Place, ...]
    failures: list[str] = field(default_factory=list)

    @property
    def runs(self) -> int:
        return self.options.runs

    @property
    def scale(self) -> Scale:
        return self.options.scale

    @property
    def quietest(self) -> Place:
        """The place for what does not depend on a disk."""
        return self.places[0]

    @property
    def slowest(self) -> Place:
        """The place for what should hold on a disk, too."""
        return self.places[-1]

    def say(self, line: str) -> None:
        """Show on stderr how far it is."""
        print(f"  {line}", file=sys.stderr, flush=True)

    def require(self, holds: bool, what: str) -> None:
        """Take down `what` as a failure of the present figure unless it holds."""
        if not holds:
            self.failures.append(what)

    def take_failures(self) -> tuple[str, ...]:
        """The failures since the last call."""
        taken = tuple(self.failures)
        self.failures.clear()
        return taken


def random_file(path: Path, size: int) -> Path:
    """A file of `size` bytes that nothing can compress, the same each time for the same name."""
    rng = random.Random(path.name)
    with path.open("wb") as file:
        for start in range(0, size, _PIECE):
            file.write(rng.randbytes(min(_PIECE, size - start)))
    return path


def random_files(folder: Path, count: int, *, size: int) -> list[str]:
    """The names of `count` files of `size` bytes, made in `folder`."""
    names = [f"{number:06d}.bin" for number in range(count)]
    for name in names:
        random_file(folder / name, size)
    return names


def differing(one: Path, other: Path, names: Iterator[str] | list[str]) -> list[str]:
    """Those of `names` whose content or whole second of mtime is not the same in both folders, or that one lacks."""
    return [name for name in names if not _same(one / name, other / name)]


def _same(one: Path, other: Path) -> bool:
    if not other.is_file() or int(one.stat().st_mtime) != int(other.stat().st_mtime):
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while piece := left.read(_PIECE):
            if piece != right.read(_PIECE):
                return False
        return not right.read(1)
