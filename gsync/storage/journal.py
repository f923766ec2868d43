"""What is written down before the folder is changed, so that a crash at any instant can be understood afterwards.

A row says: the staged file `name` is the download whose inode `entry` has, meant for `path`. As long as that name holds that
inode, nothing was published and the download may go. Once it holds another one, that is the file of a person which the
exchange brought out. Changes that bring no content have no staged name of their own: then `name` is only that of the row,
and what was taken out of the folder is known by the inode of `expected`. `index.py` keeps the rows; `publisher.py` and
`recovery.py` read them.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from gsync.core.actions import Displaced
from gsync.core.model import Entry, FileMeta, Fingerprint
from gsync.core.names import RelPath


class RowState(Enum):
    """What the row is about, and how far that has come."""

    OPEN = "open"
    """A download that is being written: only ever a download. One with a digest can be resumed after a restart."""

    STAGED = "staged"
    """A download that is durable, or a link; it is about to be published, or just was."""

    MAKING = "making"
    """A directory is about to stand at the path, or just does."""

    REMOVING = "removing"
    """What stands at the path is about to go, or just did."""

    FREEING = "freeing"
    """What stands at the path is about to go from here alone, or just did; the entry is that of what stands there."""

    ADJUSTING = "adjusting"
    """The mtime and the exec bit of what stands at the path are about to be set, or just were."""

    LIMBO = "limbo"
    """Done; the staged name holds a displaced file that has no place yet."""


class JournalRow(Struct, frozen=True, kw_only=True, gc=False):
    """One change on its way into the folder."""

    name: str
    path: RelPath
    state: RowState
    entry: Entry
    """What the index will say of `path`; of a download it has the fingerprint as it was last seen in staging."""
    expected: Fingerprint | None = None
    """What the planner saw at `path`, None for nothing."""
    displaced: Displaced = Displaced.TRASH
    loser: FileMeta | None = None
    """The entry of what is displaced, as the index had it: the version that its conflict copy carries."""

    @property
    def inode(self) -> int:
        """That of the download, which tells it from what it displaced; 0 where there is none."""
        return self.entry.fingerprint.inode if isinstance(self.entry, FileMeta) else 0
