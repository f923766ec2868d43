"""A tracker and peers as real processes of this machine, on loopback alone, with their folders beneath one base.

Starts, kills and starts again what it is told to; it decides nothing. A context manager: at its end every process that it
started has ended, each by its own pid.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final, Self

from gsync.errors import GsyncError
from gsync.lab.bad_peers import Vice
from gsync.lab.contents import Content
from gsync.lab.processes import Process
from gsync.lab.scenarios import Load

TRACKER: Final = "tracker"
PORTS: Final = range(20_000, 30_000)
"""Below those that the kernel gives out by itself, so that nobody gets the tracker's by accident while it is away."""

_PORT_TRIES: Final = 20
_READY_S: Final = 30.0
_LOOK_S: Final = 0.02
_PYTHON: Final = (sys.executable, "-P", "-m")


class SwarmFailed(GsyncError):
    """A part of the swarm could not be started."""


class Swarm:
    """`members` are the processes that run or were killed, by name; `past` are those that others took the place of."""

    def __init__(self, base: Path, load: Load, *, rng: Random) -> None:
        self._base = base
        self._load = load
        self._rng = rng
        self._logs = base / "logs"
        runtime = base / "run"
        self._logs.mkdir()
        runtime.mkdir(mode=0o700)
        self._env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
        self._port = 0
        self._started = 0
        self.members: dict[str, Process] = {}
        self.past: list[Process] = []

    def folder(self, name: str) -> Path:
        """The folder of that peer, made if it is missing."""
        folder = self._base / name
        folder.mkdir(exist_ok=True)
        return folder

    def start_tracker(self) -> None:
        """Start the tracker, or start it again at its old port. Raises SwarmFailed."""
        for _ in range(_PORT_TRIES):
            port = self._port or self._rng.choice(PORTS)
            tracker = self._start(
                TRACKER, "gsync", "tracker", str(port), "--listen=127.0.0.1", "--json", "--log-level=error"
            )
            if _is_ready(tracker):
                self._port = port
                return
            if not self._port:  # that one was somebody else's; nobody has to hear of it
                self.members.pop(TRACKER).close()
        raise SwarmFailed(f"no tracker could be started: {tracker.errors()}")

    def start_peer(self, name: str) -> None:
        """Start a peer, or start it again."""
        options = [f"--timeout={self._load.stall_s:g}", f"--fetches={self._load.fetches}"]
        options += ["--classic"] if self._load.classic else []
        options += [f"--limit-up={self._load.uplink}"] if self._load.uplink is not None else []
        address = ("127.0.0.1", str(self._port), f"--dir={self.folder(name)}", "--no-tracker")
        self._start(name, "gsync", *address, "--json", "--stats", "--log-level=error", *options)

    def start_bad_peer(self, name: str, vice: Vice, files: Mapping[str, Content]) -> None:
        """Start one that announces `files`, and has none of them."""
        manifest = self._base / f"{name}.json"
        manifest.write_text(json.dumps({path: (content.size, content.mtime_s) for path, content in files.items()}))
        self._start(name, "gsync.lab.bad_peers", str(self._port), vice.value, str(manifest))

    def kill(self, name: str) -> None:
        """Kill a member (-9)."""
        self.members[name].kill()

    def measure(self) -> None:
        """Look at what everybody uses."""
        for process in self.members.values():
            process.measure()

    def everybody(self) -> Iterator[Process]:
        """All that were ever started."""
        yield from self.past
        yield from self.members.values()

    def stop(self) -> list[str]:
        """End everybody in order; what each that did not end so has to say."""
        self.measure()
        running = [process for process in self.members.values() if process.code is None]
        for process in running:
            process.end_by(signal.SIGTERM)
        return [f"{process.name} did not end when it was asked to" for process in running if not process.ends()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        for process in self.everybody():
            process.close()

    def _start(self, name: str, module: str, *words: str) -> Process:
        self._started += 1
        argv: Sequence[str] = (*_PYTHON, module, *words)
        process = Process(f"{name}.{self._started}", argv, home=self._logs, env=self._env)
        if name in self.members:
            self.past.append(self.members[name])
        self.members[name] = process
        return process


def _is_ready(tracker: Process) -> bool:
    """Wait until the tracker listens; False when it ended instead."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and tracker.code is None:
        if any(line["event"] == "tracker.ready" for line in tracker.lines()):
            return True
        time.sleep(_LOOK_S)
    if tracker.code is None:
        tracker.kill()
    return False
