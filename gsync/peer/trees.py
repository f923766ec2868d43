"""The three trees of one peer, as its loops share them, and the names it serves.

Only plain assignments happen here, no I/O and no waiting, so every loop sees whole states. The local tree changes through
`note_local`, which also keeps the sorted names that tell a request cut in the middle from a whole one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gsync.core.model import FileMeta, Kind, Offer, Record
from gsync.core.names import RelPath
from gsync.core.records import record_of
from gsync.core.versions import Version
from gsync.wire.requests import SortedNames


class Trees:
    """local: last seen on disk; remote: last heard from the tracker; synced: last agreed with somebody else."""

    def __init__(self, local: Mapping[RelPath, FileMeta], synced: Mapping[RelPath, Version]) -> None:
        self._local = dict(local)
        self.names = SortedNames(self._local)
        self.synced: dict[RelPath, Version] = dict(synced)
        self.remote: dict[RelPath, Offer] = {}
        self.generation = 0

    @property
    def local(self) -> Mapping[RelPath, FileMeta]:
        return self._local

    def note_local(self, changed: Mapping[RelPath, FileMeta], gone: Iterable[RelPath] = ()) -> None:
        """Take over what the disk shows now; `generation` moves if an announcement of it would differ."""
        for path in gone:
            if self._local.pop(path, None) is not None:
                self.names.discard(path)
                self.generation += 1
        for path, meta in changed.items():
            old = self._local.get(path)
            if old is None:
                self.names.add(path)
            if old is None or old.version.mtime_s != meta.version.mtime_s:
                self.generation += 1
            self._local[path] = meta

    def note_remote(self, offers: Mapping[RelPath, Offer]) -> set[RelPath]:
        """Replace the remote tree; the paths whose offer is new, changed, or gone."""
        old, self.remote = self.remote, dict(offers)
        changed = {path for path, offer in self.remote.items() if old.get(path) != offer}
        return changed | (old.keys() - self.remote.keys())

    def announced(self) -> dict[RelPath, int]:
        """What an Initial says: each name with its mtime in whole seconds."""
        return {path: meta.version.mtime_s for path, meta in self._local.items()}

    def records(self) -> Iterator[Record]:
        """Everything that can be announced to our own."""
        for path in tuple(self._local):
            if (record := self.record(path)) is not None:
                yield record

    def record(self, path: RelPath) -> Record | None:
        """What can be announced of `path`; None where there is nothing, or nothing that is known well enough."""
        entry = self._local.get(path)
        if entry is None or (entry.kind is not Kind.DIRECTORY and not entry.digest):
            return None
        return record_of(path, entry)
