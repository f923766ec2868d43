"""What stands here at one moment, where all of it was agreed with others: what a tracker that knows just the same need not be told.

After a restart that is mostly so. Then a digest says it, instead of a record for each file in both directions. Made by `trees.py`,
used by `tracker_link.py` and `mirror.py`; what stands here may change meanwhile, this does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gsync.core.mark_table import MarkTable
from gsync.core.marks import record_mark
from gsync.core.model import DIRECTORY, FILE, Entry, FileMeta, Record, SyncedTree, Tombstone
from gsync.core.names import RelPath
from gsync.core.pausing import Pause, no_pause, paused
from gsync.core.records import record_of

AGREED_MAX: Final = 250_000
"""Entries of which the digest is made: some 7 us each, before the tracker hears a word, which it waits for 30 s."""


class Agreed:
    """The entries of `local` and `buried`. `is_told` says whether one of them is told to others at all."""

    def __init__(
        self,
        *,
        local: Mapping[RelPath, FileMeta],
        buried: Mapping[RelPath, Tombstone],
        synced: SyncedTree,
        is_told: Callable[[RelPath, Entry], bool],
    ) -> None:
        self._entries: dict[RelPath, Entry] = {**local, **buried}
        self._synced = synced
        self._is_told = is_told

    def marks(self, pause: Pause = no_pause) -> MarkTable | None:
        """The marks of all records; None if one of them was never agreed, or may not be told. Some 7 us a record."""
        table = MarkTable()
        for path, entry in paused(self._entries.items(), pause):
            if not self._is_agreed(path, entry):
                return None
            table.put(path, record_mark(record_of(path, entry)))
        return table

    def records(self, pause: Pause = no_pause) -> Iterator[Record]:
        """All of them."""
        for path, entry in paused(self._entries.items(), pause):
            yield record_of(path, entry)

    def changed(self, now: Callable[[RelPath], Entry | None]) -> list[RelPath]:
        """Where something else stands `now`."""
        return [path for path, entry in self._entries.items() if now(path) is not entry]

    def _is_agreed(self, path: RelPath, entry: Entry) -> bool:
        if not self._is_told(path, entry):
            return False
        if isinstance(entry, Tombstone) or entry.kind is DIRECTORY:  # nobody says who has these
            return True
        return bool(entry.digest) and (entry.kind is not FILE or self._synced.get(path) == entry.version)
