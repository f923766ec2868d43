"""A gsync peer whose system calls fail, wait or kill it: the real interpreter under `strace -e inject`, as root.

`started` has the fault from the first call of the process on; `attached` only once it runs. The calls are counted thread by
thread, so "the third" is the third of any thread. `lift` ends the fault and lets the peer go on. The tracer ends with the peer.
"""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster import GSYNC, Cluster, Peer, Program, eventually, skip_or_fail

START_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to the call that `when` counts to (`3`, or `3+`: that one and all after it), where it concerns `at`.

    `effect` is in strace's words: error=EIO, signal=KILL, delay_enter=5000000. `at` is a directory beneath the folder; without
    it every call counts, whatever it concerns.
    """

    calls: str
    effect: str
    when: str = "1+"
    at: str | None = None

    def __str__(self) -> str:
        return f"{self.calls}{f' at {self.at}' if self.at else ''}, {self.when}: {self.effect}"

    def options(self, *, folder: Path, log: Path) -> list[str]:
        """The words for strace."""
        quick = [] if "signal" in self.effect else ["--seccomp-bpf"]  # which would swallow the signal
        place = ["-P", str(folder / self.at)] if self.at else []
        inject = f"inject={self.calls}:{self.effect}:when={self.when}"
        return ["-f", "-I2", "-qq", "-y", "-o", str(log), *quick, *place, "-e", f"trace={self.calls}", "-e", inject]


def require_strace() -> None:
    """Skip where strace is missing or not allowed to trace; in CI that fails."""
    try:
        subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        skip_or_fail(f"strace is not possible here: {getattr(error, 'stderr', None) or error!r}")


class Traced:
    """One fault at one peer."""

    def __init__(self, peer: Program, *, folder: Path, fault: Fault, log: Path) -> None:
        self.peer = peer
        self.folder = folder
        self.fault = fault
        self._log = log

    @property
    def struck(self) -> list[str]:
        """The calls that the fault has struck so far, as strace writes them."""
        words = self._log.read_text(errors="replace") if self._log.exists() else ""
        return [line for line in words.splitlines() if "(INJECTED)" in line or "(DELAYED)" in line]

    @property
    def went_astray(self) -> bool:
        """Whether it struck something else than the folder: stdout, or the descriptor by which threads wake the loop."""
        return any(str(self.folder) not in line for line in self.struck)

    def lift(self) -> None:
        """End the fault; the peer goes on without a tracer."""
        tracer = _tracer(self.peer.pid)
        if tracer:
            os.kill(tracer, signal.SIGTERM)
            eventually(lambda: not _tracer(self.peer.pid), "the peer let go")


def started(cluster: Cluster, folder: Path, port: int, fault: Fault, *options: str) -> Traced:
    """A peer that has this fault from its first call on."""
    log = _log(cluster, folder)
    strace = ["strace", "-D", *fault.options(folder=folder, log=log)]  # -D: the process that we started is the peer
    peer = cluster.run([*strace, *GSYNC, "127.0.0.1", str(port), f"--dir={folder}", "--json", *options])
    return Traced(peer, folder=folder, fault=fault, log=log)


def attached(cluster: Cluster, peer: Peer, fault: Fault) -> Traced:
    """Give a peer that runs this fault from now on; `are_attached` tells when it has begun."""
    log = _log(cluster, peer.folder)
    options = [word for word in fault.options(folder=peer.folder, log=log) if word != "--seccomp-bpf"]
    cluster.run(["strace", *options, "-p", str(peer.pid)])
    return Traced(peer, folder=peer.folder, fault=fault, log=log)


def wait_until_attached(faults: list[Traced]) -> None:
    """Until every thread of each peer is under its fault."""

    def all_are() -> bool:
        return all(_tracer(int(task)) for traced in faults for task in os.listdir(f"/proc/{traced.peer.pid}/task"))

    eventually(all_are, "all faults begun", within_s=START_S)


def _log(cluster: Cluster, folder: Path) -> Path:
    return cluster.base / f"{folder.name}.strace"


def _tracer(pid: int) -> int:
    """The process that traces this thread; 0 for none, and for one that is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("TracerPid:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0
