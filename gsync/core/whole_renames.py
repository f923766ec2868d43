"""Directories that were renamed elsewhere, recognised as a whole: at a tenth of what it costs to plan each path in them.

What is found here is what `core/relocations.py` would come to by way of an action for each path: the directory stands here under
its old name and nothing under the new one, and everything in it is offered under the new name as moved from there, looks the same,
and is to be removed under the old one, by a deletion that is newer than what stands here and was agreed or seen. Whatever is not
quite so is left to them. Pure; called by the planner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from gsync.core.actions import Relocate, Relocated
from gsync.core.model import FileMeta, Kind, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.pausing import paused
from gsync.core.picture import Picture, Seen
from gsync.core.records import has_seen, looks_like, tombstone_of
from gsync.core.versions import Order, compare_vectors, join

Ignored = Callable[[RelPath, Kind], bool]


def whole_renames(
    asked: Iterable[RelPath], picture: Picture, ignored: Ignored
) -> Iterator[tuple[Relocate, dict[RelPath, Seen]]]:
    """Those to paths among `asked`, no path in two of them, each with what the trees said of all its paths."""
    used: set[RelPath] = set()
    for path in sorted([path for path in paused(asked, picture.pause) if _may_be(path, picture)]):
        one = _Rename(path, picture, ignored)
        if path not in used and one.is_whole(used):
            used.update(one.seen)
            yield one.action(), one.seen


def _may_be(path: RelPath, picture: Picture) -> bool:
    record = picture.offered(path)
    return record is not None and record.kind is Kind.DIRECTORY and record.moved_from in picture.local


class _Rename:
    """One that may be such a rename to `path`."""

    def __init__(self, path: RelPath, picture: Picture, ignored: Ignored) -> None:
        self._path = path
        self._picture = picture
        self._ignored = ignored
        self.seen: dict[RelPath, Seen] = {}
        self._entries: dict[RelPath, Relocated] = {}
        self._buried: dict[RelPath, Tombstone] = {}

    def action(self) -> Relocate:
        return Relocate(path=self._path, source=next(iter(self._buried)), entries=self._entries, buried=self._buried)

    def is_whole(self, used: set[RelPath]) -> bool:
        path, picture = self._path, self._picture
        record = picture.offered(path)
        source = None if record is None else record.moved_from
        if source is None or path.is_beneath(source) or source.is_beneath(path) or source == path:
            return False
        if picture.local[source].kind is not Kind.DIRECTORY or any(True for _ in picture.beneath(path)):
            return False
        start = len(source)
        return all(self._takes(inner, path + inner[start:], used) for inner in chain([source], picture.beneath(source)))

    def _takes(self, old: RelPath, text: str, used: set[RelPath]) -> bool:
        """Whether what stands at `old` is to stand at the path that `text` spells, if it is one."""
        seen = self._picture.at(RelPath(text))
        meta, tombstone, offer, _ = seen
        record = None if offer is None else offer.record
        if meta is not None or record is None or record.deleted or record.moved_from != old:
            return False
        new, version = record.path, record.version
        if tombstone is not None and version != tombstone.version:
            match compare_vectors(version, tombstone.version):
                case Order.CONCURRENT:
                    version = join([version, tombstone.version])  # what lives wins
                case Order.OLDER:
                    return False
                case _:
                    pass
        removal = self._picture.at(old)
        here, _, offer, agreed = removal
        grave = None if offer is None else offer.record
        if here is None or grave is None or not _removes(grave, here, is_agreed=agreed == here.version):
            return False
        if not looks_like(record, here) or old in used or new in used:
            return False
        if self._ignored(new, record.kind) or self._ignored(old, grave.kind):
            return False
        self.seen[new], self.seen[old] = seen, removal
        self._entries[new] = Relocated(source=old, expected=here, version=version, author=record.author)
        self._buried[old] = tombstone_of(grave)
        return True


def _removes(grave: Record, here: FileMeta, *, is_agreed: bool) -> bool:
    """Whether that deletion takes away what stands here."""
    if not grave.deleted or (here.kind is Kind.FILE and not here.digest):
        return False
    if compare_vectors(grave.version, here.version) is not Order.NEWER:
        return False
    return is_agreed or has_seen(grave.version, here.version) or (grave.kind, grave.digest) == (here.kind, here.digest)
