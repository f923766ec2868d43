"""The tracker: hears what each peer has, and tells each peer what all have. PROTOCOL.md, "Tracker link".

One greenlet per connection, one answer per message and none unasked. Liveness belongs to the connection: a peer is forgotten
when it closes, when it says nothing for `expire_s`, or when TCP finds its host gone. Soft state only: a tracker that is
killed and started again is told everything anew. Nobody is trusted: what a stranger sends is judged in `wire/`, how much
of it is held in `connections.py`. A bad entry costs the entry, a bad message the connection, and nothing costs more.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Final

import gevent
from gevent.lock import BoundedSemaphore

from gsync.core.directory import Directory
from gsync.core.names import Endpoint
from gsync.errors import RemoteProtocolError, TransportError
from gsync.net.breathing import BREATH_BYTES, breathe
from gsync.net.clock import Clock
from gsync.net.tasks import ask_to_end
from gsync.net.transport import Listener, Network, Stream
from gsync.tracker.connections import Connection, Connections, Drop, Limits
from gsync.tracker.events import Observer, PeerJoined, PeerLeft, ignore
from gsync.tracker.natives import Natives
from gsync.tracker.responses import Asker, Responses
from gsync.tracker.talk import READ_ANSWER_S, REFUSALS_LOGGED, SHORT_BYTES, Places, Talk
from gsync.wire.classic import NATIVE, ended, parse_peer_message
from gsync.wire.frames import NATIVE_START
from gsync.wire.messages import Initial
from gsync.wire.native import Join

log: Final = logging.getLogger(__name__)

EXPIRE_S: Final = 180.0
"""A live peer may be silent for minutes while it fetches; a dead one is mostly known by its connection, long before."""

_SPARE_HANDLERS: Final = 64
"""Above the limit of connections, so that a newcomer is served by whom it displaces, and not held up by the full house."""

_NATIVE_AGREED: Final = ended(NATIVE, b"}")
"""The answer to a peer that speaks native: it goes native at once, so it is told nothing in JSON."""


class Tracker:
    """Serves any number of listeners from one directory; `on_event` hears of peers that join and leave.

    `epoch` names a life of the tracker, which ends when the last listener closes. One that does not speak native takes
    every peer for a classic one. One with `names_only` tells native peers who is there, and nothing else; classic ones meet nobody.
    """

    def __init__(
        self,
        *,
        network: Network,
        clock: Clock,
        on_event: Observer = ignore,
        expire_s: float = EXPIRE_S,
        limits: Limits | None = None,
        epoch: Callable[[], str] = lambda: secrets.token_hex(8),
        speaks_native: bool = True,
        names_only: bool = False,
    ) -> None:
        self._network = network
        self._clock = clock
        self._tell = on_event
        self._expire_s = expire_s
        self._limits = limits or Limits()
        self._connections = Connections(self._limits)
        self._epoch = epoch
        self._speaks_native = speaks_native
        self._names_only = names_only
        self._begin_empty()
        self._numbers = count()
        self._listeners = 0
        self._places = Places(self._limits.long_messages)
        self._arrivals = BoundedSemaphore()
        self._departures = BoundedSemaphore()

    def listen(self, *, ip: str, port: int) -> Listener:
        """Serve whoever connects there, until the listener is closed; raises `AddressInUse`, `ConnectFailed`."""
        listener = self._network.listen(
            ip=ip,
            port=port,
            handler=self._serve,
            limit=self._limits.connections + _SPARE_HANDLERS,
            alive_probes=True,
        )
        self._listeners += 1
        return _TrackerListener(listener, closing=self._lose_listener, closed=self._forget_all)

    def _begin_empty(self) -> None:
        self._directory = Directory()
        self._responses = Responses(self._directory)
        self._natives = Natives(
            directory=self._directory, clock=self._clock, epoch=self._epoch(), names_only=self._names_only
        )

    def _lose_listener(self) -> None:
        self._listeners -= 1

    def _forget_all(self) -> None:
        if not self._listeners:
            natives = self._natives
            self._begin_empty()
            natives.close()

    def _serve(self, stream: Stream) -> None:
        """One connection, from its first byte to its last; ends in order whatever the peer does."""
        connection = Connection(remote=stream.remote, end=partial(ask_to_end, gevent.getcurrent()))
        talk = Talk(connection, stream, number=next(self._numbers), clock=self._clock, places=self._places)
        reason = "the tracker is stopping"
        try:
            self._drop(self._connections.enter(connection), current=connection)
            while self._take_turn(talk):
                pass  # and nothing is held between two turns: a thousand peers mostly wait
            reason = "it closed the connection"
        except RemoteProtocolError as error:
            reason = str(error)
            log.warning("peer.refused remote=%s reason=%s", stream.remote, reason)
        except TransportError as error:
            reason = str(error)
        finally:
            self._connections.leave(connection)
            talk.give_place_back()
            self._forget(talk, connection.dropped_for or reason)

    def _take_turn(self, talk: Talk) -> bool:
        """Hear what comes next and answer it; returns whether the peer may say more."""
        messages = talk.receive()
        if messages is None:
            return False
        while messages:
            message = messages.popleft()
            if message == NATIVE_START:
                self._natives.serve(talk, messages, expire_s=self._expire_s, on_whole=partial(self._note_joined, talk))
                return False
            self._hear(talk, message)
            talk.give_place_back()
            self._answer(talk)
            talk.expect_next(within_s=self._expire_s)
        talk.wait_for_place_if_long()
        return True

    def _hear(self, talk: Talk, message: bytes) -> None:
        if len(message) <= SHORT_BYTES:
            self._understand(talk, message)
            return
        with self._arrivals:
            self._understand(talk, message)

    def _understand(self, talk: Talk, message: bytes) -> None:
        said = parse_peer_message(message, pause=breathe)
        self._connections.spoke(talk.connection)
        if isinstance(said, Initial):
            talk.knows_gsync, talk.knows_native = said.knows_gsync, said.knows_native and self._speaks_native
            talk.endpoint = Endpoint(talk.stream.remote.ip, said.port) if said.port else None
            if not talk.knows_native:  # else frames will say it better, in a moment
                self._announce(talk, said)

    def _announce(self, talk: Talk, said: Initial) -> None:
        """Let what `said` lists replace whatever this peer had announced."""
        remote = talk.stream.remote
        for refusal in said.refused[:REFUSALS_LOGGED]:
            log.warning("entry.refused remote=%s name=%r reason=%s", remote, refusal.name, refusal.reason)
        if len(said.refused) > REFUSALS_LOGGED:
            log.warning("entries.refused remote=%s count=%d", remote, len(said.refused))
        admission = self._directory.announce(
            talk.peer,
            endpoint=talk.endpoint,
            files=said.files if not self._names_only else {},
            knows_gsync=said.knows_gsync,
            pause=breathe,
        )
        if admission.refused:
            log.warning("files.refused remote=%s count=%d reason=%s", remote, admission.refused, admission.reason)
        log.info("peer.announced remote=%s port=%s files=%d", remote, said.port, admission.taken)
        if talk.endpoint is not None:
            self._natives.meet_classic(talk.number, talk.endpoint, knows_gsync=said.knows_gsync)
        self._natives.note_classic()
        if not talk.has_joined:
            talk.has_joined = True
            self._tell(PeerJoined(remote=remote, port=said.port, files=admission.taken, knows_gsync=said.knows_gsync))

    def _note_joined(self, talk: Talk, join: Join, records: int) -> None:
        """A native peer has told everything that it holds."""
        remote, port = talk.stream.remote, talk.endpoint.port if talk.endpoint else None
        log.info("peer.announced remote=%s port=%s records=%d name=%r", remote, port, records, join.name)
        talk.has_joined = True
        self._tell(PeerJoined(remote=remote, port=port, files=records, knows_gsync=True, speaks_native=True))

    def _answer(self, talk: Talk) -> None:
        if talk.knows_native:
            self._send(talk, _NATIVE_AGREED)
            return
        asker = Asker(number=talk.number, knows_gsync=talk.knows_gsync, reached_ip=talk.stream.local.ip)
        self._send(talk, self._responses.to(asker, pause=breathe))

    def _send(self, talk: Talk, response: bytes) -> None:
        self._drop(self._connections.sends(talk.connection, response), current=talk.connection)
        view = memoryview(response)
        for start in range(0, len(view), BREATH_BYTES):
            with gevent.Timeout(READ_ANSWER_S, RemoteProtocolError("it does not read its answer")):
                talk.stream.send(view[start : start + BREATH_BYTES])
        self._connections.sent(talk.connection)

    def _forget(self, talk: Talk, reason: str) -> None:
        try:
            with self._departures:
                if self._listeners:  # else nobody will ask any more, and all is forgotten together
                    self._natives.leave(talk.peer, pause=breathe)
                    self._directory.leave(talk.peer, pause=breathe)
        finally:  # a kill at a pause must not leave entries of the dead
            if self._listeners:
                self._natives.leave(talk.peer)
                self._directory.leave(talk.peer)
                self._natives.note_classic()
        if talk.has_joined:
            log.info("peer.left remote=%s reason=%s", talk.stream.remote, reason)
            self._tell(PeerLeft(remote=talk.stream.remote, reason=reason))

    def _drop(self, drops: Sequence[Drop], *, current: Connection) -> None:
        """Close the connections of others; raise for the one that is being served."""
        for drop in drops:
            drop.connection.dropped_for = drop.reason
            if drop.connection is not current:
                log.warning("peer.refused remote=%s reason=%s", drop.connection.remote, drop.reason)
                drop.connection.end()
        if current.dropped_for:
            raise RemoteProtocolError(current.dropped_for)


class _TrackerListener:
    """The network's listener; when the last of a tracker closes, its peers need not be forgotten one by one."""

    def __init__(self, listener: Listener, *, closing: Callable[[], None], closed: Callable[[], None]) -> None:
        self._listener = listener
        self._closing = closing
        self._closed = closed
        self._is_open = True

    @property
    def endpoint(self) -> Endpoint:
        return self._listener.endpoint

    def close(self, *, grace_s: float = 0.0) -> None:
        if self._is_open:
            self._is_open = False
            self._closing()
        self._listener.close(grace_s=grace_s)
        self._closed()
