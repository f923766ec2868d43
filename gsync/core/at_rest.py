"""Where a plan would do nothing, found out for less than a plan costs: what stands as it is offered, and what is newer here.

Most paths whose trees change are so: an edit of this machine, and the word of the others that they have it now. Never says so where
the planner would do something; where it is not sure, the planner is asked. Pure; called by `peer.trees`.
"""

from __future__ import annotations

from gsync.core.model import BuriedTree, Entry, FileMeta, LocalTree, Offer, Record, RemoteTree, SyncedTree, Tombstone
from gsync.core.names import RelPath
from gsync.core.records import looks_like
from gsync.core.versions import Order, compare_vectors


class AtRest:
    """Judges by these trees, as they are at each question."""

    __slots__ = ("_buried", "_local", "_remote", "_synced")

    def __init__(self, *, local: LocalTree, buried: BuriedTree, remote: RemoteTree, synced: SyncedTree) -> None:
        self._local = local
        self._buried = buried
        self._remote = remote
        self._synced = synced

    def is_settled(self, path: RelPath, offer: Offer) -> bool:
        """Whether what is offered stands here just so, with nobody to agree with about it any more.

        What was renamed is settled when its old name is.
        """
        theirs = offer.record
        if theirs is None or not self._stands_just_so(path, offer, theirs):
            return False
        source = theirs.moved_from
        if source is None:
            return True
        here = self._local.get(path)
        if here is None or here.moved_from != source:
            return False
        old = self._remote.get(source)
        return old is None or (old.record is not None and self._stands_just_so(source, old, old.record))

    def is_ahead(self, path: RelPath) -> bool:
        """Whether what stands here, or was deleted here, is newer than all that others offer; and so at its old name."""
        entry = self._here(path)
        if entry is None or not self._is_newer(path, entry):
            return False
        source = entry.moved_from if isinstance(entry, FileMeta) else None
        there = None if source is None else self._here(source)
        return source is None or there is None or self._is_newer(source, there)

    def _here(self, path: RelPath) -> Entry | None:
        return self._local.get(path) or self._buried.get(path)

    def _stands_just_so(self, path: RelPath, offer: Offer, theirs: Record) -> bool:
        entry = self._here(path)
        if entry is None or theirs.version != entry.version or not looks_like(theirs, entry):
            return False
        return isinstance(entry, Tombstone) or not offer.sources or self._synced.get(path) == entry.version

    def _is_newer(self, path: RelPath, entry: Entry) -> bool:
        offer = self._remote.get(path)
        if offer is None:
            return True
        return offer.record is not None and compare_vectors(offer.record.version, entry.version) is Order.OLDER
