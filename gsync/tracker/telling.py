"""Tells all native peers what changes: encoded once, at once when it was quiet, gathered for a moment when it was not.

A change waits 50 ms at most, and the first one after a quiet time not at all; what is announced in pieces waits for the last of
them, and holds nobody else up. That a record has one more holder is no hurry: it
waits longer, so that a large swarm does not spend its first sync on telling who has what. What classic peers offer is brought into
the registry here as well. Made and ended by `natives.py`; it never waits for a peer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

import gevent
from gevent.event import Event

from gsync.core.claims import Told
from gsync.core.directory import Directory
from gsync.core.holders import PeerId
from gsync.core.names import Endpoint
from gsync.core.pausing import paused
from gsync.core.registry import Registry
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.wire.frames import frame
from gsync.wire.native import PIECE_BYTES, PeerRow, Peers, Same, Welcome, header
from gsync.wire.telling import delta_header, snapshot_header

log: Final = logging.getLogger(__name__)

QUIET_S: Final = 0.1
"""After so long without a change the next one is told at once."""

GATHER_S: Final = 0.05
"""How long changes are gathered when they come thick."""

HELD_S: Final = 30.0
"""Silence of one who has announced changes in part; then what is here of them is told. What others announce is told meanwhile."""

HOLDERS_S: Final = 2.0
"""How often it is told that records which everybody knows have further holders."""

ROWS_PER_FRAME: Final = 500
"""Peers that are introduced in one frame: some 40 KiB."""


class Listener(Protocol):
    """What one native peer is to be told; a `Backlog`."""

    def say(self, word: bytes) -> None: ...

    def tell(self, change: bytes) -> None: ...


class Telling:
    """What has been told so far (`seq`), whom it is told to, and who they all are."""

    def __init__(
        self, *, registry: Registry, directory: Directory, clock: Clock, epoch: str, names_only: bool = False
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._clock = clock
        self._epoch = epoch
        self._names_only = names_only
        self._listeners: dict[int, Listener] = {}
        self._attended: dict[int, int] = {}  # how many had been met when a listener was told who is who
        self._rows: dict[int, PeerRow] = {}
        self._new_rows: dict[int, PeerRow] = {}
        self._gone: list[int] = []
        self._news = Event()
        self._unfinished: dict[PeerId, float] = {}  # who has said a part of what belongs together, and when last
        self._told_at = self._holders_told_at = -HOLDERS_S
        self.seq = 0
        self.meetings = 0
        """How often somebody was met, so that who is about to name peers knows whether all of them are introduced."""

    @property
    def digest(self) -> str:
        """That of all that was told up to `seq`; "" while more is about to be told."""
        return self._registry.digest if self._registry.is_told else ""

    @property
    def laggard(self) -> int | None:
        """The number of a native peer that does not have all that is told; None where all have it, or more is about to be told."""
        laggard = self._registry.laggard
        return laggard.number if laggard is not None and self._registry.is_told else None

    def note(self) -> None:
        """The registry, or what classic peers offer, may have changed."""
        self._news.set()

    def await_rest(self, peer: PeerId) -> None:
        """This peer has begun to announce what belongs together, and will go on: that waits, everything else is told."""
        self._unfinished[peer] = self._clock.monotonic()
        self._news.set()

    def complete(self, peer: PeerId) -> None:
        """What this peer announced is complete; others are told."""
        self._unfinished.pop(peer, None)
        self._registry.complete(peer)
        self._news.set()

    def meet(self, row: PeerRow) -> None:
        """A peer may be named as a holder from now on, or is reached elsewhere than before."""
        if self._rows.get(row.n) != row:
            self._rows[row.n] = self._new_rows[row.n] = row
            self.meetings += 1
            self._news.set()

    def part(self, peer: PeerId) -> None:
        """This peer is gone, as a holder and as a listener; nothing, if it was neither."""
        number = peer.number
        self._unfinished.pop(peer, None)
        self._news.set()
        self._listeners.pop(number, None)
        self._attended.pop(number, None)
        self._new_rows.pop(number, None)
        if self._rows.pop(number, None) is not None:
            self._gone.append(number)
            self.meetings += 1

    def attend(self, number: int, listener: Listener, *, claimed: str = "") -> bool:
        """From now on `listener` is told what changes; first, who is who. Whether it knows all as of now, as it has `claimed` by
        the digest of what it holds; if not it has to see to its snapshot."""
        listener.say(frame(header(Welcome(epoch=self._epoch, seq=self.seq, names_only=self._names_only))))
        for introduction in _introductions(self._rows):
            listener.say(introduction)
        self._listeners[number] = listener
        self._attended[number] = self.meetings
        if not claimed or claimed != self.digest or not (holders := self._registry.holders_of_all()):
            return False
        listener.say(frame(header(Same(seq=self.seq, holders=holders))))
        return True

    def introduce_to(self, listener: Listener) -> None:
        """Let it know the peers that the others will hear of in a moment."""
        for introduction in _introductions(self._new_rows):
            listener.say(introduction)

    def snapshot(self, seq: int, row: int, limit_bytes: int) -> tuple[bytes, int | None]:
        """The frame with a piece of everything, from `row` of the registry on, and the row after it, None after the last."""
        told, after = self._registry.piece(row, limit_bytes)
        return frame(snapshot_header(seq, told, last=after is None)), after

    def run(self) -> None:
        """Tell what changes; never returns."""
        while True:
            self._news.wait(timeout=self._patience_s())
            self._news.clear()
            self._wait_no_longer()
            self._hear_classic()
            if self._registry.changes or self._new_rows or self._gone:
                self._gather()
                self._introduce()
                self._tell_changes()
                self._told_at = self._clock.monotonic()
            if self._holders_due_s() == 0.0:
                self._tell_better_known()
                self._holders_told_at = self._clock.monotonic()

    def _introduce(self) -> None:
        introductions, self._new_rows = [*_farewells(self._gone), *_introductions(self._new_rows)], {}
        self._gone = []
        for introduction in introductions:
            for number, listener in self._listeners.items():
                if self._attended[number] < self.meetings:
                    listener.say(introduction)

    def _gather(self) -> None:
        if self._clock.monotonic() < self._told_at + QUIET_S:
            gevent.sleep(GATHER_S)

    def _patience_s(self) -> float | None:
        """In how many seconds something is to be done although nobody says anything; None where nothing is."""
        waiting = [
            self._holders_due_s(),
            *(since + HELD_S - self._clock.monotonic() for since in self._unfinished.values()),
        ]
        return min((max(0.0, left) for left in waiting if left is not None), default=None)

    def _wait_no_longer(self) -> None:
        """Tell what is here of announcements whose rest does not come."""
        now = self._clock.monotonic()
        for peer in [peer for peer, since in self._unfinished.items() if now >= since + HELD_S]:
            log.warning("announcement.incomplete peer=%d", peer.number)
            self.complete(peer)

    def _holders_due_s(self) -> float | None:
        """In how many seconds further holders are to be told; None where there are none."""
        if not self._registry.better_known:
            return None
        return max(0.0, self._holders_told_at + HOLDERS_S - self._clock.monotonic())

    def _hear_classic(self) -> None:
        for path in paused(self._directory.take_classic_changes(), breathe):
            self._registry.note_classic(path, self._directory.classic(path))

    def _tell_changes(self) -> None:
        """Tell what there is now, as one change; what comes meanwhile is another one, else a long one would never end."""
        left = self._registry.changes
        while left > 0 and (told := self._registry.take_changes(PIECE_BYTES)):
            left -= len(told)
            self._tell(told, more=left > 0)
        if self._registry.changes:
            self._news.set()

    def _tell_better_known(self) -> None:
        left = self._registry.better_known
        while left > 0 and (told := self._registry.take_better_known(PIECE_BYTES)):
            left -= len(told)
            newcomers = {one.newcomer for one in told}
            self._tell(told, more=False, all_but=newcomers.pop() if len(newcomers) == 1 else None)

    def _tell(self, told: Sequence[Told], *, more: bool, all_but: int | None = None) -> None:
        """Tell everybody, or `all_but` one, to whom it says nothing new: that one only hears that something was told."""
        self._introduce()
        change = frame(delta_header(self.seq, self.seq + 1, told, more=more))
        nothing = frame(delta_header(self.seq, self.seq + 1, ())) if all_but in self._listeners else change
        self.seq += 1
        for number, listener in self._listeners.items():
            listener.tell(nothing if number == all_but else change)
        breathe()


def _introductions(rows: Mapping[int, PeerRow]) -> list[bytes]:
    rest = iter(rows.values())
    return [frame(header(Peers(peers=some))) for some in iter(lambda: list(islice(rest, ROWS_PER_FRAME)), [])]


def _farewells(gone: Sequence[int]) -> list[bytes]:
    pieces = range(0, len(gone), ROWS_PER_FRAME)
    return [frame(header(Peers(gone=list(gone[start : start + ROWS_PER_FRAME])))) for start in pieces]


def row_of(number: int, endpoint: Endpoint, *, speaks: int) -> PeerRow:
    """How a peer is introduced; one that is connected over loopback is on this machine, whatever that is called elsewhere."""
    return PeerRow(n=number, ip="" if endpoint.is_loopback else endpoint.ip, port=endpoint.port, speaks=speaks)
