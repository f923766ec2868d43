"""Spells the directory for those who ask, and keeps what it has spelt.

To spell 10,000 entries anew for each keepalive would cost a hundred times what it costs to send them. So each entry is kept as
bytes and spelt again only when its name has changed, and at most `ENCODINGS_MAX` whole responses are kept. Askers are
answered in groups (`core/holders.py`): peers of ours get a tab, marks and further holders, all others plain entries.
Responses are shared by all who are sent one: never more of them than the cache holds and slow readers are still taking.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring_ascii
from typing import Final

from msgspec import Struct

from gsync.core.directory import Directory
from gsync.core.holders import SLOTS, Holder, Offered, PeerId, also_told, first_told
from gsync.core.names import Endpoint, RelPath
from gsync.core.pausing import Pause, no_pause, paused
from gsync.wire.classic import OURS, ended
from gsync.wire.messages import SPEAKS_GSYNC, SPEAKS_NATIVE

ENCODINGS_MAX: Final = 8
"""Four slots of peers of ours and four of others, as long as all reach the tracker at one address."""

ENCODINGS_MAX_BYTES: Final = 128 * 1024 * 1024
"""What all kept responses may take; the one that was asked for last is kept in any case."""

_HERE: Final = "\0"
_HERE_BEFORE_PORT: Final = "\1"
"""Stand in an entry for the address at which the asker reached the tracker; no JSON of ours contains these bytes."""


class Asker(Struct, frozen=True, kw_only=True):
    """Whom a response is for: whether it is a peer of ours, its place among the askers, and where it reached the tracker.

    A holder that is connected over loopback is named to the asker by that address: it is on the tracker's machine.
    """

    number: int
    knows_gsync: bool
    reached_ip: str


class Responses:
    """Encoded responses of one directory; it alone takes the directory's changes."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._generation = directory.generation
        directory.take_changes()  # a group begins with all names that are there
        self._groups: dict[tuple[int, bool], _Group] = {}
        self._encoded: OrderedDict[tuple[int, bool, str], _Encoded] = OrderedDict()

    def to(self, asker: Asker, *, pause: Pause = no_pause) -> bytes:
        """The directory as it is now, for `asker`. Costs nothing if nothing has changed, some microseconds for each name
        that has, and for the first of a group half a millisecond for 10,000 names."""
        group = self._group_of(asker)
        self._share_changes()
        while group.stale:  # others may ask, and change the directory, at the pauses
            told: _ToldByRow = {}
            for path in paused(group.take_stale(), pause):
                group.refresh(path, self._directory.offered(path), told)
            self._share_changes()
        key = (group.slot, group.ours, asker.reached_ip if group.names_here else "")
        known = self._encoded.get(key)
        if known is None or known.version != group.version:
            known = self._encoded[key] = _Encoded(version=group.version, response=group.encoded(asker.reached_ip))
            self._forget_the_oldest()
        self._encoded.move_to_end(key)
        return known.response

    def _group_of(self, asker: Asker) -> _Group:
        key = (asker.number % SLOTS, asker.knows_gsync)
        if key not in self._groups:
            self._groups[key] = _Group(slot=key[0], ours=key[1], names=self._directory)
        return self._groups[key]

    def _share_changes(self) -> None:
        if self._directory.generation == self._generation:
            return
        self._generation = self._directory.generation
        changed = self._directory.take_changes()
        for group in self._groups.values():
            group.stale.update(dict.fromkeys(changed))

    def _forget_the_oldest(self) -> None:
        while len(self._encoded) > 1 and (
            len(self._encoded) > ENCODINGS_MAX
            or sum(len(known.response) for known in self._encoded.values()) > ENCODINGS_MAX_BYTES
        ):
            self._encoded.popitem(last=False)


class _Encoded(Struct, frozen=True, kw_only=True):
    version: int
    response: bytes


class _Told(Struct, frozen=True, kw_only=True):
    """Which holder an entry names first, and the entry but for its name and mtime."""

    first: PeerId
    names_here: bool
    before_mtime: str
    after_mtime: str


_ToldByRow = dict[tuple[tuple[Holder, ...], PeerId | None], _Told]


class _Group:
    """What the askers of one slot are told: each entry as bytes, and which holder it names."""

    def __init__(self, *, slot: int, ours: bool, names: Iterable[RelPath]) -> None:
        self.slot = slot
        self.ours = ours
        self.stale: dict[RelPath, None] = dict.fromkeys(names)
        self.version = 0
        self.names_here = False  # whether an entry may stand for an address that depends on the asker
        self._entries: dict[RelPath, bytes] = {}
        self._told: dict[RelPath, PeerId] = {}

    def take_stale(self) -> Iterator[RelPath]:
        """The names to be spelt again, each given to one of those who ask."""
        while self.stale:
            yield self.stale.popitem()[0]

    def refresh(self, path: RelPath, offered: Offered | None, told_by_row: _ToldByRow) -> None:
        """Spell the entry of `path` again; `told_by_row` remembers what was chosen for other names with the same holders."""
        if offered is None:
            if self._entries.pop(path, None):
                del self._told[path]
                self.version += 1
            return
        key = (offered.holders, self._told.get(path))
        told = told_by_row.get(key) or told_by_row.setdefault(key, self._choose(*key))
        self.names_here = self.names_here or told.names_here
        self._told[path] = told.first
        entry = f"{encode_basestring_ascii(path)}:{told.before_mtime}{offered.mtime_s}{told.after_mtime}".encode(
            "ascii"
        )
        if entry != self._entries.get(path):
            self._entries[path] = entry
            self.version += 1

    def _choose(self, holders: tuple[Holder, ...], kept: PeerId | None) -> _Told:
        first = first_told(holders, slot=self.slot, kept=kept)
        also = also_told(holders, slot=self.slot, first=first) if self.ours else ()
        ip = _HERE if _is_here(first.endpoint) else first.endpoint.ip
        mark = _mark(first) if self.ours else ""
        further = f',"also":"{" ".join([_text(holder.endpoint) for holder in also])}"' if also else ""
        return _Told(
            first=first.peer,
            names_here=any(_is_here(holder.endpoint) for holder in (first, *also)),
            before_mtime=f'{{"ip":"{ip}","port":{first.endpoint.port},"mtime":',
            after_mtime=f"{mark}{further}}}",
        )

    def encoded(self, reached_ip: str) -> bytes:
        """The whole response, for those who reached the tracker at `reached_ip`."""
        body = b",".join(self._entries.values())
        if self.names_here:
            body = body.replace(_HERE.encode(), reached_ip.encode())
            body = body.replace(_HERE_BEFORE_PORT.encode(), _before_port(reached_ip).encode())
        return ended(OURS if self.ours else b"{", body, b"}")


def _mark(holder: Holder) -> str:
    if not holder.speaks_gsync:
        return ""
    return f',"gsync":{SPEAKS_NATIVE if holder.speaks_native else SPEAKS_GSYNC}'


def _text(endpoint: Endpoint) -> str:
    return f"{_HERE_BEFORE_PORT}:{endpoint.port}" if _is_here(endpoint) else str(endpoint)


def _before_port(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _is_here(endpoint: Endpoint) -> bool:
    """Whether it is on loopback, of an address in its normal spelling; asked for each entry, so not of `ipaddress`."""
    return endpoint.ip.startswith("127.") or endpoint.ip == "::1"
