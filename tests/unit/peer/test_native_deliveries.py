"""Files from native sources, handed on to the applier: what follows from what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from gsync.core.actions import Fetch
from gsync.core.blocks import digest_of_bytes
from gsync.core.model import Kind, Offer, Record, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.schedule import FetchQueue
from gsync.errors import NoSpace
from gsync.net.simulation import World, simulated
from gsync.peer.native_deliveries import NativeDeliveries
from gsync.peer.outcomes import Outcomes
from gsync.storage.downloads import Change, Outcome, Overtaken, Published, Unpublished
from tests.unit.peer.test_syncer import Steady
from tests.unit.peer.world import Heard, meta, path, v

A, OLD = path("a"), path("old")
CONTENT = b"what is offered"
SOURCE = Source(endpoint=Endpoint("192.0.2.2", 9000), speaks_gsync=True, speaks_native=True)


class Room:
    """Deliveries between a source that gives everything and an applier that says what the test wants said."""

    def __init__(self, world: World) -> None:
        self.said: list[tuple[str, tuple[RelPath, ...]]] = []
        self.outcome: Outcome = Overtaken(path=A)
        self.queue = FetchQueue(limit=16, rng=Steady())
        heard = Heard()
        self.deliveries = NativeDeliveries(
            queue=self.queue,
            fetcher=self,  # type: ignore[arg-type]
            applier=self,  # type: ignore[arg-type]
            outcomes=Outcomes(queue=self.queue, events=heard.events, clock=world.clock),
            events=heard.events,
            clock=world.clock,
            hint=lambda paths: self.said.append(("look", tuple(paths))),
            replan=lambda paths: self.said.append(("plan", tuple(paths))),
            rests=self,
            ended=lambda count=1: None,
        )

    def rest(self, path: RelPath, *others: RelPath) -> None:
        self.said.append(("rest", (path, *others)))

    def forget(self, path: RelPath) -> None:
        self.said.append(("forget", (path,)))

    def fetch_small(self, wants: Sequence[tuple[RelPath, Record]], source: Source) -> Iterator[tuple[RelPath, Any]]:
        yield from ((path, CONTENT) for path, _ in wants)

    def submit(self, change: Change, done: Callable[[Outcome], None]) -> None:
        done(self.outcome)

    def deliver(self, *, moved_from: RelPath | None = None) -> None:
        digest = digest_of_bytes(CONTENT)
        record = Record(path=A, kind=Kind.FILE, version=v(5, ann=1), digest=digest, size=15, moved_from=moved_from)
        self.queue.put(Fetch(path=A, offer=Offer(version=record.version, sources=(SOURCE,), record=record)))
        batch = self.queue.next_batch(0.0)
        assert batch is not None
        self.deliveries.deliver_batch(batch)


@pytest.fixture
def room() -> Iterator[Room]:
    with simulated() as world:
        yield Room(world)


def test_what_was_overtaken_is_looked_at_and_planned_only_after_a_rest(room: Room) -> None:
    """Planned at once, it would be in the applier's hand whenever somebody looks, and be passed over by each look, for ever."""
    room.deliver(moved_from=OLD)
    assert room.said == [("look", (A,)), ("rest", (A, OLD))]


def test_what_stands_is_planned_again_with_the_name_that_it_had(room: Room) -> None:
    room.outcome = Published(path=A, meta=meta())
    room.deliver(moved_from=OLD)
    assert room.said == [("forget", (A,)), ("plan", (A, OLD))]


def test_what_the_disk_refused_is_planned_again(room: Room) -> None:
    room.outcome = Unpublished(path=A, error=NoSpace("full"))
    room.deliver()
    assert room.said == [("plan", (A,))]
