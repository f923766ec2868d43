"""What a person asks of the overlay, and orders about copies: the part of a peer's controls that needs neighbours.

Fulfils `web.controls.OverlayControls`. Where a peer has no overlay each raises a `ConfigError` that says so; it must never pretend
that an order came to something. What is got comes into the folder the usual way: it is offered to the planner, and waited for. One
greenlet a request; each ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import gevent

from gsync.core.copies import CopyState, Mode
from gsync.core.flood import IN_PATTERNS, QUERY_TTL, TTL_MAX, by_preference
from gsync.core.hits import CopySeen, FoundCopy, Got, OverlaySeen, Refreshed
from gsync.core.model import Kind, Source
from gsync.core.names import Endpoint, PeerName, RelPath
from gsync.core.topology import Shape
from gsync.core.versions import Order, Version, compare_vectors
from gsync.errors import ConfigError, UnknownName
from gsync.net.clock import Clock
from gsync.peer.applier import Applier
from gsync.peer.demand import Demand, Freer
from gsync.peer.elsewhere import Elsewhere
from gsync.peer.links import Links
from gsync.peer.overlay import Overlay
from gsync.peer.searches import HeardOf
from gsync.peer.trees import Trees
from gsync.storage.downloads import Adjustment, Published
from gsync.storage.workers import Workers

GET_WAIT_S: Final = 2.0
SETTLE_S: Final = 0.25
"""How long holders of one name are waited for, and how long for better ones once somebody has it."""

GET_S: Final = 3600.0
"""After so long one name is given up; a source that is slower than its limits is left much earlier."""

AGAIN_S: Final = 5.0
"""How long it is waited for what failed in the same way before."""

LOOK_S: Final = 1.0
"""How often it is looked whether a fetch that is waited for has failed."""

ANSWER_S: Final = 5.0
"""How long the answers to a refresh are waited for."""

CHECK_S: Final = 0.02


class OverlayOrders:
    """The orders of one peer; `failure` says why a path could not be fetched lately, unless it is on its way again."""

    def __init__(
        self,
        *,
        overlay: Overlay | None,
        trees: Trees,
        applier: Applier,
        links: Links,
        workers: Workers,
        clock: Clock,
        failure: Callable[[RelPath], str | None],
        demand: Demand,
        replan: Callable[[list[RelPath]], None],
    ) -> None:
        self._overlay = overlay
        self._trees = trees
        self._applier = applier
        self._elsewhere = Elsewhere(links=links, workers=workers)
        self._clock = clock
        self._failure = failure
        self._demand = demand
        self._replan = replan
        self._freer = Freer(
            demand=demand,
            trees=trees,
            applier=applier,
            links=links,
            clock=clock,
            holders=self._others_with,
            relist=overlay.offer if overlay is not None else lambda record, sources: None,
        )

    def search(self, pattern: str, *, ttl: int = QUERY_TTL, wait_s: float = 2.0) -> Iterator[FoundCopy]:
        """Copies of this name, or of names that match this pattern, as hits come in; what is here first."""
        overlay = self._required()
        if not 1 <= ttl <= TTL_MAX:
            raise ConfigError(f"a TTL lies in 1..{TTL_MAX}")
        return (self._shown(found) for found in overlay.searches.search(pattern, ttl=ttl, wait_s=wait_s))

    def get(self, names: Sequence[RelPath], *, holder: PeerName | None = None, output: str = "") -> Iterator[Got]:
        """Fetch each from the best that has it, or from `holder`; into the folder, or to `output`.

        A pattern means all that a search finds; a directory, into the folder, all that is in it.
        """
        overlay = self._required()
        meant = [path for name in names for path in self._matching(overlay, name)]
        if output:
            self._elsewhere.require(output, meant)
            return (self._get(overlay, name, holder, output, meant) for name in meant)
        inner = self._demand.beneath(meant)
        if self._demand.is_on:
            return self._get_wished(overlay, inner, holder)
        named = frozenset(meant)  # what is only in a directory is not asked about if it is as it was offered
        return (
            self._get(overlay, name, holder, "", inner)
            if name in named or (here := self._as_offered(name)) is None
            else here
            for name in inner
        )

    def free(self, names: Sequence[RelPath]) -> Iterator[Got]:
        """Let go what is here of these names, here and nowhere else; refused where a folder is not kept on demand."""
        return self._freer.free(names)

    def refresh(self, names: Sequence[RelPath]) -> Iterator[Refreshed]:
        """Ask now whether these copies, or all if none is named, are still what their origins have."""
        overlay = self._required()
        overlay.awaken()
        paths = list(names) or list(self._trees.local)
        for path in paths:
            if path not in self._trees.local:
                raise UnknownName(f"no copy of {path} is here", advice=f"gsync search {path}")
        overlay.fresh.refresh(paths, now=self._clock.monotonic())
        overlay.poke()
        return self._refreshed(overlay, paths)

    def mark(self, path: RelPath, *, valid: bool) -> Version:
        """A version step of what is owned here, so that copies elsewhere are invalid, or valid again when they have it."""
        overlay = self._required()
        meta = self._trees.local.get(path)
        if meta is None:
            raise UnknownName(f"no copy of {path} is here", advice=f"gsync search {path}")
        overlay.standings.feed_unknown(path)
        version = overlay.fresh.marked(path, disk_mtime_s=meta.version.mtime_s)
        outcome = self._applier.apply(Adjustment(path=path, expected=meta, version=version, author=overlay.me.author))
        if not isinstance(outcome, Published):
            raise ConfigError(f"{path} was changed at this very moment", advice="try again")
        return version

    def set_mode(self, mode: Mode) -> None:
        """Keep copies honest in this way from now on."""
        overlay = self._required()
        overlay.awaken()
        overlay.fresh.set_mode(mode, now=self._clock.monotonic())
        overlay.reconciling.everybody()
        overlay.poke()

    def set_ttr(self, seconds: float) -> None:
        """How long others may believe what is made here, from now on."""
        self._required().fresh.set_ttr(seconds)

    def overlay(self) -> OverlaySeen:
        """This peer in the overlay."""
        overlay = self._required()
        topology = overlay.topology
        return OverlaySeen(
            name=overlay.me.name,
            mode=overlay.fresh.mode,
            ttr_s=overlay.fresh.ttr_s,
            topology=str(topology) if isinstance(topology, Shape) else "a file",
            neighbours=overlay.neighbours.seen(),
            counts=dict(overlay.neighbours.counts),
        )

    def copies(self, *, beneath: RelPath | None = None) -> Iterator[CopySeen]:
        """How far the copies here can be believed; nothing, where there is no overlay."""
        overlay = self._overlay
        if overlay is None:
            return
        for path in sorted(self._trees.local):
            if beneath is not None and path != beneath and beneath not in path.ancestors:
                continue
            standing = overlay.standings.of(path)
            if standing is not None and standing.record.kind is not Kind.DIRECTORY:
                copy = standing.copy
                since_s = self._clock.wall() - (self._clock.monotonic() - copy.since) if copy.since else 0.0
                yield CopySeen(
                    path=path,
                    state=copy.state,
                    reason=copy.reason,
                    since_s=since_s,
                    ttr_s=standing.ttr_s,
                    origin=copy.origin or (overlay.me.name if copy.state is CopyState.OWNED else None),
                )

    def _required(self) -> Overlay:
        if self._overlay is None:
            raise ConfigError("this gsync has no neighbours to ask: it was not started with an overlay")
        return self._overlay

    def _matching(self, overlay: Overlay, name: RelPath) -> list[RelPath]:
        """The name itself, unless it is a pattern and nothing is called so."""
        if not IN_PATTERNS & set(name) or name in self._trees.local or name in self._trees.remote:
            return [name]
        found = overlay.searches.search(str(name), ttl=TTL_MAX, wait_s=GET_WAIT_S)
        return sorted({one.record.path for one in found}) or [name]

    def _get(
        self, overlay: Overlay, name: RelPath, holder: PeerName | None, output: str, names: Sequence[RelPath]
    ) -> Got:
        found = self._best(overlay, name, holder)
        if output and found:
            return self._elsewhere.get(found, output, names)
        if found:
            return self._here(name, found[0].record.version) or self._get_here(overlay, found)
        if not self._is_directory(name):
            who = f"{holder} does not answer with it" if holder else "nobody who answers has it"
            return Got(path=name, reason=who)
        if output or name not in self._trees.local:
            return Got(path=name, reason="it is a directory: name the files in it")
        return Got(path=name)

    def _here(self, name: RelPath, version: Version) -> Got | None:
        """It is here already, if it is, at this version or a newer one."""
        meta = self._trees.local.get(name)
        if meta is None or compare_vectors(meta.version, version) not in (Order.SAME, Order.NEWER):
            return None
        return Got(path=name, size=meta.fingerprint.size)

    def _as_offered(self, name: RelPath) -> Got | None:
        offer = self._trees.remote.get(name)
        return None if offer is None else self._here(name, offer.version)

    def _is_directory(self, name: RelPath) -> bool:
        meta, offer = self._trees.local.get(name), self._trees.remote.get(name)
        record = offer.record if offer is not None else None
        return Kind.DIRECTORY in (meta and meta.kind, record and record.kind)

    def _get_wished(self, overlay: Overlay, names: Sequence[RelPath], holder: PeerName | None) -> Iterator[Got]:
        """All of them are wanted at once, and told of one by one."""
        here = {name for name in names if name in self._trees.local}
        self._demand.wish(names)
        try:
            self._replan(list(names))
            for name in names:
                offer = self._trees.remote.get(name)
                if holder is not None or offer is None or offer.is_deletion or not offer.sources:
                    yield self._get(overlay, name, holder, "", names)
                else:
                    source = None if name in here else self._called(offer.sources[0])
                    got = self._await(overlay, name, offer.version, source)
                    # Of what is new the origin alone was told; others have it by now.
                    yield self._get(overlay, name, None, "", names) if got.reason else got
        finally:
            self._demand.unwish(names)
            self._replan(list(names))  # what nobody waits for any more is not fetched

    def _called(self, source: Source) -> PeerName:
        """The name of a neighbour, the address of anybody else."""
        seen = self._overlay.neighbours.seen() if self._overlay is not None else ()
        names = [one.name for one in seen if one.endpoint == source.endpoint]
        return names[0] if names else PeerName(str(source.endpoint))

    def _others_with(self, path: RelPath) -> Iterator[Endpoint]:
        """Who may have it: the neighbours, and who answers a search with it."""
        if self._overlay is not None:
            yield from (one.endpoint for one in self._overlay.neighbours.seen() if one.is_up and one.endpoint)
            for one in self._best(self._overlay, path, None):
                if one.source is not None:
                    yield one.source.endpoint

    def _best(self, overlay: Overlay, name: RelPath, holder: PeerName | None) -> tuple[HeardOf, ...]:
        """Who has the best version of it, the first choice first; nobody else than `holder` if one is named."""
        found: list[HeardOf] = []
        until = self._clock.monotonic() + GET_WAIT_S
        for one in overlay.searches.search(str(name), ttl=TTL_MAX, wait_s=GET_WAIT_S):
            if one.record.path == name and holder in (None, one.holder):
                until = min(until, self._clock.monotonic() + SETTLE_S)
                found.append(one)
            if found and self._clock.monotonic() >= until:
                break
        ranked = by_preference(found)
        return tuple(one for one in ranked if one.record == ranked[0].record)

    def _get_here(self, overlay: Overlay, found: Sequence[HeardOf]) -> Got:
        best = found[0]
        path, version = best.record.path, best.record.version
        if best.origin is not None:
            overlay.standings.told(path, best.origin, best.ttr_s)
        overlay.offer(best.record, tuple(one.source for one in found if one.source is not None))
        return self._await(overlay, path, version, best.holder)

    def _await(self, overlay: Overlay, path: RelPath, version: Version, holder: PeerName | None) -> Got:
        """Until this version stands in the folder, or it is known why not; what failed before is tried again."""
        now = self._clock.monotonic()
        deadline, again, before = now + GET_S, now + AGAIN_S, self._failure(path)
        changed = overlay.await_change(path)
        try:
            while self._clock.monotonic() < deadline:
                meta = self._trees.local.get(path)
                if meta is not None and compare_vectors(meta.version, version) in (Order.SAME, Order.NEWER):
                    return Got(path=path, holder=holder, size=meta.fingerprint.size)
                if changed.wait(LOOK_S):
                    changed.clear()
                    continue
                reason = self._failure(path)
                if reason and (reason != before or self._clock.monotonic() >= again):
                    return Got(path=path, holder=holder, reason=reason)
        finally:
            overlay.let_go(path, changed)
        return Got(path=path, holder=holder, reason=f"it did not come within {GET_S:.0f} s")

    def _refreshed(self, overlay: Overlay, paths: Sequence[RelPath]) -> Iterator[Refreshed]:
        until = self._clock.monotonic() + ANSWER_S
        while overlay.fresh.polls and self._clock.monotonic() < until:
            gevent.sleep(CHECK_S)
        for path in paths:
            standing = overlay.standings.of(path)
            if standing is not None:
                yield Refreshed(path=path, state=standing.copy.state, reason=standing.copy.reason)

    def _shown(self, found: HeardOf) -> FoundCopy:
        record = found.record
        return FoundCopy(
            path=record.path,
            holder=found.holder,
            is_here=found.source is None,
            kind=record.kind,
            size=record.size,
            version=record.version,
            digest=record.digest,
            mtime_ns=record.mtime_ns,
            state=found.state,
            is_origin=found.is_origin,
            origin=found.origin,
            ttr_s=found.ttr_s,
            load=found.load,
            hops=found.hops,
            ms=found.round_trip_s * 1000,
        )
