"""All figures as one table for people; a goal that was missed stands out, and is never left out."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.figure import Figure, Goal, Measure

HEAD = ("figure", "where", "ours", "against", "goal")


def table_of(figures: Sequence[Figure]) -> str:
    """The table, a block of lines a figure, then what was missed and what failed."""
    blocks = [_block(figure) for figure in figures]
    widths = [max(len(row[at]) for row in [HEAD, *(row for block in blocks for row in block)]) for at in range(5)]
    rule = "  ".join("-" * width for width in widths)
    lines = [_row(HEAD, widths), rule]
    for block in blocks:
        lines += [_row(row, widths) for row in block]
    missed = [f"{f.name} ({f.place}): {_goal(g)}" for f in figures for g in f.goals if not g.is_met]
    failed = [f"{f.name} ({f.place}): {what}" for f in figures for what in f.failures]
    remarks = [f"{f.name} ({f.place}): {f.remark}" for f in figures if f.remark]
    for title, told in (("missed", missed), ("FAILED", failed), ("remarks", remarks)):
        lines += ["", f"{title}: {len(told)}", *(f"  {one}" for one in told)] if told else []
    return "\n".join(lines)


def _block(figure: Figure) -> list[tuple[str, ...]]:
    """The lines of one figure: its measures and goals side by side."""
    ours = [_measure(measure) for measure in figure.ours]
    against = [_measure(measure) for measure in figure.against]
    goals = [_goal(goal) for goal in figure.goals] + ["FAILED"] * bool(figure.failures)
    height = max(len(ours), len(against), len(goals), 1)
    columns = [[figure.name], [figure.place], ours, against, goals]
    return [tuple(column[at] if at < len(column) else "" for column in columns) for at in range(height)]


def _measure(measure: Measure) -> str:
    spread = f" ({number(min(measure.samples))}-{number(measure.worst)})" if len(measure.samples) > 1 else ""
    return f"{measure.name} {number(measure.median)} {measure.unit}{spread}"


def _goal(goal: Goal) -> str:
    sign = ">=" if goal.is_floor else "<="
    return f"{'ok    ' if goal.is_met else 'MISSED'} {number(goal.value)} {goal.what}, goal {sign} {number(goal.bound)}"


def number(value: float) -> str:
    """`value` with as many places as a reader can use."""
    if value >= 1000 or value == int(value):
        return f"{value:,.0f}"
    places = 1 if value >= 20 else 2 if value >= 0.1 else 3
    return f"{value:.{places}f}"


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
