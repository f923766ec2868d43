"""A peer's trees at one moment, and the pictures that are built from them: how a path stands, what is listed, what is counted.

Pure; the table of the states is in `core/status.py`. Loops over whole trees take a `pause`. Called by whoever fulfils
`web.controls.Controls`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from heapq import merge
from itertools import groupby
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gsync.core.conflicts import is_conflict_copy
from gsync.core.model import (
    BuriedTree,
    FileMeta,
    Kind,
    LocalTree,
    LongTree,
    Offer,
    RemoteTree,
    Source,
    SyncedTree,
    Tombstone,
)
from gsync.core.names import Endpoint, RelPath
from gsync.core.pausing import Pause, no_pause, paused
from gsync.core.records import beats, order, record_of
from gsync.core.status import (
    CONFLICTS_SHOWN,
    Dialect,
    Here,
    ListedEntry,
    PeerSeen,
    Pending,
    State,
    Status,
    TrackerSeen,
)
from gsync.core.versions import Order, Version, compare

_RUN: Final = 4000
_AUTHORS_SHOWN: Final = 2
_AUTHOR_DIGITS: Final = 8


def nothing_ignored(path: RelPath, kind: Kind) -> str:
    """No rule leaves anything alone."""
    return ""


class View(Struct, frozen=True, kw_only=True):
    """The trees of a peer, and what its loops know beside them. The trees may go on changing between two questions."""

    local: LocalTree
    buried: BuriedTree
    remote: RemoteTree
    synced: SyncedTree
    fetching: Collection[RelPath] = frozenset()
    """Paths whose content is on its way now."""
    held: Collection[RelPath] = frozenset()
    """Deletions that are held back."""
    ignored_by: Callable[[RelPath, Kind], str] = nothing_ignored
    """The rule that leaves a path alone, in its own spelling; "" where none does."""
    on_demand: bool = False
    """Whether what is not here is not to be here either, unless somebody gets it."""


def state_of(path: RelPath, view: View) -> State:
    """How `path` stands in `view`."""
    entry, offer = view.local.get(path), view.remote.get(path)
    if path in view.held:
        return State.HELD
    if path in view.fetching:
        return State.FETCHING
    if entry is not None:
        return _state_here(path, entry, offer, view)
    if view.ignored_by(path, offer.record.kind if offer and offer.record else Kind.FILE):
        return State.IGNORED
    if offer is not None and not offer.is_deletion and not _knows(view.buried.get(path), offer):
        return State.ABSENT if view.on_demand else State.MISSING
    return State.DELETED


def known_paths(view: View, *, beneath: RelPath | None = None, pause: Pause = no_pause) -> Iterator[RelPath]:
    """Every path of which something is known, in order; or only `beneath` itself and what is in it.

    Sorted in runs that are merged while they are asked for: one sort of 100,000 paths would hold up the loop for 50 ms.
    """
    here = list({*view.local, *view.buried})
    runs: list[Iterable[RelPath]] = [_in_order(view.remote)]
    for start in range(0, len(here), _RUN):
        runs.append(sorted(here[start : start + _RUN]))
        pause()
    every = (path for path, _ in groupby(merge(*runs)))
    if beneath is None:
        return every
    inside = f"{beneath}/"
    return (path for path in paused(every, pause) if path == beneath or path.startswith(inside))


def _in_order(remote: RemoteTree) -> Iterable[RelPath]:
    return remote if isinstance(remote, LongTree) else sorted(remote)


def listed(paths: Iterable[RelPath], view: View, *, pause: Pause = no_pause) -> Iterator[ListedEntry]:
    """A line for each of `paths`, as it stands when its turn comes; one of which nothing is known is left out."""
    for path in paused(paths, pause):
        entry = listed_entry(path, view)
        if entry is not None:
            yield entry


def listed_entry(path: RelPath, view: View) -> ListedEntry | None:
    """The line of one path; None where nothing is known of it."""
    entry, offer, tombstone = view.local.get(path), view.remote.get(path), view.buried.get(path)
    if entry is None and offer is None and tombstone is None:
        return None
    record = offer.record if offer is not None else None
    holders = tuple(source.endpoint for source in offer.sources) if offer is not None else ()
    if entry is not None:
        kind, size, mtime_ns = entry.kind, entry.fingerprint.size, entry.fingerprint.mtime_ns
        version = entry.version
    elif record is not None and offer is not None:
        kind, size, mtime_ns, version = record.kind, record.size, record.mtime_ns, offer.version
    else:
        version = offer.version if offer is not None else tombstone.version if tombstone is not None else Version(0)
        kind, size, mtime_ns = tombstone.kind if tombstone else Kind.FILE, 0, version.mtime_s * 1_000_000_000
    return ListedEntry(
        path=path,
        kind=kind,
        size=0 if kind is Kind.DIRECTORY else size,
        mtime_ns=mtime_ns,
        state=state_of(path, view),
        version=version_text(version),
        holders=holders,
    )


def here(local: LocalTree, *, pause: Pause = no_pause) -> Here:
    """What stands in the folder, counted; 20 ms for 100,000 entries."""
    counts = dict.fromkeys(Kind, 0)
    total = 0
    for meta in paused(list(local.values()), pause):
        counts[meta.kind] += 1
        if meta.kind is Kind.FILE:
            total += meta.fingerprint.size
    return Here(files=counts[Kind.FILE], directories=counts[Kind.DIRECTORY], links=counts[Kind.LINK], bytes=total)


def status_of(
    view: View,
    *,
    folder: str,
    pid: int,
    uptime_s: float,
    tracker: TrackerSeen | None,
    pending: Pending,
    left: int = 0,
    left_bytes: int = 0,
    name: str = "",
    serving: Endpoint | None = None,
    sends: bool = True,
    receives: bool = True,
    pause: Pause = no_pause,
) -> Status:
    """The picture of a peer: its own facts, and what the trees say beside them."""
    copies = conflict_copies(view.local, pause=pause)
    offered, sources = 0, set[tuple[Source, ...]]()
    for offer in paused(view.remote.values(), pause):
        if offer.sources and not offer.is_deletion:
            offered += 1
            sources.add(offer.sources)
    return Status(
        folder=folder,
        pid=pid,
        name=name,
        serving=serving,
        tracker=tracker,
        uptime_s=uptime_s,
        peers=len({source for together in sources for source in together}),
        here=here(view.local, pause=pause),
        offered=offered,
        left=left,
        left_bytes=left_bytes,
        conflicts=len(copies),
        conflict_names=tuple(copies[:CONFLICTS_SHOWN]),
        held_deletions=pending.held,
        paused=pending.paused,
        sends=sends,
        receives=receives,
        in_sync=not pending.reason,
        reason=pending.reason,
    )


def conflict_copies(local: LocalTree, *, pause: Pause = no_pause) -> list[RelPath]:
    """The conflict copies that wait for a person, in path order."""
    return sorted(path for path in paused(list(local), pause) if is_conflict_copy(path))


def peers_seen(remote: RemoteTree, *, pause: Pause = no_pause) -> tuple[PeerSeen, ...]:
    """Who offers anything now, in the order of their addresses."""
    offers: dict[Endpoint, int] = {}
    only: dict[Endpoint, int] = {}
    native: set[Endpoint] = set()
    for offer in paused(remote.values(), pause):
        if offer.is_deletion:
            continue
        for source in offer.sources:
            offers[source.endpoint] = offers.get(source.endpoint, 0) + 1
            if source.speaks_native:
                native.add(source.endpoint)
        if len(offer.sources) == 1:
            endpoint = offer.sources[0].endpoint
            only[endpoint] = only.get(endpoint, 0) + 1
    return tuple(
        PeerSeen(
            endpoint=endpoint,
            dialect=Dialect.NATIVE if endpoint in native else Dialect.CLASSIC,
            offers=offers[endpoint],
            only=only.get(endpoint, 0),
        )
        for endpoint in sorted(offers)
    )


def version_text(version: Version) -> str:
    """`version` in a word: who took part and how often, `1a2b3c4d:3`; its mtime alone where nobody of ours did."""
    if version.is_mtime_only:
        return f"@{version.mtime_s}"
    ordered = sorted(version.counters, key=lambda pair: (-pair[1], pair[0]))
    shown = " ".join(f"{author[:_AUTHOR_DIGITS]}:{counter}" for author, counter in ordered[:_AUTHORS_SHOWN])
    more = len(ordered) - _AUTHORS_SHOWN
    return f"{shown} +{more}" if more > 0 else shown


def _state_here(path: RelPath, entry: FileMeta, offer: Offer | None, view: View) -> State:
    if view.ignored_by(path, entry.kind):
        return State.IGNORED
    if is_conflict_copy(path):
        return State.CONFLICT
    if offer is None:
        return _alone(entry, view.synced.get(path))
    match _order(path, offer, entry):
        case Order.OLDER:
            return State.EDITED
        case Order.SAME:
            # Who has a directory or a link is told to nobody: that it is told at all must do.
            is_told = offer.sources or entry.kind is not Kind.FILE
            return State.SYNCED if is_told else _alone(entry, view.synced.get(path))
        case _:
            return State.STALE


def _order(path: RelPath, offer: Offer, entry: FileMeta) -> Order:
    """How the offer stands to what is here, the winner of a conflict being the newer one; never CONCURRENT."""
    if offer.record is None:
        return compare(offer.version, entry.version)
    mine = record_of(path, entry)
    if entry.kind is Kind.FILE and not entry.digest:  # not read whole yet: taken for the same until it is known better
        mine = replace(mine, digest=offer.record.digest)
    found = order(offer.record, mine)
    if found is not Order.CONCURRENT:
        return found
    return Order.NEWER if beats(offer.record, mine) else Order.OLDER


def _alone(entry: FileMeta, agreed: Version | None) -> State:
    """Nobody else has it now; whether somebody had it says the synced tree."""
    if agreed is None:
        return State.LOCAL
    return State.SYNCED if agreed == entry.version else State.EDITED


def _knows(tombstone: Tombstone | None, offer: Offer) -> bool:
    """Whether the deletion was made by somebody who had seen the offer."""
    return tombstone is not None and compare(offer.version, tombstone.version) in (Order.OLDER, Order.SAME)
