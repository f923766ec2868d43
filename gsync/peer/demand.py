"""A folder on demand: what is wished for until it is here, and what is let go because somebody else keeps it.

Nothing is remembered of wishes beyond this run: what is here is kept as others have it, what is not here is not missed. Nothing is
let go unless another peer has just promised to keep the very same, and nothing of this is ever told as a deletion. Called by the
orders of a person; the planner asks what is wanted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from gsync.core.hits import Got
from gsync.core.model import FileMeta, Kind, Record, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.pausing import paused
from gsync.core.promises import PROMISE_S, Promises
from gsync.errors import ConfigError, ProtocolError, TransportError
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.peer.applier import Applier
from gsync.peer.link import Use, answer_to
from gsync.peer.links import Links
from gsync.peer.trees import Trees
from gsync.storage.downloads import Freed, Freeing, Unpublished
from gsync.wire.native import Keep, Kept

log = logging.getLogger(__name__)

WISHES_MAX: Final = 200_000
"""Names that are got at a time; more are refused."""

ASKED_MAX: Final = 8
"""Holders that are asked to keep what is to be let go; if none does, it stays."""


ONLY_COPY: Final = "nobody else who answers has it as it is here"


class Demand:
    """Of one peer; `is_on` tells whether its folder is kept on demand, else all is wanted and nothing let go."""

    def __init__(self, trees: Trees) -> None:
        self.is_on: Final = trees.on_demand
        self.promises: Final = Promises()
        self._trees = trees
        self._wanted: Counter[RelPath] = Counter()
        self._wishes = 0

    @property
    def wants(self) -> Callable[[RelPath], bool] | None:
        """For the planner: what is to come although it is not here, and the directories above it; None for everything."""
        return self._wanted.__contains__ if self.is_on else None

    def wish(self, paths: Sequence[RelPath]) -> None:
        """These are wanted; to be given back with `unwish`. Raises `ConfigError` for too many."""
        if self._wishes + len(paths) > WISHES_MAX:
            raise ConfigError(f"more than {WISHES_MAX} names at a time", advice="get a part of it first")
        self._wishes += len(paths)
        for path in paths:
            self._wanted.update((path, *path.ancestors))

    def unwish(self, paths: Sequence[RelPath]) -> None:
        """They have come, or are given up."""
        self._wishes -= len(paths)
        for path in paths:
            self._wanted.subtract((path, *path.ancestors))
        self._wanted = +self._wanted

    def beneath(self, names: Iterable[RelPath]) -> list[RelPath]:
        """What is to be got where these names are asked for: of a directory all that others have in it."""
        meant: dict[RelPath, None] = {}
        for name in names:
            inner = [
                path
                for path in paused(self._trees.remote.beneath(name), breathe)
                if (offer := self._trees.remote.get(path)) is not None and not offer.is_deletion
            ]
            files = [path for path in inner if not self._is_offered_directory(path)]
            meant |= dict.fromkeys(files or inner or [name])
        return list(meant)

    def _is_offered_directory(self, path: RelPath) -> bool:
        offer = self._trees.remote.get(path)
        return offer is not None and offer.record is not None and offer.record.kind is Kind.DIRECTORY


class Freer:
    """Lets go what a person names; `holders` finds who else has a path, beside those that are known.

    `relist` is told who has something that was known here only because it was here.
    """

    def __init__(
        self,
        *,
        demand: Demand,
        trees: Trees,
        applier: Applier,
        links: Links,
        clock: Clock,
        holders: Callable[[RelPath], Iterable[Endpoint]],
        relist: Callable[[Record, tuple[Source, ...]], None],
    ) -> None:
        self._demand = demand
        self._trees = trees
        self._applier = applier
        self._links = links
        self._clock = clock
        self._holders = holders
        self._relist = relist

    def free(self, names: Sequence[RelPath]) -> Iterator[Got]:
        """Let go each, and all that is in it; a `reason` says why one stays."""
        if not self._demand.is_on:
            raise ConfigError(
                "this folder is not kept on demand: it holds everything",
                advice="end it, and start it as before with one option more: --on-demand",
            )
        return (self._free(path) for path in self._meant(names))

    def _meant(self, names: Sequence[RelPath]) -> list[RelPath]:
        """Each with what is in it, which goes before it."""
        wanted = frozenset(names)
        meant = [
            path
            for path in paused(tuple(self._trees.local), breathe)
            if path in wanted or not wanted.isdisjoint(path.ancestors)
        ]
        missing = [name for name in dict.fromkeys(names) if name not in self._trees.local]
        return [*sorted(meant, key=lambda path: (-path.count("/"), path)), *missing]

    def _free(self, path: RelPath) -> Got:
        meta = self._trees.local.get(path)
        if meta is None:
            return Got(path=path, reason="it is not here")
        promises = self._demand.promises
        if not promises.leave(path, now=self._clock.monotonic()):
            return Got(path=path, reason="another peer is just letting it go, and relies on this one")
        try:
            reason = self._refusal(path, meta) or self._let_go(path, meta)
        finally:
            promises.stay(path)
        return Got(path=path, size=meta.fingerprint.size if meta.kind is Kind.FILE else 0, reason=reason)

    def _refusal(self, path: RelPath, meta: FileMeta) -> str:
        """Why it must not go, as far as this peer knows."""
        if meta.kind is Kind.FILE and not meta.digest:
            return "it has not been read yet"
        if meta.kind is Kind.DIRECTORY and self._trees.has_children(path):
            return "something in it stays"
        return ""

    def _let_go(self, path: RelPath, meta: FileMeta) -> str:
        """Have somebody keep it, and let it go; why not, if not."""
        for endpoint in self._known_holders(path):
            asked_at = self._clock.monotonic()
            try:
                is_kept = self._asks_to_keep(endpoint, path, meta)
            except (TransportError, ProtocolError) as error:
                log.info("free.unanswered path=%r peer=%s reason=%s", path, endpoint, error)
                continue
            if not is_kept or self._clock.monotonic() - asked_at > PROMISE_S / 2:
                continue
            if self._trees.local.get(path) != meta:
                return "it was changed at this very moment"
            record = self._trees.record(path)
            said = _said_of(self._applier.apply(Freeing(path=path, expected=meta)))
            if record is not None and path not in self._trees.local and path not in self._trees.remote:
                # Nobody told of it, because it was made here: so it would not be listed any more.
                self._relist(record, (Source(endpoint=endpoint, speaks_gsync=True, speaks_native=True),))
            return said
        return ONLY_COPY

    def _known_holders(self, path: RelPath) -> Iterator[Endpoint]:
        """At most `ASKED_MAX` of them; the overlay is asked only if those that are known do not help."""
        offer = self._trees.remote.get(path)
        known = [source.endpoint for source in offer.sources if source.speaks_native] if offer is not None else []
        asked: set[Endpoint] = set()
        for endpoints in (known, self._holders(path)):
            for endpoint in endpoints:
                if endpoint not in asked and len(asked) < ASKED_MAX:
                    asked.add(endpoint)
                    yield endpoint

    def _asks_to_keep(self, endpoint: Endpoint, path: RelPath, meta: FileMeta) -> bool:
        with self._links.link(endpoint, Use.SMALL) as link:
            id_ = link.next_id()
            link.ask(Keep(id=id_, p=str(path), v=meta.version.vector(), d=meta.digest))
            return answer_to(id_, link.next(), Kept).ok


def _said_of(outcome: object) -> str:
    match outcome:
        case Freed(conflict_copy=copy) if copy is not None:
            return f"it was written into at this very moment; that is kept as {copy[0]}"
        case Freed():
            return ""
        case Unpublished(error=error):
            return str(error)
        case _:
            return "something else stands there, or is in it"
