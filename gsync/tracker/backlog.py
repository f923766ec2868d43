"""What waits to be said to one native peer, in order: who is who, answers, then a snapshot if one is needed, then what changes.

Changes are frames that all peers share; what is kept of a slow reader's are the latest, so all of them together hold
`CHANGES_MAX_BYTES` and not each. When there are more, they are dropped for a fresh snapshot, which is made piece by piece as it is
read. Decides only; `session.py` sends, `telling.py` fills.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from gevent.event import Event

from gsync.tracker.telling import Telling
from gsync.wire.frames import frame
from gsync.wire.native import PIECE_BYTES, Ack, header

CHANGES_MAX_BYTES: Final = 32 * 1024 * 1024
"""What a reader may lag behind before it is told everything anew: some 120,000 records."""

WORDS_MAX_BYTES: Final = 64 * 1024
"""Words that wait for a reader before no further question of it is answered."""


class Backlog:
    """One for each native peer. Nothing in it waits; `is_filled` is set when there is something to send."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._words: deque[bytes] = deque()
        self._words_bytes = 0
        self._changes: deque[bytes] = deque()
        self._changes_bytes = 0
        self._snapshot_due = False
        self._ack_due = False
        self._row: int | None = None  # where the snapshot that is being sent goes on
        self._seq = 0
        self._met = telling.meetings
        self.is_filled: Final = Event()
        self.has_room: Final = Event()
        self.has_room.set()

    def say(self, word: bytes) -> None:
        """A frame that goes before all changes: who is who, or an answer."""
        self._words.append(word)
        self._words_bytes += len(word)
        if self._words_bytes >= WORDS_MAX_BYTES:
            self.has_room.clear()
        self.is_filled.set()

    def tell(self, change: bytes) -> None:
        """The next frame of what changes; nothing, while a snapshot is due that will show it."""
        if self._snapshot_due:
            return
        self._changes.append(change)
        self._changes_bytes += len(change)
        if self._changes_bytes > CHANGES_MAX_BYTES:
            self.need_snapshot()
        self.is_filled.set()

    def need_snapshot(self) -> None:
        """Everything is to be told anew, from the beginning if that is under way."""
        self._snapshot_due = True
        self._row = None
        self._changes.clear()
        self._changes_bytes = 0
        self.is_filled.set()

    def need_ack(self) -> None:
        """It said that it is alive; answered when all else is said, so that what it then knows can be compared."""
        self._ack_due = True
        self.is_filled.set()

    def next(self) -> bytes | None:
        """The next frame; None when nothing waits."""
        is_snapshot = self._snapshot_due or self._row is not None
        if is_snapshot and self._met != self._telling.meetings:  # a piece may name whoever has come just now
            self._met = self._telling.meetings
            self._telling.introduce_to(self)
        if self._words:
            word = self._words.popleft()
            self._words_bytes -= len(word)
            if self._words_bytes < WORDS_MAX_BYTES:
                self.has_room.set()
            return word
        if self._snapshot_due:
            self._snapshot_due = False
            self._row, self._seq = 0, self._telling.seq
        if self._row is not None:
            piece, self._row = self._telling.snapshot(self._seq, self._row, PIECE_BYTES)
            return piece
        if self._changes:
            change = self._changes.popleft()
            self._changes_bytes -= len(change)
            return change
        if self._ack_due:
            self._ack_due = False
            return frame(header(Ack(seq=self._telling.seq, digest=self._telling.digest, lags=self._telling.laggard)))
        self.is_filled.clear()
        return None
