"""Peers and trackers for which something is scarce: what they may use, and how it is seen that they live with it."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.cluster import Program, eventually, skip_or_fail

KEEPALIVES = 2
GAP_MAX_S = 12.0
"""Between two keepalives, which are due each 5 s."""

SHARE_MAX = 0.6
"""Of one core, over the whole time: what spins takes all of one."""


class Attentive(Protocol):
    """What a peer keeps in touch with."""

    heard_at: list[float]
    """When it heard something of the peer."""


def with_descriptors(count: int) -> Sequence[str]:
    """The command that starts another one with so many descriptors."""
    return ("sh", "-c", f'ulimit -n {count} && exec "$@"', "sh")


class Strained:
    """A peer that something is scarce for, watched from now on."""

    def __init__(self, peer: Program, tracker: Attentive) -> None:
        self.peer = peer
        self._tracker = tracker
        self._began = time.monotonic()
        self._heard_before = len(tracker.heard_at)
        self._cpu_before = cpu_s(peer.pid)

    def was_heard(self) -> bool:
        """Whether it has told the tracker that it lives, often enough to be judged."""
        assert self.peer.code is None, self.peer.last_words()
        return len(self._tracker.heard_at) >= self._heard_before + KEEPALIVES

    def judge(self) -> None:
        """It has not crashed, has not spun, and was never silent for long."""
        times = [self._began, *self._tracker.heard_at[self._heard_before :], time.monotonic()]
        gap_s = max(later - sooner for sooner, later in itertools.pairwise(times))
        share = (cpu_s(self.peer.pid) - self._cpu_before) / (times[-1] - times[0])
        print(f"row 19: {self.peer.name}: longest gap {gap_s:.1f} s, {share:.0%} of a core")
        assert self.peer.code is None, self.peer.last_words()
        assert "Traceback" not in self.peer.err, self.peer.last_words()
        assert gap_s < GAP_MAX_S
        assert share < SHARE_MAX


def cpu_s(pid: int) -> float:
    """How long this process has computed so far, all threads."""
    after_the_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_the_name[11]) + int(after_the_name[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def memory_cgroup(limit: int) -> Iterator[Path]:
    """A control group beneath our own in which all together may use so much memory; gone afterwards."""
    hierarchy = Path("/sys/fs/cgroup/memory")
    if not (hierarchy / "cgroup.procs").exists():
        pytest.skip("there is no memory cgroup of version 1 here, and one of version 2 takes no group beside processes")
    ours = next(line.split(":")[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line)
    above = hierarchy / ours.lstrip("/")
    group = (above if above.is_dir() else hierarchy) / f"gsync-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        skip_or_fail(f"no memory cgroup can be made: {error}")
    try:
        yield group
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text(), "the end of all in the group")
        group.rmdir()
