"""Which curves the rows make; what is drawn is looked at by people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gsync.lab import plots
from gsync.lab.comparison import pairs_of
from gsync.lab.grid import Row
from gsync.lab.plots import FORMATS, Dot, can_draw, draw, plot_of_pairs, plot_of_queries, plots_of
from gsync.lab.queries import Waits


def row(**changes: Any) -> Row:
    facts: dict[str, Any] = {
        "mode": "pull",
        "ttr_s": 30.0,
        "gap_s": 60.0,
        "peers": 16,
        "topology": "grid",
        "loss": 0.0,
        "seeds": 10,
        "stale_pct": 21.0,
        "stale_pct_low": 20.0,
        "stale_pct_high": 22.0,
        "messages_per_update": 33.0,
    }
    return Row(**(facts | changes))


def test_one_row_makes_no_picture() -> None:
    assert plots_of([row()], exact={}) == ()


def test_stale_reads_stand_over_the_closed_form() -> None:
    (plot,) = plots_of([row(ttr_s=120.0, stale_pct=57.0), row()], exact={})
    assert plot.name == "plot-a"
    assert [(dot.x, dot.y) for dot in plot.measured["pull"]] == [(30.0, 21.0), (120.0, 57.0)]
    assert plot.measured["pull"][0] == Dot(x=30.0, y=21.0, low=20.0, high=22.0)
    (line,) = plot.reckoned.values()
    assert line[0] == (30.0, pytest.approx(21.3, abs=0.05))
    assert line[-1] == (pytest.approx(120.0), pytest.approx(56.8, abs=0.05))


def test_curves_are_told_apart_by_what_differs() -> None:
    rows = [
        row(ttr_s=ttr_s, mode=mode, peers=peers)
        for ttr_s in (5.0, 30.0)
        for mode in ("pull", "lazy")
        for peers in (4, 16)
    ]
    (plot,) = plots_of(rows, exact={})
    assert sorted(plot.measured) == ["lazy, 16 peers", "lazy, 4 peers", "pull, 16 peers", "pull, 4 peers"]


def test_messages_stand_over_the_exact_count_of_their_topology() -> None:
    rows = [row(mode="push", peers=peers, messages_per_update=count) for peers, count in ((4, 5.0), (16, 33.0))]
    (plot,) = plots_of(rows, exact={("grid", 4): 5, ("grid", 16): 33})
    assert plot.name == "plot-b"
    assert plot.reckoned == {"grid": [(4, 5.0), (16, 33.0)]}
    assert [(dot.x, dot.y) for dot in plot.measured["grid"]] == plot.reckoned["grid"]


def test_what_was_lost_is_no_part_of_the_messages() -> None:
    rows = [row(mode="push", peers=peers, loss=0.1) for peers in (4, 16)]
    assert plots_of(rows, exact={}) == ()


def test_hybrid_stands_over_loss_with_a_curve_a_ttr() -> None:
    rows = [row(mode="hybrid", loss=loss, ttr_s=ttr_s) for loss in (0.01, 0.1) for ttr_s in (30.0, 120.0)]
    plot = {plot.name: plot for plot in plots_of(rows, exact={})}["plot-c"]
    assert sorted(plot.measured) == ["TTR 120 s", "TTR 30 s"]
    assert [dot.x for dot in plot.measured["TTR 30 s"]] == [1.0, 10.0]


def test_queries_stand_over_their_clients() -> None:
    rounds = [
        Waits(16, "grid", clients, 300, 0, p50_ms, 2 * p50_ms, 3 * p50_ms, 4 * p50_ms)
        for clients, p50_ms in ((1, 5.0), (30, 90.0))
    ]
    plot = plot_of_queries(rounds)
    assert plot is not None
    assert plot.name == "plot-d"
    (dots,) = plot.measured.values()
    assert list(dots) == [Dot(x=1, y=5.0, low=5.0, high=10.0), Dot(x=30, y=90.0, low=90.0, high=180.0)]
    assert plot_of_queries(rounds[:1]) is None


def test_real_peers_stand_over_their_twin_with_a_curve_a_mode() -> None:
    settings = [(mode, ttr_s) for mode in ("pull", "lazy") for ttr_s in (30.0, 120.0)]
    real = [row(mode=mode, ttr_s=ttr_s) for mode, ttr_s in settings]
    twin = [row(mode=mode, ttr_s=ttr_s, stale_pct=20.0) for mode, ttr_s in settings]
    plot = plot_of_pairs(pairs_of(real, twin))
    assert plot is not None
    assert plot.name == "plot-twin"
    assert [(dot.x, dot.y) for dot in plot.measured["lazy"]] == [(30.0, 21.0), (120.0, 21.0)]
    assert plot.reckoned == {"pull": [(30.0, 20.0), (120.0, 20.0)], "lazy": [(30.0, 20.0), (120.0, 20.0)]}
    assert plot_of_pairs(pairs_of(real[:1], twin[:1])) is None


def test_whether_it_can_draw_is_whether_matplotlib_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda name: None if name == "matplotlib" else object())
    assert not can_draw()


@pytest.mark.slow
@pytest.mark.skipif(not can_draw(), reason="matplotlib is not installed: the extra `plots`")
def test_the_same_rows_draw_the_same_pictures(tmp_path: Path) -> None:
    (plot,) = plots_of([row(), row(ttr_s=120.0)], exact={})
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
        assert [file.suffix[1:] for file in draw(plot, folder)] == list(FORMATS)
    for suffix in FORMATS:
        one, other = ((folder / f"plot-a.{suffix}").read_bytes() for folder in folders)
        assert one == other
