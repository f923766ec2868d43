"""A folder in memory, a real index, and a publisher over both, that can be crashed and started again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gsync.core.actions import Displaced
from gsync.core.blocks import digest_of_bytes
from gsync.core.diff import Changes, Seen, diff
from gsync.core.model import Entry, FileMeta, Fingerprint, Kind, Tombstone
from gsync.core.moves import paired
from gsync.core.names import RelPath
from gsync.core.versions import Version, join
from gsync.storage.downloads import Change, Download, NewDirectory, NewLink, Outcome, Released, Removal
from gsync.storage.filesystem import Found
from gsync.storage.hashing import digest_of
from gsync.storage.index import Index
from gsync.storage.journal import JournalRow
from gsync.storage.memory import MemoryFolder
from gsync.storage.publisher import Publisher
from gsync.storage.scanner import scan

START_S = 1_700_000_000
NEW_S = START_S + 1_000
LATER_NS = (START_S + 5_000) * 10**9
AUTHOR_OF_OLD = Version.from_vector({"0123456789abcdef": 3, "mtime": START_S})
THEIRS = Version.from_vector({"aa": 1, "mtime": NEW_S})
"""Somebody else's step."""


class Crash(BaseException):
    """The program ends here."""


class WatchedIndex(Index):
    """An index that tells when it is about to write, and when it has written."""

    on_call: Callable[[str], None] = staticmethod(lambda method: None)

    def record(
        self,
        *,
        entries: Mapping[RelPath, Entry | None] | None = None,
        synced: Mapping[RelPath, Version | None] | None = None,
        journal: Iterable[JournalRow] = (),
        forget: Iterable[str] = (),
        scanned: bool = False,
    ) -> None:
        self.on_call("record")
        super().record(entries=entries, synced=synced, journal=journal, forget=forget, scanned=scanned)
        self.on_call("recorded")


class World:
    """Everything that publishing needs; `start` is a start of the program."""

    def __init__(self, directory: Path, *, folder: MemoryFolder | None = None) -> None:
        self.folder = folder or MemoryFolder(wall_clock=lambda: float(START_S))
        self.seconds = 0.0
        self.wall_s = float(START_S)
        self._directory = directory
        self.start()

    def start(self) -> list[Released]:
        self.index = WatchedIndex.open(self._directory, root_id=self.folder.root_id)
        self.index._database.execute("PRAGMA synchronous=OFF")  # no test pulls the plug of the machine it runs on
        self.publisher = Publisher(self.folder, self.index, clock=lambda: self.seconds, wall_clock=lambda: self.wall_s)
        return self.publisher.recover()

    def crash_and_start(self, *, keep: int) -> list[Released]:
        """A power cut; the first `keep` renames since the last sync of names are on the disk."""
        self.index.close()
        self.folder.crash(keep=keep)
        return self.start()

    def kill_and_start(self) -> list[Released]:
        """The process is killed, the machine goes on."""
        self.index.close()
        return self.start()

    def end(self) -> None:
        self.index.close()

    def watch(self, on_call: Callable[[str], None]) -> None:
        """Have every call of the folder and every write of the index told to `on_call`."""
        self.folder.on_call = on_call
        self.index.on_call = on_call

    def unwatch(self) -> None:
        self.watch(lambda method: None)

    def save(self, name: str, content: bytes, *, version: Version = AUTHOR_OF_OLD) -> FileMeta:
        """A file of the person that the index knows."""
        path = RelPath.parse(name)
        self.folder.put(name, content, mtime_ns=START_S * 10**9)
        meta = FileMeta(fingerprint=self.shown(path), version=version, digest=digest_of_bytes(content))
        self.index.record(entries={path: meta}, synced={path: version})
        return meta

    def save_link(self, name: str, target: str, *, version: Version = AUTHOR_OF_OLD) -> FileMeta:
        """A link of the person that the index knows."""
        path = RelPath.parse(name)
        self.folder.link(name, target)
        digest = digest_of_bytes(target.encode())
        meta = FileMeta(fingerprint=self.shown(path), version=version, digest=digest, target=target)
        self.index.record(entries={path: meta}, synced={path: version})
        return meta

    def save_directory(self, name: str, *, version: Version = AUTHOR_OF_OLD) -> FileMeta:
        """A directory of the person that the index knows."""
        path = RelPath.parse(name)
        self.folder.mkdir(name)
        meta = FileMeta(fingerprint=self.shown(path), version=version)
        self.index.record(entries={path: meta}, synced={path: version})
        return meta

    def shown(self, path: RelPath) -> Fingerprint:
        fingerprint = self.folder.fingerprint(path)
        assert fingerprint is not None
        return fingerprint

    def publish(self, *batch: Change) -> list[Outcome]:
        return self.publisher.publish(batch)

    def changes(self) -> Changes:
        """What a scan would find to be different from what the index knows."""
        contents = self.index.load()
        known = contents.local
        found = scan(self.folder, known, now_ns=LATER_NS)
        seen = {
            path: Seen(fingerprint=one.fingerprint, target=one.target, digest=self._read(one, known.get(path)))
            for path, one in found.files.items()
        }
        return diff(
            known,
            seen,
            author=self.index.author,
            buried=contents.buried,
            moved=paired(known, seen),
            has_history=False,
        )

    def _read(self, found: Found, entry: FileMeta | None) -> str:
        """The digest of a file with another fingerprint than it had."""
        if found.fingerprint.kind is not Kind.FILE or entry is None or found.fingerprint == entry.fingerprint:
            return ""
        with self.folder.open(found.path) as file:
            return digest_of(file)

    def edits(self) -> set[RelPath]:
        """The paths that a scan would take for edits made here."""
        return {
            path for path, meta in self.changes().changed.items() if self.index.author in dict(meta.version.counters)
        }

    def everything(self) -> list[bytes]:
        """Every content that is anywhere."""
        return list(self.folder.contents().values())

    def in_folder(self) -> dict[str, bytes]:
        """What a person sees."""
        return {name: content for name, content in self.folder.contents().items() if not name.startswith(".gsync/")}

    def in_trash(self) -> list[bytes]:
        return [content for name, content in self.folder.contents().items() if name.startswith(".gsync/trash/")]


def download(
    name: str,
    content: bytes,
    *,
    over: FileMeta | None = None,
    displaced: Displaced = Displaced.TRASH,
    version: Version | None = None,
) -> Download:
    """A download of `content` that replaces what `over` says, or nothing."""
    return Download(
        path=RelPath.parse(name),
        version=version or Version.from_mtime(NEW_S),
        content=content,
        digest=digest_of_bytes(content),
        mtime_ns=NEW_S * 10**9,
        expected=over.fingerprint if over else None,
        displaced=displaced,
        loser=over,
    )


def directory(name: str, *, over: FileMeta | None = None, displaced: Displaced = Displaced.TRASH) -> NewDirectory:
    """A directory that replaces what `over` says, or nothing."""
    return NewDirectory(
        path=RelPath.parse(name),
        version=THEIRS,
        author="aa",
        expected=over.fingerprint if over else None,
        displaced=displaced,
        loser=over,
    )


def link(name: str, target: str, *, over: FileMeta | None = None, displaced: Displaced = Displaced.TRASH) -> NewLink:
    """A link that replaces what `over` says, or nothing."""
    return NewLink(
        path=RelPath.parse(name),
        version=THEIRS,
        target=target,
        digest=digest_of_bytes(target.encode()),
        author="aa",
        expected=over.fingerprint if over else None,
        displaced=displaced,
        loser=over,
    )


def removal(name: str, over: FileMeta, *, displaced: Displaced = Displaced.TRASH) -> Removal:
    """The removal of what `over` says."""
    grave = Tombstone(version=join([over.version, THEIRS]), kind=over.kind, digest=over.digest, author="aa")
    return Removal(path=RelPath.parse(name), expected=over, tombstone=grave, displaced=displaced)
