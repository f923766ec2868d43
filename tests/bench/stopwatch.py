"""Exact times and costs of programs: `ends_after` for whole processes, `cpu_s` for the work of one that goes on."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.e2e.cluster import Program

LONGEST_S: Final = 300.0
"""No single run of anything takes longer; it is killed then, and counts as failed."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def ends_after(start: Callable[[], Program], *, within_s: float = LONGEST_S) -> tuple[float, Program]:
    """How many seconds passed between the call of `start` and the end of the program that it started, and the program."""
    began = time.perf_counter()
    program = start()
    pidfd = os.pidfd_open(program.pid)
    try:
        poll = select.poll()  # wakes at the very end, where `Popen.wait` with a timeout looks each 50 ms
        poll.register(pidfd, select.POLLIN)
        ended = poll.poll(within_s * 1000)
        seconds = time.perf_counter() - began
    finally:
        os.close(pidfd)
    if not ended:
        program.signal(signal.SIGKILL)
    program.ends()
    return seconds, program


def cpu_s(pid: int) -> float:
    """The seconds of CPU, of all its threads, that the process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def interleaved(runs: int, contenders: Mapping[str, Callable[[int], float]]) -> dict[str, tuple[float, ...]]:
    """The samples of each contender, taken in turn (first, second, ..., first, ...); each is told the number of its run."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for run in range(runs):
        for name, contender in contenders.items():
            samples[name].append(contender(run))
    return {name: tuple(taken) for name, taken in samples.items()}
