"""Which connections must go, so that strangers cannot fill the tracker.

    more than                              first to go
    -------------------------------------  ------------------------------------------------------------
    32 of one address that said nothing    the oldest of them; loopback is exempt, all of a machine share it
    4,096 connections                      the oldest that said nothing; if all have spoken, the newcomer
    256 MiB of answers on their way        the answer that was begun first: its reader is the slowest

To say something is to send one valid message. Decides only: the tracker closes what is returned here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from gsync.core.names import Endpoint

MIB: Final = 1024 * 1024


class Limits(Struct, frozen=True, kw_only=True):
    """How much a tracker holds at once (architecture, Limits)."""

    connections: int = 4096
    unspoken_per_address: int = 32
    long_messages: int = 8
    """That come in at once, of at most 4 MiB each; the ninth waits unread. With 8 KiB for each other connection, unfinished
    messages take at most 64 MiB together."""
    sending_bytes: int = 256 * MIB
    """Answers that differ; one that goes to many counts once. Slow readers and a busy directory make many."""


class Connection(Struct, eq=False, kw_only=True):
    """One connection as far as the limits are concerned; `end` asks the greenlet that serves it to end."""

    remote: Endpoint
    end: Callable[[], None]
    dropped_for: str = ""


class Drop(Struct, frozen=True, kw_only=True):
    """A connection that must go, and why."""

    connection: Connection
    reason: str


class Connections:
    """All connections of a tracker. What is returned to be dropped counts no more, whenever it ends."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all: dict[Connection, None] = {}
        self._unspoken: dict[str, dict[Connection, None]] = {}
        self._unspoken_in_order: dict[Connection, None] = {}
        self._sending: dict[Connection, bytes] = {}
        self._senders: dict[int, int] = {}
        self._sending_bytes = 0

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, connection: Connection) -> list[Drop]:
        """A new connection has come; it is among those returned when there is no room for it."""
        self._all[connection] = None
        self._unspoken_in_order[connection] = None
        of_address = self._unspoken.setdefault(connection.remote.ip, {})
        of_address[connection] = None
        drops: list[Drop] = []
        if len(of_address) > self._limits.unspoken_per_address and not connection.remote.is_loopback:
            drops.append(self._drop(next(iter(of_address)), "too many connections of its address that say nothing"))
        if len(self._all) > self._limits.connections:
            drops.append(self._drop(next(iter(self._unspoken_in_order)), "the tracker is full"))
        return drops

    def leave(self, connection: Connection) -> None:
        """It is over; nothing, if it had been dropped."""
        self._all.pop(connection, None)
        self.spoke(connection)
        self.sent(connection)

    def spoke(self, connection: Connection) -> None:
        """It has sent a valid message."""
        if connection not in self._unspoken_in_order:
            return
        del self._unspoken_in_order[connection]
        of_address = self._unspoken[connection.remote.ip]
        del of_address[connection]
        if not of_address:
            del self._unspoken[connection.remote.ip]

    def sends(self, connection: Connection, response: bytes) -> list[Drop]:
        """An answer is on its way to it."""
        self._sending[connection] = response
        senders = self._senders[id(response)] = self._senders.get(id(response), 0) + 1
        if senders == 1:
            self._sending_bytes += len(response)
        drops: list[Drop] = []
        while self._sending_bytes > self._limits.sending_bytes and len(self._sending) > 1:
            drops.append(self._drop(next(iter(self._sending)), "too slow a reader while the directory changes"))
        return drops

    def sent(self, connection: Connection) -> None:
        """It has taken its answer."""
        response = self._sending.pop(connection, None)
        if response is None:
            return
        self._senders[id(response)] -= 1  # the id is its own as long as it stands in `_sending`
        if not self._senders[id(response)]:
            del self._senders[id(response)]
            self._sending_bytes -= len(response)

    def _drop(self, connection: Connection, reason: str) -> Drop:
        self.leave(connection)
        return Drop(connection=connection, reason=reason)
