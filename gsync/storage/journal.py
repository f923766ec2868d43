"""What is written down before a file is published, so that a crash at any instant can be understood afterwards.

A row says: the staged file `name` is the download with inode `inode`, meant for `path`. As long as that name holds that
inode, nothing was published and the download may go. Once it holds another one, that is the file of a person which the
exchange brought out. `index.py` keeps the rows; `publisher.py` and `recovery.py` read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gsync.core.actions import Displaced
from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import RelPath
from gsync.core.versions import Version


class RowState(Enum):
    """How far a download has come."""

    OPEN = "open"
    """Being written: only ever a download."""

    STAGED = "staged"
    """Durable; it is about to be published, or just was."""

    LIMBO = "limbo"
    """Published; the staged name holds a displaced file that has no place yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One download on its way into the folder."""

    name: str
    path: RelPath
    state: RowState
    download: Fingerprint
    """The download as it was last seen in staging; its inode tells it from what it displaced."""
    version: Version
    digest: str = ""
    expected: Fingerprint | None = None
    """What the planner saw at `path`, None for nothing."""
    displaced: Displaced = Displaced.TRASH
    loser: FileMeta | None = None
    """The entry of what is displaced, as the index had it: the version that its conflict copy carries."""
