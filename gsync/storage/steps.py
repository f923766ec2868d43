"""What one change of a batch did to the folder, before that is durable: the steps that the publisher then agrees upon together.

Made by the rooms that carry changes out (placements, removals, directories, relocations, adjustments); says in which turn they
go. Values only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, assert_never

from msgspec import Struct, field

from gsync.core.model import Entry, FileMeta, Kind
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.storage.downloads import (
    Adjustment,
    Change,
    Download,
    Freed,
    Freeing,
    Moved,
    NewDirectory,
    NewLink,
    Outcome,
    Overtaken,
    Placed,
    Published,
    Relocation,
    Removal,
    Removed,
)
from gsync.storage.journal import JournalRow


class Step(Struct, frozen=True, kw_only=True):
    """The outcome of a change, and what the index must learn before anybody may hear of it."""

    outcome: Outcome
    row: JournalRow | None
    """Its row in the journal, which goes when the index knows the rest; None for a change that needs none."""
    entries: Mapping[RelPath, Entry | None] = field(default_factory=dict)
    """None: nothing is known of the path any more."""
    synced: Mapping[RelPath, Version] = field(default_factory=dict)
    waiting: JournalRow | None = None
    """The row of a file that was taken out of the folder and is in limbo now."""
    renamed: bool = True
    """Whether names of the folder were touched, so that they must be made durable."""

    @property
    def is_done(self) -> bool:
        """Whether the folder is as it was asked for."""
        return isinstance(self.outcome, Published | Removed | Freed | Moved)


def overtaken(path: RelPath, row: JournalRow | None) -> Step:
    """Nothing was touched: something else stands there than the planner saw."""
    return Step(outcome=Overtaken(path=path), row=row, renamed=False)


def published_step(
    row: JournalRow, meta: FileMeta, placed: Placed | None, *, waiting: JournalRow | None = None
) -> Step:
    """`meta` stands at the path of `row` now; what came out of there is in its place, or (None) in limbo, as `waiting`."""
    where = placed or Placed()
    return Step(
        outcome=Published(
            path=row.path,
            meta=meta,
            conflict_copy=where.conflict_copy,
            trashed=where.trashed,
            remark=where.remark,
        ),
        row=row,
        entries=entries_of(row.path, meta, placed),
        synced={row.path: meta.version},
        waiting=waiting,
    )


def entries_of(path: RelPath, entry: Entry | None, placed: Placed | None) -> Mapping[RelPath, Entry | None]:
    """What the index learns of `path`, and of the conflict copy that had to be made for it."""
    if placed is None or placed.conflict_copy is None:
        return {path: entry}
    kept_as, copy = placed.conflict_copy
    return {path: entry, kept_as: copy}


def in_turn(batch: Sequence[Change]) -> list[int]:
    """The positions of `batch` in the order in which its changes can be made.

    Whole trees move first, while everything stands where it was seen. What is to be free is freed before anything is put
    there, directories stand before what is in them and go after it; what takes the place of a directory comes after that.
    """
    turns = [_turn(change) for change in batch]
    if turns.count(_OF_CONTENT) == len(
        turns
    ):  # as it mostly is: nothing but files and links, and no directory in their way
        return list(range(len(turns)))
    return sorted(range(len(turns)), key=turns.__getitem__)


def touched(change: Change) -> Collection[RelPath]:
    """Every path whose entry `change` sets."""
    if isinstance(change, Relocation):
        return {change.path, change.source, *change.entries, *change.buried}
    return (change.path,)


_OF_CONTENT: Final = 3, 0


def _turn(change: Change) -> tuple[int, int]:
    match change:
        case Relocation():
            return 0, 0
        case Removal() | Freeing() if change.expected.kind is not Kind.DIRECTORY:
            return 1, 0
        case NewDirectory():
            return 2, change.path.count("/")
        case Download() | NewLink() if not _is_over_directory(change):
            return _OF_CONTENT
        case Removal() | Freeing():
            return 4, -change.path.count("/")
        case Download() | NewLink():
            return 5, 0
        case Adjustment():
            return 6, 0
        case unreachable:
            assert_never(unreachable)


def _is_over_directory(change: Download | NewLink) -> bool:
    return change.expected is not None and change.expected.kind is Kind.DIRECTORY
