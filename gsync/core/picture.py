"""The four trees at one moment, and what a plan asks of them across paths.

The answers that cost a walk over a whole tree are worked out when they are first asked for, and kept as long as the picture: one
plan. Long walks pause, and the trees may change then; what is kept is then of a moment before. Pure; made by the planner.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from gsync.core.model import (
    BuriedTree,
    FileMeta,
    LocalTree,
    LongTree,
    Offer,
    Record,
    RemoteTree,
    SyncedTree,
    Tombstone,
)
from gsync.core.names import RelPath
from gsync.core.pausing import Pause, no_pause, paused
from gsync.core.records import record_of
from gsync.core.versions import Version

Seen = tuple[FileMeta | None, Tombstone | None, Offer | None, Version | None]


class Picture:
    """What stands here, what was deleted here, what others offer, and what was agreed."""

    __slots__ = ("_named", "_offered", "_sorted", "_sorted_offers", "buried", "local", "pause", "remote", "synced")

    def __init__(
        self,
        *,
        local: LocalTree,
        buried: BuriedTree,
        remote: RemoteTree,
        synced: SyncedTree,
        pause: Pause = no_pause,
    ) -> None:
        self.local = local
        self.buried = buried
        self.remote = remote
        self.synced = synced
        self.pause = pause
        self._sorted: Sequence[RelPath] | None = None
        self._sorted_offers: Sequence[RelPath] | None = None
        self._named: dict[RelPath, set[RelPath]] | None = None
        self._offered: dict[RelPath, list[RelPath]] | None = None

    def at(self, path: RelPath) -> Seen:
        """What the trees say of `path` at this moment."""
        return self.local.get(path), self.buried.get(path), self.remote.get(path), self.synced.get(path)

    def offered(self, path: RelPath) -> Record | None:
        """The record that others offer at `path`; None also where only classic peers offer something."""
        offer = self.remote.get(path)
        return None if offer is None else offer.record

    def beneath(self, directory: RelPath) -> Iterator[RelPath]:
        """What stands here in `directory`, at any depth, in path order."""
        if self._sorted is None:
            self._sorted = sorted(self.local)
        yield from paused(beneath(self._sorted, directory), self.pause)

    def offered_beneath(self, directory: RelPath) -> Iterable[RelPath]:
        """What others offer in `directory`, at any depth, deletions too."""
        if isinstance(self.remote, LongTree):
            return self.remote.beneath(directory)
        if self._sorted_offers is None:
            self._sorted_offers = sorted(self.remote)
        return beneath(self._sorted_offers, directory)

    def renamed(self, path: RelPath) -> Record | None:
        """What stands at `path` here, or else is offered there, if its last step was a rename."""
        meta = self.local.get(path)
        if meta is not None:
            return None if meta.moved_from is None else record_of(path, meta)
        record = self.offered(path)
        return None if record is None or record.moved_from is None or record.deleted else record

    def names_for(self, source: RelPath) -> frozenset[RelPath]:
        """The paths of all entries that `renamed` tells to have been at `source`."""
        if self._named is None:
            self._named = {}
            for path, meta in self.local.items():
                if meta.moved_from is not None:
                    self._named.setdefault(meta.moved_from, set()).add(path)
        here = self._named.get(source, ())
        there = {path for path in self._offered_as_moved(source) if path not in self.local}
        return frozenset([*here, *(path for path in there if self.renamed(path) is not None)])

    def _offered_as_moved(self, source: RelPath) -> Iterable[RelPath]:
        """The paths whose offer says that it was moved from `source`."""
        if isinstance(self.remote, LongTree):
            return self.remote.labelled(source)
        if self._offered is None:
            self._offered = {}
            for path, offer in self.remote.items():
                if offer.record is not None and offer.record.moved_from is not None:
                    self._offered.setdefault(offer.record.moved_from, []).append(path)
        return self._offered.get(source, ())


def beneath(paths: Sequence[RelPath], directory: RelPath) -> Iterator[RelPath]:
    """Those of `paths`, which are in order, that lie in `directory`."""
    for at in range(bisect_left(paths, directory + "/"), len(paths)):
        if not paths[at].is_beneath(directory):
            return
        yield paths[at]


def stands_alone(seen: Seen) -> bool:
    """Whether no rename and no deletion ties what stands, or is offered, at a path to other paths, as it mostly is."""
    meta, tombstone, offer, _ = seen
    if tombstone is not None or (meta is not None and meta.moved_from is not None):
        return False
    record = None if offer is None else offer.record
    return record is None or (record.moved_from is None and not record.deleted)
