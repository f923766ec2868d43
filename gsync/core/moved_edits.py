"""An edit follows what it edits to its new name, when somebody edited a file that somebody else renamed meanwhile.

The old path then has a tombstone and an edit, neither knowing of the other. Alone the edit would win and bring the old name back.
But when exactly one live entry names that path as the one it was moved from, still has the content that was deleted there, and
the edit was made of that content, the edit belongs to that entry:

    who                                      sees                              does
    ---------------------------------------  --------------------------------  ---------------------------------------------
    holds the tombstone                      the edit, under the old name      brings it to the new name, as one more edit of that
    holds the tombstone and the edited file  the edit, under the old name      Bury at the join: so it goes from there, too
    holds the edit                           the tombstone, and the new name   Relocate to the new name, as one more edit of that

A step of our own, because counters of one path say nothing about another: a join with the edit's version could include an edit of
the new name that nobody has seen. Two who do the same have the same content, and join silently.

What is edited under the new name as well has another content, or no longer says from where it was moved; what was edited before
it was renamed is unknown to the edit; what was itself renamed to the old name is no edit of it; and who edited the old name and
has written under the new one knows both, and has something else under the old one. In all these cases the edit wins at the old
name, and both are kept. Pure; called by the planner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from gsync.core.actions import Action, Adopt, Bury, Fetch, MakeLink, Relocate, Relocated
from gsync.core.model import FileMeta, Kind, Offer, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.pausing import paused
from gsync.core.picture import Picture
from gsync.core.records import tombstone_of
from gsync.core.versions import Order, Version, compare_vectors, join

Decide = Callable[[RelPath], Action | None]


def split_names(asked: Iterable[RelPath], picture: Picture) -> set[RelPath]:
    """The other ends of those renames in `asked` whose file was edited meanwhile."""
    others: set[RelPath] = set()
    for path in paused(asked, picture.pause):
        if _is_edited_and_deleted(path, picture):
            others |= picture.names_for(path)
        renamed = picture.renamed(path)
        if (
            renamed is not None
            and renamed.moved_from is not None
            and _is_edited_and_deleted(renamed.moved_from, picture)
        ):
            others.add(renamed.moved_from)
    return others


def with_moved_edits(
    actions: Mapping[RelPath, Action], asked: Iterable[RelPath], picture: Picture, decide: Decide, author: str
) -> dict[RelPath, Action]:
    """`actions`, with what brings edits to new names in place of what would bring the old names back."""
    after = dict(actions)
    if not author:
        return after
    for old in paused(sorted(asked), picture.pause):
        split = _split(old, picture)
        if split is None:
            continue
        settled = (
            _taken_along(split, picture, decide, author) if split.here else _brought(split, picture, decide, author)
        )
        for path, action in settled.items():
            after.pop(path, None)
            if action is not None:
                after[path] = action
    return after


class _Split(Struct, frozen=True, kw_only=True):
    """One file of which two people had a different idea."""

    old: RelPath
    here: FileMeta | None
    """What stands here under the old name: the edit, or nothing."""
    grave: Tombstone
    """The deletion of the old name."""
    renamed: Record
    """What stands, or is to stand, under the new name."""
    offer: Offer
    """What others say of the old name: the edit where nothing stands here, else the deletion."""
    theirs: Record


def _split(old: RelPath, picture: Picture) -> _Split | None:
    if not _is_edited_and_deleted(old, picture):
        return None
    names = picture.names_for(old) - {old}
    renamed = picture.renamed(next(iter(names))) if len(names) == 1 else None
    offer = picture.remote[old]
    theirs = offer.record
    if renamed is None or theirs is None:
        return None
    here = picture.local.get(old)
    grave = tombstone_of(theirs) if here else picture.buried[old]
    edit = here or theirs
    if (
        renamed.kind is not edit.kind
        or edit.moved_from is not None
        or not _knew(edit.version, grave)
        or _knows_the_new_name(edit.version, grave, renamed)
    ):
        return None
    return _Split(old=old, here=here, grave=grave, renamed=renamed, offer=offer, theirs=theirs)


def _brought(split: _Split, picture: Picture, decide: Decide, author: str) -> Mapping[RelPath, Action | None]:
    """The edit is elsewhere, its file stands (or is to stand) here under its new name."""
    new, edit = split.renamed.path, split.theirs
    here = picture.local.get(new)
    if here is not None and here.digest == edit.digest:
        return {split.old: Bury(path=split.old, tombstone=_joined_grave(split, edit.version, edit.digest))}
    if split.renamed.digest != split.grave.digest:
        return {}
    if not _has_its_last_word(here, decide(new)):
        return {split.old: None}
    version = split.renamed.version.edited_by(author, edit.version.mtime_s)
    record = replace(edit, moved_from=split.old)
    buried = picture.buried.get(new)
    grave = buried.version if buried else None
    if edit.kind is Kind.LINK:
        record = replace(record, path=new, version=version)
        make = MakeLink(path=new, record=record, version=version, expected=here, grave=grave)
        return {split.old: None, new: make}
    offer = replace(split.offer, record=record)
    fetch = Fetch(path=new, offer=offer, expected=here, settles=version, grave=grave)
    return {split.old: None, new: fetch}


def _has_its_last_word(here: FileMeta | None, action: Action | None) -> bool:
    """Whether nothing else is to happen first at the new name: it stands as others have it, or is about to be placed."""
    if here is None:
        return action is not None
    return action is None or (isinstance(action, Adopt) and action.version == here.version)


def _taken_along(split: _Split, picture: Picture, decide: Decide, author: str) -> Mapping[RelPath, Action | None]:
    """The edit is here, under the old name, and its file was renamed elsewhere."""
    here, renamed = split.here, split.renamed
    if here is None or not here.digest or renamed.digest != split.grave.digest:
        return {}
    if renamed.path in picture.local or decide(renamed.path) is None:
        return {}
    version = renamed.version.edited_by(author, here.version.mtime_s)
    relocation = Relocate(
        path=renamed.path,
        source=split.old,
        entries={renamed.path: Relocated(source=split.old, expected=here, version=version, author=here.author)},
        buried={split.old: _joined_grave(split, here.version, here.digest)},
    )
    return {split.old: None, renamed.path: relocation}


def _joined_grave(split: _Split, edit: Version, digest: str) -> Tombstone:
    """The deletion of the old name that includes the edit, and keeps what was edited last."""
    grave = split.grave
    return Tombstone(version=join([grave.version, edit]), kind=split.renamed.kind, digest=digest, author=grave.author)


def _knew(edit: Version, grave: Tombstone) -> bool:
    """Whether the edit was made of the content that was deleted: it includes all of the deletion but its last step."""
    known = dict(edit.counters)
    return all(known.get(author, 0) >= n - (author == grave.author) for author, n in grave.version.counters)


def _knows_the_new_name(edit: Version, grave: Tombstone, renamed: Record) -> bool:
    """Whether somebody who edited has written under the new name, too: then what stands under the old one is something else."""
    before, there = dict(grave.version.counters), dict(renamed.version.counters)
    return any(n > before.get(author, 0) and author in there for author, n in edit.counters)


def _is_edited_and_deleted(path: RelPath, picture: Picture) -> bool:
    """Whether a file or link was edited on one side and deleted on the other, neither knowing of it."""
    theirs = picture.offered(path)
    if theirs is None:
        return False
    here = picture.local.get(path) if theirs.deleted else picture.buried.get(path)
    if here is None or here.kind is Kind.DIRECTORY or theirs.kind is Kind.DIRECTORY:
        return False
    return compare_vectors(theirs.version, here.version) is Order.CONCURRENT
