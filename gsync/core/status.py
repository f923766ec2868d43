"""Frozen pictures of a running peer, for whoever looks at it: the commands, the local API, later a web page.

Values only; `core/view.py` builds them from the trees, `core/explanation.py` has the long answer of `why`. Nothing here is
kept: each picture is made when somebody asks. Made by whoever fulfils `web.controls.Controls`; shown by `cli/`.

    state      at this path
    ---------  ---------------------------------------------------------------------------------------
    SYNCED     the same here as elsewhere, or agreed with somebody who is away now
    LOCAL      here, and nobody else has had it yet; of a directory or link: nobody was told of it yet
    EDITED     newer here than what was agreed, or than what the others have
    STALE      newer elsewhere
    MISSING    others have it, and it is not here
    ABSENT     the same, in a folder on demand: it comes when somebody gets it
    FETCHING   on its way
    CONFLICT   the copy of an edit that lost against another one; a person must choose
    DELETED    deleted, and the deletion is known
    HELD       vanished with many others at once: told to nobody until a person releases it
    IGNORED    left alone by a rule
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from gsync.core.model import Kind
from gsync.core.names import Endpoint, RelPath

CONFLICTS_SHOWN: Final = 20
"""So many names of conflict copies stand in a `Status`; all of them are one question away."""


class State(StrEnum):
    """How a path stands; see the table of the module."""

    SYNCED = "synced"
    LOCAL = "local"
    EDITED = "edited"
    STALE = "stale"
    MISSING = "missing"
    ABSENT = "absent"
    FETCHING = "fetching"
    CONFLICT = "conflict"
    DELETED = "deleted"
    HELD = "held"
    IGNORED = "ignored"


class Dialect(StrEnum):
    """How somebody speaks with us."""

    NATIVE = "native"
    CLASSIC = "classic"
    NONE = "none"
    """Nothing was heard yet."""


class TrackerSeen(Struct, frozen=True, kw_only=True):
    """The tracker as this peer sees it; `reason` says why it is down."""

    endpoint: Endpoint
    is_up: bool
    dialect: Dialect = Dialect.NONE
    reason: str = ""


class Here(Struct, frozen=True, kw_only=True):
    """What stands in the folder, counted."""

    files: int = 0
    directories: int = 0
    links: int = 0
    bytes: int = 0


class Pending(Struct, frozen=True, kw_only=True):
    """What keeps this folder from being the same as the others', as the loops of a peer count it.

    `same_directory` is whether the tracker's digest of its directory equals ours; None where it tells none (a classic one).
    """

    has_tracker: bool = True
    tracker_is_up: bool
    has_heard: bool = True
    paused: bool = False
    to_look_at: int = 0
    """Hints and unsettled names that no scan has concluded yet."""
    to_hash: int = 0
    to_fetch: int = 0
    to_publish: int = 0
    """Verified contents, removals, renames on their way into the folder; files in limbo, too."""
    to_announce: int = 0
    held: int = 0
    kept_back: int = 0
    """Local edits that a receive-only peer tells nobody."""
    refused: int = 0
    """Offers that are not taken until a person acts."""
    refusal: str = ""
    """One of them, or of the `unusable`, and why."""
    unusable: int = 0
    """Names that a classic tracker tells, and that no file of a synced folder may have."""
    untold: int = 0
    """Names and deletions here of which a classic tracker can tell nobody."""
    same_directory: bool | None = None

    @property
    def reason(self) -> str:
        """Why the folders may differ, the nearest cause first; "" when nothing is known to."""
        if reason := self._unrest or self._difference:
            return reason
        if self.same_directory is False:
            return "the tracker's directory differs from this folder"
        return ""

    @property
    def is_stuck(self) -> bool:
        """Whether nothing goes on here, and the folders differ until a person does something about it."""
        return not self._unrest and bool(self._difference)

    @property
    def _unrest(self) -> str:
        if self.has_tracker and not self.tracker_is_up:
            return "the tracker does not answer, so nobody knows what the others have"
        if self.has_tracker and not self.has_heard:
            return "the tracker has not told yet what the others have"
        if self.held:
            return f"{_count(self.held, 'deletion')} held back until `gsync release`"
        if self.paused:
            return "paused until `gsync resume`"
        for number, what in (
            (self.to_look_at, "to look at"),
            (self.to_hash, "to read whole"),
            (self.to_fetch, "to fetch"),
            (self.to_publish, "on the way into the folder"),
            (self.to_announce, "to announce"),
        ):
            if number:
                return f"{_count(number, 'name')} {what}"
        return ""

    @property
    def _difference(self) -> str:
        if self.refused:
            which = f"{_count(self.refused, 'version')} of others not taken ({self.refusal})"
            return f"{which}; see all: `gsync ls --state=stale`"
        if self.unusable:
            return f"{_count(self.unusable, 'name')} of others that no file here may have ({self.refusal})"
        if self.kept_back:
            return f"{_count(self.kept_back, 'edit')} here that a receive-only peer tells nobody"
        if self.untold:
            return f"{_count(self.untold, 'name')} here of which a classic tracker can tell nobody"
        if not self.has_tracker:
            return "without a tracker nobody knows what the others have"
        return ""


class Settled(Struct, frozen=True, kw_only=True):
    """Whether an independent comparison of the folders would find them equal now: `gsync wait`."""

    settled: bool
    reason: str = ""
    """Why not."""
    stuck: bool = False
    """Whether to wait is of no use: it stays so until a person does something about it."""


def behind(laggard: str, *, leaves_something_out: bool) -> Settled:
    """What it means that `laggard`, "" being the peer itself, does not have all that the tracker tells, or has something else.

    That stays so only where its role or its rules leave something out; else it was so when the tracker said it.
    """
    if laggard:
        return Settled(settled=False, reason=f"{laggard} does not have all of it, or has something else")
    if not leaves_something_out:
        return Settled(settled=False, reason="the tracker did not know yet of all that is here")
    what = "not all that others have is taken here: by this peer's role, or its rules (`gsync ls --state=ignored`)"
    return Settled(settled=False, reason=what, stuck=True)


class Status(Struct, frozen=True, kw_only=True):
    """A peer at one moment: `gsync status`."""

    folder: str
    pid: int
    name: str = ""
    serving: Endpoint | None = None
    tracker: TrackerSeen | None
    """None: it does without one."""
    uptime_s: float
    peers: int
    """Others that offer anything now."""
    here: Here
    offered: int
    """Names that others offer, deletions aside."""
    left: int = 0
    left_bytes: int = 0
    """Still to fetch; 0 bytes where only classic peers offer them, who tell no sizes."""
    conflicts: int = 0
    conflict_names: tuple[RelPath, ...] = ()
    held_deletions: int = 0
    paused: bool = False
    sends: bool = True
    receives: bool = True
    in_sync: bool
    reason: str = ""
    """Why it is not in sync."""


class ListedEntry(Struct, frozen=True, kw_only=True):
    """One line of `gsync ls`; `holders` are the others that have the newest version known."""

    path: RelPath
    kind: Kind
    size: int
    mtime_ns: int
    state: State
    version: str
    holders: tuple[Endpoint, ...] = ()


class PeerSeen(Struct, frozen=True, kw_only=True):
    """Another peer as the tracker tells of it: how many names it offers, and how many of them nobody else does."""

    endpoint: Endpoint
    dialect: Dialect
    offers: int
    only: int
    trouble: str = ""
    """Why nothing is fetched from it now."""


class LogLine(Struct, frozen=True, kw_only=True):
    """Something that happened: an event's stable name and its facts, which are plain JSON values."""

    time_s: float
    event: str
    facts: Mapping[str, object] = field(default_factory=dict)


class Trashed(Struct, frozen=True, kw_only=True):
    """A file or link in the trash: in which box, since when, and the path that it had."""

    box: str
    path: RelPath
    size: int
    since_s: float
    target: str = ""
    """Where a link leads; "" for a file."""


class Restored(Struct, frozen=True, kw_only=True):
    """A file that was copied back from the trash; `displaced` is the name in the trash of what stood there."""

    path: RelPath
    box: str
    displaced: str = ""


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
