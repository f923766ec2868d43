"""The tracker of the planner simulation: who holds which record, and the one that wins, as a join that can be read at a glance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gsync.core.model import Kind, Offer, Record, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.records import order, winner
from gsync.core.versions import Order, Version


class PlainTracker:
    """Soft state only: what each machine that is connected announced last."""

    def __init__(self, machines: int) -> None:
        self._held: list[dict[RelPath, Record]] = [{} for _ in range(machines)]
        self._sources = [
            Source(endpoint=Endpoint("192.0.2.1", 2000 + n), speaks_gsync=True, speaks_native=True)
            for n in range(machines)
        ]
        self.classic: dict[RelPath, int] = {}
        self._news: list[dict[RelPath, None]] = [{} for _ in range(machines)]
        self._best: dict[RelPath, Record | None] = {}

    def announce(self, machine: int, records: Mapping[RelPath, Record | None]) -> None:
        for path, record in records.items():
            if record is None:
                self._held[machine].pop(path, None)
            else:
                self._held[machine][path] = record
            self._changed(path)

    def announce_classic(self, path: RelPath, mtime_s: int) -> None:
        self.classic[path] = mtime_s
        self._changed(path)

    def forget(self, machine: int) -> None:
        """It is not connected any more."""
        for path in self._held[machine]:
            self._changed(path)
        self._held[machine] = {}

    def paths(self) -> set[RelPath]:
        return set(self.classic).union(*self._held)

    def news(self, machine: int) -> list[RelPath]:
        """The paths of which `machine` has not heard the latest, in the order in which they are told: the oldest change first."""
        return list(self._news[machine])

    def tell(self, machine: int, paths: Iterable[RelPath]) -> dict[RelPath, Offer | None]:
        for path in paths:
            self._news[machine].pop(path, None)
        return {path: self.offer(path, machine) for path in sorted(paths)}

    def offer(self, path: RelPath, asker: int) -> Offer | None:
        """What `asker` is told of `path`: the winner and who has it; a classic file where it is later than that."""
        claims = [(n, held[path]) for n, held in enumerate(self._held) if path in held]
        classic_s = self.classic.get(path)
        if not claims:
            return None if classic_s is None else self._classic(classic_s)
        best = self.winner(path)
        assert best is not None
        if classic_s is not None and classic_s > best.version.mtime_s and (best.deleted or best.kind is Kind.FILE):
            return self._classic(classic_s)
        sources = tuple(
            self._sources[n]
            for n, record in claims
            if n != asker and (record is best or order(record, best) is Order.SAME)
        )
        return Offer(version=best.version, sources=sources, record=best)

    def shown_to_classic(self, path: RelPath) -> Record | None:
        """The file that classic peers are told of: the winner, where it is one."""
        best = self.winner(path)
        return None if best is None or best.deleted or best.kind is not Kind.FILE else best

    def winner(self, path: RelPath) -> Record | None:
        if path not in self._best:
            claims = [held[path] for held in self._held if path in held]
            self._best[path] = winner(claims) if claims else None
        return self._best[path]

    def _classic(self, mtime_s: int) -> Offer:
        source = Source(endpoint=Endpoint("192.0.2.2", 2000))
        return Offer(version=Version.from_mtime(mtime_s), sources=(source,))

    def _changed(self, path: RelPath) -> None:
        self._best.pop(path, None)
        for news in self._news:
            news[path] = None
