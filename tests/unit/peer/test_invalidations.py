"""News are passed on first, and offered to the planner a moment later: each once, in order, never very many."""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from gsync.core.model import Offer
from gsync.core.names import Endpoint, PeerName, RelPath
from gsync.net.simulation import World, simulated
from gsync.net.tasks import TaskGroup
from gsync.peer import invalidations as invalidations_module
from gsync.peer.invalidations import PASS_ON_S
from gsync.peer.neighbours import Me
from gsync.peer.overlay import Overlay
from gsync.peer.settings import Settings
from gsync.wire.overlay import Invalidate, PeerAt
from gsync.wire.records import wire_record
from tests.unit.peer.native import record
from tests.unit.peer.native_world import hashed_trees
from tests.unit.peer.world import Lan, folder_with, v

BEN: Any = SimpleNamespace(name=PeerName.parse("ben"), remote_ip="192.0.2.2", endpoint=Endpoint("192.0.2.2", 2002))


class Desk:
    """The overlay of one peer that nobody but its neighbours tells anything."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.offered: list[tuple[float, str, int]] = []
        self.passed_on: list[float] = []
        self._seq = 0
        self.overlay = Overlay(
            me=Me(name=PeerName.parse("ada"), author="0123456789abcdef", life="1"),
            settings=Settings(tracker=None, name="ada"),
            trees=hashed_trees(folder_with({"mine": b"content"})),
            network=Lan(world).here,
            clock=world.clock,
            rng=random.Random(1),
            port=lambda: 2001,
            offer=self._offer,
            tells_changes=lambda: False,
            nobody_will_tell=lambda: True,
        )
        self.overlay.neighbours.tell = lambda names, said: self.passed_on.append(world.clock.monotonic())  # type: ignore[method-assign]

    def hear(self, name: str, *, counter: int = 1) -> None:
        self._seq += 1
        said = Invalidate(
            r=wire_record(record(name, version=v(5, a=counter))),
            at=PeerAt(name="ben", port=2002),
            life="1",
            seq=self._seq,
            ttr_ms=30_000,
        )
        self.overlay.heard(BEN, said)

    def _offer(self, offers: dict[RelPath, Offer | None]) -> None:
        now = self.world.clock.monotonic()
        for name, offer in offers.items():
            assert offer is not None
            self.offered.append((round(now, 4), str(name), dict(offer.version.counters)["a"]))


@pytest.fixture
def desk() -> Iterator[Desk]:
    with simulated() as world:
        desk = Desk(world)
        with TaskGroup() as tasks:
            tasks.spawn(desk.overlay.run)
            gevent.sleep(1)
            yield desk
            tasks.cancel()


def test_news_are_passed_on_at_once_and_offered_a_moment_later(desk: Desk) -> None:
    began = desk.world.clock.monotonic()
    desk.hear("a")
    assert desk.passed_on == [began]
    assert desk.offered == []
    gevent.sleep(PASS_ON_S / 2)
    desk.hear("b")
    desk.hear("a", counter=2)
    gevent.sleep(1)
    when = round(began + PASS_ON_S, 4)
    assert desk.offered == [(when, "a", 1), (when, "b", 1), (when, "a", 2)]
    assert len(desk.passed_on) == 3


def test_each_is_offered_once(desk: Desk) -> None:
    desk.hear("a")
    gevent.sleep(1)
    desk.hear("a")
    desk.hear("b")
    gevent.sleep(1)
    assert [name for _, name, _ in desk.offered] == ["a", "b"]


def test_of_very_many_none_waits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invalidations_module, "NEWS_MAX", 2)
    for name in "abcd":
        desk.hear(name)
    assert [name for _, name, _ in desk.offered] == ["a", "b", "c"]
    gevent.sleep(1)
    assert [name for _, name, _ in desk.offered] == ["a", "b", "c", "d"]
