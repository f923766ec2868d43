"""A disk whose power can be cut at any instant: an ext4 on a loop device on `block_recorder.py`, and what it may hold afterwards.

The recorder knows in which order blocks were written and where the file system asked for a flush. A disk with a volatile cache
keeps what was written before the last flush; of what came later it may have kept anything. `Cut` makes such an image: all up to
the last flush before an instant, and of the rest what `rng` says, page by page. What the page cache held was never written, so
it is lost by itself. Nothing is copied while it changes: the log is read, and it only grows.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tests.e2e.cluster import Cluster, skip_or_fail
from tests.integration.block_recorder import ENTRY
from tests.integration.disks import mounted, run, unmounted

OPTIONS = "loop,commit=300,noauto_da_alloc"
"""No journal commit but those that somebody asked for, and no mercy with renames that nobody synced."""

PAGE = 4096
TOWARDS = {"all": 1.0, "none": 0.0, "half": 0.5, "most": 0.9}
"""How much of what was not flushed yet a disk has kept."""


def make_image(at: Path, *, mib: int) -> Path:
    """An empty ext4."""
    with at.open("wb") as file:
        file.truncate(mib * 1024**2)
    run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(at)])
    return at


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A mounted disk that is being recorded."""

    folder: Path
    """Where it is mounted."""
    log: Path

    @property
    def position(self) -> int:
        """How many writes and flushes there were so far."""
        return self.log.stat().st_size // ENTRY.size


@contextmanager
def recorded(cluster: Cluster, image: Path, name: str) -> Iterator[Recorded]:
    """Mount `image`, which is changed, and record it; unmounted afterwards."""
    glass, folder, log = (cluster.base / f"{name} {what}" for what in ("glass", "disk", "log"))
    for directory in (glass, folder):
        directory.mkdir()
    if not Path("/dev/fuse").exists():
        skip_or_fail("there is no /dev/fuse")
    script = Path(__file__).with_name("block_recorder.py")
    recorder = cluster.run([sys.executable, "-I", script, image, glass, log])
    recorder.until(lambda: "READY" in recorder.out or recorder.code is not None, "the recorder")
    if recorder.code is not None:
        skip_or_fail(f"no recorder is possible here: {recorder.err}")
    with unmounted(glass), mounted(["mount", "-o", OPTIONS, str(glass / "disk"), str(folder)], folder):
        yield Recorded(folder=folder, log=log)
    recorder.ends()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """After how many entries the power went, how many pages were written after the last flush, and how many of them stayed."""

    position: int
    late: int
    kept: int


class Cuts:
    """Images of one recording at instants that only grow; `base` is the image as it was when the recording began."""

    def __init__(self, base: Path, log: Path) -> None:
        self._durable = base.with_name(f"{base.name}.durable")
        _copy(base, self._durable)
        self._log = log
        self._applied = 0

    def at(self, position: int, *, rng: random.Random, to: Path) -> Cut:
        """Make `to` what the disk may hold when its power is cut after so many entries."""
        with self._log.open("rb") as log:
            entries = [ENTRY.unpack(log.read(ENTRY.size)) for _ in range(position)]
        flushed = max((number for number, entry in enumerate(entries) if entry[0] == b"F"), default=-1) + 1
        assert flushed >= self._applied
        with self._data() as data, self._durable.open("r+b") as durable:
            for _, length, offset, at in entries[self._applied : flushed]:
                data.seek(at)
                durable.seek(offset)
                durable.write(data.read(length))
        self._applied = flushed
        to.unlink(missing_ok=True)  # a loop device may still hold what was there, and be taken for this one
        _copy(self._durable, to)
        luck = rng.choice(list(TOWARDS))
        kept = 0
        late = [
            (offset + page, at + page, min(PAGE, length - page))
            for _, length, offset, at in entries[flushed:]
            for page in range(0, length, PAGE)
        ]
        with self._data() as data, to.open("r+b") as image:
            for offset, at, length in late:
                if rng.random() < TOWARDS[luck]:
                    data.seek(at)
                    image.seek(offset)
                    image.write(data.read(length))
                    kept += 1
        return Cut(position=position, late=len(late), kept=kept)

    def _data(self) -> BinaryIO:
        return self._log.with_name(f"{self._log.name}.data").open("rb")


def _copy(source: Path, to: Path) -> None:
    subprocess.run(["cp", "--sparse=always", str(source), str(to)], check=True)


@contextmanager
def after_the_cut(image: Path, at: Path) -> Iterator[Path]:
    """Mount an image as a machine does that has power again: ext4 replays its journal."""
    at.mkdir(exist_ok=True)
    with mounted(["mount", "-o", OPTIONS, str(image), str(at)], at):
        yield at
