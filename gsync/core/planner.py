"""Four trees in, actions out: the one place that decides what should happen to a path.

What stands here, or is buried here, is compared with the record that others offer (`core.records.order`). "Agreed" means that
the synced tree has the version that stands here, "seen" that whoever made the offer had seen what stands here:

    here             offer                      action
    ---------------  -------------------------  -----------------------------------------------------------------------------
    any              none, or an ignored name   none: absence is not deletion
    any              from classic peers only    core/classic_offers.py
    nothing          a deletion                 Bury
    nothing          live                       Fetch, MakeDirectory or MakeLink, in place of nothing
    buried           SAME, OLDER                none
    buried           a deletion, NEWER          Bury
    buried           live, NEWER                as in place of nothing
    buried           a deletion, CONCURRENT     Bury at the join, if theirs wins
    buried           live, CONCURRENT           the same at the join: edit beats delete
    file, not read   any                        none: it is planned again once its digest is known
    live             SAME                       Adopt, if it was not agreed and somebody else has it
    live             OLDER                      none: the others fetch ours
    live             same content, NEWER        Adopt
    live             a deletion, NEWER          Remove if agreed, seen, or the very content that was deleted; else Reassert
    live             other content, NEWER       Fetch, MakeDirectory or MakeLink; what it displaces goes to the trash
    live             CONCURRENT, ours wins      none: the others take ours
    live             same content, CONCURRENT   Adopt at the join
    live             other content, CONCURRENT  Fetch, MakeDirectory or MakeLink at the join; ours is kept as a conflict copy

A peer that only sends takes nothing of it but an Adopt that changes nothing on its disk. In a folder on demand nothing is placed
where nothing stands, unless it is wanted, or is what stands here under another name (core/demand.py).

Across paths: renames are done as renames (core/relocations.py, core/whole_renames.py), and edits follow them
(core/moved_edits.py); a directory goes only with all that is in it; a file that stands where others have a directory with
something in it makes room (so whoever tells records tells those of directories before those of what is in them: else it makes
room for what it has not heard of yet).

Total, pure and deterministic: planning all paths equals planning them in groups, but for what is asked together being renamed
together; a plan after it was carried out is empty. Called by `peer.syncer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from gsync.core.actions import (
    Action,
    Adopt,
    Bury,
    Displaced,
    Fetch,
    MakeDirectory,
    MakeLink,
    Plan,
    Reassert,
    Relocate,
    Remove,
)
from gsync.core.classic_offers import FUTURE_TOLERANCE_S, take_classic
from gsync.core.demand import as_wanted, covered_names
from gsync.core.ignore import is_ignored
from gsync.core.model import (
    BuriedTree,
    Entry,
    FileMeta,
    Kind,
    LocalTree,
    Offer,
    Record,
    RemoteTree,
    SyncedTree,
    Tombstone,
)
from gsync.core.moved_edits import split_names, with_moved_edits
from gsync.core.names import RelPath
from gsync.core.pausing import Pause, no_pause, paused
from gsync.core.picture import Picture, Seen, stands_alone
from gsync.core.records import beats, has_seen, looks_the_same, order, record_of, same_content, tombstone_of
from gsync.core.relocations import carried_names, old_names, renamed_directories, with_renames
from gsync.core.versions import Order, Version, join
from gsync.core.whole_renames import whole_renames

__all__ = ["FUTURE_TOLERANCE_S", "Policy", "plan"]

_NOTHING_BURIED: Final[BuriedTree] = {}


class Policy(Struct, frozen=True, kw_only=True):
    """What the planner is told of the world: the wall clock in seconds, who we are, whether we take what others have, and which
    names are left alone.
    """

    now_s: float
    author: str = ""
    receives: bool = True
    ignored: Callable[[RelPath, Kind], bool] = is_ignored
    """What the rules of this folder leave alone."""
    wants: Callable[[RelPath], bool] | None = None
    """What is to come although it is not here; None for all: the folder is not kept on demand."""


def plan(
    paths: Iterable[RelPath],
    *,
    local: LocalTree,
    remote: RemoteTree,
    synced: SyncedTree,
    policy: Policy,
    buried: BuriedTree = _NOTHING_BURIED,
    pause: Pause = no_pause,
) -> Plan:
    """What should happen to `paths`, and to what hangs together with them; see the table of the module.

    `paths` are those whose trees have changed, and the paths that the entries which stood there before had been moved from: it may
    be that an edit was to follow them. At each `pause` the trees may change: `Plan.again`.
    """
    picture = Picture(local=local, buried=buried, remote=remote, synced=synced, pause=pause)
    known: dict[RelPath, Action | None] = {}
    seen: dict[RelPath, Seen] = {}

    def decide(path: RelPath) -> Action | None:
        if path not in known:
            then = seen.get(path)
            if then is None:
                then = seen[path] = picture.at(path)
            known[path] = _decide(path, then, policy)
        return known[path]

    asked = set(paths)
    whole: dict[RelPath, Action] = {}
    moved: dict[RelPath, Seen] = {}
    if policy.receives and policy.wants is None:
        for rename, then in whole_renames(asked, picture, policy.ignored):
            whole[rename.path] = rename
            moved |= then
        asked -= moved.keys()
    ends = [end for rename in whole.values() if isinstance(rename, Relocate) for end in (rename.path, rename.source)]
    above = {directory for path in paused([*asked, *ends], pause) if "/" in path for directory in path.ancestors}
    if above:
        asked |= _waiting_directories(above, picture) | renamed_directories(above, picture)
    for path in paused(asked, pause):
        seen[path] = picture.at(path)
    knotty = {path for path, then in seen.items() if not stands_alone(then)}
    if knotty:
        knotty |= carried_names(knotty, picture)
        asked |= knotty | split_names(knotty, picture) | old_names(knotty, picture)
        asked -= moved.keys()
    if policy.wants is not None:
        covered = covered_names(asked, picture)
        asked |= covered
        knotty |= covered
    actions = {path: action for path in paused(asked, pause) if (action := decide(path)) is not None}
    if policy.receives:
        if knotty:
            actions = with_moved_edits(actions, asked, picture, decide, policy.author)
            actions = with_renames(actions | whole, picture, decide)
        else:
            actions |= whole
        actions = _with_room(_with_directories_last(actions, picture, decide), picture, decide, policy.author)
        if policy.wants is not None:
            actions = as_wanted(actions, asked, picture, decide, wants=policy.wants, author=policy.author)
    seen |= moved
    moments = seen.items() if pause is not no_pause else ()
    changed = {path for path, then in paused(moments, pause) if picture.at(path) != then}
    if not changed:
        return Plan(actions=tuple(actions[path] for path in sorted(actions)))
    overtaken = {path: action for path, action in actions.items() if not changed.isdisjoint(_paths_of(action))}
    again = changed.union(*map(_paths_of, overtaken.values()))
    still = tuple(actions[path] for path in sorted(actions) if path not in overtaken)
    return Plan(actions=still, again=tuple(sorted(again)))


def _paths_of(action: Action) -> Iterable[RelPath]:
    return [action.path, *action.entries, *action.buried] if isinstance(action, Relocate) else [action.path]


def _decide(path: RelPath, seen: Seen, policy: Policy) -> Action | None:
    meta, tombstone, offer, agreed = seen
    if offer is None or policy.ignored(path, offer.record.kind if offer.record is not None else Kind.FILE):
        return None
    here = meta or tombstone
    if offer.record is None:
        action = take_classic(path, offer, here=here, synced=agreed, now_s=policy.now_s)
    elif here is None:
        action = _bury(path, offer.record) if offer.record.deleted else _place(path, offer)
    elif isinstance(here, Tombstone):
        action = _against_a_tombstone(path, offer, offer.record, here)
    elif here.kind is Kind.FILE and not here.digest:
        action = None
    else:
        action = _against_an_entry(path, offer, offer.record, here, is_agreed=agreed == here.version, policy=policy)
    return action if policy.receives or _changes_no_disk(action) else None


def _against_a_tombstone(path: RelPath, offer: Offer, theirs: Record, here: Tombstone) -> Action | None:
    mine = record_of(path, here)
    match order(theirs, mine):
        case Order.SAME | Order.OLDER:
            return None
        case Order.NEWER if theirs.deleted:
            return _bury(path, theirs, leftover_inode=here.leftover_inode)
        case Order.NEWER:
            return _place(path, offer, here)
        case Order.CONCURRENT if theirs.deleted:
            joined = join([theirs.version, here.version])
            return _bury(path, theirs, joined, leftover_inode=here.leftover_inode) if beats(theirs, mine) else None
        case Order.CONCURRENT:
            return _place(path, offer, here, settles=join([theirs.version, here.version]))
        case unreachable:
            assert_never(unreachable)


def _against_an_entry(
    path: RelPath, offer: Offer, theirs: Record, here: FileMeta, *, is_agreed: bool, policy: Policy
) -> Action | None:
    mine = record_of(path, here)
    match order(theirs, mine):
        case Order.SAME:
            return None if is_agreed or not offer.sources else _adopt(path, theirs, here)
        case Order.OLDER:
            return None
        case Order.NEWER if same_content(theirs, mine):
            return _adopt(path, theirs, here)
        case Order.NEWER if theirs.deleted:
            if is_agreed or has_seen(theirs.version, here.version) or _is_what_was_deleted(theirs, mine):
                return Remove(path=path, expected=here, tombstone=tombstone_of(theirs))
            version = theirs.version.edited_by(policy.author, mine.version.mtime_s)
            return Reassert(path=path, version=version) if policy.author else None
        case Order.NEWER:
            seen = is_agreed or has_seen(theirs.version, here.version)
            return _place(path, offer, here, Displaced.TRASH if seen else Displaced.UNSEEN_TRASH)
        case Order.CONCURRENT if not beats(theirs, mine):
            return None
        case Order.CONCURRENT if same_content(theirs, mine):
            return _adopt(path, theirs, here, join([theirs.version, here.version]))
        case Order.CONCURRENT:
            return _place(path, offer, here, Displaced.CONFLICT_COPY, settles=join([theirs.version, here.version]))
        case unreachable:
            assert_never(unreachable)


def _is_what_was_deleted(theirs: Record, mine: Record) -> bool:
    return (theirs.kind, theirs.digest) == (mine.kind, mine.digest)


def _changes_no_disk(action: Action | None) -> bool:
    if not isinstance(action, Adopt):
        return False
    if action.record is None or action.expected is None:
        return True
    return looks_the_same(action.record, record_of(action.path, action.expected))


def _bury(path: RelPath, theirs: Record, version: Version | None = None, *, leftover_inode: int = 0) -> Bury:
    tombstone = tombstone_of(theirs, version=version)
    return Bury(path=path, tombstone=replace(tombstone, leftover_inode=leftover_inode))


def _adopt(path: RelPath, theirs: Record, here: FileMeta, version: Version | None = None) -> Adopt:
    return Adopt(path=path, version=version or theirs.version, record=theirs, expected=here)


def _place(
    path: RelPath,
    offer: Offer,
    here: Entry | None = None,
    displaced: Displaced = Displaced.TRASH,
    settles: Version | None = None,
) -> Fetch | MakeDirectory | MakeLink:
    """Let what is offered stand at `path`, in place of `here`."""
    record, version = offer.record, settles or offer.version
    grave = here.version if isinstance(here, Tombstone) else None
    expected = here if isinstance(here, FileMeta) else None
    if record is None or record.kind is Kind.FILE:
        return Fetch(
            path=path,
            offer=offer,
            expected=expected,
            displaced=displaced,
            settles=None if version == offer.version else version,
            grave=grave,
        )
    make = MakeDirectory if record.kind is Kind.DIRECTORY else MakeLink
    return make(path=path, record=record, version=version, expected=expected, displaced=displaced, grave=grave)


def _waiting_directories(above: set[RelPath], picture: Picture) -> set[RelPath]:
    """Those of `above` that should go, or become something else, as soon as nothing is left in them."""
    return {
        path
        for path in paused(above, picture.pause)
        if (here := picture.local.get(path)) is not None
        and here.kind is Kind.DIRECTORY
        and (theirs := picture.offered(path)) is not None
        and (theirs.deleted or theirs.kind is not Kind.DIRECTORY)
    }


def _with_directories_last(
    actions: dict[RelPath, Action], picture: Picture, decide: Callable[[RelPath], Action | None]
) -> dict[RelPath, Action]:
    """Without those that take a directory away in which something stays; one that is to be something else goes first."""
    renamed = {source for action in actions.values() if isinstance(action, Relocate) for source in action.buried}
    after = dict(actions)
    for path, action in paused(actions.items(), picture.pause):
        here = getattr(action, "expected", None)
        if not isinstance(action, Remove | Fetch | MakeLink) or here is None or here.kind is not Kind.DIRECTORY:
            continue
        if any(inner not in renamed and not isinstance(decide(inner), Remove) for inner in picture.beneath(path)):
            del after[path]
        elif not isinstance(action, Remove):
            tombstone = Tombstone(version=here.version, kind=Kind.DIRECTORY, author=here.author)
            after[path] = Remove(path=path, expected=here, tombstone=tombstone)
    return after


def _with_room(
    actions: dict[RelPath, Action], picture: Picture, decide: Callable[[RelPath], Action | None], author: str
) -> dict[RelPath, Action]:
    """With a directory in place of each file or link in which `actions` want to place something.

    Its version does not include the file's newest, so whoever made that file keeps it as a conflict copy, too.
    """
    after = dict(actions)
    for path, action in paused(actions.items(), picture.pause):
        if "/" not in path or not isinstance(action, Fetch | MakeDirectory | MakeLink | Relocate):
            continue
        for above in path.ancestors:
            here = picture.local.get(above)
            if here is None or here.kind is Kind.DIRECTORY or not author:
                continue
            if isinstance(actions.get(above) or decide(above), MakeDirectory | Remove):
                continue
            version = here.version.edited_by(author, 0)
            record = Record(path=above, kind=Kind.DIRECTORY, version=version, author=author)
            after[above] = MakeDirectory(
                path=above, record=record, version=version, expected=here, displaced=Displaced.CONFLICT_COPY
            )
    return after
