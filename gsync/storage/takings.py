"""Taking what stands at a path out of the folder, if it is exactly what the planner saw, and putting it back if it is not.

A rename to a staged name takes it, then what came out is looked at: a person may have been quicker. Nothing is ever deleted.
Called by the rooms that remove, free and replace.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from gsync.core.model import Fingerprint, Kind
from gsync.errors import StorageError
from gsync.storage.displaced import is_seen
from gsync.storage.downloads import Placed
from gsync.storage.filesystem import Folder
from gsync.storage.journal import JournalRow, RowState
from gsync.storage.limbo import Limbo
from gsync.storage.steps import Step, overtaken


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


def take_away(
    folder: Folder,
    limbo: Limbo,
    row: JournalRow,
    *,
    gone: Callable[[JournalRow, Placed | None], Step],
    remove_directory: Callable[[JournalRow, Fingerprint], Step],
) -> Step:
    """The step that takes what `row` expects from its path; anything else there overtakes it.

    `gone` says what it comes to that nothing stands there any more; `remove_directory` is asked where the expected directory does.
    Raises `StorageError`: nothing was touched.
    """
    there = folder.fingerprint(row.path)
    if there is None:
        return gone(row, None)
    if row.expected is None or there.kind is not row.expected.kind:
        return overtaken(row.path, row)
    if there.kind is Kind.DIRECTORY:
        return remove_directory(row, there) if there.inode == row.expected.inode else overtaken(row.path, row)
    if there != row.expected:
        return overtaken(row.path, row)
    taken = take(folder, limbo, row)
    if taken is None:
        return gone(row, None)
    if isinstance(taken, Refused):
        return replace(overtaken(row.path, row), waiting=taken.waiting, renamed=True)
    placed = limbo.settle(taken.row)
    return replace(gone(row, placed), waiting=taken.row if placed is None else None)


def put_back(folder: Folder, limbo: Limbo, held: JournalRow) -> JournalRow | None:
    """Let what `held` holds stand at its path again; returns `held` where that cannot be: it is in limbo then."""
    with suppress(StorageError):
        if folder.put_new(held.name, held.path):
            return None
    limbo.hold(held)
    return held
