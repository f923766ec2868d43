"""One look at the folder: what is there now, what was left alone, and what must be looked at again soon.

Called by the indexer, in the scan thread; `core.diff` then says what it means. Never announces and never remembers.

Two files cannot be judged by their fingerprint alone. One that changed within the last clock tick of the disk could change
again without showing it (git calls it racy): it is *unsettled*, shown as it was known, and must be looked at again after
`SETTLED_NS`. One with the size and mtime that it had, but another inode or ctime, is read when its digest is known: it was
restored or touched (same digest), or *rewritten* under its old mtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gsync.core.diff import same_size_and_mtime
from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import RelPath
from gsync.errors import FileChanged, FileVanished, StorageError
from gsync.storage.filesystem import Folder, Skipped
from gsync.storage.hashing import digest_of

SETTLED_NS: Final = 10_000_000
"""The coarsest tick of a Linux kernel (100 Hz): a file that changed longer ago shows any further change in its times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What one look at the folder found."""

    files: Mapping[RelPath, Fingerprint]
    skipped: tuple[Skipped, ...] = ()
    rewritten: frozenset[RelPath] = frozenset()
    """Files whose content changed under an unchanged size and mtime; for `diff`."""
    unsettled: frozenset[RelPath] = frozenset()
    """Files to look at again after `SETTLED_NS`; `files` shows them as they were known, or not at all."""


def scan(folder: Folder, known: Mapping[RelPath, FileMeta], *, now_ns: int) -> Scan:
    """List the folder, and read the few files that only reading can judge. `now_ns` is the wall clock. Raises `StorageError`."""
    files: dict[RelPath, Fingerprint] = {}
    skipped: list[Skipped] = []
    suspects: dict[RelPath, FileMeta] = {}
    unsettled: set[RelPath] = set()
    for seen in folder.listing():
        if isinstance(seen, Skipped):
            skipped.append(seen)
            continue
        path, fingerprint = seen.path, seen.fingerprint
        entry = known.get(path)
        files[path] = fingerprint
        if entry is not None and (entry.fingerprint is fingerprint or entry.fingerprint == fingerprint):
            continue
        if abs(now_ns - fingerprint.ctime_ns) < SETTLED_NS:
            unsettled.add(path)
        elif entry is not None and entry.digest and same_size_and_mtime(entry.fingerprint, fingerprint):
            suspects[path] = entry
    rewritten: set[RelPath] = set()
    for path, entry in suspects.items():
        match _judged(folder, path, entry):
            case True:
                rewritten.add(path)
            case None:
                unsettled.add(path)
    for path in unsettled:
        _show_as_known(files, path, known.get(path))
    return Scan(files=files, skipped=tuple(skipped), rewritten=frozenset(rewritten), unsettled=frozenset(unsettled))


def _judged(folder: Folder, path: RelPath, entry: FileMeta) -> bool | None:
    """Whether what stands at `path` is other content than `entry`; None when it moved while it was read."""
    try:
        with folder.open(path) as file:
            return digest_of(file) != entry.digest
    except (FileChanged, FileVanished):
        return None
    except StorageError:
        return False  # it cannot be read, so it cannot be announced either; its size and mtime say that it is the same


def _show_as_known(files: dict[RelPath, Fingerprint], path: RelPath, entry: FileMeta | None) -> None:
    if entry is None:
        del files[path]
    else:
        files[path] = entry.fingerprint
