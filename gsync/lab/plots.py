"""The pictures of `gsync lab staleness`: which curves the rows make, and how matplotlib draws them, where that is installed.

    A   % stale against TTR, over the closed form of a copy that is looked after at each TTR
    B   messages per update against peers, over the exact count of a flood
    C   hybrid: % stale against the share of the invalidations that get lost, a curve a TTR
    D   how long a query takes against how many clients ask at a time
    and, of real peers, % stale against TTR, over what the simulated twin has on the same points

A picture is made of the rows that it can be made of; where one of its axes has a single value there is none. matplotlib is the
extra `plots`, and is imported here alone, when something is drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from msgspec import Struct

from gsync.core.copies import Mode
from gsync.lab.comparison import Pair
from gsync.lab.grid import Row, closed_form_pct
from gsync.lab.queries import Waits

FORMATS: Final = ("svg", "png")
_STEPS: Final = 60


class Dot(Struct, frozen=True, kw_only=True):
    """A measured value, and between what it is believed to lie."""

    x: float
    y: float
    low: float
    high: float


class Plot(Struct, frozen=True, kw_only=True):
    """A picture: `measured` as dots with their intervals, `reckoned` as thin lines, together called `reckoned_as`."""

    name: str
    title: str
    x: str
    y: str
    measured: Mapping[str, Sequence[Dot]]
    reckoned: Mapping[str, Sequence[tuple[float, float]]]
    reckoned_as: str = ""
    is_log_x: bool = False
    is_log_y: bool = False


def plots_of(rows: Sequence[Row], *, exact: Mapping[tuple[str, int], int]) -> tuple[Plot, ...]:
    """Those of A, B and C that `rows` make; `exact` has the messages of a flood by topology and peers."""
    return tuple(plot for plot in (_ttr(rows), _messages(rows, exact), _loss(rows)) if plot is not None)


def plot_of_queries(waits: Iterable[Waits]) -> Plot | None:
    """D: the median of each number of clients, and from there up to what 95 % stay below."""
    curves: dict[str, list[Dot]] = defaultdict(list)
    for row in waits:
        curves[f"{row.topology}, {row.peers} peers"].append(
            Dot(x=row.clients, y=row.p50_ms, low=row.p50_ms, high=row.p95_ms)
        )
    if not any(len(dots) > 1 for dots in curves.values()):
        return None
    return Plot(
        name="plot-d",
        title="Query response time against concurrent clients",
        x="clients that ask at a time",
        y="ms to the first hit: median, and up to 95 %",
        measured=curves,
        reckoned={},
    )


def plot_of_pairs(pairs: Sequence[Pair]) -> Plot | None:
    """Real peers and their twin: a curve for each setting, over the twin's as a thin line."""
    real, twin = [pair.real for pair in pairs], [pair.twin for pair in pairs]
    if len({row.ttr_s for row in real}) < 2:
        return None
    name = _mode_and_setting(real)
    simulated = _curves(twin, name, x=lambda row: row.ttr_s)
    return Plot(
        name="plot-twin",
        title="Real sockets over the simulated twin",
        x="TTR, s",
        y="% of reads that are stale",
        measured=_curves(real, name, x=lambda row: row.ttr_s),
        reckoned={curve: [(dot.x, dot.y) for dot in dots] for curve, dots in simulated.items()},
        reckoned_as="the simulated twin",
        is_log_x=True,
    )


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw(plot: Plot, folder: Path) -> tuple[Path, ...]:
    """Draw it into `folder`, in each format; the files. The same rows make the same picture. Needs `can_draw`."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text: small, and searched
    matplotlib.rcParams["svg.hashsalt"] = "gsync"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4), layout="constrained")
    for name, dots in plot.measured.items():
        reach = [[dot.y - dot.low for dot in dots], [dot.high - dot.y for dot in dots]]
        axes.errorbar(
            [dot.x for dot in dots], [dot.y for dot in dots], yerr=reach, fmt="o-", ms=4, capsize=3, label=name
        )
    for number, line in enumerate(plot.reckoned.values()):
        label = "" if number else plot.reckoned_as
        axes.plot([x for x, _ in line], [y for _, y in line], "k--", lw=1, zorder=3, label=label)
    axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
    if plot.is_log_x:
        axes.set_xscale("log")
        places = sorted({dot.x for dots in plot.measured.values() for dot in dots})
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.minorticks_off()
    if plot.is_log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(0, None)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    files = tuple(folder / f"{plot.name}.{suffix}" for suffix in FORMATS)
    for file in files:
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)
    return files


def _ttr(rows: Iterable[Row]) -> Plot | None:
    rows = [row for row in rows if row.mode != Mode.PUSH]
    ttrs = sorted({row.ttr_s for row in rows})
    if len(ttrs) < 2:
        return None
    gaps = sorted({row.gap_s for row in rows})
    first, last = ttrs[0], ttrs[-1]
    places = [first * (last / first) ** (step / _STEPS) for step in range(_STEPS + 1)]
    return Plot(
        name="plot-a",
        title="Stale reads against TTR",
        x="TTR, s",
        y="% of reads that are stale",
        measured=_curves(rows, _mode_and_setting(rows), x=lambda row: row.ttr_s),
        reckoned={
            f"closed form, gap {gap:g} s": [(ttr, closed_form_pct(ttr_s=ttr, gap_s=gap)) for ttr in places]
            for gap in gaps
        },
        is_log_x=True,
    )


def _messages(rows: Iterable[Row], exact: Mapping[tuple[str, int], int]) -> Plot | None:
    rows = [row for row in rows if row.mode == Mode.PUSH and not row.loss]
    if len({row.peers for row in rows}) < 2:
        return None
    measured: dict[str, list[Dot]] = defaultdict(list)
    for row in sorted(
        {(row.topology, row.peers): row for row in rows}.values(), key=lambda row: (row.topology, row.peers)
    ):
        value = row.messages_per_update
        measured[row.topology].append(Dot(x=row.peers, y=value, low=value, high=value))
    reckoned = {
        topology: [(dot.x, float(exact[topology, int(dot.x)])) for dot in dots]
        for topology, dots in measured.items()
        if all((topology, int(dot.x)) in exact for dot in dots)
    }
    return Plot(
        name="plot-b",
        title="Push: messages per update against peers",
        x="peers",
        y="messages per update",
        measured=measured,
        reckoned=reckoned,
        reckoned_as="2E - (N - 1)",
        is_log_x=True,
        is_log_y=True,
    )


def _loss(rows: Iterable[Row]) -> Plot | None:
    rows = [row for row in rows if row.mode == Mode.HYBRID]
    if len({row.loss for row in rows}) < 2:
        return None
    several = len({row.topology for row in rows}) > 1
    return Plot(
        name="plot-c",
        title="Hybrid: stale reads against lost invalidations",
        x="% of the invalidations lost",
        y="% of reads that are stale",
        measured=_curves(
            rows,
            lambda row: f"TTR {row.ttr_s:g} s" + (f", {row.topology}" if several else ""),
            x=lambda row: 100 * row.loss,
        ),
        reckoned={},
    )


def _curves(
    rows: Iterable[Row], name: Callable[[Row], str], *, x: Callable[[Row], float]
) -> Mapping[str, Sequence[Dot]]:
    curves: dict[str, list[Dot]] = defaultdict(list)
    for row in rows:
        curves[name(row)].append(Dot(x=x(row), y=row.stale_pct, low=row.stale_pct_low, high=row.stale_pct_high))
    return {key: sorted(dots, key=lambda dot: dot.x) for key, dots in curves.items()}


def _mode_and_setting(rows: Sequence[Row]) -> Callable[[Row], str]:
    """The mode, and of the other factors those that differ."""
    spelt: tuple[Callable[[Row], str], ...] = (
        lambda row: f"gap {row.gap_s:g} s",
        lambda row: f"{row.peers} peers",
        lambda row: row.topology,
        lambda row: f"{100 * row.loss:g} % lost",
    )
    telling = [spell for spell in spelt if len({spell(row) for row in rows}) > 1]
    return lambda row: ", ".join((row.mode, *(spell(row) for spell in telling)))
