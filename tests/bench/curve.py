"""Curves as SVG, drawn by matplotlib, where that is installed (the extra `plots`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Final

_LOG_FROM: Final = 50
"""Points that lie so much apart would stand on top of each other."""


def draw(file: Path, curves: Mapping[str, Mapping[float, tuple[float, ...]]], *, title: str, x: str, y: str) -> str:
    """Draw the medians of each curve, and how far the samples spread; returns a line that says where, or why not."""
    if find_spec("matplotlib") is None:
        return f"no {file.name}: matplotlib is not installed (pip install '.[plots]')"
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text: small, and searched
    matplotlib.rcParams["svg.hashsalt"] = "gsync"  # the same picture for the same numbers
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4), layout="constrained")
    for name, points in curves.items():
        places = list(points)
        middle = [median(points[place]) for place in places]
        below = [m - min(points[place]) for m, place in zip(middle, places, strict=True)]
        above = [max(points[place]) - m for m, place in zip(middle, places, strict=True)]
        axes.errorbar(places, middle, yerr=(below, above), marker="o", capsize=3, label=name)
    axes.set(title=title, xlabel=x, ylabel=y, ylim=(0, None), xticks=sorted({p for c in curves.values() for p in c}))
    if len(axes.get_xticks()) > 1 and max(axes.get_xticks()) >= _LOG_FROM * min(axes.get_xticks()):
        axes.set_xscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
    return f"drawn: {file}"
