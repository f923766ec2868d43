"""What a plan is made of: things to do, one path each, free of order among themselves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gsync.core.model import FileMeta, Offer
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Bring this offer's content and put it in place of `expected` (None: of nothing)."""

    path: RelPath
    offer: Offer
    expected: FileMeta | None = None
    displaced: Displaced = Displaced.TRASH


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """Both sides are equal already: only the synced tree moves."""

    path: RelPath
    version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """This offer is not taken, and a person should be told why."""

    path: RelPath
    version: Version
    reason: str


Action = Fetch | Adopt | Refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The actions for some paths, in path order."""

    actions: tuple[Action, ...] = ()

    @property
    def fetches(self) -> tuple[Fetch, ...]:
        return tuple(a for a in self.actions if isinstance(a, Fetch))
