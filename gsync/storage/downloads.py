"""What goes into the publisher and what comes out of it: the changes to a folder, and their outcomes.

A `Download` brings content; the others bring none: `NewDirectory`, `NewLink`, `Removal`, `Freeing`, `Adjustment`, `Relocation`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from gsync.core.actions import Displaced, Relocated
from gsync.core.model import FileMeta, Fingerprint, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import StorageError
from gsync.storage.filesystem import Staged

ConflictCopy = tuple[RelPath, FileMeta]
"""Where a displaced file was kept, and the entry that it has there."""


class Download(Struct, frozen=True, kw_only=True, gc=False):
    """A verified content on its way to a path; publishing uses `content` up, whatever comes of it."""

    path: RelPath
    version: Version
    content: bytes | Staged
    """A small file's bytes, or what `Publisher.begin` gave, written to its end."""
    digest: str = ""
    mtime_ns: int
    author: str = ""
    moved_from: RelPath | None = None
    """The path from which this entry's last step moved it."""
    mode: int | None = None
    """Permission bits; None: those of the file it replaces, else those of any new file, as `executable` says."""
    executable: bool | None = None
    """Whether it may be run; None: as what it replaces."""
    expected: Fingerprint | None = None
    """What the planner saw at `path`; None: nothing."""
    displaced: Displaced = Displaced.TRASH
    loser: FileMeta | None = None
    """The index's entry of what is displaced; its version goes with it to the conflict copy."""
    grave: Version | None = None
    """The version of the tombstone that the planner saw at `path`."""


class NewDirectory(Struct, frozen=True, kw_only=True, gc=False):
    """A directory that is to stand at `path`; one that stands there already will do. Missing parents are made, too."""

    path: RelPath
    version: Version
    author: str = ""
    expected: Fingerprint | None = None
    """The file or link that it takes the place of."""
    displaced: Displaced = Displaced.TRASH
    loser: FileMeta | None = None
    grave: Version | None = None


class NewLink(Struct, frozen=True, kw_only=True, gc=False):
    """A symlink that is to stand at `path`; `digest` is that of its target."""

    path: RelPath
    version: Version
    target: str
    digest: str
    author: str = ""
    moved_from: RelPath | None = None
    expected: Fingerprint | None = None
    displaced: Displaced = Displaced.TRASH
    loser: FileMeta | None = None
    grave: Version | None = None


class Removal(Struct, frozen=True, kw_only=True, gc=False):
    """`expected` is to go from `path`: a file or link to the trash; a directory is removed if nothing is left in it."""

    path: RelPath
    expected: FileMeta
    tombstone: Tombstone
    displaced: Displaced = Displaced.TRASH


class Freeing(Struct, frozen=True, kw_only=True, gc=False):
    """`expected` is to go from `path` here, and nowhere else: somebody else keeps the same. A directory only if it is empty."""

    path: RelPath
    expected: FileMeta


class Adjustment(Struct, frozen=True, kw_only=True, gc=False):
    """The content at `path` is right already; mtime (None: it stays), exec bit (None: it stays) and version move."""

    path: RelPath
    expected: FileMeta
    version: Version
    author: str = ""
    mtime_ns: int | None = None
    executable: bool | None = None


class Relocation(Struct, frozen=True, kw_only=True, gc=False):
    """What stands at `source`, with all that is in it, is to stand at `path`: one rename.

    `entries`, by new path, have what is expected to stand under the old one; `buried` are the tombstones of the old paths.
    """

    path: RelPath
    source: RelPath
    entries: Mapping[RelPath, Relocated]
    buried: Mapping[RelPath, Tombstone] = field(default_factory=dict)


Change = Download | NewDirectory | NewLink | Removal | Freeing | Adjustment | Relocation


class Placed(Struct, frozen=True, kw_only=True, gc=False):
    """Where a displaced file went: one of the two, or neither while it is in limbo or when there was none."""

    conflict_copy: ConflictCopy | None = None
    trashed: str = ""
    """Its name in the trash, relative to the folder."""
    remark: str = ""
    """What a person should be told, when it could not go where it should have."""


class Published(Struct, frozen=True, kw_only=True, gc=False):
    """The download stands at its path, durably, and the index knows it."""

    path: RelPath
    meta: FileMeta
    conflict_copy: ConflictCopy | None = None
    trashed: str = ""
    remark: str = ""


class Removed(Struct, frozen=True, kw_only=True, gc=False):
    """What stood at the path is gone from it, durably, and the index knows the tombstone."""

    path: RelPath
    tombstone: Tombstone
    conflict_copy: ConflictCopy | None = None
    """Where it was kept, when a program that had it open wrote into it at that very instant."""
    trashed: str = ""
    remark: str = ""


class Freed(Struct, frozen=True, kw_only=True, gc=False):
    """What stood at the path is gone from it, durably, and the index knows nothing of it any more: it was not deleted.

    `version` is what it was, and what is agreed there still.
    """

    path: RelPath
    version: Version
    conflict_copy: ConflictCopy | None = None
    """Where it was kept, when a program that had it open wrote into it at that very instant."""
    trashed: str = ""
    remark: str = ""


class Moved(Struct, frozen=True, kw_only=True, gc=False):
    """The relocation was done: the entries as they stand now, and the tombstones where they stood."""

    path: RelPath
    entries: Mapping[RelPath, FileMeta]
    buried: Mapping[RelPath, Tombstone]


class Overtaken(Struct, frozen=True, kw_only=True, gc=False):
    """What stands at the path is not what the planner saw; nothing was touched: look at it and plan again."""

    path: RelPath


class Unpublished(Struct, frozen=True, kw_only=True, gc=False):
    """The disk refused. What a person had is where it was, or `Publisher.review_limbo` goes on with it."""

    path: RelPath
    error: StorageError


class Released(Struct, frozen=True, kw_only=True, gc=False):
    """A file that had been displaced earlier has found its place."""

    path: RelPath
    conflict_copy: ConflictCopy | None = None
    trashed: str = ""
    remark: str = ""


Outcome = Published | Removed | Freed | Moved | Overtaken | Unpublished
