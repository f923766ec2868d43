"""The join of all announcements: for each name the latest version, and who has it. Kept by the tracker.

    what happens                         what becomes of the name
    -----------------------------------  -----------------------------------------------------------------
    announced for the first time         its announcer is the only holder
    announced later than the latest      the announcer takes the place of all holders; they are remembered
    announced equal to the latest        one more holder, last in the row
    announced earlier than the latest    it is remembered
    a holder leaves, others are left     they move up
    the last holder leaves               the latest version that is remembered, and all its holders, come back
    nobody is left                       the name is gone (gone, not deleted: nobody offers it now)

A peer announces a whole list. One that speaks native has its list in `core/registry.py`; what of it classic askers may see is
held and withdrawn here name by name, and takes part like everything else. What the others, the classic peers, offer under a
name is `classic`: the registry joins it with what it holds itself.

Soft state only, and pure. Who is silent for too long is not asked here: liveness belongs to the connection, and whoever
keeps the connections lets a peer leave. A thousand peers with 10,000 names each are ten million pairs, so a pair
costs 8 bytes in arrays, a bit in its name and no object; a name costs half a kilobyte. Called by `tracker/`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from json.encoder import encode_basestring_ascii
from typing import Final

from msgspec import Struct

from gsync.core.holders import FRONT, Holder, HolderRow, Offered, PeerId, numbers_of
from gsync.core.names import Endpoint, RelPath
from gsync.core.pausing import Pause, no_pause, paused

RESPONSE_MAX_BYTES: Final = 64 * 1024 * 1024 - 16
"""What a peer accepts as a directory, less its brackets, padding and newline."""

ENTRY_MAX_BYTES: Final = 464
"""The longest entry without its name: eight IPv6 addresses with their ports, the mtime, the marks, the punctuation."""

PAIRS_MAX: Final = 16_000_000
"""Announced (name, peer) pairs: 128 MB of arrays."""


class Admission(Struct, frozen=True, kw_only=True):
    """What became of an announcement: `refused` of its files were left out, for `reason`."""

    taken: int
    refused: int = 0
    reason: str = ""


class Directory:
    """Who has what. Each call leaves it consistent, also at the pauses within and when one of them raises."""

    def __init__(self, *, response_max_bytes: int = RESPONSE_MAX_BYTES, pairs_max: int = PAIRS_MAX) -> None:
        self._room_bytes = response_max_bytes
        self._room_pairs = pairs_max
        self._peers: dict[PeerId, _Peer] = {}
        self._numbers: list[_Peer | None] = []
        self._free_numbers: list[int] = []
        self._names: dict[RelPath, _Name] = {}
        self._rows: list[_Name | None] = []
        self._free_rows: list[int] = []
        self._changed: dict[RelPath, None] = {}  # in order, so that a run can be repeated
        self._generation = 0
        self._natives = 0  # the numbers of peers that speak native, as bits
        self._classic_changed: dict[RelPath, None] | None = None

    def __len__(self) -> int:
        """How many names are offered."""
        return len(self._names)

    def __iter__(self) -> Iterator[RelPath]:
        """The names that are offered; it must not change meanwhile."""
        return iter(self._names)

    @property
    def generation(self) -> int:
        """A number that grows with each change that a response may show."""
        return self._generation

    def take_changes(self) -> tuple[RelPath, ...]:
        """The names whose `offered` may have changed since the last call; for the one who keeps the encodings."""
        changed, self._changed = self._changed, {}
        return tuple(changed)

    def offered(self, path: RelPath) -> Offered | None:
        """What is offered under this name, if anything."""
        name = self._names.get(path)
        if name is None:
            return None
        peers = [self._numbers[number] for number in name.holders.front]
        return Offered(mtime_s=name.latest, holders=tuple([peer.holder for peer in peers if peer and peer.holder]))

    def classic(self, path: RelPath) -> Offered | None:
        """What classic peers offer under this name, if anything: their latest version, and some of those who have it."""
        name = self._names.get(path)
        if name is None:
            return None
        for mtime_s, row in sorted({**name.earlier, name.latest: name.holders}.items(), reverse=True):
            if bits := row.bits() & ~self._natives:
                peers = [self._numbers[number] for number in islice(numbers_of(bits), FRONT)]
                return Offered(mtime_s=mtime_s, holders=tuple([peer.holder for peer in peers if peer and peer.holder]))
        return None

    def take_classic_changes(self) -> tuple[RelPath, ...]:
        """The names whose `classic` may have changed since the last call; the first one returns all names there are."""
        changed = self._names if self._classic_changed is None else self._classic_changed
        self._classic_changed = {}
        return tuple(changed)

    def announce(
        self,
        peer: PeerId,
        *,
        endpoint: Endpoint | None,
        files: Mapping[RelPath, int],
        knows_gsync: bool,
        pause: Pause = no_pause,
    ) -> Admission:
        """Let `peer` hold exactly `files` (mtimes in whole seconds), whatever it held before.

        What it goes on holding keeps its place among the holders. Without an endpoint nobody can fetch: it holds nothing.
        Costs a few microseconds a file. Never call it or `leave` for a peer whose announcement is at a pause.
        """
        record = self._peers.get(peer) or self._new_peer(peer)
        old = dict(zip(record.rows, record.mtimes, strict=True))
        record.rows, record.mtimes = array("I"), array("I")
        try:
            if endpoint is None:
                self._withdraw_all(record, old, pause)
                return Admission(taken=0, refused=len(files), reason="nobody can fetch them: the peer tells no port")
            if record.holder is None or (endpoint, knows_gsync) != (record.holder.endpoint, record.holder.speaks_gsync):
                record.holder = Holder(peer=peer, endpoint=endpoint, speaks_gsync=knows_gsync)
                self._change_all(old, pause)
            refused, reason = 0, ""
            for path, mtime_s in paused(files.items(), pause):
                refusal = self._hold(record, path, mtime_s, old)
                refused, reason = refused + bool(refusal), refusal or reason
            self._withdraw_all(record, old, pause)
            return Admission(taken=len(record.rows), refused=refused, reason=reason)
        finally:  # what a raising pause left of the old list is still held
            record.rows.extend(old.keys())
            record.mtimes.extend(old.values())

    def enter(self, peer: PeerId, *, endpoint: Endpoint) -> None:
        """A new peer that speaks native has come; it has no list here: files are held for it and withdrawn one by one."""
        record = self._new_peer(peer)
        record.holder = Holder(peer=peer, endpoint=endpoint, speaks_gsync=True, speaks_native=True)
        self._natives |= 1 << record.number

    def hold(self, peer: PeerId, path: RelPath, mtime_s: int) -> bool:
        """Let a native `peer` hold one more file; returns False where there is no room for it.

        It may hold two versions of a name while one takes the place of the other, but none twice.
        """
        name = self._names.get(path)
        if not self._room_pairs or (name is None and _weight(path) > self._room_bytes):
            return False
        self._offer(name or self._new_name(path, _weight(path)), self._peers[peer].number, mtime_s)
        return True

    def withdraw(self, peer: PeerId, path: RelPath, mtime_s: int) -> None:
        """Let a native `peer` hold this file no more; nothing, if there had been no room for it."""
        name, number = self._names.get(path), self._peers[peer].number
        if name is None:
            return
        row = name.holders if mtime_s == name.latest else name.earlier.get(mtime_s)
        if row is not None and number in row:
            self._withdraw(name, number, mtime_s)

    def leave(self, peer: PeerId, *, pause: Pause = no_pause) -> None:
        """Forget `peer` and all that it holds, or of a native one what is left when everything was withdrawn; nothing, if it is
        not known."""
        record = self._peers.get(peer)
        if record is None:
            return
        old = dict(zip(record.rows, record.mtimes, strict=True))
        try:
            self._withdraw_all(record, old, pause)
        finally:
            record.rows, record.mtimes = array("I", old.keys()), array("I", old.values())
        del self._peers[peer]
        self._natives &= ~(1 << record.number)
        self._numbers[record.number] = None
        self._free_numbers.append(record.number)

    def _hold(self, peer: _Peer, path: RelPath, mtime_s: int, old: dict[int, int]) -> str:
        """Let the peer hold one more file; returns why not, if so."""
        name = self._names.get(path)
        was = old.pop(name.row, None) if name else None
        if was is None and not self._room_pairs:
            return "the tracker holds as many announcements as it may"
        if name is None:
            weight = _weight(path)
            if weight > self._room_bytes:
                return "the directory is as long as peers accept it"
            name = self._new_name(path, weight)
        peer.rows.append(name.row)
        peer.mtimes.append(mtime_s)
        if was == mtime_s:
            return ""
        self._offer(name, peer.number, mtime_s)
        if was is not None:
            self._withdraw(name, peer.number, was)
        return ""

    def _offer(self, name: _Name, number: int, mtime_s: int) -> None:
        self._room_pairs -= 1
        self._change_classic(name, number)
        if mtime_s < name.latest:
            name.earlier.setdefault(mtime_s, HolderRow()).add(number)
            return
        if mtime_s > name.latest:
            if name.holders.front:
                name.earlier[name.latest] = name.holders
            name.latest, name.holders = mtime_s, HolderRow()
        if name.holders.add(number):
            self._change(name)

    def _withdraw(self, name: _Name, number: int, mtime_s: int) -> None:
        self._room_pairs += 1
        self._change_classic(name, number)
        if mtime_s != name.latest:
            name.earlier[mtime_s].remove(number)
            if not name.earlier[mtime_s].front:
                del name.earlier[mtime_s]
            return
        if name.holders.remove(number):
            self._change(name)
        if name.holders.front:
            return
        if name.earlier:
            name.latest = max(name.earlier)
            name.holders = name.earlier.pop(name.latest)
        else:
            self._drop_name(name)

    def _withdraw_all(self, peer: _Peer, old: dict[int, int], pause: Pause) -> None:
        for row in paused(list(old), pause):
            name = self._rows[row]
            assert name is not None  # a row is freed when nobody holds its name, and this peer does
            self._withdraw(name, peer.number, old.pop(row))

    def _change_all(self, rows: Iterable[int], pause: Pause) -> None:
        for row in paused(rows, pause):
            name = self._rows[row]
            assert name is not None
            self._change(name)

    def _change(self, name: _Name) -> None:
        self._generation += 1
        self._changed[name.path] = None

    def _change_classic(self, name: _Name, number: int) -> None:
        if self._classic_changed is not None and not self._natives >> number & 1:
            self._classic_changed[name.path] = None

    def _new_peer(self, peer: PeerId) -> _Peer:
        number = self._free_numbers.pop() if self._free_numbers else len(self._numbers)
        record = self._peers[peer] = _Peer(number)
        self._numbers[number : number + 1] = [record]
        return record

    def _new_name(self, path: RelPath, weight: int) -> _Name:
        self._room_bytes -= weight
        row = self._free_rows.pop() if self._free_rows else len(self._rows)
        name = self._names[path] = _Name(path, row)
        self._rows[row : row + 1] = [name]
        return name

    def _drop_name(self, name: _Name) -> None:
        self._room_bytes += _weight(name.path)
        del self._names[name.path]
        self._rows[name.row] = None
        self._free_rows.append(name.row)


class _Peer:
    """What a peer holds: rows of names, and beside them the mtimes; 8 bytes a file."""

    __slots__ = ("holder", "mtimes", "number", "rows")

    def __init__(self, number: int) -> None:
        self.number = number
        self.holder: Holder | None = None
        self.rows = array("I")
        self.mtimes = array("I")


class _Name:
    """Who holds which version of a name."""

    __slots__ = ("earlier", "holders", "latest", "path", "row")

    def __init__(self, path: RelPath, row: int) -> None:
        self.path = path
        self.row = row
        self.latest = -1
        self.holders = HolderRow()
        self.earlier: dict[int, HolderRow] = {}


def _weight(path: RelPath) -> int:
    """How many bytes this name may come to take in a response."""
    return len(encode_basestring_ascii(path)) + ENTRY_MAX_BYTES
