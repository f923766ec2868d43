"""Where a benchmark puts its files: memory (tmpfs) and a disk; a fresh directory each time, gone at the end.

On a disk the end is that of the whole benchmark: ext4 is in no hurry to use a freed inode again, and for minutes after
thousands of files were deleted it makes new ones several times slower. Memory is given back at once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.e2e.cluster import REPOSITORY, Cluster

_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory on one kind of file system; `name` is `tmpfs` or `disk`."""

    name: str
    base: Path
    file_system: str
    used: list[Path] = field(default_factory=list)

    @property
    def is_memory(self) -> bool:
        """Whether what stands here takes memory."""
        return self.file_system in _MEMORY

    @contextmanager
    def cluster(self) -> Iterator[Cluster]:
        """A cluster in a fresh directory here, whose programs are ended when the block ends."""
        self.used.append(Path(tempfile.mkdtemp(prefix="gsync-bench-", dir=self.base)))
        cluster = Cluster(self.used[-1] / "cluster")
        try:
            yield cluster
        finally:
            cluster.close()
            if self.is_memory:
                self.clear()

    def clear(self) -> None:
        """Remove all that was put here."""
        while self.used:
            shutil.rmtree(self.used.pop(), ignore_errors=True)

    def settle(self) -> None:
        """Let the disk write what it still holds back, so that nobody pays for the one before him."""
        os.sync()


def places() -> tuple[Place, ...]:
    """Memory and disk, as far as this machine has them; `gettempdir` is taken for the disk unless it is in memory."""
    found = []
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and _file_system(memory) in _MEMORY:
        found.append(Place(name="tmpfs", base=memory, file_system=_file_system(memory)))
    for base in (Path(tempfile.gettempdir()), Path("/var/tmp"), REPOSITORY):
        if os.access(base, os.W_OK) and _file_system(base) not in _MEMORY:
            found.append(Place(name="disk", base=base, file_system=_file_system(base)))
            break
    return tuple(found)


def _file_system(path: Path) -> str:
    """The kind of file system that `path` is on."""
    real, kind, longest = path.resolve(), "unknown", -1
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = Path(left.split()[4])
        if (point == real or point in real.parents) and len(point.parts) >= longest:
            longest, kind = len(point.parts), right.split()[0]
    return kind
