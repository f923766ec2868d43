"""The trees of one peer, as its loops share them: what is here, what is buried, what others have, what was agreed.

Only plain assignments happen here, no I/O and no waiting, so every loop sees whole states. `local` and `buried` change through
`note_local`, which also keeps what is derived from them: the names that classic requests may ask for, and which paths hold
which content. `remote` changes through `note_remote` (a whole directory) and `note_offers` (what moved in it);
of a large one most is no longer in memory (`storage.spilled`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from gsync.core.actions import Plan
from gsync.core.at_rest import AtRest
from gsync.core.demand import unknowing
from gsync.core.diff import Changes
from gsync.core.model import DIRECTORY, FILE, Entry, FileMeta, Kind, Offer, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.pausing import Pause, no_pause, paused
from gsync.core.planner import Policy, plan
from gsync.core.records import looks_like, record_of
from gsync.core.versions import Version
from gsync.peer.agreed import AGREED_MAX, Agreed
from gsync.peer.sweep import Sweep
from gsync.storage.index import Contents
from gsync.storage.offer_rows import offer_tree
from gsync.storage.spilled import Spilled
from gsync.wire.requests import SortedNames


class Trees:
    """local: last seen on disk; buried: deleted, and remembered; remote: last heard; synced: last agreed with somebody else.

    Without `tells_edits` only what was agreed with others is announced: nothing of this machine's own making. `new_tree` makes
    a remote tree with nothing in it.
    """

    def __init__(
        self,
        local: Mapping[RelPath, FileMeta],
        synced: Mapping[RelPath, Version],
        buried: Mapping[RelPath, Tombstone] | None = None,
        *,
        tells_edits: bool = True,
        new_tree: Callable[[], Spilled[Offer]] = offer_tree,
    ) -> None:
        self._local = dict(local)
        self._buried = dict(buried or {})
        self._tells_edits = tells_edits
        self.on_demand = False
        """Whether they agree with others although most is not here."""
        self._by_digest: dict[str, RelPath | set[RelPath]] = {}  # mostly one, and a set of one is 200 bytes
        self._children: Counter[str] = Counter()
        for path, meta in self._local.items():
            self._learn_digest(path, meta)
            self._count_in_parent(path, 1)
        self.names = SortedNames(path for path, meta in self._local.items() if _is_classic(path, meta))
        self.synced: dict[RelPath, Version] = dict(synced)
        self.new_tree = new_tree
        self.remote = new_tree()
        self._unnamed: set[RelPath] = set()
        self._stamp = 0
        self.generation = 0

    @classmethod
    def of(cls, known: Contents, *, sends: bool, on_demand: bool, new_tree: Callable[[], Spilled[Offer]]) -> Trees:
        """Those of a folder of which the index knew this."""
        trees = cls(known.local, known.synced, known.buried, tells_edits=sends, new_tree=new_tree)
        trees.on_demand = on_demand
        return trees

    @property
    def local(self) -> Mapping[RelPath, FileMeta]:
        return self._local

    @property
    def buried(self) -> Mapping[RelPath, Tombstone]:
        return self._buried

    def note_local(self, changed: Mapping[RelPath, Entry], gone: Iterable[RelPath] = ()) -> None:
        """Take over what the disk shows now; `generation` moves if a classic announcement of it would differ."""
        self._stamp += 1
        for path in gone:
            self._drop(path)
            self._buried.pop(path, None)
        for path, entry in changed.items():
            if isinstance(entry, Tombstone):
                self._drop(path)
                self._buried[path] = entry
            else:
                self._buried.pop(path, None)
                self._put(path, entry)

    def note_remote(self, offers: Mapping[RelPath, Offer | None]) -> Sweep:
        """Replace the remote tree; finds out at which paths that is worth a plan. A tree of `new_tree` is taken as it is."""
        if isinstance(offers, Spilled):
            tree: Spilled[Offer] = offers
        else:
            tree = self.new_tree()
            tree.update((path, offer) for path, offer in offers.items() if offer is not None)
        old, self.remote = self.remote, tree
        self._stamp += 1
        return Sweep(old, tree, forget=self._forget_offer, is_settled=self._is_settled)

    def note_offers(self, offers: Mapping[RelPath, Offer | None]) -> set[RelPath]:
        """Change the remote tree at these paths (None: nobody offers it any more); the paths where that is worth a plan."""
        changed = set()
        for path, offer in offers.items():
            before = self.remote.get(path)
            if before == offer:
                continue
            self._stamp += 1
            self._forget_offer(before)
            if offer is None:
                del self.remote[path]
            else:
                self.remote[path] = offer
            if offer is None or not self._is_settled(path, offer, before):
                changed.add(path)
        return changed

    def offered(self, path: RelPath) -> Offer | None:
        """What others have at `path`, whichever tree holds it by now."""
        return self.remote.get(path)

    def is_settled(self, path: RelPath) -> bool:
        """Whether what is offered at `path` stands here just so and was agreed: then a plan would find nothing to do there."""
        offer = self.remote.get(path)
        return offer is not None and self._is_settled(path, offer, offer)

    def is_ahead(self, path: RelPath) -> bool:
        """Whether what stands here, or was deleted here, is newer than all that others offer: no plan would do anything there."""
        return not self.on_demand and self._at_rest().is_ahead(path)

    def take_unnamed(self) -> set[RelPath]:
        """Paths that an entry named as its old name, and does not any more: they are to be planned with what changed
        (`core.planner.plan`). Each is given out once."""
        unnamed, self._unnamed = self._unnamed, set()
        return unnamed

    def plan(self, paths: Iterable[RelPath], policy: Policy, *, pause: Pause = no_pause) -> Plan:
        """What should happen to `paths` now."""
        return plan(
            paths,
            local=self._local,
            buried=self._buried,
            remote=self.remote,
            synced=self.synced,
            policy=policy,
            pause=pause,
        )

    def stamp(self) -> int:
        """The same number as before only if no record has changed since, of what is here and of what is offered."""
        if not self._tells_edits:
            self._stamp += 1  # what can be told hangs on what was agreed, too
        return self._stamp

    def announced(self) -> dict[RelPath, int]:
        """What an Initial says: each regular file at the top with its mtime in whole seconds."""
        return {
            path: meta.version.mtime_s
            for path, meta in self._local.items()
            if _is_classic(path, meta) and self._is_told(path, meta)
        }

    def records(self) -> Iterator[Record]:
        """Everything that can be announced to our own, deletions too."""
        for path in (*self._local, *self._buried):
            if (record := self.record(path)) is not None:
                yield record

    def record(self, path: RelPath) -> Record | None:
        """What can be announced of `path`; None where there is nothing, or nothing that is known well enough."""
        entry: Entry | None = self._local.get(path) or self._buried.get(path)
        if entry is None or not (self._tells_edits or self._is_told(path, entry)):
            return None
        if not entry.digest and isinstance(entry, FileMeta) and entry.kind is not DIRECTORY:
            return None
        return record_of(path, entry)

    def agreed(self) -> Agreed | None:
        """What stands here now, if it may be that all of it was agreed with others."""
        if self.on_demand or not self.synced or len(self._local) + len(self._buried) > AGREED_MAX:
            return None
        return Agreed(local=self._local, buried=self._buried, synced=self.synced, is_told=self._is_told)

    def entry(self, path: RelPath) -> Entry | None:
        """What stands at `path`, or is remembered to have been deleted there."""
        return self._local.get(path) or self._buried.get(path)

    def holders_of(self, digest: str) -> Iterable[RelPath]:
        """The paths of the files here that have this content."""
        paths = self._by_digest.get(digest, ())
        return (paths,) if isinstance(paths, RelPath) else paths

    def kept_back(self) -> int:
        """How many edits of this machine are told to nobody."""
        if self._tells_edits:
            return 0
        edits = sum(not self._is_told(path, meta) for path, meta in self._local.items())
        return edits + sum(not self._is_told(path, tombstone) for path, tombstone in self._buried.items())

    def agrees_with_remote(self, is_ignored: Callable[[RelPath, Kind], bool], *, pause: Pause = no_pause) -> bool:
        """Whether everything that others offer stands here, and everything that stands here is what they offer; what is ignored
        here aside."""
        offered = 0
        for path, offer in paused(self.remote.items(), pause):
            if is_ignored(path, offer.record.kind if offer.record is not None else FILE):
                continue
            entry: Entry | None = self._local.get(path) or self._buried.get(path)
            if self._may_be_absent(path, offer):
                continue
            if entry is None or not _is_what_is_offered(entry, offer):
                return False
            offered += isinstance(entry, FileMeta)
        return offered == len(self._local)

    def holds_what_is_offered(self, is_ignored: Callable[[RelPath, Kind], bool], *, pause: Pause = no_pause) -> bool:
        """The first half of that: all that one can know through a classic tracker, which does not say who has what is here."""
        for path, offer in paused(self.remote.items(), pause):
            entry = self._local.get(path) or self._buried.get(path)
            if self._may_be_absent(path, offer):
                continue
            if not is_ignored(path, FILE) and (entry is None or not _is_what_is_offered(entry, offer)):
                return False
        return True

    def untold_by_classic(self) -> int:
        """Of how many names and deletions no classic tracker can tell others: what is no file at the top of the folder, and what
        was deleted here and is there elsewhere."""
        names = sum(not _is_classic(path, meta) for path, meta in self._local.items())
        return names + sum(path in self.remote for path in self._buried)

    def has_children(self, path: RelPath) -> bool:
        """Whether something that is synced stands in the directory `path`."""
        return self._children[path] > 0

    def unknowing(self, changes: Changes, author: str) -> Changes:
        """`changes`, in which what was made in a folder on demand knows nothing of what was absent under its name."""
        if not self.on_demand:
            return changes
        return unknowing(
            changes, local=self._local, buried=self._buried, remote=self.remote, synced=self.synced, author=author
        )

    def _may_be_absent(self, path: RelPath, offer: Offer) -> bool:
        return self.on_demand and path not in self._local and not offer.is_deletion

    def _is_settled(self, path: RelPath, offer: Offer, before: Offer | None) -> bool:
        """Whether what is offered stands here just so, with nobody to agree with about it any more: no plan would do anything.

        Where something else was offered before, a plan may have said something that does not hold any more.
        """
        if self.on_demand or (before is not None and before is not offer and before.record != offer.record):
            return False
        return self._at_rest().is_settled(path, offer)

    def _at_rest(self) -> AtRest:
        return AtRest(local=self._local, buried=self._buried, remote=self.remote, synced=self.synced)

    def _is_told(self, path: RelPath, entry: Entry) -> bool:
        return self._tells_edits or self.synced.get(path) == entry.version

    def _put(self, path: RelPath, meta: FileMeta) -> None:
        old = self._local.get(path)
        was_classic = old is not None and _is_classic(path, old)
        if old is None:
            self._count_in_parent(path, 1)
        else:
            self._forget_entry(path, old)
        self._local[path] = meta
        self._learn_digest(path, meta)
        if _is_classic(path, meta):
            if not was_classic:
                self.names.add(path)
            if old is None or not was_classic or old.version.mtime_s != meta.version.mtime_s:
                self.generation += 1
        elif was_classic:
            self.names.discard(path)
            self.generation += 1

    def _drop(self, path: RelPath) -> None:
        old = self._local.pop(path, None)
        if old is None:
            return
        self._forget_entry(path, old)
        self._count_in_parent(path, -1)
        if _is_classic(path, old):
            self.names.discard(path)
            self.generation += 1

    def _count_in_parent(self, path: RelPath, step: int) -> None:
        parent, slash, _ = path.rpartition("/")
        if not slash:
            return
        count = self._children[parent] + step
        if count:
            self._children[parent] = count
        else:
            del self._children[parent]

    def _learn_digest(self, path: RelPath, meta: FileMeta) -> None:
        if not meta.digest or meta.kind is not FILE:
            return
        paths = self._by_digest.setdefault(meta.digest, path)
        if isinstance(paths, set):
            paths.add(path)
        elif paths != path:
            self._by_digest[meta.digest] = {paths, path}

    def _forget_entry(self, path: RelPath, meta: FileMeta) -> None:
        self._forget_digest(path, meta)
        if meta.moved_from is not None:
            self._unnamed.add(meta.moved_from)

    def _forget_offer(self, offer: Offer | None) -> None:
        if offer is not None and offer.record is not None and offer.record.moved_from is not None:
            self._unnamed.add(offer.record.moved_from)

    def _forget_digest(self, path: RelPath, meta: FileMeta) -> None:
        paths = self._by_digest.get(meta.digest)
        if isinstance(paths, set):
            paths.discard(path)
            if len(paths) == 1:
                self._by_digest[meta.digest] = paths.pop()
        elif paths == path:
            del self._by_digest[meta.digest]


def _is_what_is_offered(entry: Entry, offer: Offer) -> bool:
    """Whether this is the same; classic peers know of no deletions, so one that came after theirs agrees with them."""
    if offer.record is not None:
        return looks_like(offer.record, entry)
    if isinstance(entry, Tombstone):
        return entry.version.mtime_s >= offer.version.mtime_s
    return entry.kind is FILE and entry.version.mtime_s == offer.version.mtime_s


def _is_classic(path: RelPath, meta: FileMeta) -> bool:
    """Whether the classic dialect can speak of it: a regular file at the top of the folder."""
    return "/" not in path and meta.kind is FILE
