"""What the three trees are made of: files on this disk, and files that others offer.

    local   RelPath -> FileMeta     last seen on this disk
    remote  RelPath -> Offer        last heard from the tracker: a version and who has it
    synced  RelPath -> Version      last agreed with somebody else

Absence in `remote` means "nobody offers it now", never "deleted". Pure values; they cross all room borders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gsync.core.names import Endpoint, RelPath
from gsync.core.versions import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What tells an untouched file from a changed one without reading it; straight from fstat.

    `ctime_ns` is part of it when two scans are compared, but never after a rename of ours, which sets it.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    mode: int

    def same_content_as(self, other: Fingerprint) -> bool:
        """Whether both show one unchanged file as far as size, mtime and inode tell (a rename keeps all three)."""
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """A regular file in this folder: what the disk shows, its version, and its digest once something has read it whole.

    `digest` is `b3:` and 64 hex digits of BLAKE3, or "" while unknown.
    """

    fingerprint: Fingerprint
    version: Version
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A peer that offers an entry; `speaks_gsync` is true when the tracker marked it as one of ours (edition 2 and more)."""

    endpoint: Endpoint
    speaks_gsync: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A version of a file that others have, and the sources that have it; at least one, the tracker's choice first."""

    version: Version
    sources: tuple[Source, ...]


LocalTree = Mapping[RelPath, FileMeta]
RemoteTree = Mapping[RelPath, Offer]
SyncedTree = Mapping[RelPath, Version]
