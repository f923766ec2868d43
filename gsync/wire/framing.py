"""Cuts an undelimited run of JSON into its objects, without parsing them.

Classic messages follow each other with nothing between them, and TCP delivers them in any pieces (PROTOCOL.md,
"Tracker link"). The splitter looks at each byte once, at the speed of a regular expression, and keeps what it knows
between feeds: re-reading a growing buffer at each piece is quadratic, and a 50,000-name directory then costs seconds.
It never judges what is inside an object; `wire/classic.py` does. Called by the tracker and by the peer's announcer.
"""

from __future__ import annotations

import re
from typing import Final

from gsync.errors import RemoteProtocolError

TRACKER_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""The largest message towards a tracker: some 100,000 files of one peer (architecture, Limits)."""

DIRECTORY_LIMIT_BYTES: Final = 64 * 1024 * 1024
"""The largest directory towards a peer; `core.directory` refuses names before a response grows beyond it."""

NESTING_MAX: Final = 4
"""Classic messages nest three deep; one more is tolerance, all else is an attack on a recursive parser."""

_WINDOW_BYTES: Final = 64 * 1024
"""How much one match may cover: the matcher remembers each string that it passes, so its memory grows with this."""

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_TO_BRACKET: Final = re.compile(rb'[^"{}\[\]]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"{}\[\]]*)*', re.DOTALL)
_STRING: Final = re.compile(rb"[^\"\\]*(?:\\.[^\"\\]*)*", re.DOTALL)

_QUOTE: Final = ord('"')
_OPENING: Final = frozenset(b"{[")


class JsonSplitter:
    """Takes bytes as they come and gives back whole top-level objects, in order, each exactly as it was sent.

    It holds at most `limit_bytes` and the piece being fed. After it raised, the connection is worth nothing any more:
    objects that the same piece had completed before the error are lost with it.
    """

    __slots__ = ("_depth", "_escaped", "_held", "_in_string", "_limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held = bytearray()
        self._depth = 0
        self._in_string = False
        self._escaped = False

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished object are held."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The objects that `data` completes. Raises `RemoteProtocolError` for what is no object, too deep or too long."""
        found: list[bytes] = []
        position = 0
        while position < len(data):
            if not self._depth:
                position = self._start(data, position)
            end = self._scan(data, position)
            if len(self._held) + end - position > self._limit_bytes:
                raise RemoteProtocolError(f"a message longer than {self._limit_bytes} bytes")
            self._held += data[position:end]
            if self._held and not self._depth:
                found.append(bytes(self._held))
                self._held.clear()
            position = end
        return found

    def _start(self, data: bytes, position: int) -> int:
        """Where the next object begins, or the end of `data`."""
        position = _end(_SPACE, data, position, len(data))
        if position < len(data) and data[position] != ord("{"):
            raise RemoteProtocolError(f"{data[position : position + 20]!r} where a JSON object should begin")
        return position

    def _scan(self, data: bytes, position: int) -> int:
        """The end of the object that `data[position:]` continues, or of this window; the state is as of there."""
        stop = min(position + _WINDOW_BYTES, len(data))
        while position < stop:
            if self._in_string:
                position = self._leave_string(data, position, stop)
                continue
            position = _end(_TO_BRACKET, data, position, stop)
            if position == stop:
                break
            byte = data[position]
            position += 1
            if byte == _QUOTE:  # a string that does not end in this window
                self._in_string = True
            elif byte in _OPENING:
                self._depth += 1
                if self._depth > NESTING_MAX:
                    raise RemoteProtocolError(f"JSON nested deeper than {NESTING_MAX}")
            else:
                self._depth -= 1
                if not self._depth:
                    break
        return position

    def _leave_string(self, data: bytes, position: int, stop: int) -> int:
        """The place after the closing quote, or `stop` if it is not in this window."""
        if self._escaped:
            self._escaped = False
            position += 1
        position = _end(_STRING, data, position, stop)
        if position == stop:
            return position
        if data[position] == _QUOTE:
            self._in_string = False
        else:  # a backslash that is the last byte of the window
            self._escaped = True
        return position + 1


def _end(pattern: re.Pattern[bytes], data: bytes, position: int, stop: int) -> int:
    match = pattern.match(data, position, stop)
    return match.end() if match else position
