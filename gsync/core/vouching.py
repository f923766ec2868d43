"""Who has vouched for a file whose size and digest nobody told.

Edition 1 ends a file by closing the connection, so a sender that is killed looks like a shorter file with a clean end. A staged
file of such a source is *held* until the source has vouched: a connection made after that file's end was read has given at
least one byte; for an empty file, the same name has been answered with nothing a second time. A dead sender cannot do either.
Vouching does not catch a living sender that cuts. Pure; owned by `peer.voucher`. See docs/PROTOCOL.md, "Vouching".
"""

from __future__ import annotations

from msgspec import Struct, field

from gsync.core.names import Endpoint, RelPath


class Ticket(Struct, frozen=True, order=True):
    """The place of a connection, or of an end of file, in the order in which they happened."""

    number: int


class _Held(Struct):
    nonempty: dict[RelPath, Ticket] = field(default_factory=dict)
    empty: dict[RelPath, Ticket] = field(default_factory=dict)


class Vouching:
    """Which files are held for which source, and what sets them free."""

    def __init__(self) -> None:
        self._clock = 0
        self._held: dict[Endpoint, _Held] = {}

    def now(self) -> Ticket:
        """A ticket later than all before: taken when a connection has been made."""
        self._clock += 1
        return Ticket(self._clock)

    def hold(self, endpoint: Endpoint, path: RelPath, *, empty: bool) -> None:
        """The end of `path` from this source was read just now; it waits for its voucher."""
        held = self._held.setdefault(endpoint, _Held())
        (held.empty if empty else held.nonempty)[path] = self.now()

    def gave_bytes(self, endpoint: Endpoint, connected: Ticket) -> tuple[RelPath, ...]:
        """A connection made at `connected` gave a byte: the held files it vouches for, which are held no longer."""
        held = self._held.get(endpoint)
        if held is None:
            return ()
        free = tuple(path for path, ended in held.nonempty.items() if ended < connected)
        for path in free:
            del held.nonempty[path]
        self._tidy(endpoint)
        return free

    def gave_nothing(self, endpoint: Endpoint, path: RelPath, connected: Ticket) -> bool:
        """A connection made at `connected` answered `path` with nothing: whether that vouches for `path` being empty."""
        held = self._held.get(endpoint)
        if held is None or path not in held.empty or not held.empty[path] < connected:
            return False
        del held.empty[path]
        self._tidy(endpoint)
        return True

    def discard(self, endpoint: Endpoint, path: RelPath) -> None:
        """`path` is held no longer, whatever came of it."""
        held = self._held.get(endpoint)
        if held is not None:
            held.nonempty.pop(path, None)
            held.empty.pop(path, None)
            self._tidy(endpoint)

    def drop(self, endpoint: Endpoint) -> tuple[RelPath, ...]:
        """The source could not vouch: everything held for it, held no longer, worth nothing."""
        held = self._held.pop(endpoint, None)
        return () if held is None else (*held.nonempty, *held.empty)

    def held(self, endpoint: Endpoint) -> tuple[RelPath, ...]:
        """The non-empty files held for this source, oldest first."""
        held = self._held.get(endpoint)
        return () if held is None else tuple(held.nonempty)

    def held_empty(self, endpoint: Endpoint) -> tuple[RelPath, ...]:
        """The files held for this source that came without a byte, oldest first."""
        held = self._held.get(endpoint)
        return () if held is None else tuple(held.empty)

    def sources(self) -> tuple[Endpoint, ...]:
        """The sources for which something is held."""
        return tuple(self._held)

    def _tidy(self, endpoint: Endpoint) -> None:
        held = self._held[endpoint]
        if not held.nonempty and not held.empty:
            del self._held[endpoint]
