"""What this machine remembers of the folder: entries, what was agreed, and the journal; SQLite in `.gsync/`.

One method call is one transaction, durable when it returns (WAL, synchronous=FULL: else a power cut could re-use a version
number for other content). Blocking; all calls come from one thread at a time. sqlite3's errors become `StorageError`.

An index that cannot be read is set aside as `index.sqlite.damaged-<UTC time>` and made anew, one of the classic system
likewise as `index.sqlite.old-<UTC time>`; one that belongs to another folder (this one is a copy) keeps its entries. All get
a new author: the old one may be speaking elsewhere, or had counted further than is known here.
"""

from __future__ import annotations

import gc
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import Final, Self

from msgspec import Struct

from gsync.core.model import Entry, FileMeta, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import FolderUnusable, IndexDamaged, StorageError
from gsync.storage import rows
from gsync.storage.journal import JournalRow
from gsync.storage.own_folder import RandomHex

FILE: Final = "index.sqlite"
SCHEMA_VERSION: Final = "2"
OLD_SCHEMAS: Final = frozenset({"1"})
"""What the classic system wrote: it knew neither subfolders nor deletions, and no digests as they are now."""


_AUTHOR_BYTES: Final = 8
_PAGE_BYTES: Final = 4096
_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CONSTRAINT,
    }
)
"""What says nothing about the file: trouble of the disk or the machine, or a value of ours that does not fit."""

_SCHEMA: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE entry (path TEXT PRIMARY KEY, kind TEXT NOT NULL, fingerprint TEXT NOT NULL, version TEXT NOT NULL,"
    " digest TEXT NOT NULL, target TEXT NOT NULL, author TEXT NOT NULL, moved_from TEXT NOT NULL, leftover TEXT NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE synced (path TEXT PRIMARY KEY, version TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE journal (name TEXT PRIMARY KEY, path TEXT NOT NULL, state TEXT NOT NULL, entry TEXT NOT NULL,"
    " expected TEXT NOT NULL, displaced TEXT NOT NULL, loser TEXT NOT NULL)"
    " WITHOUT ROWID",
)

_ENTRIES: Final = "SELECT path, kind, fingerprint, version, digest, target, author, moved_from, leftover FROM entry"


class Fate(Enum):
    """What was found when the index was opened."""

    FOUND = auto()
    NEW = auto()
    DAMAGED = auto()
    """It could not be read; it was set aside and made anew."""
    OLD = auto()
    """The classic system wrote it; it was set aside and made anew. Nothing of the folder is lost, versions start anew."""
    COPIED = auto()
    """It belongs to another folder, of which this one is a copy."""


class Contents(Struct, frozen=True, kw_only=True):
    """All that the index remembers, for the start."""

    author: str
    local: dict[RelPath, FileMeta]
    buried: dict[RelPath, Tombstone]
    """Never at a path of `local`."""
    synced: dict[RelPath, Version]


class Index:
    """The open index; made by `open`. `author` is this index lifetime's author id, 16 hex digits.

    `has_history` is false until the first record of a whole scan: only then is an unknown name known to be new.
    """

    def __init__(self, database: sqlite3.Connection, *, author: str, fate: Fate) -> None:
        self._database = database
        self.author = author
        self.fate = fate
        self.has_history = False
        self._journalled: frozenset[str] | None = (
            frozenset()
        )  # names of the rows of the journal; None: not known any more
        self._fresh: Contents | None = None  # what `open` read to check it, for the first `load`

    @classmethod
    def open(
        cls,
        directory: int | Path,
        *,
        root_id: str,
        random_hex: RandomHex = secrets.token_hex,
        wall_clock: Callable[[], float] = time.time,
    ) -> Self:
        """The index in `directory`: a descriptor of `.gsync/` (it stays yours) or a path.

        Raises `StorageError`; `FolderUnusable` for a planted link, or an index that a newer gsync wrote.
        """
        # SQLite has no openat; through the descriptor's own entry it gets the right directory whatever its path is now.
        place = Path(f"/proc/self/fd/{directory}") if isinstance(directory, int) else directory
        _refuse_links(place)
        try:
            return cls._opened(place, root_id=root_id, random_hex=random_hex)
        except _OldSchema:
            fate = Fate.OLD
        except IndexDamaged:
            fate = Fate.DAMAGED
        _set_aside(place, fate, wall_clock())
        fresh = cls._opened(place, root_id=root_id, random_hex=random_hex)
        fresh.fate = fate
        return fresh

    def load(self) -> Contents:
        """Everything but the journal."""
        fresh, self._fresh = self._fresh, None
        if fresh is not None:
            return fresh
        local: dict[RelPath, FileMeta] = {}
        buried: dict[RelPath, Tombstone] = {}
        read = rows.Reader()
        with _translated(), _without_collector():
            for path, entry in map(read.entry, self._database.execute(_ENTRIES)):
                if isinstance(entry, FileMeta):
                    local[path] = entry
                else:
                    buried[path] = entry
            synced = dict(map(read.synced, self._database.execute("SELECT path, version FROM synced")))
        return Contents(author=self.author, local=local, buried=buried, synced=synced)

    def record(
        self,
        *,
        entries: Mapping[RelPath, Entry | None] | None = None,
        synced: Mapping[RelPath, Version | None] | None = None,
        journal: Collection[JournalRow] = (),
        forget: Collection[str] = (),
        scanned: bool = False,
    ) -> None:
        """Remember all of it or nothing: None removes a path, `journal` rows are written, those named in `forget` removed.

        An entry takes the place of what was known at its path, a tombstone that of a file too. `scanned`: with this, the
        whole folder has been looked at (`has_history`).
        """
        entries, synced, journal, forget = entries or {}, synced or {}, tuple(journal), tuple(forget)
        scanned = scanned and not self.has_history
        if not (entries or synced or journal or forget or scanned):
            return  # most starts have nothing to finish: what `open` has read is not read again
        journalled, self._journalled = self._journalled, None
        self._fresh = None
        with self._transaction() as database:
            rows.put(database, "entry", (rows.entry_row(path, entry) for path, entry in entries.items() if entry))
            rows.remove(database, "entry", "path", (path for path, entry in entries.items() if entry is None))
            rows.put(
                database, "synced", (rows.synced_row(path, version) for path, version in synced.items() if version)
            )
            rows.remove(database, "synced", "path", (path for path, version in synced.items() if version is None))
            if journalled is not None and journalled.issubset(forget):
                database.execute("DELETE FROM journal")  # all of them together: that is many times faster
            else:
                rows.remove(database, "journal", "name", forget)
            rows.put(database, "journal", map(rows.journal_row, journal))
            if scanned:
                database.execute("REPLACE INTO meta VALUES ('scanned', '1')")
        self.has_history = self.has_history or scanned
        if journalled is not None:
            self._journalled = journalled.difference(forget).union(row.name for row in journal)

    def journal(self) -> list[JournalRow]:
        """Every row of the journal."""
        with _translated():
            found = [rows.parse_journal(row) for row in self._database.execute("SELECT * FROM journal ORDER BY name")]
        self._journalled = frozenset(row.name for row in found)
        return found

    def close(self) -> None:
        """Close the file; what was recorded is in it."""
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _translated(), ExitStack() as undo:  # of a kill, too: half a transaction must not stay open
            self._database.execute("BEGIN IMMEDIATE")
            undo.callback(self._roll_back)
            yield self._database
            self._database.execute("COMMIT")
            undo.pop_all()

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    @classmethod
    def _opened(cls, place: Path, *, root_id: str, random_hex: RandomHex) -> Self:
        if _size(place / FILE) % _PAGE_BYTES and not _size(place / (FILE + "-wal")):
            # SQLite would read zeros for the rest. With a log beside it, the log still has the page: a full disk does that.
            raise IndexDamaged("the index was cut in the middle of a page")
        with _translated():
            database = sqlite3.connect(place / FILE, isolation_level=None, check_same_thread=False)
        with ExitStack() as undo:  # whatever happens: nobody else knows the database yet
            undo.callback(database.close)
            index = cls(database, author="", fate=Fate.FOUND)
            index._prepare(root_id=root_id, random_hex=random_hex)
            undo.pop_all()
        return index

    def _prepare(self, *, root_id: str, random_hex: RandomHex) -> None:
        """Check that all of it can be read, make what a new one needs, settle whose voice it is."""
        with _translated():
            self._database.execute(f"PRAGMA page_size={_PAGE_BYTES}")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            tables = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables and self._database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise IndexDamaged("the index does not pass SQLite's check")
        meta = self._meta() if tables else {}
        if not tables:
            self.fate = Fate.NEW
        elif not meta.get("schema") or not meta.get("author"):
            raise IndexDamaged("the index does not say whose it is")
        elif meta["schema"] in OLD_SCHEMAS:
            raise _OldSchema("the classic system wrote the index")
        elif meta["schema"] != SCHEMA_VERSION:
            raise FolderUnusable(
                f"another version of gsync wrote the index of this folder (schema {meta['schema']!r})",
                advice="Use that version, the newer one, here.",
            )
        elif meta.get("root") != root_id:
            self.fate = Fate.COPIED
        self.author = meta["author"] if self.fate is Fate.FOUND else random_hex(_AUTHOR_BYTES)
        if tables:
            self._fresh = self.load()
            self.journal()
        if self.fate is Fate.FOUND:
            self.has_history = "scanned" in meta
            with self._transaction() as database:  # a damaged header may make a file that can be read but not written
                database.execute("UPDATE meta SET value = value WHERE key = 'schema'")
            return
        self._fresh = None
        with self._transaction() as database:
            for statement in () if tables else _SCHEMA:
                database.execute(statement)
            # The inodes that a copied index names are the original's; here they may be anybody's.
            database.execute("DELETE FROM journal")
            self._journalled = frozenset()
            database.execute("UPDATE entry SET leftover = '' WHERE leftover != ''")
            database.execute("DELETE FROM meta WHERE key = 'scanned'")
            database.executemany(
                "REPLACE INTO meta VALUES (?, ?)",
                (("schema", SCHEMA_VERSION), ("author", self.author), ("root", root_id)),
            )

    def _meta(self) -> dict[str, str]:
        with _translated():
            return dict(self._database.execute("SELECT key, value FROM meta"))


class _OldSchema(IndexDamaged):
    """A schema that is read no more."""


@contextmanager
def _without_collector() -> Iterator[None]:
    """Hold the garbage collector off while hundreds of thousands of values are made: it would look through them all again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.ProgrammingError as error:
        raise StorageError(f"the index: {error}") from error
    except sqlite3.DatabaseError as error:
        # No code: sqlite3 itself could not make text of what it read.
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _PASSING:
            raise StorageError(f"the index: {error}") from error
        raise IndexDamaged(f"the index: {error}") from error
    except sqlite3.Error as error:
        raise StorageError(f"the index: {error}") from error
    except UnicodeDecodeError as error:  # what sqlite3 raises when the text of its own message quotes damaged bytes
        raise IndexDamaged(f"the index: {error}") from error


def _refuse_links(place: Path) -> None:
    """Refuse an index that is a link or a directory: somebody planted it to lead us away."""
    for suffix in _SUFFIXES:
        path = place / (FILE + suffix)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise FolderUnusable(
                f"{path.name} in gsync's own folder is not a regular file",
                advice="Move it away, then start gsync again.",
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _set_aside(place: Path, fate: Fate, now_s: float) -> None:
    mark = datetime.fromtimestamp(now_s, UTC).strftime(f".{fate.name.lower()}-%Y%m%dT%H%M%SZ")
    try:
        for suffix in _SUFFIXES:
            path = place / (FILE + suffix)
            if path.exists():
                path.rename(place / (FILE + mark + suffix))
    except OSError as error:
        raise StorageError(f"the {fate.name.lower()} index cannot be set aside: {error.strerror}") from error
