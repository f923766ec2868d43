"""What the rounds of queries come to."""

from __future__ import annotations

import io

from gsync.lab.queries import COLUMNS, Waits, write
from tests.unit.lab.test_grid import overlay


def test_a_round_has_its_median_and_how_many_found_nothing() -> None:
    waits = Waits.of(overlay("grid", 16), clients=5, times_s=[0.002, None, 0.001, 0.009])
    assert (waits.peers, waits.topology, waits.clients) == (16, "grid", 5)
    assert (waits.queries, waits.unanswered) == (4, 1)
    assert (waits.p50_ms, waits.max_ms) == (2.0, 9.0)


def test_a_round_is_a_line() -> None:
    file = io.StringIO()
    write([Waits.of(overlay("star", 4), clients=1, times_s=[0.0012344])], file)
    assert file.getvalue().splitlines() == [",".join(COLUMNS), "4,star,1,1,0,1.234,1.234,1.234,1.234"]
