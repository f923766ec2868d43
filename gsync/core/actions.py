"""What a plan is made of: things to do, one path each, free of order among themselves unless said otherwise.

Whoever carries them out does directories before what is in them when making (a Relocate makes, too), and after when removing.
What does not come off, because something else stands there by now or the disk refuses, leaves the others alone and is planned
again: all paths of it, where it is a Relocate.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from msgspec import Struct, field

from gsync.core.model import FileMeta, Offer, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version


class Displaced(Enum):
    """What becomes of the file that a fetched one takes the place of, when it is the one that the planner saw."""

    TRASH = "trash"
    """It is superseded: its author, or a person, replaced it."""

    UNSEEN_TRASH = "unseen trash"
    """It is older, but it was never agreed with anybody: this may be the only copy, so no lack of room purges it early."""

    CONFLICT_COPY = "conflict copy"
    """It lost a conflict: it stays in the folder under its conflict name."""

    NOWHERE = "nowhere"
    """Somebody else keeps the same: it is let go, a moment after it went to the trash."""


class Fetch(Struct, frozen=True, kw_only=True, gc=False):
    """Bring this offer's content and put it in place of `expected` (None: of nothing).

    `version` is what it is published as: the offer's, or the join of both where a conflict is settled by it. `path` differs from
    the record's own path where an edit follows a file to the name that it was moved to; the record then says from where.
    """

    path: RelPath
    offer: Offer
    expected: FileMeta | None = None
    displaced: Displaced = Displaced.TRASH
    settles: Version | None = None
    """The version to publish as, where it is not the offer's own."""
    grave: Version | None = None
    """That of the tombstone at `path`: nothing is published over another one."""

    @property
    def version(self) -> Version:
        return self.settles or self.offer.version


class MakeDirectory(Struct, frozen=True, kw_only=True, gc=False):
    """Let a directory stand at `path`, in place of `expected` (a file or link; None: of nothing)."""

    path: RelPath
    record: Record
    version: Version
    expected: FileMeta | None = None
    displaced: Displaced = Displaced.TRASH
    grave: Version | None = None


class MakeLink(Struct, frozen=True, kw_only=True, gc=False):
    """Let a symlink with the record's target stand at `path`, in place of `expected` (None: of nothing)."""

    path: RelPath
    record: Record
    version: Version
    expected: FileMeta | None = None
    displaced: Displaced = Displaced.TRASH
    grave: Version | None = None


class Remove(Struct, frozen=True, kw_only=True, gc=False):
    """Take `expected` away from `path`: a file or link goes to the trash, a directory is removed if nothing is left in it."""

    path: RelPath
    expected: FileMeta
    tombstone: Tombstone
    displaced: Displaced = Displaced.TRASH
    """Never CONFLICT_COPY."""


class Bury(Struct, frozen=True, kw_only=True, gc=False):
    """Nothing stands at `path` here; remember the deletion, so that others can be told of it."""

    path: RelPath
    tombstone: Tombstone


class Adopt(Struct, frozen=True, kw_only=True, gc=False):
    """Both sides have the same content already: only versions (and for a native record mtime and exec bit) move.

    The local entry takes `version`, and the synced tree with it. `record` is None where classic peers agree.
    """

    path: RelPath
    version: Version
    record: Record | None = None
    expected: FileMeta | None = None


class Reassert(Struct, frozen=True, kw_only=True, gc=False):
    """What stands here stays although a deletion that does not know it arrived: it takes `version`, which is newer than that."""

    path: RelPath
    version: Version


class Relocate(Struct, frozen=True, kw_only=True, gc=False):
    """A file, a link, or a directory with all that is in it was renamed elsewhere: do the same here, as one rename.

    `entries` are what stands afterwards, by new path: the entry as it stands now under its old path, and the record that it takes.
    """

    path: RelPath
    source: RelPath
    entries: Mapping[RelPath, Relocated]
    buried: Mapping[RelPath, Tombstone] = field(default_factory=dict)


class Relocated(Struct, frozen=True, kw_only=True, gc=False):
    """One entry of a relocation: where it stands, what stands there now, and what it becomes."""

    source: RelPath
    expected: FileMeta
    version: Version
    author: str = ""


class Refuse(Struct, frozen=True, kw_only=True, gc=False):
    """This offer is not taken, and a person should be told why."""

    path: RelPath
    version: Version
    reason: str
    until_s: float | None = None
    """When, by the wall clock, a new plan says something else by itself; None: only once something has changed."""


Action = Fetch | MakeDirectory | MakeLink | Remove | Bury | Adopt | Reassert | Relocate | Refuse


class Plan(Struct, frozen=True, kw_only=True, gc=False):
    """The actions for some paths, in path order."""

    actions: tuple[Action, ...] = ()
    again: tuple[RelPath, ...] = ()
    """Paths whose trees changed while it was made: what was to happen there is left out, and to be planned again."""

    @property
    def fetches(self) -> tuple[Fetch, ...]:
        return tuple(a for a in self.actions if isinstance(a, Fetch))
