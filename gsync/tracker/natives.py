"""The native side of a tracker: its registry, the telling of what changes, and a session for each peer that went native.

Classic peers are met here, too, because native ones fetch from them; what they offer is read from the directory. Nothing is
begun before the first native peer comes: a tracker without one does no work for any. Soft state only. Called by `tracker.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from gsync.core.claims import Spelling
from gsync.core.directory import Directory
from gsync.core.holders import PeerId
from gsync.core.names import Endpoint
from gsync.core.pausing import Pause, no_pause
from gsync.core.registry import Registry
from gsync.errors import RemoteProtocolError
from gsync.net.clock import Clock
from gsync.net.tasks import Task, TaskGroup
from gsync.tracker.session import Session
from gsync.tracker.talk import Talk
from gsync.tracker.telling import Telling, row_of
from gsync.wire.frames import NATIVE_START
from gsync.wire.messages import SPEAKS_CLASSIC, SPEAKS_GSYNC, SPEAKS_NATIVE
from gsync.wire.native import Join
from gsync.wire.records import read_record, spell_record

SPELLING: Final = Spelling(spell_record, read_record)

OnWhole = Callable[[Join, int], None]


class Natives:
    """All native peers of one life of a tracker, whose name is `epoch`."""

    def __init__(self, *, directory: Directory, clock: Clock, epoch: str, names_only: bool = False) -> None:
        self._directory = directory
        self._registry = Registry(spelling=SPELLING, shown=directory)
        self._names_only = names_only
        self._telling = Telling(
            registry=self._registry, directory=directory, clock=clock, epoch=epoch, names_only=names_only
        )
        self._tasks = TaskGroup()
        self._teller: Task | None = None

    def meet_classic(self, number: int, endpoint: Endpoint, *, knows_gsync: bool) -> None:
        """A classic peer has announced files: it may be named as a holder."""
        self._telling.meet(row_of(number, endpoint, speaks=SPEAKS_GSYNC if knows_gsync else SPEAKS_CLASSIC))

    def note_classic(self) -> None:
        """What classic peers offer may have changed."""
        if self._teller is not None:
            self._telling.note()

    def serve(self, talk: Talk, first: deque[bytes], *, expire_s: float, on_whole: OnWhole) -> None:
        """Speak native with a peer that has said NUL, until its connection ends; `first` are messages that came behind that.

        Raises `RemoteProtocolError`, `TransportError`.
        """
        endpoint = talk.endpoint
        if endpoint is None:
            raise RemoteProtocolError("a native peer tells the port on which it serves")
        self._begin()
        self._directory.leave(talk.peer)
        self._directory.enter(talk.peer, endpoint=endpoint)
        self._registry.enter(talk.peer)
        row = row_of(talk.number, endpoint, speaks=SPEAKS_NATIVE)
        session = Session(
            talk,
            row,
            registry=self._registry,
            telling=self._telling,
            on_whole=on_whole,
            names_only=self._names_only,
        )
        talk.stream.send(NATIVE_START)
        with TaskGroup() as tasks:
            writer = tasks.spawn(session.speak, talk.stream)
            _listen(talk, session, first, expire_s=expire_s)
            writer.cancel()

    def leave(self, peer: PeerId, *, pause: Pause = no_pause) -> None:
        """A peer is gone, of whichever kind; its files in the directory are its own to withdraw, or the directory's."""
        self._telling.part(peer)
        self._registry.leave(peer, pause=pause)
        self.note_classic()

    def close(self) -> None:
        """Tell nobody any more; raises what made the telling fail, if so."""
        self._tasks.stop()

    def _begin(self) -> None:
        if self._teller is None:
            self._teller = self._tasks.spawn(self._telling.run)
            self._telling.note()
        if self._teller.done:
            raise RuntimeError("nobody tells what changes any more")  # a defect; `close` will say which


def _listen(talk: Talk, session: Session, messages: deque[bytes], *, expire_s: float) -> None:
    """Hear what the peer says until it closes; `messages` first."""
    while True:
        while messages:
            session.hear(messages.popleft())
            talk.give_place_back()
            talk.expect_next(within_s=expire_s)
        talk.wait_for_place_if_long()
        more = talk.receive()
        if more is None:
            return
        messages = more
