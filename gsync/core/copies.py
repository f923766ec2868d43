"""What is said about copies: the state of one, the mode of a peer, the questions that peers ask each other and the answers.

Values only; `core/freshness.py` decides with them.

    state     the copy here
    --------  ------------------------------------------------------------------------------------------------
    OWNED     was made here: this peer is its origin
    VALID     is the latest version, as far as its time to refresh (TTR) reaches
    EXPIRED   may be old: its TTR is over, and nobody has said yet that it still holds
    INVALID   is old: a newer version exists
    FETCHING  is on its way
    CONFLICT  is one of two that were made without knowing of each other
    DELETED   was deleted, here or by its origin

    mode     floods its changes   heeds what others flood   TTR runs   polls at its end
    -------  -------------------  ------------------------  ---------  ----------------
    push     yes                  yes                       no         no
    pull     no                   no                        yes        yes (eager)
    lazy     no                   no                        yes        when the copy is asked for
    hybrid   yes                  yes                       yes        yes
    passive  no                   no                        yes        when a person asks

Every mode forwards what others flood, remembers the highest version that it heard of, and answers polls.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gsync.core.hearsay import Hearsay
from gsync.core.model import Record
from gsync.core.names import PeerName, RelPath
from gsync.core.pausing import Pause, paused
from gsync.core.versions import Version, join
from gsync.errors import ConfigError, UnknownName

NOBODY: Final = PeerName("")
"""The origin of a version that nobody of ours made: of a file that was there before gsync."""


class CopyState(StrEnum):
    """How far a copy can be believed; see the table of the module."""

    OWNED = "OWNED"
    VALID = "VALID"
    EXPIRED = "EXPIRED"
    INVALID = "INVALID"
    FETCHING = "FETCHING"
    CONFLICT = "CONFLICT"
    DELETED = "DELETED"

    @property
    def answers(self) -> bool:
        """Whether a query is answered with such a copy."""
        return self is CopyState.OWNED or self is CopyState.VALID


class Mode(StrEnum):
    """How a peer keeps its copies honest; see the table of the module."""

    PUSH = "push"
    PULL = "pull"
    LAZY = "lazy"
    HYBRID = "hybrid"
    PASSIVE = "passive"

    @property
    def sends_push(self) -> bool:
        """Whether its own changes are flooded."""
        return self is Mode.PUSH or self is Mode.HYBRID

    @property
    def hears_push(self) -> bool:
        """Whether its copies heed what others flood."""
        return self is Mode.PUSH or self is Mode.HYBRID

    @property
    def has_timers(self) -> bool:
        """Whether a copy expires at the end of its TTR."""
        return self is not Mode.PUSH

    @property
    def asks(self) -> bool:
        """Whether an expired copy is asked about at once."""
        return self is Mode.PULL or self is Mode.HYBRID


class Copy(Struct, frozen=True, kw_only=True):
    """A copy as it can be shown; `until` is the end of its TTR, `origin` who made it, where those are known."""

    state: CopyState
    reason: str
    since: float
    version: Version | None = None
    until: float | None = None
    origin: PeerName | None = None


class Heard(Struct, frozen=True, kw_only=True):
    """What came of an invalidation: forward it if it `is_news`; `changed` says whether the copy here is in another state now.

    `reason` is why it was not believed, for the log.
    """

    is_news: bool
    changed: bool = False
    state: CopyState | None = None
    reason: str = ""


class Ruling(Struct, frozen=True, kw_only=True):
    """What somebody says about a version that he was asked about: it holds for `ttr_s` more, or there is something `newer`.

    Neither means that he does not know. `is_newer_here` asks whoever sends it to put in the record of the own trees as `newer`.
    """

    path: RelPath
    is_valid: bool = False
    ttr_s: float = 0.0
    newer: Record | None = None
    is_newer_here: bool = False


class Held(Struct, gc=False):
    """A copy as its table keeps it. While it is fetched anew it keeps its state, to which a failed fetch returns."""

    version: Version
    state: CopyState
    reason: str
    since: float
    until: float | None = None
    origin: PeerName | None = None
    holders: tuple[PeerName, ...] = ()

    def enter(self, state: CopyState, reason: str, now: float) -> None:
        """It is in this state, for this reason; since now, if it was not before."""
        if self.state is not state:
            self.since = now
        self.state, self.reason = state, reason


class CopyTable:
    """The copies of one peer, to be looked at; `core/freshness.py` is how they change."""

    def __init__(self, *, author: str, ttr_s: float) -> None:
        self._author = author
        self.ttr_s = ttr_s
        self.hearsay: Final = Hearsay()
        self._held: dict[RelPath, Held] = {}
        self._fetching: dict[RelPath, tuple[float, str]] = {}

    def copy(self, path: RelPath) -> Copy | None:
        """The copy at `path`; one that is fetched for the first time has no version yet."""
        held = self._held.get(path)
        fetching = self._fetching.get(path)
        if held is None:
            return Copy(state=CopyState.FETCHING, since=fetching[0], reason=fetching[1]) if fetching else None
        shown = Copy(
            state=held.state,
            reason=held.reason,
            since=held.since,
            version=held.version,
            until=held.until if held.state is CopyState.VALID else None,
            origin=held.origin or None,
        )
        return replace(shown, state=CopyState.FETCHING, since=fetching[0], reason=fetching[1]) if fetching else shown

    def copies(self) -> Iterator[tuple[RelPath, Copy]]:
        """All of them."""
        for path in (*self._held, *(path for path in self._fetching if path not in self._held)):
            copy = self.copy(path)
            if copy is not None:
                yield path, copy

    def state(self, path: RelPath) -> CopyState | None:
        """The state of the copy at `path`, if there is one."""
        if path in self._fetching:
            return CopyState.FETCHING
        held = self._held.get(path)
        return None if held is None else held.state

    def answers(self, path: RelPath) -> bool:
        """Whether a query is answered with the copy at `path`."""
        state = self.state(path)
        return state is not None and state.answers

    def known(self, path: RelPath) -> Version | None:
        """The highest version that was ever heard of or held here: no version that was is newer."""
        held, heard = self._held.get(path), self.hearsay.version(path)
        if held is None or heard is None:
            return heard if held is None else held.version
        return join((held.version, heard))

    def remaining_s(self, path: RelPath, *, now: float) -> float:
        """The TTR that is passed on with a copy: the whole one by its origin, what is left of it by anybody else."""
        held = self._held.get(path)
        if held is None or not held.state.answers:
            return 0.0
        if held.state is CopyState.OWNED:
            return self.ttr_s
        return min(max(0.0, held.until - now), self.ttr_s) if held.until is not None else 0.0

    def marked(self, path: RelPath, *, disk_mtime_s: int) -> Version:
        """The version by which a person makes all other copies of `path` old: a step of its origin. Raises `ConfigError`."""
        held = self._held.get(path)
        if held is None:
            raise UnknownName(f"no copy of {path} is here", advice="gsync search finds who has one")
        is_nobodys = held.state is CopyState.VALID and not held.origin and not held.version.counters
        if held.state is not CopyState.OWNED and not is_nobodys:  # it was here before gsync: who marks it is its origin
            where = f"at {held.origin}, its origin" if held.origin else "at its origin"
            raise ConfigError(f"{path} was not made here; here it is {held.state}", advice=f"mark it {where}")
        return held.version.edited_by(self._author, disk_mtime_s)

    def _held_now(self, pause: Pause) -> Iterator[tuple[RelPath, Held]]:
        """Each copy that is still here when its turn comes."""
        return ((path, held) for path, held in paused(tuple(self._held.items()), pause) if self._held.get(path) is held)
