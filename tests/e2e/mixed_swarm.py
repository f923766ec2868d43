"""A swarm of two peers of ours and one program of theirs, which may be a peer or the tracker; each peer has files of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests.e2e import folders
from tests.e2e.cluster import Cluster, Peer, Program, eventually
from tests.e2e.variants import PLAIN, Case

FIRST, SECOND, THEIRS, GHOST = "first", "second", "theirs", "ghost"
SIZES: Final = (0, 1, 2000, 4096, 8000, 99_999, 150_000)
"""Each folder has a file of each: empty, in one receive of this or that reader, in one write, in careful pieces."""

PATIENCE_S: Final = 100.0
_LOST: Final = "of a dead peer"
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Swarm:
    """One case: `start` it, then let it `settle`."""

    def __init__(self, case: Case, cluster: Cluster) -> None:
        self.case = case
        self.ours: list[Peer] = []
        self.theirs: Peer | None = None
        self._cluster = cluster
        self._variant = case.variant or PLAIN
        self._written: dict[str, dict[str, folders.Look]] = {}
        self._settled: dict[Program, tuple[float, float]] = {}

    def start(self) -> None:
        """All but a second one that comes late; a ghost has died before."""
        case, variant = self.case, self._variant
        self._tracker = self._start_tracker()
        for home in (FIRST, SECOND, THEIRS):
            self._fill(home)
        if variant.with_ghost:
            self._let_a_ghost_die()
        if case.variant:
            words = ["--keepalive=1", *([f"--quirk={variant.quirk}"] if variant.quirk else [])]
            self.theirs = self._cluster.reference_peer(THEIRS, self._tracker.port, *words, edition=case.edition)
        self._start_ours(FIRST)
        if not variant.second_comes_late:
            self._start_ours(SECOND)

    def settle(self) -> None:
        """Wait until everybody has what can be had."""
        if len(self.ours) == 1:
            early = {**self._written[FIRST], **self.given}
            self._until(folders.has(self.ours[0].folder, early), "everything so far in the first")
            self._start_ours(SECOND)
        for peer in self.ours:
            self._until(folders.has(peer.folder, self.expected), f"everything in {peer.folder.name}")
        if self.theirs is not None:
            self._until(self._has_what_it_can_take, "what it can take in theirs")
        for program in self.programs_of_ours:
            self._settled.setdefault(program, (time.monotonic(), cpu_s(program)))

    @property
    def has_no_ghost(self) -> bool:
        """Whether all of it can be started at once."""
        return not self._variant.with_ghost

    @property
    def programs_of_ours(self) -> list[Program]:
        return [*self.ours, *([self._tracker] if self.case.tracker == "ours" else [])]

    @property
    def expected(self) -> dict[str, folders.Look]:
        """What the folders of ours must become."""
        return {**self._written[FIRST], **self._written[SECOND], **self.given}

    @property
    def given(self) -> dict[str, folders.Look]:
        """The files that theirs gives whole."""
        return up_to(self._variant.gives[self.case.edition], self._written[THEIRS])

    @property
    def taken(self) -> dict[str, folders.Look]:
        """What the folder of theirs must have at least: its own files, and those of ours that it can take whole."""
        if self.case.hides_the_directory:
            return self._written[THEIRS]
        ours = up_to(self._variant.takes[self.case.edition], {**self._written[FIRST], **self._written[SECOND]})
        return {**self._written[THEIRS], **ours}

    @property
    def offered(self) -> dict[str, folders.Look]:
        """Every file of every folder, as it was written."""
        return {name: look for files in self._written.values() for name, look in files.items()}

    def of_theirs(self, names: Iterable[str]) -> dict[str, folders.Look]:
        """Those of `names` that stand in the folder of theirs; what it is writing there has another name."""
        folder = self._cluster.folder(THEIRS)
        return {name: folders.look(folder / name) for name in names if (folder / name).exists()}

    @property
    def lacks_something(self) -> bool:
        """Whether something is listed that nobody can give: a peer of ours that is stopped then says so with its exit code."""
        return self.given != self._written[THEIRS] or self.case.tracker_quirk == "dead-forever"

    def idle_share(self, program: Program, *, over_s: float) -> float:
        """Which part of a core a program of ours takes from when all had settled until `over_s` later, at least."""
        began, before = self._settled[program]
        eventually(lambda: time.monotonic() - began >= over_s, "the end of what is measured")
        return (cpu_s(program) - before) / (time.monotonic() - began)

    def _start_tracker(self) -> Any:
        case = self.case
        if case.tracker == "ours":
            return self._cluster.tracker()
        words = [f"--quirk={case.tracker_quirk}"] if case.tracker_quirk else []
        return self._cluster.reference_tracker(*words, edition=case.edition)

    def _start_ours(self, home: str) -> None:
        peer = self._cluster.peer(home, self._tracker.port, "-v", *self._variant.words_of_ours)
        self.ours.append(peer)

    def _let_a_ghost_die(self) -> None:
        """A peer of ours is killed once it is listed; any but a tracker of ghosts then lists it no more."""
        port = self._tracker.port
        folders.write(self._cluster.folder(GHOST), _LOST, b"nobody can have this")
        ghost = self._cluster.peer(GHOST, port)
        self._until(lambda: _LOST in listed(port), "the ghost in the directory")
        ghost.kill()
        if self.case.tracker_quirk != "dead-forever":
            self._until(lambda: _LOST not in listed(port), "a directory without the ghost")

    def _fill(self, home: str) -> None:
        folder = self._cluster.folder(home)
        sizes = [size for size in SIZES if home != THEIRS or self._may_have(size)]
        for number, size in enumerate(sizes):
            content = folders.noise(size, seed=number * 10 + len(home))
            folders.write(folder, f"{home[0]}{size}", content, mtime_s=folders.OLD + number)
        for number in range(self.case.crowd if home == FIRST else 0):
            folders.write(folder, f"crowd{number}", b"%d" % number)
        self._written[home] = folders.looks(folder)

    def _may_have(self, size: int) -> bool:
        """A live sender that cuts what it sends in edition 1 is believed; so it has nothing that it would cut."""
        return self.case.variant is not None and (self.case.edition == 2 or size <= self._variant.gives[1])

    def _has_what_it_can_take(self) -> bool:
        folder = self._cluster.folder(THEIRS)
        return all(_shows(folder / name, look) for name, look in self.taken.items())

    def _until(self, condition: Any, what: str) -> None:
        self._cluster.until(condition, f"{self.case}: {what}", within_s=PATIENCE_S)


def _shows(path: Path, look: folders.Look) -> bool:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return (status.st_size, status.st_mtime_ns // 1_000_000_000) == (look.size, look.mtime_s)


def up_to(size: float, files: folders.Looks) -> dict[str, folders.Look]:
    """Those of `files` that are no larger."""
    return {name: look for name, look in files.items() if look.size <= size}


def listed(port: int) -> dict[str, Any]:
    """The directory of the tracker at `port`, whichever edition it speaks."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), 10) as conn:
        conn.sendall(b'{"port":%d,"files":[]}\n' % port)
        while data := conn.recv(65536):
            said += data
            try:
                return dict(json.loads(said))
            except ValueError:
                continue
    raise AssertionError(f"the tracker answered {said!r}")


def cpu_s(program: Program) -> float:
    """The processor time that it has taken so far."""
    fields = Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def end_in_order(programs: list[Program]) -> list[int]:
    """Ask all to end at once; their exit codes."""
    for program in programs:
        program.signal(signal.SIGINT)
    return [program.ends() for program in programs]
