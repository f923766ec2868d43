"""What peers say, added up."""

from __future__ import annotations

from typing import Any

import pytest

from gsync.lab.tally import Quantiles, Tally, slope


def line(event: str, second: float = 0, **facts: Any) -> dict[str, Any]:
    return {"v": 1, "time": f"2026-01-01T00:00:{second:06.3f}Z", "event": event, **facts}


def fetched(second: float, path: str, *, size: int = 10) -> dict[str, Any]:
    return line("file.fetched", second, path=path, size=size, seconds=second, first_byte_s=second / 2)


def stats(**facts: Any) -> dict[str, Any]:
    empty = {"bytes_received": 0, "failed": {}, "late": 0, "greenlets": 9, "lag_ms": []}
    return line("peer.stats", **{**empty, **facts})


def test_quantiles_are_numbers_that_were_there() -> None:
    assert Quantiles.of([]) == Quantiles()
    assert Quantiles.of([7]) == Quantiles(count=1, p50=7, p95=7, p99=7, max=7)
    assert Quantiles.of(range(1000, 0, -1)) == Quantiles(count=1000, p50=500, p95=950, p99=990, max=1000)


def test_the_makespan_is_from_the_first_fetch_to_the_last_arrival() -> None:
    tally = Tally()
    assert tally.makespan_s == 0
    tally.hear("a", "a.1", line("file.fetching", 2))
    tally.hear("b", "b.2", line("file.fetching", 3))
    tally.hear("b", "b.2", fetched(9, "x"))
    tally.hear("a", "a.1", fetched(7.5, "y", size=5))
    assert (tally.makespan_s, tally.arrivals, tally.bytes) == (7, 2, 15)
    assert (tally.file_s, tally.first_byte_s) == ([9, 7.5], [4.5, 3.75])


def test_a_peer_that_was_started_again_keeps_what_it_had_and_adds_to_its_counts() -> None:
    tally = Tally()
    tally.hear("a", "a.1", fetched(1, "x"))
    tally.hear("a", "a.1", stats(bytes_received=5, failed={"short": 1}, late=1))
    tally.hear("a", "a.1", stats(bytes_received=10, failed={"short": 2}, late=1, lag_ms=[1.5]))
    tally.found("a", ["y"])
    tally.hear("a", "a.2", fetched(2, "z"))
    tally.hear("a", "a.2", stats(bytes_received=10, failed={"reset": 3}, late=1, lag_ms=[2.5], greenlets=4))
    assert tally.arrived == {"a": {"x", "y", "z"}}
    assert (tally.received, tally.failed, tally.late) == (20, {"reset": 3, "short": 2}, 2)
    assert (tally.lag_ms, tally.greenlets) == ([1.5, 2.5], {"a": 4})


def test_what_a_person_should_hear_of_is_kept() -> None:
    tally = Tally()
    tally.hear("a", "a.1", line("error", what="no space"))
    tally.hear("a", "a.1", line("file.conflict", path="x", kept_as="y"))
    tally.hear("a", "a.1", line("tracker.down"))
    tally.hear("a", "a.1", line("watch.incomplete", reason="a hundred others watch", advice="raise it"))
    tally.hear("a", "a.1", line("file.skipped", cause="short", reason="it ended"))
    tally.hear("b", "b.2", line("file.skipped", cause="short", reason="it ended"))
    assert tally.reasons == {"short: it ended": 2}
    assert tally.troubles == ["a.1: no space", "a.1: file.conflict"]


@pytest.mark.parametrize(
    ("points", "expected"),
    [([], 0), ([(1, 5)], 0), ([(1, 5), (1, 7)], 0), ([(0, 1), (1, 3), (2, 5)], 2), ([(0, 4), (1, 6), (2, 4)], 0)],
)
def test_a_slope_is_that_of_the_line_nearest_to_all_points(points: list[tuple[float, float]], expected: float) -> None:
    assert slope(points) == pytest.approx(expected)
