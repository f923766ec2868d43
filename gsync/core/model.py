"""What the three trees are made of: what stands on this disk, and what others offer.

    local   RelPath -> FileMeta     last seen on this disk: files, directories, links
    buried  RelPath -> Tombstone    deleted, at a version; beside `local`, never at the same path
    remote  RelPath -> Offer        last heard from the tracker: the winning record (or a classic mtime) and who has it
    synced  RelPath -> Version      last agreed with somebody else

Absence in `remote` means "nobody offers it now", never "deleted": only a record that says so deletes. Pure values; they cross
all room borders.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from msgspec import Struct

from gsync.core.names import Endpoint, RelPath
from gsync.core.versions import Version


class Kind(StrEnum):
    """What can stand at a path; everything else is left alone."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"

    __hash__ = str.__hash__  # that of an enumeration is a function in Python, and a scan looks kinds up 100,000 times


FILE: Final = Kind.FILE
DIRECTORY: Final = Kind.DIRECTORY
LINK: Final = Kind.LINK
"""The same where it is asked a million times at a start: an enumeration looks its member up at ten times the cost of a name."""


class Fingerprint(Struct, frozen=True, kw_only=True, gc=False):
    """What tells an untouched file from a changed one without reading it; straight from fstat.

    `ctime_ns` is part of it when two scans are compared, but never after a rename of ours, which sets it.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    mode: int
    kind: Kind = Kind.FILE

    def same_content_as(self, other: Fingerprint) -> bool:
        """Whether both show one unchanged file as far as size, mtime and inode tell (a rename keeps all three)."""
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)

    @property
    def is_executable(self) -> bool:
        """Whether its owner may run it: the one permission bit that travels."""
        return bool(self.mode & 0o100)


class FileMeta(Struct, frozen=True, kw_only=True, gc=False):
    """What stands at a path of this folder: what the disk shows, its version, and its digest once it has been read whole.

    `digest` is `b3:` and 64 hex digits (core/blocks.py), "" while unknown and for a directory; that of a link is the digest of
    its `target`. `author` made the last step of `version`, "" where nobody of ours did.
    """

    fingerprint: Fingerprint
    version: Version
    digest: str = ""
    target: str = ""
    author: str = ""
    moved_from: RelPath | None = None
    """The path that it had before its last step, when that step was a rename."""

    @property
    def kind(self) -> Kind:
        return self.fingerprint.kind


class Tombstone(Struct, frozen=True, kw_only=True, gc=False):
    """A deletion: what was here is gone, at this version; it keeps what it was.

    `leftover_inode` is that of a directory which could not be removed here, because it holds things that are not synced.
    """

    version: Version
    kind: Kind = Kind.FILE
    digest: str = ""
    author: str = ""
    leftover_inode: int = 0


Entry = FileMeta | Tombstone


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """One fact about a path, as it travels between our own: in snapshots, deltas, hits, invalidations (PROTOCOL.md, "Records").

    `size`, `mtime_ns` and `executable` are those of a file; `author` made the last step of `version`.
    """

    path: RelPath
    kind: Kind
    version: Version
    digest: str = ""
    size: int = 0
    mtime_ns: int = 0
    executable: bool = False
    target: str = ""
    author: str = ""
    deleted: bool = False
    moved_from: RelPath | None = None


class Source(Struct, frozen=True, kw_only=True, gc=False):
    """A peer that offers an entry; `speaks_gsync` is true when the tracker marked it as one of ours (edition 2 and more)."""

    endpoint: Endpoint
    speaks_gsync: bool = False
    speaks_native: bool = False


class Offer(Struct, frozen=True, kw_only=True, gc=False):
    """A version of a path that others have, and the sources that have it, the tracker's choice first.

    `record` is None for what only classic peers offer: then nothing but the mtime in `version` is known. The sources of a
    record may be none: it stands, but nobody who has its content can be reached now.
    """

    version: Version
    sources: tuple[Source, ...]
    record: Record | None = None

    @property
    def is_deletion(self) -> bool:
        return self.record is not None and self.record.deleted


V_co = TypeVar("V_co", covariant=True)


class LongTree(Mapping[RelPath, V_co]):
    """A tree that need not be in memory: walked in path order, and it may be changed meanwhile (storage/spilled.py)."""

    @abstractmethod
    def labelled(self, label: str = "") -> Sequence[RelPath]:
        """The paths whose value has this label, or any; that of an offer is the path that it was renamed from."""

    @abstractmethod
    def beneath(self, directory: RelPath) -> Sequence[RelPath]:
        """The paths in `directory`, at any depth."""


LocalTree = Mapping[RelPath, FileMeta]
BuriedTree = Mapping[RelPath, Tombstone]
RemoteTree = Mapping[RelPath, Offer]
SyncedTree = Mapping[RelPath, Version]
