"""Renames done as renames: what was renamed elsewhere is renamed here, and an edit follows what it edits to its new name.

A rename is two facts: a tombstone at the old path, and a live record at the new one that names the old one (`moved_from`). Where
what stands under the old name is to be removed, and is what should stand under the new one, one Relocate does both. A directory
is relocated with all that is in it when every entry beneath it is such a pair; else each entry for itself.

Pure; called by the planner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

from msgspec import Struct

from gsync.core.actions import Action, Fetch, MakeDirectory, MakeLink, Relocate, Relocated, Remove
from gsync.core.model import Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.pausing import paused
from gsync.core.picture import Picture
from gsync.core.records import looks_the_same, record_of
from gsync.errors import NameRefused

Decide = Callable[[RelPath], Action | None]


def renamed_directories(above: Iterable[RelPath], picture: Picture) -> set[RelPath]:
    """Those of `above` that do not stand here yet because they were renamed elsewhere."""
    return {
        path for path in paused(above, picture.pause) if path not in picture.local and picture.renamed(path) is not None
    }


def carried_names(asked: Iterable[RelPath], picture: Picture) -> set[RelPath]:
    """The new names of what stands in directories that were renamed to `asked`: where those do not go as one, these do alone."""
    carried: set[RelPath] = set()
    for path in paused(asked, picture.pause):
        record = picture.offered(path)
        if record is None or record.moved_from is None or record.kind is not Kind.DIRECTORY or path in picture.local:
            continue
        for inner in picture.beneath(record.moved_from):
            new = _carried(inner, record.moved_from, path)
            if new is not None and (theirs := picture.offered(new)) is not None and theirs.moved_from == inner:
                carried.add(new)
    return carried


def old_names(asked: Iterable[RelPath], picture: Picture) -> set[RelPath]:
    """Where what is offered at `asked` stood before it was renamed, if it still stands there."""
    named = {
        record.moved_from
        for path in paused(asked, picture.pause)
        if (record := picture.offered(path)) is not None and not record.deleted
    }
    return {path for path in paused(named, picture.pause) if path is not None and path in picture.local}


def with_renames(actions: Mapping[RelPath, Action], picture: Picture, decide: Decide) -> dict[RelPath, Action]:
    """`actions`, with one Relocate in place of all that belong to one rename."""
    after = dict(actions)
    covered = {source for action in actions.values() if isinstance(action, Relocate) for source in action.buried}
    for path in paused(sorted(actions), picture.pause):
        if path in covered or decide(path) is not actions[path]:
            continue
        pairs = _pairs(path, picture, decide, covered)
        if pairs:
            sources = [pair.entry.source for pair in pairs.values()]
            covered.update(pairs, sources)
            for done in (*pairs, *sources):
                after.pop(done, None)
            after[path] = _relocation(path, pairs)
    return after


class _Pair(Struct, frozen=True, kw_only=True):
    entry: Relocated
    tombstone: Tombstone


def _relocation(path: RelPath, pairs: Mapping[RelPath, _Pair]) -> Relocate:
    return Relocate(
        path=path,
        source=pairs[path].entry.source,
        entries={new: pair.entry for new, pair in pairs.items()},
        buried={pair.entry.source: pair.tombstone for pair in pairs.values()},
    )


def _pairs(path: RelPath, picture: Picture, decide: Decide, used: AbstractSet[RelPath]) -> dict[RelPath, _Pair]:
    """What one rename to `path` does, by new path: the entry itself and, in a directory, all beneath; nothing if it cannot."""
    top = _pair(path, picture, decide)
    if top is None or top.entry.source in used:
        return {}
    pairs = {path: top}
    source = top.entry.source
    if top.entry.expected.kind is not Kind.DIRECTORY:
        return pairs
    if any(True for _ in picture.beneath(path)):
        return {}
    for inner in picture.beneath(source):
        new = _carried(inner, source, path)
        pair = None if new is None else _pair(new, picture, decide)
        if new is None or pair is None or pair.entry.source != inner or inner in used:
            return {}
        pairs[new] = pair
    return pairs


def _carried(inner: RelPath, source: RelPath, target: RelPath) -> RelPath | None:
    """Where `inner` stands once `source`, which it is in, has become `target`; None where that is no name."""
    try:
        return inner.moved(source=source, target=target)
    except NameRefused:
        return None


def _pair(path: RelPath, picture: Picture, decide: Decide) -> _Pair | None:
    """How what should stand at `path`, where nothing stands, is what is to be removed from its old path."""
    action = decide(path)
    if not isinstance(action, Fetch | MakeDirectory | MakeLink) or action.expected is not None:
        return None
    record = picture.offered(path)
    if record is None or record.moved_from is None:
        return None
    source = record.moved_from
    here = picture.local.get(source)
    if here is None or path.is_beneath(source) or source.is_beneath(path):
        return None
    removal = decide(source)
    if not isinstance(removal, Remove) or not looks_the_same(record, record_of(source, here)):
        return None
    entry = Relocated(source=source, expected=here, version=action.version, author=record.author)
    return _Pair(entry=entry, tombstone=removal.tombstone)
