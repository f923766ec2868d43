"""Exact times and costs of programs: `ends_after` and `spent_by` for whole processes, `cpu_s` for one that goes on."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.e2e.cluster import Program

LONGEST_S: Final = 300.0
"""No single run of anything takes longer; it is killed then, and counts as failed."""

_LOOK_MS: Final = 50
"""Memory is looked at so often; the kernel keeps the highest value itself, so only that of the last moment is missed."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a whole process took: time, CPU of all its threads, and the most memory that it held."""

    seconds: float
    cpu_s: float
    peak_mb: float


def ends_after(start: Callable[[], Program], *, within_s: float = LONGEST_S) -> tuple[float, Program]:
    """How many seconds passed between the call of `start` and the end of the program that it started, and the program."""
    spent, program = spent_by(start, within_s=within_s)
    return spent.seconds, program


def spent_by(start: Callable[[], Program], *, within_s: float = LONGEST_S) -> tuple[Spent, Program]:
    """What the program took from the call of `start` to its end, and the program."""
    began = time.perf_counter()
    program = start()
    pidfd = os.pidfd_open(program.pid)
    peak_mb = 0.0
    try:
        poll = select.poll()  # wakes at the very end, where `Popen.wait` with a timeout looks each 50 ms
        poll.register(pidfd, select.POLLIN)
        while not (ended := poll.poll(_LOOK_MS)) and time.perf_counter() - began < within_s:
            peak_mb = peak_mb_of(program.pid) or peak_mb
        seconds = time.perf_counter() - began
        if not ended:
            program.signal(signal.SIGKILL)
            poll.poll()
        spent = Spent(seconds=seconds, cpu_s=cpu_s(program.pid), peak_mb=peak_mb)  # of a zombie, that nobody took yet
    finally:
        os.close(pidfd)
    program.ends()
    return spent, program


def cpu_s(pid: int) -> float:
    """The seconds of CPU, of all its threads, that the process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_mb_of(pid: int) -> float:
    """The most memory that the process has held so far, in MB; 0 of one that has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def interleaved(runs: int, contenders: Mapping[str, Callable[[int], float]]) -> dict[str, tuple[float, ...]]:
    """The samples of each contender, taken in turn (first, second, ..., first, ...); each is told the number of its run."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for run in range(runs):
        for name, contender in contenders.items():
            samples[name].append(contender(run))
    return {name: tuple(taken) for name, taken in samples.items()}
