"""What to do about a file of which classic peers tell nothing but an mtime: the latest mtime wins, as they expect.

What the synced tree remembers says whether a person has changed the file here since it was last agreed: UNCHANGED, CHANGED, or
NEW (never agreed with anybody).

    here              offer                   action
    ----------------  ----------------------  ------------------------------------------------------------------------------
    a tombstone       NEWER                   Fetch, in place of nothing
    a tombstone       SAME, OLDER             none: what was deleted does not come back
    nothing           any                     Fetch, in place of nothing
    a directory/link  NEWER                   Refuse
    a directory/link  SAME, OLDER             none
    a file            SAME                    Adopt, unless UNCHANGED
    a file            OLDER                   none: the others fetch ours
    a file            NEWER, from the future  Refuse, until its time has come
    a file            NEWER                   Fetch; what it displaces goes to the trash (UNCHANGED), to the trash, unseen (NEW), or
                                              is kept as a conflict copy (CHANGED)

It is published at the join with the version that stood here, so that our own who knew that version take it without a conflict.
Pure; called by the planner.
"""

from __future__ import annotations

from typing import Final

from gsync.core.actions import Action, Adopt, Displaced, Fetch, Refuse
from gsync.core.model import Entry, FileMeta, Kind, Offer, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Order, Version, compare, join

FUTURE_TOLERANCE_S: Final = 120
"""An offered mtime further ahead of our clock than this never replaces a file; clocks of real machines differ by less."""


def take_classic(
    path: RelPath, offer: Offer, *, here: Entry | None, synced: Version | None, now_s: float
) -> Action | None:
    """What should happen at `path`; see the table of the module."""
    if here is None:
        return Fetch(path=path, offer=offer)
    order = compare(offer.version, here.version)
    settles = _joined(offer.version, here.version)
    match here:
        case Tombstone():
            return Fetch(path=path, offer=offer, settles=settles, grave=here.version) if order is Order.NEWER else None
        case FileMeta() if here.kind is not Kind.FILE:
            return _refused(path, offer, f"a {here.kind} stands there") if order is Order.NEWER else None
    match order:
        case Order.SAME:
            return None if synced == here.version else Adopt(path=path, version=here.version)
        case Order.NEWER if offer.version.mtime_s > now_s + FUTURE_TOLERANCE_S:
            until_s = float(offer.version.mtime_s - FUTURE_TOLERANCE_S)
            return _refused(path, offer, _from_the_future(offer.version, now_s), until_s=until_s)
        case Order.NEWER:
            displaced = _displaced(here, synced)
            return Fetch(path=path, offer=offer, expected=here, displaced=displaced, settles=settles)
        case _:
            return None


def _joined(offered: Version, here: Version) -> Version | None:
    joined = join([offered, here])
    return None if joined == offered else joined


def _displaced(here: FileMeta, synced: Version | None) -> Displaced:
    if synced is None:
        return Displaced.UNSEEN_TRASH
    return Displaced.TRASH if synced == here.version else Displaced.CONFLICT_COPY


def _refused(path: RelPath, offer: Offer, reason: str, *, until_s: float | None = None) -> Refuse:
    return Refuse(path=path, version=offer.version, reason=reason, until_s=until_s)


def _from_the_future(version: Version, now_s: float) -> str:
    ahead_s = int(version.mtime_s - now_s)
    return f"its mtime is {ahead_s} s ahead of this machine's clock (at most {FUTURE_TOLERANCE_S} s may replace a file)"
