"""A folder on demand: of what a plan would bring, that which is wanted, or is here already under another name.

Absent is not deleted. What is not here says nothing about what others have; what is here is kept as it is anywhere: updated,
renamed, deleted, brought to agreement. So only placing something where nothing stands is left out. Directories come as they are
needed, above what is brought. One that was deleted here although others have something in it comes back, as it does everywhere
else, where that something is brought; but what its deleter himself had in it does not come: news of that is on its way. And what
was deleted here while somebody edited it comes back: nobody else could settle that.

Pure; called by the planner, which owns the table of all that a mirrored folder would do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from gsync.core.actions import Action, Fetch, MakeDirectory, MakeLink, Relocate
from gsync.core.diff import Changes
from gsync.core.model import BuriedTree, FileMeta, Kind, LocalTree, Record, RemoteTree, SyncedTree
from gsync.core.names import RelPath
from gsync.core.pausing import paused
from gsync.core.picture import Picture
from gsync.core.records import order, record_of
from gsync.core.versions import MTIME, Order, Version, join

Decide = Callable[[RelPath], Action | None]
Wants = Callable[[RelPath], bool]


def covered_names(asked: Iterable[RelPath], picture: Picture) -> set[RelPath]:
    """What others have in those of `asked` that are no directories here (any more): a mirrored folder would have had it here."""
    covered: set[RelPath] = set()
    for path in paused(asked, picture.pause):
        here = picture.local.get(path)
        if (here is not None and here.kind is not Kind.DIRECTORY) or path in picture.buried:
            covered.update(inner for inner in picture.offered_beneath(path) if _stands_elsewhere(inner, picture))
    return covered


def as_wanted(
    actions: Mapping[RelPath, Action],
    asked: Iterable[RelPath],
    picture: Picture,
    decide: Decide,
    *,
    wants: Wants,
    author: str,
) -> dict[RelPath, Action]:
    """`actions`, without those that would bring what nobody wants, and with the directories that the others need."""
    after = {
        path: action
        for path, action in actions.items()
        if not _brings(action)
        or _settles_a_deletion(path, picture)
        or (wants(path) and not _has_news_to_come(path, picture, author))
    }
    for path, action in tuple(after.items()):
        if not _brings(action) and not isinstance(action, Relocate):
            continue
        for above in path.ancestors:
            if above not in picture.local and above not in after and isinstance(decide(above), MakeDirectory):
                needed = decide(above)
                assert needed is not None
                after[above] = needed
    for directory in _missed(asked, picture, author) if author else ():
        if directory not in after:
            after[directory] = _again(directory, picture, author)
    return after


def unknowing(
    changes: Changes,
    *,
    local: LocalTree,
    buried: BuriedTree,
    remote: RemoteTree,
    synced: SyncedTree,
    author: str,
) -> Changes:
    """`changes`, in which what was made under the name of something absent (offered, or freed here) is no later version of that.

    Whoever writes there has not seen it; it may have been his own before he freed it, so that his next step would include it.
    """
    unseen: dict[RelPath, FileMeta] = {}
    for path, meta in changes.changed.items():
        if path in local or path in buried or meta.author != author:
            continue
        offer = remote.get(path)
        others = [version for version in (synced.get(path), offer.version if offer is not None else None) if version]
        if others:
            unseen[path] = replace(meta, version=beside(join(others), author, meta.version.mtime_s))
    return replace(changes, changed={**changes.changed, **unseen}) if unseen else changes


def beside(other: Version, author: str, disk_mtime_s: int) -> Version:
    """The version of what `author` made without knowing of `other`, whose path it has: neither is newer.

    For `other`, and all that is made of it, is later, and lacks this step.
    """
    steps = dict(other.counters).get(author, 0) + 1
    return Version.from_vector({author: steps, MTIME: max(0, min(disk_mtime_s, other.mtime_s - 1))})


def _brings(action: Action) -> bool:
    return isinstance(action, Fetch | MakeDirectory | MakeLink) and action.expected is None


def _settles_a_deletion(path: RelPath, picture: Picture) -> bool:
    """Whether it was deleted here and edited elsewhere, neither knowing of it: only who brings the edit can say that it stays.

    What classic peers made after the deletion is such an edit: they know of none.
    """
    grave, offer = picture.buried.get(path), picture.remote.get(path)
    if grave is None or offer is None:
        return False
    return offer.record is None or order(offer.record, record_of(path, grave)) is Order.CONCURRENT


def _missed(asked: Iterable[RelPath], picture: Picture, author: str) -> set[RelPath]:
    """Directories that were deleted here, and are nowhere offered, although others have something in them.

    Here, and by nobody else: who deleted one elsewhere deleted what was in it, too, which may be news still to come.
    """
    return {
        above
        for path in paused(asked, picture.pause)
        if _stands_elsewhere(path, picture)
        for above in path.ancestors
        if _is_deleted(above, picture) and picture.buried[above].author == author
    }


def _has_news_to_come(path: RelPath, picture: Picture, author: str) -> bool:
    """Whether another who made what is offered at `path` deleted a directory above it: either it is deleted, too, or that is back.

    To bring it now would bring the directory back.
    """
    record = picture.offered(path)
    if record is None or record.author in ("", author):
        return False
    return any(record.author in _deleters(above, picture) for above in path.ancestors)


def _deleters(path: RelPath, picture: Picture) -> set[str]:
    """Who deleted it, as far as is known here and heard from elsewhere; nobody, where it stands or others have it."""
    grave, offered = picture.buried.get(path), picture.offered(path)
    if path in picture.local or (offered is not None and not offered.deleted):
        return set()
    return {deletion.author for deletion in (grave, offered) if deletion is not None}


def _stands_elsewhere(path: RelPath, picture: Picture) -> bool:
    record = picture.offered(path)
    return record is not None and not record.deleted and path not in picture.local


def _is_deleted(path: RelPath, picture: Picture) -> bool:
    """Whether it is buried here, and nobody offers anything else; it may have been a link that had taken a directory's place."""
    offered = picture.offered(path)
    return path in picture.buried and (offered is None or offered.deleted)


def _again(path: RelPath, picture: Picture, author: str) -> MakeDirectory:
    offered = picture.offered(path)
    known = [picture.buried[path].version, *([offered.version] if offered is not None else [])]
    version = join(known).edited_by(author, 0)
    record = Record(path=path, kind=Kind.DIRECTORY, version=version, author=author)
    return MakeDirectory(path=path, record=record, version=version, grave=picture.buried[path].version)
