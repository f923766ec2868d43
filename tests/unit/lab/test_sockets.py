"""How long a run on real sockets is said to take; the run itself takes as long, and is looked at by people."""

from __future__ import annotations

import pytest

from gsync.lab.sockets import GAPS_WATCHED, STARTING_S, takes_s
from gsync.peer.reconciling import EVERY_S
from tests.unit.lab.test_grid import point


@pytest.mark.parametrize(("ttr_s", "rest_s"), [(1.0, 2 * EVERY_S), (30.0, 30.0)])
def test_a_run_begins_when_copies_have_aged_and_nothing_is_compared_any_more(ttr_s: float, rest_s: float) -> None:
    assert takes_s(point(ttr_s=ttr_s, gap_s=4.0)) == GAPS_WATCHED * 4.0 + rest_s + STARTING_S
