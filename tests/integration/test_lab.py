"""The experiments with real peers on real sockets: small ones, whose exact part is held against arithmetic."""

from __future__ import annotations

from gsync.core.copies import Mode
from gsync.core.topology import Shape, ShapeKind, messages_per_flood
from gsync.lab import queries
from gsync.lab.grid import Overlay, Point
from gsync.lab.sockets import on_sockets

GRID = Overlay.of(Shape(kind=ShapeKind.GRID), peers=9)


def test_push_on_real_sockets_costs_exactly_the_messages_of_a_flood() -> None:
    outcome = on_sockets(Point(mode=Mode.PUSH, ttr_s=1, gap_s=1, overlay=GRID), 1)
    assert outcome.updates > 50
    assert outcome.messages == outcome.updates * messages_per_flood(GRID.topology)


def test_every_query_on_real_sockets_is_answered() -> None:
    rounds = list(queries.ask(GRID, seed=1))
    assert [row.clients for row in rounds] == list(queries.CLIENTS)
    assert [row.unanswered for row in rounds] == [0] * len(rounds)
