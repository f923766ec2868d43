"""The points and rows of the experiment, and its arithmetic."""

from __future__ import annotations

import io

import pytest

from gsync.core.copies import Mode
from gsync.core.topology import parse_shape
from gsync.lab.grid import COLUMNS, Outcome, Overlay, Point, Row, closed_form_pct, interval, points, write


def overlay(shape: str, peers: int) -> Overlay:
    parsed = parse_shape(shape)
    assert parsed is not None
    return Overlay.of(parsed, peers=peers)


def point(**changes: object) -> Point:
    facts: dict[str, object] = {"mode": Mode.PULL, "ttr_s": 30.0, "gap_s": 60.0, "overlay": overlay("star", 3)}
    return Point(**(facts | changes))  # type: ignore[arg-type]


def test_the_columns_are_those_that_were_asked_for() -> None:
    assert ", ".join(COLUMNS) == (
        "mode, ttr_s, gap_s, peers, topology, loss, seeds, stale_pct, stale_pct_low, stale_pct_high, messages_per_update"
    )


@pytest.mark.parametrize(("ttr_s", "pct"), [(5, 4.1), (10, 7.9), (30, 21.3), (60, 36.8), (120, 56.8), (300, 80.1)])
def test_the_closed_form_has_the_known_values(ttr_s: float, pct: float) -> None:
    assert closed_form_pct(ttr_s=ttr_s, gap_s=60) == pytest.approx(pct, abs=0.05)


def test_a_copy_that_is_never_believed_is_never_stale() -> None:
    assert closed_form_pct(ttr_s=0, gap_s=60) == 0


@pytest.mark.parametrize(
    ("count", "confidence", "t"),
    [(2, 0.95, 12.706), (3, 0.95, 4.303), (5, 0.95, 2.776), (10, 0.95, 2.262), (10, 0.999, 4.781), (30, 0.95, 2.045)],
)
def test_an_interval_is_as_wide_as_the_tables_of_student_say(count: int, confidence: float, t: float) -> None:
    samples = [50 + (-1) ** number for number in range(count)]
    middle = sum(samples) / count
    deviation = (sum((sample - middle) ** 2 for sample in samples) / (count - 1)) ** 0.5
    low, high = interval(samples, confidence=confidence)
    assert (low + high) / 2 == pytest.approx(middle)
    assert (high - low) / 2 == pytest.approx(t * deviation / count**0.5, rel=0.01)


def test_nothing_is_known_from_one_seed() -> None:
    assert interval([3.0]) == (0.0, 100.0)


def test_an_interval_stays_a_percentage() -> None:
    assert interval([0.0, 0.1]) == (0.0, pytest.approx(0.05 + 12.706 * 0.05, rel=0.01))
    assert interval([100.0, 99.0])[1] == 100.0


def test_every_combination_is_a_point() -> None:
    made = list(
        points(
            modes=(Mode.PUSH, Mode.PULL),
            ttrs_s=(5, 30, 120),
            gaps_s=(60,),
            overlays=(overlay("star", 4), overlay("grid", 9)),
            losses=(0, 0.1),
            jitter=0.2,
        )
    )
    assert len(made) == len({str(point) for point in made}) == 24
    assert {point.peers for point in made} == {4, 9}


def test_a_row_is_a_line_of_the_table() -> None:
    outcomes = [
        Outcome(reads=200, stale=20, updates=10, messages=40),
        Outcome(reads=200, stale=24, updates=10, messages=60),
    ]
    file = io.StringIO()
    write([Row.of(point(loss=0.01), outcomes)], file)
    head, line = file.getvalue().splitlines()
    assert head == ",".join(COLUMNS)
    assert line.startswith("pull,30,60,3,star,0.01,2,11,")
    assert line.endswith(",5")


def test_a_run_without_reads_and_edits_has_nothing_stale() -> None:
    outcome = Outcome(reads=0, stale=0, updates=0, messages=0)
    assert (outcome.stale_pct, outcome.messages_per_update) == (0, 0)
