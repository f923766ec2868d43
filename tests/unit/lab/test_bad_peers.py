"""Each bad peer as a source: what our fetcher makes of it, and that nothing it gives is ever taken for a file."""

from __future__ import annotations

import pytest

from gsync.core.model import Source
from gsync.errors import ConnectionBroken, CutShort, GsyncError, Stalled
from gsync.lab.bad_peers import Badness, Vice
from gsync.net.simulation import simulated
from gsync.peer.fetcher import RATE_WINDOW_S, STALL_S, Fetcher
from tests.unit.peer.world import THERE, Lan, Stage, Witness, path


@pytest.mark.parametrize(
    ("vice", "error", "after_s"),
    [
        (Vice.SILENT, Stalled, STALL_S),
        (Vice.STALLING, Stalled, STALL_S),
        (Vice.TRICKLING, Stalled, RATE_WINDOW_S),
        (Vice.CUTTING, CutShort, 0),
        (Vice.LYING, CutShort, 0),
        (Vice.RESETTING, ConnectionBroken, 0),
    ],
)
@pytest.mark.parametrize("size", [2, 4096, 1_000_000])
def test_a_fetch_from_it_fails(vice: Vice, error: type[GsyncError], after_s: float, size: int) -> None:
    if vice is Vice.TRICKLING and size == 2:
        after_s = STALL_S  # there is but one byte that may be sent
    with simulated() as world:
        lan, stage = Lan(world), Stage()
        fetcher = Fetcher(network=lan.here, stager=stage, witness=Witness(), clock=world.clock)
        with lan.serving(Badness(vice, {"a": size})), pytest.raises(error):
            fetcher.fetch(path("a"), Source(endpoint=THERE, speaks_gsync=True))
        assert world.now_s == pytest.approx(after_s, abs=2)
        assert len(stage.begun) == len(stage.abandoned)
