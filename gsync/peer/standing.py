"""How far each copy of this folder can be believed, and what there is to say about it: the trees and `core.freshness`, together.

While a native tracker tells what changes, the trees alone say it, and no copy costs a timer. From the moment that nobody tells,
freshness is fed with every copy, once, and then with each that changes. Nothing here waits or sends. Owned by the overlay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from fnmatch import translate
from typing import Final

from msgspec import Struct

from gsync.core.copies import NOBODY, Copy, CopyState, Mode
from gsync.core.flood import IN_PATTERNS
from gsync.core.freshness import Freshness
from gsync.core.model import Kind, Record
from gsync.core.names import PeerName, RelPath
from gsync.core.recent import Recent
from gsync.core.records import order, winner
from gsync.core.versions import Order
from gsync.errors import NameRefused
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.peer.trees import Trees

TOLD_MAX: Final = 4096
"""Records of which it is remembered who made them and for how long they may be believed, until their content is here."""

NAMES_A_BREATH: Final = 2000


class Told(Struct, frozen=True, kw_only=True):
    """What came with a record: who made it, and until when it may be believed, unasked."""

    origin: PeerName
    until: float


class Standing(Struct, frozen=True, kw_only=True):
    """One copy here, as it can be told."""

    record: Record
    copy: Copy
    ttr_s: float


class Standings:
    """The copies of one peer, whose index has this `author`."""

    def __init__(
        self,
        *,
        author: str,
        trees: Trees,
        fresh: Freshness,
        clock: Clock,
        tells_changes: Callable[[], bool],
        name_of: Callable[[str], PeerName | None],
    ) -> None:
        self._author = author
        self._trees = trees
        self._fresh = fresh
        self._clock = clock
        self._tells_changes = tells_changes
        self._name_of = name_of
        self._told: Recent[RelPath, Told] = Recent(TOLD_MAX)

    def told(self, path: RelPath, origin: PeerName, ttr_s: float) -> None:
        """Somebody said who made what stands at `path`, and how long it may be believed from now on."""
        self._told[path] = Told(origin=origin, until=self._clock.monotonic() + ttr_s)

    def feed(self, path: RelPath) -> Record | None:
        """Let freshness know what stands here now; what that is."""
        record = self._trees.record(path)
        if record is None:
            self._fresh.forget(path)
            return None
        known = self._fresh.copy(path)
        if known is not None and known.version == record.version and known.state is not CopyState.FETCHING:
            return record
        now = self._clock.monotonic()
        told = self._told.get(path)
        if record.deleted:
            self._fresh.bury(path, record.version, now=now)
        elif self._is_own(record, told):
            self._fresh.own(path, record.version, now=now)
        else:
            nobodys = self._name_of(record.author) if record.author else NOBODY
            origin = told.origin if told is not None else nobodys
            ttr_s = max(0.0, told.until - now) if told is not None else self._fresh.ttr_s
            self._fresh.fetched(path, record.version, origin=origin, ttr_s=ttr_s, now=now)
        return record

    def feed_unknown(self, path: RelPath) -> None:
        """Let freshness know of it, unless it does."""
        if self._fresh.copy(path) is None:
            self.feed(path)

    def feed_all(self) -> None:
        """Let freshness know of everything that stands here."""
        for number, path in enumerate(tuple(self._trees.local), 1):
            self.feed_unknown(path)
            if not number % NAMES_A_BREATH:
                breathe()

    def of(self, path: RelPath) -> Standing | None:
        """The copy at `path`; None where there is none, or none that can be told of."""
        record = self._trees.record(path)
        if record is None or record.deleted:
            return None
        now = self._clock.monotonic()
        copy = self._fresh.copy(path)
        if copy is not None and not (copy.state is CopyState.EXPIRED and self._tells_changes()):
            return Standing(record=record, copy=copy, ttr_s=self._fresh.remaining_s(path, now=now))
        return Standing(record=record, copy=self._as_the_trees_say(record), ttr_s=self._fresh.ttr_s)

    def asks_about(self, standing: Standing) -> bool:
        """Somebody wants this copy: whether it has to be asked about first. Lazy is who asks only now."""
        if self._fresh.mode is not Mode.LAZY or standing.copy.state is not CopyState.EXPIRED:
            return False
        self._fresh.refresh([standing.record.path], now=self._clock.monotonic())
        return True

    def known(self) -> Iterator[Record]:
        """The newest that is known of each path, told by whomever; a deletion, too."""
        done: set[RelPath] = set()
        for paths in (self._trees.remote, self._trees.local, self._trees.buried, self._fresh.hearsay.paths()):
            # The remote tree is walked from row to row, and may change meanwhile; the others must not.
            for path in paths if paths is self._trees.remote else tuple(paths):
                record = None if path in done else self.newest(path)
                if record is not None:
                    done.add(path)
                    yield record

    def stamp(self) -> tuple[int, int, bool]:
        """The same as before only if all that is `known` is what it was."""
        takes_news = self.takes_news()
        return self._trees.stamp(), 0 if takes_news else self._fresh.hearsay.changes, takes_news

    def newest(self, path: RelPath) -> Record | None:
        """The newest that is known of `path`; hearsay counts where nobody else is told of it, because nothing is taken here."""
        offer = self._trees.remote.get(path)
        told = [self._trees.record(path), offer.record if offer is not None else None]
        if not self.takes_news():
            told.append(self._fresh.hearsay.record(path))
        records = [record for record in told if record is not None]
        return winner(records) if records else None

    def origin_of(self, record: Record) -> tuple[PeerName | None, float]:
        """Who made it, as far as that is known, and how long it may still be believed."""
        told, copy, now = self._told.get(record.path), self._fresh.copy(record.path), self._clock.monotonic()
        if copy is not None and copy.version == record.version:
            origin = copy.origin or self._name_of(record.author)
            return origin, self._fresh.remaining_s(record.path, now=now)
        if told is not None:
            return told.origin, max(0.0, told.until - now)
        return self._name_of(record.author), 0.0

    def matching(self, question: str, *, most: int) -> Iterator[Standing]:
        """The copies that answer a query, `most` of them: one exact name, or all that match a pattern.

        Among them are those that may answer soon, because this query made this peer ask about them.
        """
        for standing in self._named(question):
            if standing.record.kind is Kind.DIRECTORY:
                continue
            if standing.copy.state.answers or self.asks_about(standing):
                yield standing
                most -= 1
                if not most:
                    return

    def takes_news(self) -> bool:
        """Whether what neighbours tell is news to the folder: not where copies heed no push, or a native tracker tells it all."""
        return self._fresh.mode.hears_push and not self._tells_changes()

    def _named(self, question: str) -> Iterator[Standing]:
        """A name is found as it stands, whatever letters it has; one that could be a pattern is also taken for one."""
        with suppress(NameRefused):
            found = self.of(RelPath.parse(question))
            if found is not None:
                yield found
        if not IN_PATTERNS & set(question):
            return
        matches = re.compile(translate(question)).match
        for number, path in enumerate(tuple(self._trees.local), 1):
            # Without a slash it means names in any directory, as a person expects.
            if path != question and matches(path if "/" in question else path.rpartition("/")[2]):
                found = self.of(path)
                if found is not None:
                    yield found
            if not number % NAMES_A_BREATH:
                breathe()

    def _is_own(self, record: Record, told: Told | None) -> bool:
        if record.author:
            return record.author == self._author
        return told is None and self._trees.synced.get(record.path) != record.version

    def _as_the_trees_say(self, record: Record) -> Copy:
        since = 0.0
        offer = self._trees.remote.get(record.path)
        newer = offer.record if offer is not None else None
        if newer is not None and order(newer, record) is Order.NEWER:
            state = CopyState.DELETED if newer.deleted else CopyState.INVALID
            return Copy(state=state, reason="the tracker knows of a newer version", since=since, version=record.version)
        if self._is_own(record, None):
            return Copy(state=CopyState.OWNED, reason="made here", since=since, version=record.version)
        return Copy(
            state=CopyState.VALID,
            reason="the last that was heard of",
            since=since,
            version=record.version,
            origin=self._name_of(record.author),
        )
