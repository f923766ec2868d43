"""One real process of a swarm: what it says, what it costs, and its end by its own pid.

What it says goes to two files and is read from there, so nothing has to be drained and a killed process loses no word. The
figures come from /proc while it runs; the last ones are kept when it has ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

STOP_S: Final = 10.0
"""Longer than any orderly end takes; then it is killed, and counts as one that hung."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_LAST_WORDS: Final = 3000
_ORDERLY: Final = (None, 0, 143, -signal.SIGTERM, -signal.SIGKILL)
"""How a process may end that was asked to, or was killed by us."""


class Usage(Struct, frozen=True, kw_only=True):
    """What a process has used: CPU since its start, memory and descriptors now and at most."""

    cpu_s: float = 0.0
    rss: int = 0
    rss_peak: int = 0
    descriptors: int = 0
    descriptors_peak: int = 0


class Process:
    """Started by its making; its output goes to files beneath `home` that carry its name."""

    def __init__(self, name: str, argv: Sequence[str], *, home: Path, env: Mapping[str, str]) -> None:
        self.name: Final = name
        self.usage = Usage()
        out, self._err = home / f"{name}.out", home / f"{name}.err"
        self._said = b""
        self._asked_to_end = False
        with out.open("wb") as to_out, self._err.open("wb") as to_err:
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                env=env,
                cwd=home,
                start_new_session=True,  # Ctrl-C is ours to pass on, in order
            )
        self._out = out.open("rb")

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def lines(self) -> Iterator[dict[str, Any]]:
        """The JSON lines that came since the last call."""
        *whole, self._said = (self._said + self._out.read()).split(b"\n")
        for line in whole:
            yield msgspec.json.decode(line)

    def measure(self) -> None:
        """Look at what it uses now; leaves the figures alone once it has ended."""
        proc = Path("/proc") / str(self._popen.pid)
        try:
            stat = (proc / "stat").read_text().rpartition(")")[2].split()
            status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
            descriptors = len(os.listdir(proc / "fd"))
            rss, peak = (int(status[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
        except (OSError, KeyError):
            return
        self.usage = Usage(
            cpu_s=(int(stat[11]) + int(stat[12])) / _TICKS,
            rss=rss,
            rss_peak=peak,
            descriptors=descriptors,
            descriptors_peak=max(descriptors, self.usage.descriptors_peak),
        )

    def end_by(self, number: signal.Signals) -> None:
        """Ask it to end; one that has ended hears nothing."""
        self._asked_to_end = True
        self._popen.send_signal(number)

    def kill(self) -> None:
        """Kill it (-9), measured before, and wait for its end."""
        self.measure()
        self._asked_to_end = True
        self._popen.kill()
        self._popen.wait()

    def ends(self) -> bool:
        """Wait for the end that it was asked for; False for one that had to be killed."""
        try:
            self._popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def close(self) -> None:
        """Let go of the file that its words are read from."""
        self._out.close()

    def errors(self) -> str:
        """What it wrote to stderr, the end of it."""
        return self._err.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]

    def complaint(self) -> str:
        """What a person should hear of it: that it ended by itself, or in a bad way, and what it wrote to stderr; or nothing."""
        code, errors = self.code, self.errors()
        expected = _ORDERLY if self._asked_to_end else (None,)
        if code not in expected:
            return f"{self.name} ended with {code}: {errors}"
        return f"{self.name}: {errors}" if errors else ""
