"""Taking what stands at a path out of the folder, if it is exactly what the planner saw, and putting it back if it is not.

A rename to a staged name takes it, then what came out is looked at: a person may have been quicker. Nothing is ever deleted.
Called by the rooms that remove and replace.
"""

from __future__ import annotations

from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from gsync.errors import StorageError
from gsync.storage.displaced import is_seen
from gsync.storage.filesystem import Folder
from gsync.storage.journal import JournalRow, RowState
from gsync.storage.limbo import Limbo


class Taken(Struct, frozen=True, kw_only=True):
    """What was expected came out; the staged name of `row` holds it, and it needs a place now."""

    row: JournalRow


class Refused(Struct, frozen=True, kw_only=True):
    """Something else came out. It stands where it stood, or, where that name was taken meanwhile, `waiting` is in limbo."""

    waiting: JournalRow | None


def take(folder: Folder, limbo: Limbo, row: JournalRow) -> Taken | Refused | None:
    """Take out what stands at the path of `row`; None where nothing does. Raises `StorageError`: nothing was touched."""
    name = folder.take_out(row.path)
    if name is None:
        return None
    held = replace(row, name=name, state=RowState.LIMBO)
    with suppress(StorageError):  # what cannot be looked at is not what was seen
        if is_seen(folder.staged_fingerprint(name), row.expected):
            return Taken(row=held)
    return Refused(waiting=put_back(folder, limbo, held))


def put_back(folder: Folder, limbo: Limbo, held: JournalRow) -> JournalRow | None:
    """Let what `held` holds stand at its path again; returns `held` where that cannot be: it is in limbo then."""
    with suppress(StorageError):
        if folder.put_new(held.name, held.path):
            return None
    limbo.hold(held)
    return held
