"""What changed on this disk since it was last looked at, and which version that makes it.

    known           found                       outcome
    --------------  --------------------------  ------------------------------------------------------------------
    fingerprint     the same fingerprint        nothing
    fingerprint     other ctime, inode or mode  the same version with the new fingerprint: it was touched, restored, copied
    fingerprint     other size or mtime         one more edit by `author`
    fingerprint     rewritten under its mtime   one more edit by `author` (the scanner read it and knows)
    nothing         a file                      known by its mtime only
    fingerprint     nothing                     gone: a fact about this disk, not yet a deletion

The second row is why a restored backup, or a copy of the whole folder, does not churn. Pure; called by the indexer, which
must leave out what was published since the scan began: those paths are still found as they were before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import RelPath
from gsync.core.versions import Version, clamp_mtime

_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What the index must learn: new entries for `changed` paths (the version may be the old one), and paths `gone`."""

    changed: Mapping[RelPath, FileMeta]
    gone: frozenset[RelPath]

    def without(self, paths: Collection[RelPath]) -> Changes:
        """The same, silent about `paths`."""
        changed = {path: meta for path, meta in self.changed.items() if path not in paths}
        return Changes(changed=changed, gone=self.gone.difference(paths))


def diff(
    known: Mapping[RelPath, FileMeta],
    found: Mapping[RelPath, Fingerprint],
    author: str,
    *,
    rewritten: Collection[RelPath] = frozenset(),
) -> Changes:
    """How `found` differs from `known`; edits are `author`'s. `rewritten` names files whose content moved but not their mtime."""
    changed = {
        path: _entry(known.get(path), fingerprint, author, was_rewritten=path in rewritten)
        for path, fingerprint in found.items()
        if _differs(known.get(path), fingerprint) or path in rewritten
    }
    return Changes(changed=changed, gone=frozenset(known.keys() - found.keys()))


def disk_seconds(fingerprint: Fingerprint) -> int:
    """The mtime of a file as it may be announced: whole seconds, rounded down, within the range of the protocol."""
    return clamp_mtime(fingerprint.mtime_ns // _NS)


def same_size_and_mtime(a: Fingerprint, b: Fingerprint) -> bool:
    """Whether two looks at a path show one content, as far as can be told without reading it."""
    return (a.size, a.mtime_ns) == (b.size, b.mtime_ns)


def _differs(entry: FileMeta | None, fingerprint: Fingerprint) -> bool:
    if entry is None:
        return True
    return entry.fingerprint is not fingerprint and entry.fingerprint != fingerprint


def _entry(entry: FileMeta | None, fingerprint: Fingerprint, author: str, *, was_rewritten: bool) -> FileMeta:
    if entry is None:
        return FileMeta(fingerprint=fingerprint, version=Version.from_mtime(disk_seconds(fingerprint)))
    if same_size_and_mtime(entry.fingerprint, fingerprint) and not was_rewritten:
        return FileMeta(fingerprint=fingerprint, version=entry.version, digest=entry.digest)
    return FileMeta(fingerprint=fingerprint, version=entry.version.edited_by(author, disk_seconds(fingerprint)))
