"""The simulated twin: its figures are those of arithmetic wherever arithmetic has one."""

from __future__ import annotations

import pytest

from gsync.core.copies import Mode
from gsync.core.topology import messages_per_flood
from gsync.lab.grid import Point, closed_form_pct, interval
from gsync.lab.staleness import measured, simulated
from tests.unit.lab.test_grid import overlay

SHAPES = ("star", "line", "ring", "grid", "mesh", "random:4")


def point(
    mode: Mode, *, ttr_s: float = 30, shape: str = "star", peers: int = 3, loss: float = 0, jitter: float = 0
) -> Point:
    return Point(mode=mode, ttr_s=ttr_s, gap_s=60, overlay=overlay(shape, peers), loss=loss, jitter=jitter)


def test_a_seed_tells_the_same_story_each_time() -> None:
    setting = point(Mode.HYBRID, ttr_s=120, shape="grid", peers=4, loss=0.1)
    assert simulated(setting, 7) == simulated(setting, 7) != simulated(setting, 8)


@pytest.mark.slow
def test_polls_travel_together_so_more_files_cost_fewer_messages_each() -> None:
    setting = point(Mode.PULL, ttr_s=300, peers=2)
    few, many = (simulated(setting, 1, files=files) for files in (1, 16))
    assert many.updates > few.updates
    assert many.messages_per_update < few.messages_per_update
    assert many.reads == pytest.approx(16 * few.reads, rel=0.1)  # each copy as often


@pytest.mark.slow
@pytest.mark.parametrize("ttr_s", [1, 2, 5, 10, 30, 60, 120, 300])
def test_pull_without_jitter_has_the_stale_reads_of_the_closed_form(ttr_s: float) -> None:
    setting = point(Mode.PULL, ttr_s=ttr_s)
    stale = [simulated(setting, seed).stale_pct for seed in range(1, 11)]
    expected = closed_form_pct(ttr_s=ttr_s, gap_s=60)
    low, high = interval(stale, confidence=0.999)
    assert abs(sum(stale) / len(stale) - expected) <= 2 or low <= expected <= high
    assert high - low < 12  # so that whatever lies within it means something


@pytest.mark.slow
def test_a_shorter_belief_has_fewer_stale_reads_and_more_messages() -> None:
    short, long = (measured(point(Mode.PULL, ttr_s=ttr_s), seeds=3) for ttr_s in (30, 120))
    assert short.stale_pct < long.stale_pct
    assert short.messages_per_update > long.messages_per_update


@pytest.mark.slow
@pytest.mark.parametrize("peers", [4, 9, 16])
@pytest.mark.parametrize("shape", SHAPES)
def test_without_loss_an_update_costs_exactly_the_messages_of_a_flood(shape: str, peers: int) -> None:
    setting = point(Mode.PUSH, shape=shape, peers=peers)
    outcome = simulated(setting, 1)
    assert outcome.updates > 100
    assert outcome.messages == outcome.updates * messages_per_flood(setting.overlay.topology)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "count"), [("star", 63), ("line", 63), ("grid", 161)])
def test_64_peers_need_the_messages_of_the_design(shape: str, count: int) -> None:
    outcome = simulated(point(Mode.PUSH, shape=shape, peers=64), 1)
    assert outcome.messages == count * outcome.updates


@pytest.mark.slow
def test_push_without_loss_has_hardly_a_stale_read() -> None:
    assert simulated(point(Mode.PUSH, shape="grid", peers=9), 1).stale_pct < 0.1


@pytest.mark.slow
def test_with_loss_push_has_more_stale_reads_than_hybrid_which_asks_as_well() -> None:
    push, hybrid = (measured(point(mode, peers=5, loss=0.2), seeds=4) for mode in (Mode.PUSH, Mode.HYBRID))
    assert push.stale_pct > 2 * hybrid.stale_pct > 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", [Mode.PUSH, Mode.HYBRID])
def test_links_that_heal_and_are_compared_over_leave_hardly_a_stale_read_at_ten_percent_loss(mode: Mode) -> None:
    setting = point(mode, ttr_s=600, peers=16, loss=0.1)
    lost, healed = ([simulated(setting, seed, heals_s=heals) for seed in range(1, 5)] for heals in (None, 1.0))
    stale = [sum(outcome.stale_pct for outcome in outcomes) / len(outcomes) for outcomes in (lost, healed)]
    assert stale[0] > 10
    assert stale[1] < 0.5
    assert all(one.messages < 3 * one.updates * messages_per_flood(setting.overlay.topology) for one in healed)


@pytest.mark.slow
def test_a_passive_peer_reads_what_stands_there() -> None:
    row = measured(point(Mode.PASSIVE), seeds=2)
    assert row.stale_pct > 90
    assert row.messages_per_update == 0


@pytest.mark.slow
def test_lazy_asks_only_for_what_is_read() -> None:
    pull, lazy = (measured(point(mode, ttr_s=5), seeds=2) for mode in (Mode.PULL, Mode.LAZY))
    assert 0 < lazy.messages_per_update < pull.messages_per_update
    assert lazy.stale_pct <= pull.stale_pct + 0.5


@pytest.mark.slow
def test_jitter_shortens_belief() -> None:
    plain, jittered = (measured(point(Mode.PULL, ttr_s=120, jitter=jitter), seeds=4) for jitter in (0, 0.9))
    assert jittered.stale_pct < plain.stale_pct
