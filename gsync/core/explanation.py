"""Why a path is as it is, in a person's words: what each tree says of it, what will be done about it, and what is in the way.

Pure; built by whoever fulfils `web.controls.Controls` from its trees and its plan, shown by `gsync why`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_never

from msgspec import Struct

from gsync.core.actions import (
    Action,
    Adopt,
    Bury,
    Displaced,
    Fetch,
    MakeDirectory,
    MakeLink,
    Reassert,
    Refuse,
    Relocate,
    Remove,
)
from gsync.core.model import FileMeta, Kind, Offer, Record, Tombstone
from gsync.core.names import RelPath
from gsync.core.status import State
from gsync.core.versions import Version
from gsync.core.view import View, state_of, version_text

_SOURCES_SHOWN = 4
_DIGEST_SHOWN = 11  # "b3:" and eight digits


class Explanation(Struct, frozen=True, kw_only=True):
    """The answer of `gsync why`: a sentence each, "" where there is nothing to say."""

    path: RelPath
    state: State
    here: str
    """What stands in this folder."""
    elsewhere: str
    """What others have."""
    agreed: str
    """What was agreed last, and with it what counts as an edit since."""
    deleted: str = ""
    """What is known of a deletion."""
    plan: str = ""
    """What will be done, and why."""
    waiting: str = ""
    """Why it is not done yet."""
    ignored_by: str = ""
    """The rule that leaves it alone, in its own spelling."""
    failure: str = ""
    """The last thing that went wrong with it."""


def explain(
    path: RelPath, view: View, *, action: Action | None, waiting: str = "", failure: str = ""
) -> Explanation | None:
    """What is known of `path`; None where nothing is, not even a rule that leaves it alone.

    `action` is what a plan of this path says now; `waiting` why it is not carried out yet, as its owner knows.
    """
    local, offer = view.local.get(path), view.remote.get(path)
    tombstone, agreed = view.buried.get(path), view.synced.get(path)
    rule = view.ignored_by(path, _kind(local, offer))
    if local is None and offer is None and tombstone is None and not rule:
        return None
    held = path in view.held
    return Explanation(
        path=path,
        state=state_of(path, view),
        here="not looked at" if rule and local is None else _here(local),
        elsewhere=_elsewhere(offer),
        agreed=_agreed(agreed, local),
        deleted=_deletion(tombstone, held=held),
        plan="" if rule else _plan(action, view, path),
        waiting="held back until `gsync release`" if held else waiting,
        ignored_by=rule,
        failure=failure,
    )


def _plan(action: Action | None, view: View, path: RelPath) -> str:
    if action is None and state_of(path, view) is State.ABSENT:
        return "nothing: this folder is kept on demand, and it comes with `gsync get`"
    return planned(action)


def planned(action: Action | None) -> str:
    """What `action` does, in a person's words."""
    match action:
        case None:
            return "nothing is to be done here"
        case Fetch():
            return f"fetch the version {version_text(action.version)}{_displaces(action.expected, action.displaced)}"
        case MakeDirectory():
            return f"make a directory{_displaces(action.expected, action.displaced)}"
        case MakeLink():
            return f"make a link to {action.record.target!r}{_displaces(action.expected, action.displaced)}"
        case Remove() if action.expected.kind is Kind.DIRECTORY:
            return "remove the directory, once nothing is left in it: it was deleted elsewhere"
        case Remove():
            return "move it to the trash: it was deleted elsewhere"
        case Bury():
            return "remember the deletion, to tell others of it"
        case Adopt():
            return "note that both sides have the same already"
        case Reassert():
            return "keep it, and tell the others so: whoever deleted it had not seen this version"
        case Relocate():
            return f"rename it from {action.source!r}, as was done elsewhere"
        case Refuse():
            return f"leave the others' version alone: {action.reason}"
        case unreachable:
            assert_never(unreachable)


def _displaces(expected: FileMeta | None, displaced: Displaced) -> str:
    if expected is None:
        return ""
    match displaced:
        case Displaced.TRASH:
            return "; what stands here goes to the trash"
        case Displaced.NOWHERE:
            return "; what stands here is let go, because others have it"
        case Displaced.UNSEEN_TRASH:
            return "; what stands here was never agreed with anybody, and goes to the trash for the full time"
        case Displaced.CONFLICT_COPY:
            return "; what stands here was edited, too, and is kept beside it as a conflict copy"
        case unreachable:
            assert_never(unreachable)


def _here(local: FileMeta | None) -> str:
    if local is None:
        return "nothing"
    print_ = local.fingerprint
    what = _thing(local.kind, size=print_.size, mtime_ns=print_.mtime_ns, target=local.target, digest=local.digest)
    unread = ", not read whole yet" if local.kind is Kind.FILE and not local.digest else ""
    moved = f", renamed from {local.moved_from!r}" if local.moved_from else ""
    return f"{what}{unread}, version {version_text(local.version)}{moved}"


def _elsewhere(offer: Offer | None) -> str:
    if offer is None:
        return "nobody offers it now"
    record = offer.record
    who = _holders(offer)
    if record is None:
        return f"version {version_text(offer.version)} (of classic peers: its mtime alone is known), {who}"
    if record.deleted:
        return f"deleted, version {version_text(offer.version)}{_by(record.author)}"
    if record.kind is not Kind.FILE:  # who has it is told of files only: nothing else has a content to be fetched
        who = "as the tracker tells"
    return f"{_recorded(record)}, version {version_text(offer.version)}{_by(record.author)}, {who}"


def _recorded(record: Record) -> str:
    return _thing(
        record.kind, size=record.size, mtime_ns=record.mtime_ns, target=record.target, digest=record.digest
    ) + (f", renamed from {record.moved_from!r}" if record.moved_from else "")


def _holders(offer: Offer) -> str:
    if not offer.sources:
        return "but nobody who has it can be reached now"
    shown = ", ".join(str(source.endpoint) for source in offer.sources[:_SOURCES_SHOWN])
    more = len(offer.sources) - _SOURCES_SHOWN
    return f"at {shown}" + (f" and {more} more" if more > 0 else "")


def _agreed(agreed: Version | None, local: FileMeta | None) -> str:
    if agreed is None:
        return "nothing yet"
    since = ""
    if local is not None and local.version != agreed:
        since = "; edited here since"
    return f"version {version_text(agreed)}{since}"


def _deletion(tombstone: Tombstone | None, *, held: bool) -> str:
    if tombstone is None:
        return "it vanished together with many others" if held else ""
    left = "; things that are not synced keep the directory here" if tombstone.leftover_inode else ""
    return f"a {tombstone.kind} was deleted, version {version_text(tombstone.version)}{_by(tombstone.author)}{left}"


def _thing(kind: Kind, *, size: int, mtime_ns: int, target: str, digest: str) -> str:
    match kind:
        case Kind.FILE:
            read = f", {digest[:_DIGEST_SHOWN]}" if digest else ""
            return f"a file of {size:,} bytes from {_time(mtime_ns // 1_000_000_000)}{read}"
        case Kind.LINK:
            return f"a link to {target!r}"
        case Kind.DIRECTORY:
            return "a directory"
        case unreachable:
            assert_never(unreachable)


def _by(author: str) -> str:
    return f" by {author[:8]}" if author else ""


def _time(mtime_s: int) -> str:
    try:
        return datetime.fromtimestamp(mtime_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # a disk may say any number
        return f"second {mtime_s}"


def _kind(local: FileMeta | None, offer: Offer | None) -> Kind:
    if local is not None:
        return local.kind
    return offer.record.kind if offer is not None and offer.record is not None else Kind.FILE
