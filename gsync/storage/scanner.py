"""One look at the folder, or at some paths in it: what is there now, what was left alone, what must be looked at again soon.

Called by the indexer, in the scan thread; `core.diff` then says what it means. Never announces and never remembers.

A file that changed within the last clock tick of the disk could change again without showing it (git calls it racy): it is
*unsettled*, shown as it was known, and must be looked at again after `SETTLED_NS`. So is one that changed since the look began,
however long that takes: somebody may be in the middle of it. A directory shows only that it is there, so it is never unsettled.
Nothing is read here: what has another fingerprint than it had is for the caller to read.

What cannot be looked at now (a directory that may not be read, or over which something was mounted) is *hidden*, with all
that was known in it, and shown as it was known: nothing may be taken for deleted because it cannot be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from gsync.core.model import DIRECTORY, FileMeta
from gsync.core.names import RelPath
from gsync.storage.filesystem import Folder, Found, Skip, Skipped, never

SETTLED_NS: Final = 10_000_000
"""The coarsest tick of a Linux kernel (100 Hz): a file that changed longer ago shows any further change in its times."""


class Scan(Struct, frozen=True, kw_only=True):
    """What one look at the folder found."""

    files: Mapping[RelPath, Found]
    """Files, directories and links."""
    skipped: tuple[Skipped, ...] = ()
    unsettled: frozenset[RelPath] = frozenset()
    """Files to look at again after `SETTLED_NS`; `files` shows them as they were known, or not at all."""
    hidden: frozenset[RelPath] = frozenset()
    """Known paths that cannot be looked at now; `files` shows them as they were known."""


def scan(
    folder: Folder,
    known: Mapping[RelPath, FileMeta],
    *,
    now_ns: int,
    clock_ns: Callable[[], int] | None = None,
    skip: Skip = never,
    beneath: RelPath | None = None,
) -> Scan:
    """List the folder, or what stands `beneath` a path, and there.

    `now_ns` is the wall clock before the look, `clock_ns` tells it meanwhile; `skip` as in `Folder.listing`. Raises `StorageError`.
    """
    listing = folder.listing(beneath=beneath, skip=skip, known=known)
    return _judge(listing, known, now_ns=now_ns, clock_ns=clock_ns)


def look_at(
    folder: Folder,
    paths: Iterable[RelPath],
    known: Mapping[RelPath, FileMeta],
    *,
    now_ns: int,
    clock_ns: Callable[[], int] | None = None,
    skip: Skip = never,
) -> Scan:
    """The same for exactly these `paths`, and for all that is in those which are directories. Raises `StorageError`.

    What is not in its `files` does not stand there now. `skip` is not asked about the directories that `paths` lie in.
    """
    asked = set(paths)
    parents = {RelPath(path.rpartition("/")[0]) for path in asked}
    within = {parent for parent in parents if parent in asked or not asked.isdisjoint(parent.ancestors)}
    tops = [path for path in sorted(asked) if path.rpartition("/")[0] not in within]
    return _judge(folder.listing_at(tops, skip=skip, known=known), known, now_ns=now_ns, clock_ns=clock_ns)


def may_hide_a_change(ctime_ns: int, *, now_ns: int, clock_ns: Callable[[], int] | None = None) -> bool:
    """Whether what changed at `ctime_ns` did so in the tick before `now_ns` or since: a further change might not show.

    What is later than even `clock_ns` comes from a clock that was set back meanwhile, and is nothing to wait for.
    """
    if ctime_ns <= now_ns - SETTLED_NS:
        return False
    return ctime_ns < (now_ns if clock_ns is None else clock_ns()) + SETTLED_NS


def _judge(
    listing: Iterator[Found | Skipped],
    known: Mapping[RelPath, FileMeta],
    *,
    now_ns: int,
    clock_ns: Callable[[], int] | None,
) -> Scan:
    files: dict[RelPath, Found] = {}
    skipped: list[Skipped] = []
    unsettled: set[RelPath] = set()
    for seen in listing:
        if isinstance(seen, Skipped):
            skipped.append(seen)
            continue
        path, fingerprint = seen.path, seen.fingerprint
        entry = known.get(path)
        files[path] = seen
        if entry is not None and (entry.fingerprint is fingerprint or entry.fingerprint == fingerprint):
            continue
        if fingerprint.kind is DIRECTORY:
            continue
        if may_hide_a_change(fingerprint.ctime_ns, now_ns=now_ns, clock_ns=clock_ns):
            unsettled.add(path)
    hidden = _hidden(known, {one.hides for one in skipped if one.hides is not None})
    for path in unsettled | hidden:
        _show_as_known(files, path, known.get(path))
    return Scan(
        files=files,
        skipped=tuple(skipped),
        unsettled=frozenset(unsettled),
        hidden=hidden,
    )


def _hidden(known: Mapping[RelPath, FileMeta], roots: set[RelPath]) -> frozenset[RelPath]:
    if not roots:
        return frozenset()
    return frozenset(path for path in known if path in roots or not roots.isdisjoint(path.ancestors))


def _show_as_known(files: dict[RelPath, Found], path: RelPath, entry: FileMeta | None) -> None:
    if entry is None:
        files.pop(path, None)
    else:
        files[path] = Found(path=path, fingerprint=entry.fingerprint, target=entry.target)
