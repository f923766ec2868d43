"""Reads what a requester sends to the port on which files are served; PROTOCOL.md, "Peer link" and "Serving".

    bytes so far                                     answer
    -----------------------------------------------  ---------------------------------------------------------------
    nothing, or the start of something               NEED_MORE: read on, for at most 5 s
    a file of ours, and no longer name begins so     Request, edition 1
    a file of ours, but a longer name begins so      WAIT: read on for 50 ms; no more bytes -> settle()
    anything and a newline                           Request, edition 2, or Unservable
    a NUL first                                      NativeStart: a native link, for whoever speaks native
    more than 4 KiB, no name at all                  Unservable: close in order without a byte

Edition 1 does not end its request, so only the names that we serve can tell where it ends. A name in JSON quotes is
understood where the bare reading names nothing. Sans-IO and without a clock; called by the peer's uploader.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from enum import Enum, IntEnum, auto
from typing import Final, Protocol

from msgspec import Struct

from gsync.core.names import RelPath
from gsync.errors import NameRefused
from gsync.wire.frames import NATIVE_START

REQUEST_LIMIT_BYTES: Final = 4096
"""A path has at most 4095 bytes, and its newline."""

REQUEST_WAIT_S: Final = 5.0
"""How long the caller reads on at NEED_MORE before it gives the requester up."""

SETTLE_S: Final = 0.05
"""How long the caller reads on at WAIT: two writes of one name follow each other faster."""


_CONTROL: Final = re.compile(r"[\x00-\x1f]")


class Edition(IntEnum):
    """Which of the two classic ways a file is asked for and sent (PROTOCOL.md, "Two editions")."""

    ONE = 1
    TWO = 2


class Names(Protocol):
    """The names that we serve, as far as a reader of requests asks; `SortedNames` is one."""

    def __contains__(self, name: object, /) -> bool: ...

    def has_longer(self, prefix: str) -> bool:
        """Whether a name other than `prefix` itself begins with it."""
        ...


class Unfinished(Enum):
    """What to do while the request is not whole."""

    NEED_MORE = auto()
    WAIT = auto()


class Request(Struct, frozen=True, kw_only=True):
    """A file of ours is asked for, to be sent the way `edition` says."""

    path: RelPath
    edition: Edition


class Unservable(Struct, frozen=True, kw_only=True):
    """Nothing of ours is asked for; `reason` is for the log (it may quote the requester, so log it with `%r`)."""

    reason: str


class NativeStart(Struct, frozen=True, kw_only=True):
    """A native link has begun; `rest` is what came after its first byte (wire/frames.py)."""

    rest: bytes


Reading = Unfinished | Request | NativeStart | Unservable


class SortedNames:
    """A set of names that also knows prefixes; each question is a binary search, each change moves one block of memory."""

    __slots__ = ("_names",)

    def __init__(self, names: Iterable[RelPath] = ()) -> None:
        self._names = sorted(set(names))

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        place = bisect_left(self._names, name)
        return place < len(self._names) and self._names[place] == name

    def __len__(self) -> int:
        return len(self._names)

    def has_longer(self, prefix: str) -> bool:
        """Whether a name other than `prefix` itself begins with it: if one does, the next in order does."""
        place = bisect_right(self._names, prefix)
        return place < len(self._names) and self._names[place].startswith(prefix)

    def add(self, name: RelPath) -> None:
        """Serve `name` from now on."""
        place = bisect_left(self._names, name)
        if place == len(self._names) or self._names[place] != name:
            self._names.insert(place, name)

    def discard(self, name: RelPath) -> None:
        """Serve `name` no more."""
        if name in self:
            del self._names[bisect_left(self._names, name)]


class RequestReader:
    """One connection's request, fed as it arrives; give it each piece, and `end()` when the requester ends its sending."""

    __slots__ = ("_held", "_names")

    def __init__(self, names: Names) -> None:
        self._names = names
        self._held = bytearray()

    def feed(self, data: bytes) -> Reading:
        """What the bytes so far ask for. After a whole reading further bytes mean nothing; feed no more."""
        if not self._held and data.startswith(NATIVE_START):
            return NativeStart(rest=data[len(NATIVE_START) :])
        self._held += data[: REQUEST_LIMIT_BYTES + 1]
        line, newline, _ = self._held.partition(b"\n")
        if len(line) + len(newline) > REQUEST_LIMIT_BYTES:
            return Unservable(reason=f"a request longer than {REQUEST_LIMIT_BYTES} bytes")
        if newline:
            return self._whole(bytes(line).removesuffix(b"\r"), Edition.TWO)
        return self._unended()

    def settle(self) -> Reading:
        """What is asked for if nothing follows: the name at which `feed` said WAIT."""
        path = self._named(bytes(self._held))
        return Request(path=path, edition=Edition.ONE) if path else Unfinished.NEED_MORE

    def end(self) -> Request | Unservable:
        """What was asked for, now that no more comes."""
        return self._whole(bytes(self._held), Edition.ONE)

    def _unended(self) -> Reading:
        raw = bytes(self._held)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                return Unfinished.NEED_MORE
            return Unservable(reason="not valid UTF-8")
        if _CONTROL.search(text.removesuffix("\r")):
            return Unservable(reason="a control character")
        path = self._named(raw)
        if path is None:
            return Unfinished.NEED_MORE
        return Unfinished.WAIT if self._names.has_longer(text) else Request(path=path, edition=Edition.ONE)

    def _whole(self, raw: bytes, edition: Edition) -> Request | Unservable:
        if not raw:
            return Unservable(reason="an empty request")
        path = self._named(raw)
        if path:
            return Request(path=path, edition=edition)
        try:
            RelPath.parse(_text(raw))
        except NameRefused as error:
            return Unservable(reason=error.reason)
        return Unservable(reason="no such file here")

    def _named(self, raw: bytes) -> RelPath | None:
        """The file of ours that `raw` names: as it stands, else as a JSON string."""
        text = _text(raw)
        for name in (text, _unquoted(text)):
            if name is not None and name in self._names:
                return RelPath.parse(name)
        return None


def _text(raw: bytes) -> str:
    """`raw` as text; bytes that are no UTF-8 become lone surrogates, which no name of ours contains."""
    return raw.decode("utf-8", "surrogateescape")


def _unquoted(text: str) -> str | None:
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        return None
    try:
        name = json.loads(text)
    except ValueError:
        return None
    return name if isinstance(name, str) else None
