"""One stress run, from empty folders to a report: fill, start, wait, break something in the middle, stop, look at every byte.

One plain loop in one process, without greenlets or threads: it reads what the processes say, looks at what they use, and does
what is due. Called by `gsync stress`, which owns the folder that everything happens in.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from gsync.core.names import OWN_FOLDER
from gsync.errors import NoSpace
from gsync.lab import churn
from gsync.lab.bad_peers import Vice
from gsync.lab.contents import Author, Content, differences, has
from gsync.lab.report import Report
from gsync.lab.scenarios import Load, Spread
from gsync.lab.swarm import TRACKER, Swarm
from gsync.lab.tally import Quantiles, Tally

LISTEN_EVERY_S: Final = 0.05
MEASURE_EVERY_S: Final = 0.5
AWAY_S: Final = 1.0
"""How long a killed one stays away: long enough for everybody to notice."""

SETTLE_S: Final = 60.0
"""What a swarm gets to become equal after a churn: the longest backoff, twice, and time to fetch."""

REASONS_KEPT: Final = 20

OLDEST_MTIME_S: Final = 1_600_000_000

Say = Callable[[str], None]


class Place(NamedTuple):
    """A file in the folder of a peer."""

    peer: str
    name: str

    def __str__(self) -> str:
        return f"{self.peer}: {self.name}"


class Stress:
    """Made and then `run` once; `base` is an empty folder of our own, `say` gets a line for each step."""

    def __init__(self, load: Load, *, base: Path, rng: Random, say: Say) -> None:
        self._load = load
        self._base = base
        self._rng = rng
        self._say = say
        self._author = Author(scratch=base / "scratch", rng=rng)
        self._peers = [f"peer-{number}" for number in range(1, load.good + 1)]
        self._expected: dict[str, Content] = {}
        self._owner: dict[str, str] = {}
        self._tally = Tally()
        self._growths = churn.Growths()
        self._due: list[tuple[float, Callable[[], None]]] = []
        self._killed = 0
        self._is_past_middle = False

    def run(self) -> Report:
        """The report; nothing that was started is left running, whatever is raised."""
        self._require_space()
        with Swarm(self._base, self._load, rng=self._rng) as swarm:
            self._swarm = swarm
            self._fill()
            self._start()
            self._watch()
            missing = self._missing()
            self._say(f"{self._tally.arrivals} files have arrived; stopping all and looking at every byte")
            hung = swarm.stop()
            self._listen()
            return self._report(missing, hung)

    def _require_space(self) -> None:
        needed = self._load.bytes * (self._load.good + 1)
        free = shutil.disk_usage(self._base).free
        if free < needed:
            raise NoSpace(f"{needed >> 20} MiB are needed in {self._base.parent}, where {free >> 20} MiB are free")

    def _fill(self) -> None:
        """Make every file where it is to be at first."""
        owners = self._peers if self._load.spread is Spread.DEALT else self._peers[:1]
        self._say(f"making {self._load.files} files for {len(owners)} of {len(self._peers)} peers")
        for share in self._load.shares:
            for _ in range(share.count):
                number = len(self._expected)
                name, owner = f"{number:06}.{share.size}", owners[number % len(owners)]
                self._owner[name] = owner
                path = self._swarm.folder(owner) / name
                self._expected[name] = self._author.write(path, size=share.size, mtime_s=OLDEST_MTIME_S + number)
                self._tally.found(owner, [name])

    def _start(self) -> None:
        """The bad ones first, so that they are the ones who are asked."""
        self._swarm.start_tracker()
        for number, vice in zip(range(self._load.bad), cycle(Vice), strict=False):
            self._swarm.start_bad_peer(f"{vice.value}-{number + 1}", vice, self._expected)
        for name in self._peers:
            self._swarm.start_peer(name)
        self._say(f"started a tracker, {len(self._peers)} peers, {self._load.bad} bad peers")
        self._began = time.monotonic()
        if self._load.churns:
            self._later(churn.EDIT_EVERY_S, self._edit)
            self._later(churn.KILL_EVERY_S, self._kill_again)

    def _watch(self) -> None:
        """Until everything is everywhere, or the time is over."""
        until_s = self._load.seconds + (SETTLE_S if self._load.churns else 0)
        measured_s = 0.0
        while (now_s := self._now_s()) < until_s:
            self._listen()
            if now_s - measured_s >= MEASURE_EVERY_S:
                measured_s = now_s
                self._measure()
            for due in [due for due in self._due if due[0] <= now_s]:
                self._due.remove(due)
                due[1]()
            self._break_something_in_the_middle()
            if self._is_settled():
                return
            time.sleep(LISTEN_EVERY_S)

    def _is_settled(self) -> bool:
        if self._due or self._is_churning() or not self._is_past_middle:
            return False
        return not self._missing()

    def _is_churning(self) -> bool:
        return self._load.churns and self._now_s() < self._load.seconds

    def _listen(self) -> None:
        for name in self._peers:
            process = self._swarm.members[name]
            for line in process.lines():
                self._tally.hear(name, process.name, line)
        for _ in self._swarm.members[TRACKER].lines():
            pass  # who comes and goes is known here

    def _measure(self) -> None:
        self._swarm.measure()
        at_s = self._now_s()
        for name in (TRACKER, *self._peers):
            usage = self._swarm.members[name].usage
            self._growths.add("rss", name, at_s=at_s, value=usage.rss)
            self._growths.add("descriptors", name, at_s=at_s, value=usage.descriptors)
        for name, greenlets in self._tally.greenlets.items():
            self._growths.add("greenlets", name, at_s=at_s, value=greenlets)

    def _break_something_in_the_middle(self) -> None:
        """Once, when half of all files or half of all bytes have arrived."""
        if self._is_past_middle or not self._is_middle():
            return
        self._is_past_middle = True
        if self._load.churns:
            return
        if self._load.restarts_tracker:
            self._say("killing the tracker in the middle")
            self._swarm.kill(TRACKER)
            self._later(AWAY_S, self._swarm.start_tracker)
        if self._load.killed:
            self._kill(self._rng.sample(self._peers, self._load.killed))

    def _is_middle(self) -> bool:
        copies = len(self._peers) - 1
        return (
            self._tally.arrivals >= len(self._expected) * copies / 2
            or self._tally.received >= self._load.bytes * copies / 2
        )

    def _kill(self, names: Iterable[str]) -> None:
        for name in names:
            self._say(f"killing {name}")
            self._swarm.kill(name)
            self._killed += 1
            self._later(AWAY_S, lambda name=name: self._start_again(name))  # type: ignore[misc]

    def _start_again(self, name: str) -> None:
        self._listen()  # to the last words, before another speaks in this name
        here = {path.name for path in self._swarm.folder(name).iterdir()} - {OWN_FOLDER}
        self._tally.found(name, here & self._expected.keys())
        self._swarm.start_peer(name)

    def _kill_again(self) -> None:
        if not self._is_churning():
            return
        mortal = self._peers[len(churn.survivors(self._peers)) :]
        self._kill(self._rng.sample(mortal, min(self._load.killed, len(mortal))))
        self._later(churn.KILL_EVERY_S, self._kill_again)

    def _edit(self) -> None:
        if not self._is_churning():
            return
        for name in self._rng.sample(sorted(self._expected), max(1, int(len(self._expected) * churn.EDITED_SHARE))):
            old = self._expected[name]
            path = self._swarm.folder(self._owner[name]) / name
            self._expected[name] = self._author.write(path, size=old.size, mtime_s=old.mtime_s + 1)
        self._later(churn.EDIT_EVERY_S, self._edit)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self._due.append((self._now_s() + seconds, act))

    def _now_s(self) -> float:
        return time.monotonic() - self._began

    def _missing(self) -> list[Place]:
        """What has not arrived; of files that are edited, the latest version."""
        if not self._load.churns:
            arrived = self._tally.arrived
            return [Place(peer, name) for peer in self._peers for name in self._expected.keys() - arrived[peer]]
        return [
            Place(peer, name)
            for peer in self._peers
            for name, content in self._expected.items()
            if not has(self._swarm.folder(peer), name, content)
        ]

    def _report(self, missing: list[Place], hung: list[str]) -> Report:
        tally, everybody = self._tally, list(self._swarm.everybody())
        differing = [
            f"{place}: {what}"
            for peer in self._peers
            for name, what in differences(self._swarm.folder(peer), self._expected).items()
            if (place := Place(peer, name)) not in missing
        ]
        complaints = [complaint for process in everybody if (complaint := process.complaint())]
        survivors = [TRACKER, *churn.survivors(self._peers)]
        return Report(
            peers=len(self._peers),
            bad_peers=self._load.bad,
            files=self._load.files,
            bytes=self._load.bytes,
            classic=self._load.classic,
            killed=self._killed,
            makespan_s=tally.makespan_s,
            arrivals=tally.arrivals,
            arrived_bytes=tally.bytes,
            file_s=Quantiles.of(tally.file_s),
            first_byte_s=Quantiles.of(tally.first_byte_s),
            failed=tally.failed,
            reasons=dict(tally.reasons.most_common(REASONS_KEPT)),
            late=tally.late,
            cpu_s={process.name: process.usage.cpu_s for process in everybody},
            rss_peak={process.name: process.usage.rss_peak for process in everybody},
            descriptors_peak={process.name: process.usage.descriptors_peak for process in everybody},
            lag_ms=Quantiles.of(tally.lag_ms),
            growth=self._growths.judge(survivors) if self._load.churns else {},
            missing=tuple(map(str, missing)),
            differing=tuple(differing),
            broken=(*hung, *complaints, *tally.troubles),
        )
