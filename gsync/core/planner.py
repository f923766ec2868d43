"""Three trees in, actions out: the one place that decides what should happen to a file.

For each path the local file is compared with what the synced tree remembers (UNCHANGED, CHANGED, or NEW: never agreed with
anybody), and the offer with the local file:

    local    offer                          local since synced   action
    -------  -----------------------------  -------------------  -----------------------------------------------------
    any      none                           any                  none: absence is not deletion
    any      ignored name                   any                  none
    none     any                            any                  Fetch, in place of nothing
    present  SAME                           UNCHANGED            none
    present  SAME                           CHANGED, NEW         Adopt
    present  OLDER                          any                  none: the others fetch ours
    present  NEWER, mtime from the future   any                  Refuse
    present  NEWER                          UNCHANGED            Fetch, what it displaces goes to the trash
    present  NEWER                          NEW                  Fetch, what it displaces goes to the trash, unseen
    present  NEWER                          CHANGED              Fetch, what it displaces is kept as a conflict copy
    present  CONCURRENT, the offer wins     any                  Fetch, what it displaces is kept as a conflict copy
    present  CONCURRENT, the local wins     any                  none: the others keep theirs as a conflict copy

Total, pure and deterministic: planning all paths equals planning them in groups, and a plan after it was carried out is empty.
Called by `peer.syncer`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, assert_never

from gsync.core.actions import Action, Adopt, Displaced, Fetch, Plan, Refuse
from gsync.core.ignore import is_ignored
from gsync.core.model import FileMeta, LocalTree, Offer, RemoteTree, SyncedTree
from gsync.core.names import RelPath
from gsync.core.versions import Order, Version, compare

FUTURE_TOLERANCE_S: Final = 120
"""An offered mtime further ahead of our clock than this never replaces a file; clocks of real machines differ by less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the planner is told of the world: the wall clock in seconds."""

    now_s: float


class Since(Enum):
    """How a local file stands to the synced tree."""

    NEW = auto()
    UNCHANGED = auto()
    CHANGED = auto()


_DISPLACED_BY_NEWER: Final = {
    Since.UNCHANGED: Displaced.TRASH,
    Since.NEW: Displaced.UNSEEN_TRASH,
    Since.CHANGED: Displaced.CONFLICT_COPY,
}


def plan(paths: Iterable[RelPath], *, local: LocalTree, remote: RemoteTree, synced: SyncedTree, policy: Policy) -> Plan:
    """What should happen to `paths`; see the table of the module."""
    decided = (_decide(path, local.get(path), remote.get(path), synced.get(path), policy) for path in sorted(paths))
    return Plan(actions=tuple(action for action in decided if action is not None))


def _decide(
    path: RelPath, local: FileMeta | None, offer: Offer | None, synced: Version | None, policy: Policy
) -> Action | None:
    if offer is None or is_ignored(path):
        return None
    if local is None:
        return Fetch(path=path, offer=offer)
    since = _since(local, synced)
    match compare(offer.version, local.version):
        case Order.SAME:
            return None if since is Since.UNCHANGED else Adopt(path=path, version=local.version)
        case Order.OLDER:
            return None
        case Order.NEWER if offer.version.mtime_s > policy.now_s + FUTURE_TOLERANCE_S:
            return Refuse(path=path, version=offer.version, reason=_from_the_future(offer.version, policy))
        case Order.NEWER:
            return Fetch(path=path, offer=offer, expected=local, displaced=_DISPLACED_BY_NEWER[since])
        case Order.CONCURRENT:
            if not wins(offer.version, local.version):
                return None
            return Fetch(path=path, offer=offer, expected=local, displaced=Displaced.CONFLICT_COPY)
        case unreachable:
            assert_never(unreachable)


def wins(a: Version, b: Version) -> bool:
    """Whether `a` wins over the concurrent `b`: one symmetric total order, the later mtime first, so all peers agree."""
    return (a.mtime_s, a.counters) > (b.mtime_s, b.counters)


def _since(local: FileMeta, synced: Version | None) -> Since:
    if synced is None:
        return Since.NEW
    return Since.UNCHANGED if synced == local.version else Since.CHANGED


def _from_the_future(version: Version, policy: Policy) -> str:
    ahead_s = int(version.mtime_s - policy.now_s)
    return f"its mtime is {ahead_s} s ahead of this machine's clock (at most {FUTURE_TOLERANCE_S} s may replace a file)"
