"""Which names of one scan are old things under new names.

A rename keeps the inode. So a path that is new and one that is gone are one thing when both show the same inode, and, unless it is
a directory, the same kind, size and mtime. A renamed directory carries all that is in it: each entry beneath pairs up by
itself, because their inodes are the same, too. Hard links show one inode under several names; those pair up in path order.
Pure; called by the indexer, once a scan, before `core.diff`.
"""

from __future__ import annotations

from collections.abc import Mapping

from gsync.core.diff import Seen
from gsync.core.model import Fingerprint, Kind, LocalTree
from gsync.core.names import RelPath

_Mark = tuple[Kind, int, int, int]


def paired(known: LocalTree, found: Mapping[RelPath, Seen]) -> Mapping[RelPath, RelPath]:
    """The old path of each new one in `found` that was renamed; each old path at most once."""
    gone: dict[_Mark, list[RelPath]] = {}
    for path in sorted(known.keys() - found.keys(), reverse=True):
        gone.setdefault(_mark(known[path].fingerprint), []).append(path)
    if not gone:
        return {}
    pairs: dict[RelPath, RelPath] = {}
    for path in sorted(found.keys() - known.keys()):
        olds = gone.get(_mark(found[path].fingerprint))
        if olds:
            pairs[path] = olds.pop()
    return pairs


def _mark(shown: Fingerprint) -> _Mark:
    """What a rename keeps of it; a directory's size and mtime change with what is in it."""
    if shown.kind is Kind.DIRECTORY:
        return (shown.kind, shown.inode, 0, 0)
    return (shown.kind, shown.inode, shown.size, shown.mtime_ns)
