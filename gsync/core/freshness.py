"""How far the copies here can be believed: what happened to them, what others say, and what time does to them.

Three rules hold in every mode. A version is believed, a claim is not: an invalidation counts if its version is newer than any that
was known of its path, whoever brings it and in whatever order, and only then is it forwarded. What is not known extends nothing: a
copy is VALID until its time to refresh (TTR) ends, and only who knows gives it more. The highest version that was ever heard of a
path is remembered, so that what is older is INVALID from its first moment, however late it comes.

Pure: time is an argument, randomness is given. The states and modes stand in `core/copies.py`. Owned by the peer's overlay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gsync.core.backoff import Random
from gsync.core.copies import Copy, CopyState, CopyTable, Heard, Held, Mode, Ruling
from gsync.core.hearsay import Hearsay, disbelief
from gsync.core.model import Record
from gsync.core.names import PeerName, RelPath
from gsync.core.pausing import Pause, no_pause
from gsync.core.polls import POLL_MAX, PollBatch, Polls
from gsync.core.timers import Timers
from gsync.core.versions import Order, Version, compare_vectors, join
from gsync.errors import ConfigError, UnknownName

__all__ = ["POLL_MAX", "Copy", "CopyState", "Heard", "Mode", "PollBatch", "Ruling"]  # for those who ask about freshness

TTR_S: Final = 120.0
"""How long a copy of what was made here may be believed, where nobody says otherwise (`--ttr`)."""

VOUCHED_S: Final = 3600.0
"""The same while a tracker tells everything that changes; whoever loses it must `shorten` again."""

JITTER: Final = 0.2
"""By so much at most a TTR is shortened at random, so that what came together does not expire together."""

FALLBACKS: Final = 4
"""Neighbours that are asked about a copy when its origin and its other holders cannot be."""

_NOBODY: Final = "its time to refresh is over, and nobody who answers knows whether it is still the latest"

_BEHIND: Final = (Order.SAME, Order.OLDER)
_OLD: Final = (CopyState.INVALID, CopyState.DELETED)


class Freshness(CopyTable):
    """The copies of one peer."""

    def __init__(
        self, *, rng: Random, author: str = "", mode: Mode = Mode.HYBRID, ttr_s: float = TTR_S, jitter: float = JITTER
    ) -> None:
        super().__init__()
        self.mode = mode
        self.ttr_s = ttr_s
        self._rng = rng
        self._author = author
        self._jitter = jitter
        self.hearsay: Final = Hearsay()
        self._timers = Timers()
        self._polls = Polls(rng=rng)
        self._neighbours: tuple[PeerName, ...] = ()

    # What happened to the copies here

    def own(self, path: RelPath, version: Version, *, now: float, reason: str = "made here") -> CopyState:
        """This peer made `version` of it, and is its origin from now on."""
        return self._take(path, Held(version, CopyState.OWNED, reason, now), now)

    def fetching(self, path: RelPath, *, now: float, reason: str = "on its way") -> None:
        """It is being fetched; ends with `fetched` or `fetch_failed`."""
        self._fetching[path] = (now, reason)

    def fetch_failed(self, path: RelPath) -> None:
        """It is not coming; what stood here before, if anything, is what it was."""
        self._fetching.pop(path, None)

    def fetched(
        self,
        path: RelPath,
        version: Version,
        *,
        origin: PeerName | None,
        ttr_s: float,
        now: float,
        holders: Iterable[PeerName] = (),
    ) -> CopyState:
        """A copy has come, with what is left of its TTR; `holders` can be asked about it when its origin cannot.

        It is INVALID from its first moment if something newer was heard of, and EXPIRED if no time is left.
        """
        until = now + self._shortened(ttr_s)
        held = Held(version, CopyState.VALID, "as its source told", now, until, origin, tuple(holders))
        return self._take(path, held, now)

    def bury(self, path: RelPath, version: Version, *, now: float, reason: str = "deleted here") -> CopyState:
        """It is deleted here, at `version`."""
        return self._take(path, Held(version, CopyState.DELETED, reason, now), now)

    def forget(self, path: RelPath) -> None:
        """There is no copy here any more, which says nothing about others; what is known about its versions stays known."""
        self._fetching.pop(path, None)
        self._let_go(path)
        held = self._held.pop(path, None)
        if held is not None:
            self.hearsay.add(path, held.version)

    # What others say

    def hear(self, record: Record, *, now: float) -> Heard:
        """Somebody, whoever it is, says that `record` exists; forward it if that is news."""
        held = self._held.get(record.path)
        doubt = disbelief(record, held.version if held else None, me=self._author)
        if doubt:
            return Heard(is_news=False, state=self.state(record.path), reason=doubt)
        known = self.known(record.path)
        if known is not None and compare_vectors(record.version, known) in _BEHIND:
            return Heard(is_news=self.hearsay.is_late_flood(record), state=self.state(record.path))
        self.hearsay.add(record.path, record.version if known is None else join((known, record.version)), record)
        changed = held is not None and self.mode.hears_push and self._overtake(record, held, now)
        return Heard(is_news=True, changed=changed, state=self.state(record.path))

    def answer(self, path: RelPath, version: Version, *, now: float) -> Ruling:
        """What this peer says to whoever asks about `version` of `path`; it need not be the origin to know of something newer."""
        heard = self.hearsay.record(path)
        if heard is not None and compare_vectors(heard.version, version) not in _BEHIND:
            return Ruling(path=path, newer=heard)
        held = self._held.get(path)
        if held is None:
            return Ruling(path=path)
        match compare_vectors(held.version, version):
            case Order.OLDER:
                return Ruling(path=path)
            case Order.SAME:
                ttr_s = self.remaining_s(path, now=now)
                return Ruling(path=path, is_valid=ttr_s > 0, ttr_s=ttr_s)
            case _:
                return Ruling(path=path, is_newer_here=True)

    def judge(self, rulings: Iterable[Ruling], *, source: PeerName, now: float) -> tuple[RelPath, ...]:
        """`source` has answered its poll; what it was not asked about means nothing. The paths that are no longer the latest."""
        asked, asked_at = self._polls.asked(source)
        by_path = {ruling.path: ruling for ruling in rulings}
        who = source, f"{source} says that it is the latest"  # one string for all of them
        for path in asked:
            ruling = by_path.get(path) or Ruling(path=path)
            held = self._held[path]  # whatever replaces or drops a copy ends its poll
            if not (self._learn_newer(ruling, held, now) or self._renew(ruling, held, who, asked_at, now)):
                self._stay_in_doubt(path, now)
        return tuple(path for path in asked if self._held[path].state in _OLD)

    def unanswered(self, source: PeerName, *, now: float) -> None:
        """`source` cannot be asked, or did not answer: nothing is extended, others are asked, and it later."""
        for path in self._polls.unanswered(source, now=now):
            self._held[path].reason = _NOBODY

    # Time

    def due(self, now: float, *, is_vouched: bool = False) -> tuple[PollBatch, ...]:
        """Let copies expire whose time is over, or go on if somebody vouches for all; the polls that are to be sent now."""
        for path in self._timers.fired(now):
            held = self._held[path]
            if not is_vouched:
                self._expire(path, held, "its time to refresh is over", now)
                continue
            held.until = now + self._shortened(VOUCHED_S)
            self._timers.set(path, held.until)
        return self._polls.due(now)

    def next_due(self) -> float | None:
        """When `due` should be called again; a time in the past means at once."""
        times = (self._timers.next_at(), self._polls.next_due())
        return min((at for at in times if at is not None), default=None)

    def refresh(self, paths: Iterable[RelPath], *, now: float) -> None:
        """Ask about these now, in whatever mode; of those that were made here, and of those that are not here, nobody is asked."""
        for path in paths:
            held = self._held.get(path)
            if held is None or held.state is CopyState.OWNED:
                continue
            if self._timers.at(path) <= now:
                self._expire(path, held, "its time to refresh is over", now)
            self._ask(path, held)

    def shorten(self, within_s: float, *, now: float, origin: PeerName | None = None, pause: Pause = no_pause) -> None:
        """Something may have been missed: no copy, or none of `origin`, is believed for longer than `within_s` unasked."""
        for path, held in self._held_now(pause):
            if held.state is not CopyState.VALID or held.until is None or origin not in {None, held.origin}:
                continue
            until = now + self._shortened(within_s)
            if until < held.until:
                held.until = until
                if self.mode.has_timers:
                    self._timers.set(path, until)

    def set_mode(self, mode: Mode, *, now: float, pause: Pause = no_pause) -> None:
        """Keep the copies honest in another way from now on."""
        self.mode = mode
        self._timers.clear()
        self._polls.clear()
        for path, held in self._held_now(pause):
            heard = self.hearsay.record(path)
            if mode.hears_push and heard is not None:
                self._overtake(heard, held, now)
            if held.state is CopyState.VALID:
                self._begin_validity(path, held, now)
            elif held.state is CopyState.EXPIRED and (mode.asks or mode is Mode.PUSH):
                self._ask(path, held)

    def set_ttr(self, ttr_s: float) -> None:
        """How long others may believe in what is made here, as they are told from now on."""
        self.ttr_s = ttr_s

    def set_neighbours(self, names: Iterable[PeerName]) -> None:
        """Who is asked when neither the origin of a copy nor another holder can be; at once about those with nobody else."""
        before, self._neighbours = self._neighbours, tuple(names)[:FALLBACKS]
        if before or not self._neighbours or not self.mode.asks:
            return
        for path, held in self._held.items():
            if held.state is CopyState.EXPIRED and path not in self._polls:
                self._ask(path, held)

    # Looking

    def remaining_s(self, path: RelPath, *, now: float) -> float:
        """The TTR that is passed on with a copy: the whole one by its origin, what is left of it by anybody else."""
        held = self._held.get(path)
        if held is None or not held.state.answers:
            return 0.0
        if held.state is CopyState.OWNED:
            return self.ttr_s
        return min(max(0.0, held.until - now), self.ttr_s) if held.until is not None else 0.0

    def known(self, path: RelPath) -> Version | None:
        """The highest version that was ever heard of or held here: no version that was is newer."""
        held, heard = self._held.get(path), self.hearsay.version(path)
        if held is None or heard is None:
            return heard if held is None else held.version
        return join((held.version, heard))

    def marked(self, path: RelPath, *, disk_mtime_s: int) -> Version:
        """The version by which a person makes all other copies of `path` old: a step of its origin. Raises `ConfigError`."""
        held = self._held.get(path)
        if held is None:
            raise UnknownName(f"no copy of {path} is here", advice="gsync search finds who has one")
        is_nobodys = held.state is CopyState.VALID and held.origin is None and not held.version.counters
        if held.state is not CopyState.OWNED and not is_nobodys:  # it was here before gsync: who marks it is its origin
            where = f"at {held.origin}, its origin" if held.origin else "at its origin"
            raise ConfigError(f"{path} was not made here; here it is {held.state}", advice=f"mark it {where}")
        return held.version.edited_by(self._author, disk_mtime_s)

    @property
    def timers(self) -> int:
        """How many copies have a timer: in a mode with timers exactly the valid ones."""
        return len(self._timers)

    @property
    def polls(self) -> int:
        """How many copies are being asked about, or wait for it."""
        return len(self._polls)

    def _take(self, path: RelPath, held: Held, now: float) -> CopyState:
        """Put a new copy in the place of whatever stood there, and end all that was under way for that."""
        self._fetching.pop(path, None)
        self._let_go(path)
        known = self.known(path)
        heard = self.hearsay.record(path)
        self._held[path] = held
        if known is None or compare_vectors(known, held.version) in _BEHIND:
            self.hearsay.forget(path)
            if known not in (None, held.version) and held.state is CopyState.VALID:
                self.hearsay.overtook_flood(path, held.version)
        else:
            self.hearsay.add(path, known)
            if heard is None or not self._overtake(heard, held, now):
                held.enter(CopyState.INVALID, "a newer version is known", now)
        if held.state is CopyState.VALID:
            self._begin_validity(path, held, now)
        return held.state

    def _begin_validity(self, path: RelPath, held: Held, now: float) -> None:
        if not self.mode.has_timers or held.until is None:
            return
        if held.until > now:
            self._timers.set(path, held.until)
            return
        self._expire(path, held, "no time to refresh was left of it", now)

    def _expire(self, path: RelPath, held: Held, reason: str, now: float) -> None:
        self._timers.cancel(path)
        held.enter(CopyState.EXPIRED, reason, now)
        if self.mode.asks:
            self._ask(path, held)

    def _overtake(self, record: Record, held: Held, now: float) -> bool:
        """Whether `record` is news to the copy, which is then not the latest any more."""
        order = compare_vectors(record.version, held.version)
        if order in _BEHIND:
            return False
        who = record.author or "somebody"
        if order is Order.CONCURRENT:
            held.enter(CopyState.CONFLICT, f"{who} made another version without knowing of this one", now)
        elif record.deleted:
            held.enter(CopyState.DELETED, f"{who} deleted it", now)
        else:
            held.enter(CopyState.INVALID, f"{who} made a newer version", now)
        self._let_go(record.path)
        return True

    def _learn_newer(self, ruling: Ruling, held: Held, now: float) -> bool:
        """Whether something newer than `held` is known, be it from this ruling or from before."""
        record = ruling.newer
        if record and record.path == ruling.path and not disbelief(record, held.version, me=self._author):
            known = self.known(record.path) or held.version
            if compare_vectors(record.version, known) not in _BEHIND:
                self.hearsay.add(record.path, join((known, record.version)), record)
                self.hearsay.overtook_flood(record.path, record.version)
        heard = self.hearsay.record(ruling.path)
        return heard is not None and self._overtake(heard, held, now)

    def _renew(self, ruling: Ruling, held: Held, who: tuple[PeerName, str], asked_at: float, now: float) -> bool:
        """Whether the ruling gives the copy more time, counted from the question: nobody knows what happened after the answer."""
        until = asked_at + self._shortened(ruling.ttr_s)
        known = self.known(ruling.path) or held.version
        is_latest = known is held.version or compare_vectors(known, held.version) in _BEHIND
        if not ruling.is_valid or until <= now or not is_latest:
            return False
        if held.state is CopyState.VALID and held.until is not None and who[0] != held.origin:
            until = max(until, held.until)
        held.until = until
        held.enter(CopyState.VALID, who[1], now)
        self._let_go(ruling.path)
        self._begin_validity(ruling.path, held, now)
        return True

    def _stay_in_doubt(self, path: RelPath, now: float) -> None:
        if not self._polls.unknown(path, now=now):
            self._held[path].reason = _NOBODY

    def _ask(self, path: RelPath, held: Held) -> None:
        origin = () if held.origin is None else (held.origin,)
        if not self._polls.want(path, held.version, (*origin, *held.holders, *self._neighbours)):
            held.reason = _NOBODY

    def _let_go(self, path: RelPath) -> None:
        self._polls.drop(path)
        self._timers.cancel(path)

    def _shortened(self, ttr_s: float) -> float:
        return ttr_s * (1.0 - self._jitter * self._rng.random()) if self._jitter else ttr_s
