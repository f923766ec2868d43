"""What `gsync lab staleness` varies and what it measures: the points of a grid, and a row of figures for each.

Values, and the arithmetic that goes with them: the closed form that the figures are held against, and intervals over seeds.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from statistics import NormalDist, fmean, stdev
from typing import Final, TextIO

from msgspec import Struct
from msgspec.structs import astuple, fields

from gsync.core.copies import Mode
from gsync.core.names import PeerName
from gsync.core.topology import Shape, Topology, shaped

SEEDS: Final = 10
CONFIDENCE: Final = 0.95


class Overlay(Struct, frozen=True, kw_only=True):
    """Who is whose neighbour, and what that is called in the table."""

    name: str
    topology: Topology

    @classmethod
    def of(cls, shape: Shape, *, peers: int) -> Overlay:
        """The overlay of that shape over so many peers."""
        return cls(name=str(shape), topology=shaped(shape, names(peers)))


class Point(Struct, frozen=True, kw_only=True):
    """One setting: how copies are kept honest, how often files change, and how many of the invalidations get lost (a share)."""

    mode: Mode
    ttr_s: float
    gap_s: float
    overlay: Overlay
    loss: float = 0.0
    jitter: float = 0.0

    @property
    def peers(self) -> int:
        return len(self.overlay.topology)


class Outcome(Struct, frozen=True, kw_only=True):
    """What one run of a point came to."""

    reads: int
    stale: int
    updates: int
    messages: int

    @property
    def stale_pct(self) -> float:
        """The share of the reads that got a version which was not the newest."""
        return 100 * self.stale / self.reads if self.reads else 0.0

    @property
    def messages_per_update(self) -> float:
        """Invalidations, polls and their answers for each edit; the contents that are fetched are not counted."""
        return self.messages / self.updates if self.updates else 0.0


class Row(Struct, frozen=True):
    """A line of the table; `loss` is a share, and between low and high lies the mean of all seeds there are, with 95 %."""

    mode: str
    ttr_s: float
    gap_s: float
    peers: int
    topology: str
    loss: float
    seeds: int
    stale_pct: float
    stale_pct_low: float
    stale_pct_high: float
    messages_per_update: float

    @classmethod
    def of(cls, point: Point, outcomes: Sequence[Outcome]) -> Row:
        """The figures of `point`, from a run a seed."""
        stale = [outcome.stale_pct for outcome in outcomes]
        low, high = interval(stale)
        return cls(
            mode=str(point.mode),
            ttr_s=point.ttr_s,
            gap_s=point.gap_s,
            peers=point.peers,
            topology=point.overlay.name,
            loss=point.loss,
            seeds=len(outcomes),
            stale_pct=fmean(stale),
            stale_pct_low=low,
            stale_pct_high=high,
            messages_per_update=fmean(outcome.messages_per_update for outcome in outcomes),
        )


COLUMNS: Final = tuple(field.name for field in fields(Row))


def names(peers: int) -> tuple[PeerName, ...]:
    """What the peers of a run are called; in alphabetical order they stand in the order of their numbers."""
    return tuple(PeerName(f"peer-{number:03}") for number in range(1, peers + 1))


def points(
    *,
    modes: Iterable[Mode],
    ttrs_s: Iterable[float],
    gaps_s: Iterable[float],
    overlays: Iterable[Overlay],
    losses: Iterable[float],
    jitter: float,
) -> Iterator[Point]:
    """Every combination, once each."""
    for mode, ttr_s, gap_s, overlay, loss in product(modes, ttrs_s, gaps_s, overlays, losses):
        yield Point(mode=mode, ttr_s=ttr_s, gap_s=gap_s, overlay=overlay, loss=loss, jitter=jitter)


def write(rows: Iterable[Row], file: TextIO) -> None:
    """The table as CSV, a head and a line a point."""
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(COLUMNS)
    for row in rows:
        lines.writerow(_spelt(value) for value in astuple(row))


def closed_form_pct(*, ttr_s: float, gap_s: float) -> float:
    """How many reads of a copy that is looked after each `ttr_s` are stale, if edits come at random, each `gap_s` on average."""
    ratio = ttr_s / gap_s
    return 100 * (1 + math.expm1(-ratio) / ratio) if ratio else 0.0


def interval(samples: Sequence[float], *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Between which percentages the mean lies of which these are samples; nothing is known of it from a single one."""
    if len(samples) < 2:
        return 0.0, 100.0
    middle = fmean(samples)
    reach = _student(confidence, len(samples) - 1) * stdev(samples) / math.sqrt(len(samples))
    return max(0.0, middle - reach), min(100.0, middle + reach)


def _student(confidence: float, degrees: int) -> float:
    """The quantile of Student's distribution, by its expansion around the normal one.

    Within 1 % from 5 degrees of freedom on; with one or two, where the expansion falls short, the exact forms are used.
    """
    upper = (1 + confidence) / 2
    if degrees == 1:
        return math.tan(math.pi * (upper - 0.5))
    if degrees == 2:
        return (2 * upper - 1) * math.sqrt(2 / (4 * upper * (1 - upper)))
    z = NormalDist().inv_cdf(upper)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(degrees) ** power for power, term in enumerate(terms, 1))


def _spelt(value: float | str) -> str:
    return (
        value
        if isinstance(value, str)
        else f"{value:.4f}".rstrip("0").rstrip(".")
        if isinstance(value, float)
        else str(value)
    )
