"""With what others wrote, variant by variant: everything that a variant can carry is synced, and nothing of ours hangs, spins or
stores a stump. What each can carry stands in `variants.py`.

All swarms run at the same time, because most of the time each of them waits for the next keepalive of somebody.
"""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from tests.e2e import folders
from tests.e2e.cluster import Cluster, cluster_beneath
from tests.e2e.mixed_swarm import Swarm, cpu_s, end_in_order
from tests.e2e.variants import CASES, Case
from tests.reference import peer as reference_peer
from tests.reference import tracker as reference_tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CPU_S = 5.0
"""What a program of ours may take to start and to sync; it takes one."""

INTERRUPTED = 130

IDLE_SHARE = 0.1
IDLE_S = 6.0
"""More than a keepalive and a rescan."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Swarm]]:
    with cluster_beneath(tmp_path_factory.mktemp("compatibility") / "cluster") as parent:
        clusters = {str(case): Cluster(parent.base / str(case)) for case in CASES}
        swarms = {str(case): Swarm(case, clusters[str(case)]) for case in CASES}
        try:
            for late in (False, True):  # where a ghost must die first, the others would only be in the way
                wave = [swarm for swarm in swarms.values() if swarm.has_no_ghost is late]
                gevent.joinall([gevent.spawn(swarm.start) for swarm in wave], raise_error=True)
            yield swarms
        finally:
            for cluster in clusters.values():
                cluster.close()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_everything_that_the_variant_can_carry_is_synced_and_no_stump_is_stored(
    running: dict[str, Swarm], case: Case
) -> None:
    swarm = running[str(case)]

    swarm.settle()

    for peer in swarm.ours:
        assert folders.looks(peer.folder) == swarm.expected
        assert folders.left_in_staging(peer.folder) == []
    for program in swarm.programs_of_ours:
        assert program.code is None
        assert cpu_s(program) < CPU_S
    if swarm.theirs is not None:
        assert swarm.theirs.code is None
        assert swarm.of_theirs(swarm.taken) == swarm.taken
        if case.edition == 2:
            assert swarm.of_theirs(swarm.offered).items() <= swarm.offered.items()


def test_nothing_of_ours_spins_once_all_is_done(running: dict[str, Swarm]) -> None:
    shares = {}
    for swarm in running.values():
        swarm.settle()
        for program in swarm.programs_of_ours:
            shares[f"{swarm.case} {program.name}"] = swarm.idle_share(program, over_s=IDLE_S)

    assert {name: share for name, share in shares.items() if share >= IDLE_SHARE} == {}


def test_everything_of_ours_still_ends_at_a_word(running: dict[str, Swarm]) -> None:
    for swarm in running.values():
        swarm.settle()
    expected = {}
    for swarm in running.values():
        code = INTERRUPTED if swarm.lacks_something else 0
        expected.update({program: code if program in swarm.ours else 0 for program in swarm.programs_of_ours})

    codes = dict(zip(expected, end_in_order(list(expected)), strict=True))

    assert codes == expected


def test_every_habit_of_the_reference_programs_is_tried() -> None:
    assert {case.variant.quirk for case in CASES if case.variant} - {""} == reference_peer.QUIRKS.keys()
    assert {case.tracker_quirk for case in CASES} - {""} == reference_tracker.QUIRKS.keys()
