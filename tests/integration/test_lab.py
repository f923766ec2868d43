"""The experiments with real peers on real sockets: small ones, whose exact part is held against arithmetic."""

from __future__ import annotations

import pytest

from gsync.core.copies import Mode
from gsync.core.names import RelPath
from gsync.core.topology import Shape, ShapeKind, messages_per_flood
from gsync.lab import queries
from gsync.lab.grid import Overlay, Point
from gsync.lab.house import House, wait_until
from gsync.lab.sockets import on_sockets

GRID = Overlay.of(Shape(kind=ShapeKind.GRID), peers=9)


def test_push_on_real_sockets_costs_exactly_the_messages_of_a_flood() -> None:
    outcome = on_sockets(Point(mode=Mode.PUSH, ttr_s=1, gap_s=1, overlay=GRID), 1)
    assert outcome.updates > 50
    assert outcome.messages == outcome.updates * messages_per_flood(GRID.topology)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "exact"), [(ShapeKind.STAR, 63), (ShapeKind.GRID, 161)])
def test_64_peers_in_one_process_need_exactly_2e_less_n_minus_1_messages_an_update(kind: ShapeKind, exact: int) -> None:
    """In a mesh, too: `make bench` counts that, for 2016 links take their time until they are compared over."""
    path = RelPath("file")
    with House(Overlay.of(Shape(kind=kind), peers=64), ttr_s=3600.0) as house:
        for update, (name, folder) in enumerate(list(house.folders.items())[::21]):
            before = house.messages
            folder.put(path, name.encode())
            wait_until(lambda name=name: all(house.content(one, path) == name.encode() for one in house.folders), name)  # type: ignore[misc]
            assert house.messages - before == exact, update


def test_every_query_on_real_sockets_is_answered() -> None:
    rounds = list(queries.ask(GRID, seed=1))
    assert [row.clients for row in rounds] == list(queries.CLIENTS)
    assert [row.unanswered for row in rounds] == [0] * len(rounds)
