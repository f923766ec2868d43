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
from gsync.core.copies import NOBODY, Copy, CopyState, CopyTable, Heard, Held, Mode, Ruling
from gsync.core.hearsay import disbelief
from gsync.core.model import Record
from gsync.core.names import PeerName, RelPath
from gsync.core.pausing import Pause, no_pause
from gsync.core.polls import POLL_MAX, PollBatch, Polls
from gsync.core.timers import Timers
from gsync.core.versions import Order, Version, compare_vectors, join

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
        super().__init__(author=author, ttr_s=ttr_s)
        self.mode = mode
        self._rng = rng
        self._jitter = jitter
        self._timers = Timers()
        self._polls = Polls(rng=rng)
        self._neighbours: tuple[PeerName, ...] = ()
        self._elder: PeerName | None = NOBODY

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
            is_known = self._learn_newer(ruling, held, now) or self._renew(path, ruling, who, asked_at, now)
            if not is_known and not self._polls.unknown(path, now=now):
                held.reason = _NOBODY
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
            if held is None:
                continue
            if self._timers.at(path) <= now:
                self._expire(path, held, "its time to refresh is over", now)
            if held.state is not CopyState.OWNED:
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
            self._hand_over(held, now)
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

    def set_elder(self, name: PeerName | None, *, now: float, pause: Pause = no_pause) -> None:
        """Who speaks for versions that nobody made, because one must: None for this peer, which owns them from their TTR on.

        Only where copies heed pushes: there whoever edits such a file tells it to all. Elsewhere nobody could know.
        """
        before, self._elder = self._elder, name
        for path, held in self._held_now(pause) if name != before else ():
            if held.origin == NOBODY and held.state is CopyState.EXPIRED:
                self._expire(path, held, held.reason, now)
            elif self._hand_over(held, now):
                self._begin_validity(path, held, now)

    # Looking

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

    def _hand_over(self, held: Held, now: float) -> bool:
        """Whether it was owned for want of anybody who made it, and somebody else speaks for it from now on."""
        is_elder = self._elder is None and self.mode.hears_push
        if held.origin != NOBODY or held.state is not CopyState.OWNED or is_elder:
            return False
        held.until = now + self._shortened(self.ttr_s)
        held.enter(CopyState.VALID, "as this peer told others", now)
        return True

    def _begin_validity(self, path: RelPath, held: Held, now: float) -> None:
        if not self.mode.has_timers or held.until is None:
            return
        if held.until > now:
            self._timers.set(path, held.until)
            return
        self._expire(path, held, "no time to refresh was left of it", now)

    def _expire(self, path: RelPath, held: Held, reason: str, now: float) -> None:
        if path in self._timers:
            self._timers.cancel(path)
        if held.origin == NOBODY and self._elder is None and self.mode.hears_push:
            self._polls.drop(path)
            held.enter(CopyState.OWNED, "was here before gsync, and this peer speaks for what nobody made", now)
            return
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
                if not self.mode.sends_push:  # whoever pushes tells it on by himself
                    self.hearsay.overtook_flood(record.path, record.version)
        heard = self.hearsay.record(ruling.path)
        return heard is not None and self._overtake(heard, held, now)

    def _renew(self, path: RelPath, ruling: Ruling, who: tuple[PeerName, str], asked_at: float, now: float) -> bool:
        """Whether the ruling gives the copy more time, counted from the question: nobody knows what happened after the answer."""
        held = self._held[path]  # under the name that is kept here: each ruling has one of its own
        until = asked_at + self._shortened(ruling.ttr_s)
        known = self.known(path) or held.version
        is_latest = known is held.version or compare_vectors(known, held.version) in _BEHIND
        if not ruling.is_valid or until <= now or not is_latest:
            return False
        if held.state is CopyState.VALID and held.until is not None and who[0] != held.origin:
            until = max(until, held.until)
        held.until = until
        held.enter(CopyState.VALID, who[1], now)
        self._polls.drop(path)
        self._begin_validity(path, held, now)
        return True

    def _ask(self, path: RelPath, held: Held) -> None:
        origin = held.origin or (self._elder if held.origin == NOBODY and self.mode.hears_push else None)
        others = (*held.holders, *self._neighbours)
        if not self._polls.want(path, held.version, (origin, *others) if origin else others):
            held.reason = _NOBODY

    def _let_go(self, path: RelPath) -> None:
        self._polls.drop(path)
        self._timers.cancel(path)

    def _shortened(self, ttr_s: float) -> float:
        return ttr_s * (1.0 - self._jitter * self._rng.random()) if self._jitter else ttr_s
