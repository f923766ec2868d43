"""The machine that a benchmark runs on: without it no number means anything."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tests.bench.place import Place

BUSY_ABOVE: Final = 0.3
"""Of a core, a core: with more than this going on already, the figures say more about the others than about gsync."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a reader must know to compare figures; no name of it."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    gevent: str
    rsync: str
    places: dict[str, str]
    load: float

    @property
    def is_busy(self) -> bool:
        """Whether others use it so much that the figures will be noisy."""
        return self.load > BUSY_ABOVE * self.cores

    def line(self) -> dict[str, Any]:
        """The machine as one JSON object."""
        return {"v": 1, "machine": asdict(self), "busy": self.is_busy}

    def told(self) -> str:
        """The machine in words."""
        places = ", ".join(f"{name} is {kind}" for name, kind in self.places.items())
        return (
            f"{self.cores} cores ({self.cpu}), {self.memory_gib:.0f} GiB, {self.system}, Python {self.python}, "
            f"gevent {self.gevent}, rsync {self.rsync}; {places}; load {self.load:.2f} before the start"
        )


def this_machine(places: Sequence[Place]) -> Machine:
    """The machine as it is now."""
    return Machine(
        cpu=_field(Path("/proc/cpuinfo"), "model name"),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=int(_field(Path("/proc/meminfo"), "MemTotal").split()[0]) / 1024**2,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        gevent=version("gevent"),
        rsync=_rsync(),
        places={place.name: place.file_system for place in places},
        load=os.getloadavg()[0],
    )


def _field(file: Path, name: str) -> str:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _rsync() -> str:
    try:
        told = subprocess.run(["rsync", "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "missing (apt-get install rsync)"
    return told.split()[2]
