"""What goes into the publisher and what comes out of it: `Download`, and the outcomes."""

from __future__ import annotations

from dataclasses import dataclass

from gsync.core.actions import Displaced
from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import StorageError
from gsync.storage.filesystem import Staged

ConflictCopy = tuple[RelPath, FileMeta]
"""Where a displaced file was kept, and the entry that it has there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A verified content on its way to a path; publishing uses `content` up, whatever comes of it."""

    path: RelPath
    version: Version
    content: bytes | Staged
    """A small file's bytes, or what `Publisher.begin` gave, written to its end."""
    digest: str = ""
    mtime_s: int
    mode: int | None = None
    """Permission bits; None: those of the file it replaces, else those of any new file."""
    expected: Fingerprint | None = None
    """What the planner saw at `path`; None: nothing."""
    displaced: Displaced = Displaced.TRASH
    loser: FileMeta | None = None
    """The index's entry of what is displaced; its version goes with it to the conflict copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a displaced file went: one of the two, or neither while it is in limbo or when there was none."""

    conflict_copy: ConflictCopy | None = None
    trashed: str = ""
    """Its name in the trash, relative to the folder."""
    remark: str = ""
    """What a person should be told, when it could not go where it should have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The download stands at its path, durably, and the index knows it."""

    path: RelPath
    meta: FileMeta
    conflict_copy: ConflictCopy | None = None
    trashed: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaken:
    """What stands at the path is not what the planner saw; nothing was touched: look at it and plan again."""

    path: RelPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpublished:
    """The disk refused. What a person had is where it was, or `Publisher.review_limbo` goes on with it."""

    path: RelPath
    error: StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A file that had been displaced earlier has found its place."""

    path: RelPath
    conflict_copy: ConflictCopy | None = None
    trashed: str = ""
    remark: str = ""


Outcome = Published | Overtaken | Unpublished
