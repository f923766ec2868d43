"""Which names of one scan are old things under new names.

A rename keeps the inode. So a path that is new and one that is gone are one thing when both show the same inode, and, unless it is
a directory, the same kind, size and mtime. A renamed directory carries all that is in it: each entry beneath pairs up by
itself, because their inodes are the same, too. Hard links show one inode under several names; those pair up in path order.
Pure; called by the indexer, once a scan, before `core.diff`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gsync.core.diff import Seen
from gsync.core.model import Fingerprint, Kind, LocalTree
from gsync.core.names import RelPath

_Mark = tuple[Kind, int, int, int]


def paired(known: LocalTree, found: Mapping[RelPath, Seen]) -> Mapping[RelPath, RelPath]:
    """The old path of each one in `found` that was renamed there; each old path at most once."""
    pairs: dict[RelPath, RelPath] = {}
    gone, new = known.keys() - found.keys(), found.keys() - known.keys()
    replaced = {
        path
        for path in found.keys() & known.keys()
        if _is_another_one(known[path].fingerprint, found[path].fingerprint)
    }
    if gone and new:
        _pair_up(new, found, _by_mark(known, gone), pairs)
    if replaced:
        left = _by_mark(known, (gone - set(pairs.values())) | replaced)
        _pair_up((new - pairs.keys()) | replaced, found, left, pairs)
    return pairs


def _by_mark(known: LocalTree, paths: Iterable[RelPath]) -> dict[_Mark, list[RelPath]]:
    """Old paths by what they showed; the first one last."""
    marks: dict[_Mark, list[RelPath]] = {}
    for path in sorted(paths, reverse=True):
        marks.setdefault(_mark(known[path].fingerprint), []).append(path)
    return marks


def _pair_up(
    paths: Iterable[RelPath],
    found: Mapping[RelPath, Seen],
    olds: Mapping[_Mark, list[RelPath]],
    pairs: dict[RelPath, RelPath],
) -> None:
    for path in sorted(paths):
        same = olds.get(_mark(found[path].fingerprint))
        if same:
            pairs[path] = same.pop()


def _is_another_one(before: Fingerprint, now: Fingerprint) -> bool:
    """Whether a file or link stands there that is not the one which stood there before."""
    return now.kind is not Kind.DIRECTORY and (before.inode, before.kind) != (now.inode, now.kind)


def _mark(shown: Fingerprint) -> _Mark:
    """What a rename keeps of it; a directory's size and mtime change with what is in it."""
    if shown.kind is Kind.DIRECTORY:
        return (shown.kind, shown.inode, 0, 0)
    return (shown.kind, shown.inode, shown.size, shown.mtime_ns)
