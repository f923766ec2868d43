"""faults.md row 15, native: a file changes while it is served, in a batch or block by block; nobody ever stores a mixture.

Between source and receiver stands a relay in the test's process that reads along. When a chosen byte of a chosen content has
passed, it has a person change a file of the source (the same one, or another that was asked for in the same request), and goes
on. What the receiver ever has at a name, in the folder or afterwards in the trash, is the old content or the new one.
"""

from __future__ import annotations

import json
import random
import signal
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gsync.wire.frames import FrameSplitter
from tests.e2e import folders, live
from tests.e2e.cluster import Cluster, Peer, eventually, free_port
from tests.integration.manners import INVERTED, MANNERS
from tests.integration.relays import Relay, TrackerRelay, Way
from tests.integration.sizes import limit_s, times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(limit_s(300))]

CHANGES = 50
AT_ONCE = 50
LARGE_EACH = 8
"""One file in so many is large enough to come in blocks."""

KIB, MIB = 1024, 1024**2
SMALL, LARGE = (20 * KIB, 300 * KIB), 7 * MIB
"""Read whole by the source, or sent straight from the file; and one that comes in blocks."""

NOISE = folders.noise(2 * LARGE, seed=15)
RECEIVE_BUFFER = 16 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One file, what it holds before and after, how it is changed, and when: after so many bytes of `trigger` have passed."""

    name: str
    old: bytes
    new: bytes
    manner: Callable[[Path, bytes], None]
    trigger: str
    after: int


def _changes(rng: random.Random, count: int) -> list[Change]:
    manners = list(MANNERS)
    names = [f"file {number:04}" for number in range(count)]
    sizes = [LARGE if not number % LARGE_EACH else rng.randrange(*SMALL) for number in range(count)]
    changes = []
    for number, (name, size) in enumerate(zip(names, sizes, strict=True)):
        start = rng.randrange(LARGE)
        old = NOISE[start : start + size]
        other = old.translate(INVERTED)
        manner = manners[number % len(manners)]
        # A small file changes while itself or another small one passes, which may have been changed already, so at a byte that it
        # has whatever was done to it; a large one at a byte of its own.
        other_small = rng.choice([name for name, size in zip(names, sizes, strict=True) if size != LARGE])
        trigger = other_small if size != LARGE and number % 2 else name
        most = sizes[names.index(trigger)]
        changes.append(
            Change(
                name=name,
                old=old,
                new=MANNERS[manner](old, other),
                manner=manner,
                trigger=trigger,
                after=rng.randrange(most if size == LARGE else most * 2 // 3),
            )
        )
    return changes


class Reading(Relay):
    """Between receiver and source: knows which content passes, and makes each change once, when its byte has come."""

    def __init__(self, folder: Path, port: int, changes: list[Change]) -> None:
        self._folder = folder
        self._waiting = {change.name: change for change in changes}
        self.in_blocks: set[str] = set()
        super().__init__(port, receive_buffer=RECEIVE_BUFFER)

    def link(self) -> tuple[Way, Way]:
        asked: dict[int, list[dict[str, object]]] = {}
        return Asking(asked), Answering(self, asked)

    @property
    def done(self) -> bool:
        """Whether every change was made."""
        return not self._waiting

    def passes(self, name: str, offset: int, count: int) -> None:
        """So many bytes of this content are about to pass."""
        for change in [one for one in self._waiting.values() if one.trigger == name]:
            if change.after < offset + count:
                del self._waiting[change.name]
                change.manner(self._folder / change.name, change.new)


class Asking(Way):
    """Requests, remembered by their numbers."""

    def __init__(self, asked: dict[int, list[dict[str, object]]]) -> None:
        self._asked = asked
        self._frames = FrameSplitter()
        self._is_native = False

    def pass_on(self, data: bytes, to: socket.socket) -> None:
        to.sendall(data)
        self._frames.feed(data if self._is_native else data[1:])
        self._is_native = True
        while (head := self._frames.next()) is not None:
            said = json.loads(head)
            if said["t"] == "get":
                self._asked[said["id"]] = said["wants"]


class Answering(Way):
    """Answers; the relay hears of each piece of a content before it passes."""

    def __init__(self, relay: Reading, asked: dict[int, list[dict[str, object]]]) -> None:
        self._relay = relay
        self._asked = asked
        self._frames = FrameSplitter()
        self._body = 0
        self._name = ""
        self._offset = 0

    def pass_on(self, data: bytes, to: socket.socket) -> None:
        self._frames.feed(data)
        while self._frames.pending:
            if self._body:
                piece = self._frames.body(self._body)
                self._body -= len(piece)
                if self._name:
                    self._relay.passes(self._name, self._offset, len(piece))
                self._offset += len(piece)
            elif (head := self._frames.next()) is not None:
                said = json.loads(head)
                self._body, self._name = said.get("body", 0), ""
                if said["t"] == "block":
                    want = self._asked[said["id"]][said["want"]]
                    self._name, self._offset = str(want["p"]), int(str(want.get("offset", 0)))
                    if "offset" in want or "count" in want:
                        self._relay.in_blocks.add(self._name)
            else:
                break
        to.sendall(data)


def test_a_file_that_changes_while_it_is_served_natively_comes_as_one_version_or_the_other(cluster: Cluster) -> None:
    rng = random.Random(15)
    counts: Counter[str] = Counter()
    for begin in range(0, times(CHANGES), AT_ONCE):
        _serve_and_change(cluster, _changes(rng, AT_ONCE), counts, prefix=str(begin))
    print(f"row 15, native: {times(CHANGES)} changes: {dict(counts)}")
    assert counts["came in blocks"] > 0


def _serve_and_change(cluster: Cluster, changes: list[Change], counts: Counter[str], *, prefix: str) -> None:
    home = cluster.folder(f"source {prefix}")
    for change in changes:
        folders.write(home, change.name, change.old)
    tracker = cluster.tracker()
    serves_at = free_port()
    with Reading(home, serves_at, changes) as relay, TrackerRelay(tracker.port, as_port=relay.port) as before_tracker:
        source = cluster.peer(home, before_tracker.port, f"--port={serves_at}", "-v")
        live.settles(source)
        receiver = cluster.peer(f"receiver {prefix}", tracker.port, "-v")
        eventually(lambda: relay.done, "every change")
        live.settle([source, receiver])
        for change in changes:
            assert (receiver.folder / change.name).read_bytes() == change.new, change.name
        counts["old ones were stored first"] += _trashed_as_they_were(receiver, changes)
        counts["came in blocks"] += len(relay.in_blocks)
        counts["broken off, or not there any more"] += len(receiver.events("file.skipped"))
        for peer in (source, receiver):
            assert "Traceback" not in peer.err, peer.last_words()
            peer.signal(signal.SIGTERM)
            assert peer.ends() == 0, peer.last_words()


def _trashed_as_they_were(receiver: Peer, changes: list[Change]) -> int:
    """How many old contents the receiver had before the new ones; nothing else may have been there."""
    olds = {change.old for change in changes}
    trashed = live.trashed_contents(receiver.folder)
    assert trashed <= olds
    return len(trashed)
