"""What changed on this disk since it was last looked at, and which version that makes it.

    known                found                            outcome
    -------------------  -------------------------------  -------------------------------------------------------------
    any kind             another kind                     one more edit by `author`
    a directory          a directory                      nothing; its times, size and mode say nothing about it
    a link               the same target                  nothing
    a link               another target                   one more edit
    a file               the same fingerprint             nothing; its digest is learnt when it was read
    a file               other ctime, inode, mode         the same version with the new fingerprint: touched, restored, copied
    a file               other size, mtime, exec bit      one more edit
    a file               rewritten, or another digest     one more edit, whatever its fingerprint says
    another file, link   what stood elsewhere (`moved`)   one more edit, with the digest and name that it had there
    anything             nothing                          a tombstone: one more step of its version
    a tombstone          its leftover directory           nothing, unless something that is synced stands in it
    a tombstone          anything else                    one more edit: it came back
    nothing              what stood elsewhere (`moved`)   a first edit, with the digest and name that it had there
    nothing, history     anything                         a first edit
    nothing, no history  anything                         known by its mtime only

The sixth row is why a restored backup, or a copy of the whole folder, does not churn. Pure; called by the indexer, which
must leave out what was published since the scan began: those paths are still found as they were before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from gsync.core.blocks import digest_of_bytes
from gsync.core.model import DIRECTORY, LINK, BuriedTree, FileMeta, Fingerprint, Kind, LocalTree, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version, clamp_mtime

_NS: Final = 1_000_000_000
_UNKNOWN: Final = Version.from_mtime(0)
_NOTHING_BURIED: Final[BuriedTree] = {}
_NOTHING_MOVED: Final[Mapping[RelPath, RelPath]] = {}


class Seen(Struct, frozen=True, kw_only=True, gc=False):
    """What a scan saw at a path; `digest` is "" where nobody has read it, or while it is being written."""

    fingerprint: Fingerprint
    target: str = ""
    digest: str = ""


class Changes(Struct, frozen=True, kw_only=True, gc=False):
    """What the index must learn: new entries for `changed` paths (the version may be the old one), tombstones for those gone."""

    changed: Mapping[RelPath, FileMeta]
    buried: Mapping[RelPath, Tombstone] = field(default_factory=dict)

    @property
    def gone(self) -> frozenset[RelPath]:
        """The paths at which nothing stands any more."""
        return frozenset(self.buried)

    def without(self, paths: Collection[RelPath]) -> Changes:
        """The same, silent about `paths`."""
        return Changes(
            changed={path: meta for path, meta in self.changed.items() if path not in paths},
            buried={path: tombstone for path, tombstone in self.buried.items() if path not in paths},
        )


def diff(
    known: LocalTree,
    found: Mapping[RelPath, Seen],
    *,
    author: str,
    has_history: bool,
    buried: BuriedTree = _NOTHING_BURIED,
    moved: Mapping[RelPath, RelPath] = _NOTHING_MOVED,
    rewritten: Collection[RelPath] = frozenset(),
) -> Changes:
    """How `found` differs from `known`; edits are `author`'s.

    `moved` has the old path of what was renamed (core/moves.py), `rewritten` the files whose content moved but not their mtime.
    Without history, as in the first scan of a new index, nobody can tell an edit from what always stood there.
    """
    changed: dict[RelPath, FileMeta] = {}
    dead = _dead_leftovers(known, found, buried)
    for path, seen in found.items():
        entry = known.get(path)
        if entry is not None:
            if path in moved:
                meta = _renamed_over(entry, known[moved[path]], moved[path], seen, author)
            else:
                meta = _looked_at_again(entry, seen, author, was_rewritten=path in rewritten)
            if meta is not entry:
                changed[path] = meta
        elif path in moved:
            changed[path] = _renamed(known[moved[path]], moved[path], seen, buried.get(path), author)
        elif path not in dead:
            changed[path] = _new(seen, buried.get(path), author, has_history=has_history)
    return Changes(
        changed=changed,
        buried={path: _buried(entry, author) for path, entry in known.items() if path not in found},
    )


def disk_seconds(fingerprint: Fingerprint) -> int:
    """The mtime of a file as it may be announced: whole seconds, rounded down, within the range of the protocol.

    That of a directory is 0: it changes with every name in it, and means nothing.
    """
    return 0 if fingerprint.kind is DIRECTORY else clamp_mtime(fingerprint.mtime_ns // _NS)


def same_size_and_mtime(a: Fingerprint, b: Fingerprint) -> bool:
    """Whether two looks at a path show one content, as far as can be told without reading it."""
    return (a.size, a.mtime_ns) == (b.size, b.mtime_ns)


def _looked_at_again(entry: FileMeta, seen: Seen, author: str, *, was_rewritten: bool) -> FileMeta:
    """What stands now where `entry` stood; `entry` itself when there is nothing to learn."""
    before, now = entry.fingerprint, seen.fingerprint
    if before.kind is not now.kind:
        return _edited(entry, seen, author, digest=seen.digest)
    match now.kind:
        case Kind.DIRECTORY:
            return entry if before.inode == now.inode else replace(entry, fingerprint=now)
        case Kind.LINK if seen.target != entry.target:
            return _edited(entry, seen, author, digest=seen.digest)
        case Kind.LINK:
            return entry if before == now else replace(entry, fingerprint=now)
    if (
        was_rewritten
        or not same_size_and_mtime(before, now)
        or (entry.digest and seen.digest not in {"", entry.digest})
    ):
        return _edited(entry, seen, author, digest=seen.digest)
    digest = seen.digest or entry.digest
    if before.is_executable != now.is_executable:
        return _edited(entry, seen, author, digest=digest)
    return entry if (before, entry.digest) == (now, digest) else replace(entry, fingerprint=now, digest=digest)


def _renamed_over(entry: FileMeta, other: FileMeta, source: RelPath, seen: Seen, author: str) -> FileMeta:
    """What stands where `entry` stood, having been `other` at `source` before."""
    meta = _looked_at_again(entry, replace(seen, digest=seen.digest or other.digest), author, was_rewritten=False)
    return meta if meta.version == entry.version else replace(meta, moved_from=source)


def _edited(entry: FileMeta, seen: Seen, author: str, *, digest: str) -> FileMeta:
    version = entry.version.edited_by(author, disk_seconds(seen.fingerprint))
    return _meta(seen, version, author, digest=digest)


def _renamed(entry: FileMeta, source: RelPath, seen: Seen, tombstone: Tombstone | None, author: str) -> FileMeta:
    base = _UNKNOWN if tombstone is None else tombstone.version
    version = base.edited_by(author, disk_seconds(seen.fingerprint))
    return _meta(seen, version, author, digest=seen.digest or entry.digest, moved_from=source)


def _new(seen: Seen, tombstone: Tombstone | None, author: str, *, has_history: bool) -> FileMeta:
    seconds = disk_seconds(seen.fingerprint)
    if tombstone is None and not has_history:
        return _meta(seen, Version.from_mtime(seconds), "", digest=seen.digest)
    base = _UNKNOWN if tombstone is None else tombstone.version
    return _meta(seen, base.edited_by(author, seconds), author, digest=seen.digest)


def _meta(seen: Seen, version: Version, author: str, *, digest: str, moved_from: RelPath | None = None) -> FileMeta:
    if seen.fingerprint.kind is LINK:
        digest = digest_of_bytes(seen.target.encode("utf-8", "surrogateescape"))
    return FileMeta(
        fingerprint=seen.fingerprint,
        version=version,
        digest=digest,
        target=seen.target,
        author=author,
        moved_from=moved_from,
    )


def _buried(entry: FileMeta, author: str) -> Tombstone:
    return Tombstone(version=entry.version.edited_by(author, 0), kind=entry.kind, digest=entry.digest, author=author)


def _dead_leftovers(known: LocalTree, found: Mapping[RelPath, Seen], buried: BuriedTree) -> set[RelPath]:
    """Removed directories that only stand because of what is not synced in them."""
    dead = {
        path
        for path, tombstone in buried.items()
        if tombstone.leftover_inode
        and path not in known
        and (seen := found.get(path)) is not None
        and seen.fingerprint.kind is DIRECTORY
        and seen.fingerprint.inode == tombstone.leftover_inode
    }
    if not dead:
        return dead
    alive: set[RelPath] = set()
    for path in found:
        if path not in dead:
            alive.update(path.ancestors)
    return dead - alive
