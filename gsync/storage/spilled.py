"""`Spilled`: a tree of which a bounded part is held as values, and the rest as rows of a private SQLite file.

What was put in last stays in memory; when that is more than `hot_max` the oldest go down in one transaction. A tree that never
grows so large never opens a file. Reading a row costs some 10 us, so it happens where it is called, on the loop.

The file is a cache of what a peer heard, of no worth to the next start: it is unlinked as soon as it is open, never flushed, and
its transactions only guard it against a disk that is full in the middle of one. While the disk takes nothing, what would go down
stays in memory. It goes with the last who holds the tree: a walk or a plan may go on with one that was replaced. A tree belongs to
one thread. `offer_rows.py` makes those of `peer.trees`.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView
from contextlib import suppress
from itertools import islice
from typing import Final, Generic, Protocol, TypeVar

from gsync.core.model import LongTree
from gsync.core.names import RelPath
from gsync.core.picture import beneath
from gsync.errors import StorageError

log = logging.getLogger(__name__)

FILE: Final = "trees.sqlite"
"""Its name in `.gsync/` for the moment between its making and its unlinking."""

HOT_MAX: Final = 50_000
"""Values of a tree that are held in memory; older ones are rows."""

WARM_MAX: Final = 2000
"""Values of rows that were read last, kept beside them; one more, and all are forgotten."""

SIEVE_BITS: Final = 23
"""A megabyte, once there are rows, that says of nearly all paths without a row that they have none: a snapshot asks of each."""

_SIEVE_MASK: Final = (1 << SIEVE_BITS - 3) - 1
_GO_DOWN: Final = 400
_PAGE_ROWS: Final = 500
_CACHE_KIB: Final = 2048

_PAGE: Final = "SELECT path, value FROM kept WHERE path > ? ORDER BY path LIMIT ?"
_ANY_LABEL: Final = "SELECT path FROM kept WHERE label != ''"
_BENEATH: Final = "SELECT path FROM kept WHERE path > ? AND path < ?"
_LABELLED: Final = _ANY_LABEL + " AND label = ?"

V = TypeVar("V")
Connect = Callable[[], sqlite3.Connection]


class Codec(Protocol[V]):
    """How values are spelled in rows. `label` is what `Spilled.labelled` finds them by, "" for nothing."""

    def label(self, value: V) -> str: ...
    def spell(self, value: V) -> bytes: ...
    def read(self, path: RelPath, spelled: bytes) -> V: ...


def in_folder(own_fd: int) -> Connect:
    """Rows in an unlinked file in the folder behind `own_fd`, which is `.gsync/`."""

    def connect() -> sqlite3.Connection:
        with suppress(FileNotFoundError):
            os.unlink(FILE, dir_fd=own_fd)
        os.close(os.open(FILE, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=own_fd))
        try:
            return _prepared(sqlite3.connect(f"/proc/self/fd/{own_fd}/{FILE}", isolation_level=None))
        finally:
            os.unlink(FILE, dir_fd=own_fd)

    return connect


def in_memory() -> sqlite3.Connection:
    """Rows in memory: for trees without a folder of their own, and for tests."""
    return _prepared(sqlite3.connect(":memory:", isolation_level=None))


def _prepared(database: sqlite3.Connection) -> sqlite3.Connection:
    for pragma in ("journal_mode=MEMORY", "synchronous=OFF", "locking_mode=EXCLUSIVE", f"cache_size=-{_CACHE_KIB}"):
        database.execute(f"PRAGMA {pragma}")
    database.execute(
        "CREATE TABLE kept (path TEXT PRIMARY KEY, label TEXT NOT NULL, value BLOB NOT NULL) WITHOUT ROWID"
    )
    database.execute("CREATE INDEX labelled ON kept (label) WHERE label != ''")
    return database


class _Sieve:
    """Which paths may be in a set: all that were added, and of a million others one in twenty. Two bits of a path's hash each."""

    __slots__ = ("_bits",)

    def __init__(self) -> None:
        self._bits = bytearray(1 << SIEVE_BITS - 3)

    def add(self, path: str) -> None:
        bits, key = self._bits, hash(path)
        bits[key >> 3 & _SIEVE_MASK] |= 1 << (key & 7)
        bits[key >> 35 & _SIEVE_MASK] |= 1 << (key >> 32 & 7)

    def __contains__(self, path: str) -> bool:
        bits, key = self._bits, hash(path)
        return bool(
            bits[key >> 3 & _SIEVE_MASK] >> (key & 7) & 1 and bits[key >> 35 & _SIEVE_MASK] >> (key >> 32 & 7) & 1
        )


class Spilled(LongTree[V], MutableMapping[RelPath, V], Generic[V]):
    """A mapping that is walked in path order, and may be changed meanwhile: what is in it all the time comes exactly once."""

    def __init__(self, codec: Codec[V], connect: Connect = in_memory, *, hot_max: int = HOT_MAX) -> None:
        self._database: sqlite3.Connection | None = None
        self._codec = codec
        self._connect = connect
        self._hot_max = hot_max
        self._room = hot_max
        self._hot: dict[RelPath, V] = {}
        self._in_order: list[RelPath] | None = None  # the hot ones, while they are known in order
        self._stale: set[RelPath] = set()  # those of the hot ones that have a row, which says what was before
        self._warm: dict[RelPath, V] = {}  # what rows say; never of a path that is hot
        self._rows = 0
        self._sieve: _Sieve | None = None  # the paths of all rows that there ever were
        self._changes = 0  # how often rows have changed

    def __len__(self) -> int:
        return len(self._hot) + self._rows - len(self._stale)

    def __contains__(self, path: object) -> bool:
        return path in self._hot or path in self._warm or (isinstance(path, str) and self._has_row(path))

    def __getitem__(self, path: RelPath) -> V:
        value = self.get(path)
        if value is None:
            raise KeyError(path)
        return value

    def get(self, path: RelPath, default: V | None = None) -> V | None:  # type: ignore[override]  # V is never None
        """The value at `path`."""
        value = self._hot.get(path)
        if value is None and self._rows:
            value = self._warm.get(path)
            if value is None and (spelled := self._row(path)) is not None:
                value = self._keep_warm(path, spelled)
        return default if value is None else value

    def __setitem__(self, path: RelPath, value: V) -> None:
        if self._rows and path not in self._hot and (self._warm.pop(path, None) is not None or self._has_row(path)):
            self._stale.add(path)
        if path not in self._hot:
            self._in_order = None
        self._hot[path] = value
        if len(self._hot) > self._room:
            self._go_down()

    def __delitem__(self, path: RelPath) -> None:
        is_hot = self._hot.pop(path, None) is not None
        self._in_order = None if is_hot else self._in_order
        if path in self._stale or (not is_hot and self._has_row(path)):
            self._stale.discard(path)
            self._warm.pop(path, None)
            self._rows -= 1
            self._changes += 1
            try:
                self._open().execute("DELETE FROM kept WHERE path = ?", (str(path),))
            except (OSError, sqlite3.Error) as error:
                raise _translated(error) from error
        elif not is_hot:
            raise KeyError(path)

    def __iter__(self) -> Iterator[RelPath]:
        return (path for path, _ in self.walk())

    def items(self) -> ItemsView[RelPath, V]:
        """What `walk` shows."""
        return _Items(self)

    def values(self) -> ValuesView[V]:
        """The values alone, in path order."""
        return _Values(self)

    def walk(self) -> Iterator[tuple[RelPath, V]]:
        """Everything, in path order; may be changed between two steps."""
        above = sorted(path for path in self._hot if path not in self._stale)
        listed = frozenset(above) if self._rows else frozenset()
        at, last, page = 0, "", self._page("")
        while page:
            seen = self._changes
            for text, spelled in page:
                last = text
                while at < len(above) and above[at] < text:
                    yield from self._one(above[at])
                    at += 1
                path = RelPath(text)
                if path in listed:  # it went down meanwhile
                    continue
                if seen == self._changes and path not in self._hot:
                    yield path, self._warm.get(path) or self._keep_warm(path, spelled)
                else:
                    yield from self._one(path)
            page = self._page(last)
        for path in islice(above, at, None):
            yield from self._one(path)

    def labelled(self, label: str = "") -> list[RelPath]:
        """Those whose value has this label, or any at all."""
        found = [path for path, value in self._hot.items() if (of := self._codec.label(value)) and label in {"", of}]
        if self._rows:
            try:
                rows = self._open().execute(_LABELLED if label else _ANY_LABEL, (label,) if label else ()).fetchall()
            except (OSError, sqlite3.Error) as error:
                raise _translated(error) from error
            found += [path for (text,) in rows if (path := RelPath(text)) not in self._hot]
        return found

    def beneath(self, directory: RelPath) -> list[RelPath]:
        """Those in this directory, at any depth."""
        if self._in_order is None:
            self._in_order = sorted(self._hot)
        found = list(beneath(self._in_order, directory))
        if self._rows:
            try:
                rows = self._open().execute(_BENEATH, (f"{directory}/", f"{directory}0")).fetchall()  # "0" follows "/"
            except (OSError, sqlite3.Error) as error:
                raise _translated(error) from error
            found += [path for (text,) in rows if (path := RelPath(text)) not in self._hot]
        return found

    def __del__(self) -> None:
        if self._database is not None:
            self._database.close()

    def _one(self, path: RelPath) -> Iterator[tuple[RelPath, V]]:
        value = self.get(path)
        if value is not None:
            yield path, value

    def _go_down(self) -> None:
        """Make rows of what was put in first."""
        going = list(islice(self._hot, min(_GO_DOWN, self._hot_max // 2 + 1)))
        rows = [(str(p), self._codec.label(v), self._codec.spell(v)) for p in sorted(going) for v in (self._hot[p],)]
        try:
            database = self._open()
            database.execute("BEGIN")
            try:
                database.executemany("REPLACE INTO kept VALUES (?, ?, ?)", rows)
                database.execute("COMMIT")
            except sqlite3.Error:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except (OSError, sqlite3.Error) as error:
            log.warning("tree.kept_in_memory paths=%d reason=%s", len(self._hot), error)
            self._room = 2 * len(self._hot)
            return
        self._room = self._hot_max
        self._changes += 1
        self._in_order = None
        self._sieve = self._sieve or _Sieve()
        for path in going:
            self._sieve.add(path)
            del self._hot[path]
            if path in self._stale:
                self._stale.discard(path)
            else:
                self._rows += 1

    def _keep_warm(self, path: RelPath, spelled: bytes) -> V:
        if len(self._warm) >= WARM_MAX:
            self._warm.clear()
        value = self._warm[path] = self._codec.read(path, spelled)
        return value

    def _has_row(self, path: str) -> bool:
        return self._rows > 0 and self._row(path) is not None

    def _row(self, path: str) -> bytes | None:
        if self._sieve is None or path not in self._sieve:
            return None
        try:  # a context manager would cost as much again
            found = self._open().execute("SELECT value FROM kept WHERE path = ?", (str(path),)).fetchone()
        except (OSError, sqlite3.Error) as error:
            raise _translated(error) from error
        return None if found is None else found[0]

    def _page(self, after: str) -> list[tuple[str, bytes]]:
        if not self._rows:
            return []
        try:
            page: list[tuple[str, bytes]] = self._open().execute(_PAGE, (after, _PAGE_ROWS)).fetchall()
        except (OSError, sqlite3.Error) as error:
            raise _translated(error) from error
        return page

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._connect()
        return self._database


class _Items(ItemsView[RelPath, V]):
    def __init__(self, tree: Spilled[V]) -> None:
        super().__init__(tree)
        self._tree = tree

    def __iter__(self) -> Iterator[tuple[RelPath, V]]:
        return self._tree.walk()


class _Values(ValuesView[V]):
    def __init__(self, tree: Spilled[V]) -> None:
        super().__init__(tree)
        self._tree = tree

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._tree.walk())


def _translated(error: Exception) -> StorageError:
    return StorageError(f"the file of what others have: {error}")
