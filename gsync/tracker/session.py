"""One native peer from its Join to the end of its connection: hears what it holds, says what there is to know.

One greenlet reads (that of the connection), one writes what is in the `Backlog`. A record that breaks a rule costs that record, a
message that makes no sense the connection; so does a peer that does not read what it is told for 30 s. Called by `natives.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, assert_never

import gevent
import msgspec

from gsync.core.model import Kind, Record
from gsync.core.names import RelPath
from gsync.core.registry import Registry
from gsync.errors import RemoteProtocolError
from gsync.net.breathing import BREATH_BYTES, breathe
from gsync.net.transport import Stream
from gsync.tracker.backlog import Backlog
from gsync.tracker.talk import READ_ANSWER_S, REFUSALS_LOGGED, Talk
from gsync.tracker.telling import Telling
from gsync.wire.frames import frame
from gsync.wire.messages import Refusal
from gsync.wire.native import (
    PIECE_BYTES,
    Alive,
    Announce,
    Join,
    Locate,
    Located,
    PeerRow,
    Resync,
    Withdraw,
    header,
    parse_paths,
    parse_records,
    parse_to_tracker,
)

log: Final = logging.getLogger(__name__)

SEND_BYTES: Final = 64 * 1024
"""Short frames are sent together, up to so many bytes."""

LOCATED_MAX: Final = 16
"""Holders that are named in answer to a question."""

_LONG_BYTES: Final = 16 * 1024
"""After a message as long as this others have their turn; hundreds of records take some milliseconds."""


class Session:
    """What one native peer says and is told; `on_whole` is called once, when it has told everything that it holds.

    With `names_only` nothing of what it holds is kept.
    """

    def __init__(
        self,
        talk: Talk,
        row: PeerRow,
        *,
        registry: Registry,
        telling: Telling,
        on_whole: Callable[[Join, int], None],
        names_only: bool = False,
    ) -> None:
        self._talk = talk
        self._row = row
        self._registry = registry
        self._telling = telling
        self._on_whole = on_whole
        self._names_only = names_only
        self._backlog = Backlog(telling)
        self._join: Join | None = None
        self._is_whole = False
        self._announced = 0

    def hear(self, message: bytes) -> None:
        """One message of the peer. Raises `RemoteProtocolError`."""
        said = parse_to_tracker(message)
        if (self._join is None) != isinstance(said, Join):
            raise RemoteProtocolError("a Join comes first, and once")
        match said:
            case Join():
                self._join = said
                self._telling.meet(msgspec.structs.replace(self._row, name=said.name, author=said.author))
                if said.part:
                    self._registry.hold_a_part(self._talk.peer)
                if self._telling.attend(self._talk.number, self._backlog, claimed=said.digest):
                    self._hold_all(said)
                else:
                    self._backlog.need_snapshot()
            case Announce():
                self._announce(said)
            case Withdraw():
                self._registry.withdraw(self._talk.peer, parse_paths(said.paths), pause=breathe)
                self._telling.note()
            case Alive():
                self._backlog.need_ack()
            case Locate():
                self._locate(said, len(message))
            case Resync():
                self._backlog.need_snapshot()
            case _ as unreachable:
                assert_never(unreachable)
        if len(message) >= _LONG_BYTES:
            breathe()

    def speak(self, stream: Stream) -> None:
        """Send whatever is to be said; never returns. Raises `TransportError`, `RemoteProtocolError`."""
        while True:
            said = self._gathered()
            if not said:
                self._backlog.is_filled.wait()
                continue
            for start in range(0, len(said), BREATH_BYTES):
                with gevent.Timeout(READ_ANSWER_S, RemoteProtocolError("it does not read what it is told")):
                    stream.send(said[start : start + BREATH_BYTES])

    def _gathered(self) -> bytes:
        frames: list[bytes] = []
        size = 0
        while size < SEND_BYTES and (one := self._backlog.next()) is not None:
            frames.append(one)
            size += len(one)
        return b"".join(frames)

    def _announce(self, said: Announce) -> None:
        remote = self._talk.stream.remote
        records, refused = _announced(said) if not self._names_only else ([], [])
        for refusal in refused[:REFUSALS_LOGGED]:
            log.warning("record.refused remote=%s path=%r reason=%s", remote, refusal.name, refusal.reason)
        if len(refused) > REFUSALS_LOGGED:
            log.warning("records.refused remote=%s count=%d", remote, len(refused))
        is_first = not (self._is_whole or said.more)  # there is much of it, and most may be told at once
        waits = _hangs_on_another if is_first else _always
        admission = self._registry.announce(self._talk.peer, records, waits=waits, pause=breathe)
        self._announced += admission.taken
        if admission.refused:
            log.warning("records.refused remote=%s count=%d reason=%s", remote, admission.refused, admission.reason)
        if said.more or not (said.all or self._is_whole):
            self._telling.await_rest(self._talk.peer)
        else:
            self._telling.complete(self._talk.peer)
        if said.all and not self._is_whole and self._join is not None:
            self._is_whole = True
            self._on_whole(self._join, self._announced)

    def _hold_all(self, join: Join) -> None:
        """It holds what all are told, and has been told so."""
        self._announced = self._registry.hold_all(self._talk.peer, pause=breathe)
        self._is_whole = bool(self._announced)
        if self._is_whole:
            self._on_whole(join, self._announced)
        else:
            self._backlog.say(frame(header(Resync())))
        self._telling.note()

    def _locate(self, said: Locate, size: int) -> None:
        if size > PIECE_BYTES:
            raise RemoteProtocolError(f"a question of {size} bytes (at most {PIECE_BYTES})")
        self._talk.give_place_back()
        self._backlog.has_room.wait()  # for 30 s at most: then the writer gives up
        holders = [self._holders(path) for path in said.paths]
        self._backlog.say(frame(header(Located(id=said.id, holders=holders))))

    def _holders(self, text: str) -> list[int]:
        paths: list[RelPath] = parse_paths([text])
        return [
            number for path in paths for number in self._registry.holders(path, asker=self._talk.peer, most=LOCATED_MAX)
        ]


def _always(record: Record) -> bool:
    return True


def _hangs_on_another(record: Record) -> bool:
    """Whether it may be half of a rename."""
    return record.deleted or record.moved_from is not None


def _announced(said: Announce) -> tuple[list[Record], list[Refusal]]:
    """The records that may be told to others, and why the rest is left out."""
    records, refused = parse_records(said.records)
    good = [record for record in records if record.digest or record.deleted or record.kind is not Kind.FILE]
    if len(good) < len(records):
        bad = {record.path for record in records} - {record.path for record in good}
        refused += [Refusal(name=path, reason="a file without a digest") for path in sorted(bad)]
    return good, refused
