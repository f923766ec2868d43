"""`gsync lab`: experiments with many peers, which end in a table and in pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TextIO, TypeVar

from msgspec import Struct

from gsync.cli import logs
from gsync.cli.exits import Exit, UsageError
from gsync.cli.overlay import shape_or_topology
from gsync.cli.text import count, duration, shown
from gsync.cli.usage import Words, choice_of, number_of, parse, whole_of
from gsync.core.copies import Mode
from gsync.core.topology import Shape, messages_per_flood
from gsync.errors import ConfigError
from gsync.lab import queries
from gsync.lab.comparison import pairs_of, summary
from gsync.lab.grid import Overlay, Point, Row, points, write
from gsync.lab.house import PEERS_MAX
from gsync.lab.plots import Plot, can_draw, draw, plot_of_pairs, plot_of_queries, plots_of
from gsync.lab.sockets import FILES, on_sockets, takes_s
from gsync.lab.staleness import Run, measured, simulated

TEXT: Final = """Measure what consistency costs: how many reads are stale, and how many messages each update takes.

Usage:
  gsync lab staleness [options]

Options:
  --simulated       Many peers on a clock that jumps: hours take seconds. Without it up to 16 real peers are
                    started in this process, on real sockets, and everything takes as long as it says
  --mode=MODES      push, pull, lazy, hybrid, passive [default: push,pull,hybrid]
  --ttr=S           Seconds for which a copy is believed [default: 5,30,120]
  --gap=S           Seconds between the edits of a file, on average; edits come at random [default: 60]
  --peers=N         How many peers, 2 to 256 [default: 16]
  --topology=SHAPE  mesh, star, ring, line, grid, random:K, or a file [default: grid]
  --loss=SHARE      Invalidations that get lost: 0.01 or 1% [default: 0]
  --jitter=SHARE    By so much at most a TTR is shortened at random: 0.2 or 20% [default: 0]
  --seeds=N         Runs of each point, each with another seed [default: 10]
  --out=DIR         Where the table and the pictures go [default: staleness]
  --version         Print the version
  -h, --help        Print this

MODES, S, N, SHAPE and the SHARE that gets lost may be several with commas between; every combination is a point, and a row of
DIR/staleness.csv. Real peers are compared with simulated ones on the same points, DIR/twin.csv, and are asked for files at the end,
by 1 to 30 clients at a time: DIR/queries.csv. Pictures need matplotlib: pip install 'gsync-p2p[plots]'
"""

MOST_PEERS: Final = 256
MOST_SEEDS: Final = 1000
MOST_VALUES: Final = 100
LONGEST_S: Final = 7 * 86_400

EXAMPLES: Final = {
    "--mode": "--mode=push,pull,hybrid",
    "--ttr": "--ttr=5,30,120",
    "--gap": "--gap=60",
    "--peers": "--peers=4,9,16",
    "--loss": "--loss=0,1%,10%",
    "--jitter": "--jitter=20%",
    "--seeds": "--seeds=10",
}
"""Of each option that can be spelled wrong, one that is right."""

T = TypeVar("T")


class Plan(Struct, frozen=True, kw_only=True):
    """What the words ask for."""

    points: tuple[Point, ...]
    seeds: int
    out: Path
    is_simulated: bool


def main(argv: Sequence[str]) -> Exit:
    """Run the experiment that `argv` asks for."""
    plan = plan_of(parse(TEXT, ["lab", *argv], command="lab"))
    _make_folder(plan.out)
    if not plan.is_simulated:
        logs.configure(level="error", file=None)  # what peers refuse of each other is no part of the experiment
        _say(f"this takes {duration(sum(map(takes_s, plan.points)) * plan.seeds)}; --simulated takes less")
    rows = _measure(plan, simulated if plan.is_simulated else on_sockets, "staleness.csv")
    overlays = {(point.overlay.name, point.peers): point.overlay for point in plan.points}
    plots = plots_of(rows, exact={key: messages_per_flood(overlay.topology) for key, overlay in overlays.items()})
    if not plan.is_simulated:
        others = (_compare(plan, rows), _ask(overlays.values(), plan.out))
        plots += tuple(plot for plot in others if plot is not None)
    _draw(plots, plan.out)
    return Exit.DONE


def plan_of(words: Words) -> Plan:
    """What `words` ask for. Raises ConfigError, which names the option."""
    peers = _option(words, "--peers", _peers)
    overlays = [overlay for text in several(words["--topology"], str) for overlay in _overlays(text, peers=peers)]
    is_simulated = words["--simulated"]
    losses = _option(words, "--loss", share_of)
    if not is_simulated:
        _require_real(overlays, losses)
    return Plan(
        points=tuple(
            points(
                modes=_option(words, "--mode", _mode),
                ttrs_s=_option(words, "--ttr", _seconds),
                gaps_s=_option(words, "--gap", _seconds),
                overlays=overlays,
                losses=losses,
                jitter=_option(words, "--jitter", share_of, most=1)[0],
            )
        ),
        seeds=_option(words, "--seeds", _seeds, most=1)[0],
        out=_out(words["--out"]),
        is_simulated=is_simulated,
    )


def _option(words: Words, option: str, parse_one: Callable[[str], T], *, most: int = MOST_VALUES) -> tuple[T, ...]:
    """The values of that option, and a word to paste where one of them is none."""
    try:
        return several(words[option], parse_one, most=most)
    except UsageError as error:
        raise UsageError(
            f"{option}: {error}", advice=error.advice or f"write, for example, {EXAMPLES[option]}"
        ) from error


def several(text: str, parse_one: Callable[[str], T], *, most: int = MOST_VALUES) -> tuple[T, ...]:
    """The values that `text` spells with commas between, each once."""
    words = [word.strip() for word in text.split(",")]
    if len(words) > most:
        raise UsageError(f"{count(len(words), 'value')}, where {most} can be")
    return tuple(dict.fromkeys(parse_one(word) for word in words))


def share_of(text: str) -> float:
    """The share that `text` spells: below 1 as it stands, from 1 on or with a % in per cent. Raises UsageError."""
    number = number_of(text.removesuffix("%").strip(), what="share", lowest=0, highest=99)
    return number / 100 if text.endswith("%") or number >= 1 else number


def line_of(row: Row) -> str:
    """A point for people."""
    setting = f"{row.mode}, TTR {row.ttr_s:g} s, gap {row.gap_s:g} s, {row.peers} peers, {row.topology}, {100 * row.loss:g} % lost"
    stale = f"{row.stale_pct:.2f} % stale ({row.stale_pct_low:.2f} to {row.stale_pct_high:.2f})"
    return f"{setting}: {stale}, {row.messages_per_update:.2f} messages per update"


def _measure(plan: Plan, run: Run, file_name: str) -> list[Row]:
    """A row for each point, in that file."""
    rows: list[Row] = []
    for number, point in enumerate(plan.points, 1):
        rows.append(measured(point, seeds=plan.seeds, run=run))
        _say(f"{number}/{len(plan.points)}  {line_of(rows[-1])}")
        _write(plan.out / file_name, lambda file: write(rows, file))
    print(f"{count(len(rows), 'point')}: {shown(str(plan.out / file_name))}")
    return rows


def _compare(plan: Plan, real: Sequence[Row]) -> Plot | None:
    """The twin on the points that real peers went through, with as many files."""
    _say("the simulated twin, on the same points:")
    pairs = pairs_of(real, _measure(plan, partial(simulated, files=FILES), "twin.csv"))
    print(f"real against simulated: {summary(pairs)}")
    if plan.seeds == 1:
        _say("one run of a point tells of no interval, so any difference lies within it; --seeds=3 or more tells")
    return plot_of_pairs(pairs)


def _require_real(overlays: Sequence[Overlay], losses: Sequence[float]) -> None:
    """What only the twin can do is refused, in words."""
    if any(len(overlay.topology) > PEERS_MAX for overlay in overlays):
        raise UsageError(f"more than {PEERS_MAX} real peers would measure this machine", advice="add --simulated")
    if any(losses):
        raise UsageError("between real sockets nothing gets lost", advice="add --simulated")


def _peers(text: str) -> int:
    return whole_of(text, what="number of peers", lowest=2, highest=MOST_PEERS)


def _seeds(text: str) -> int:
    return whole_of(text, what="number of seeds", lowest=1, highest=MOST_SEEDS)


def _seconds(text: str) -> float:
    return number_of(text, what="number of seconds", lowest=0.1, highest=LONGEST_S)


def _mode(text: str) -> Mode:
    return Mode(choice_of(text, tuple(Mode), what="mode"))


def _overlays(text: str, *, peers: Sequence[int]) -> Sequence[Overlay]:
    """One for each number of peers; a file says itself how many there are."""
    topology = shape_or_topology(text)
    if isinstance(topology, Shape):
        return [Overlay.of(topology, peers=number) for number in peers]
    if not 2 <= len(topology) <= MOST_PEERS:
        raise ConfigError(f"{text}: {count(len(topology), 'peer')} in it; from 2 to {MOST_PEERS} there can be")
    return [Overlay(name=os.path.basename(text), topology=topology)]


def _out(text: str) -> Path:
    if not text:
        raise UsageError("--out names no folder", advice="write, for example, --out=/tmp/staleness")
    return Path(text).expanduser()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"no folder can be made at {str(folder)!r} ({error.strerror})") from error


def _ask(overlays: Iterable[Overlay], folder: Path) -> Plot | None:
    """The queries, on each overlay."""
    waits: list[queries.Waits] = []
    for overlay in overlays:
        for row in queries.ask(overlay, seed=1):
            waits.append(row)
            times = f"p50 {row.p50_ms:.1f} ms, p95 {row.p95_ms:.1f} ms"
            _say(f"{row.topology}, {row.peers} peers, {count(row.clients, 'client')}: {times}")
            _write(folder / "queries.csv", lambda file: queries.write(waits, file))
    print(f"{count(len(waits), 'round')} of queries: {shown(str(folder / 'queries.csv'))}")
    return plot_of_queries(waits)


def _write(path: Path, write_into: Callable[[TextIO], None]) -> None:
    """What there is so far: who ends a long run keeps it."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            write_into(file)
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r} ({error.strerror})") from error


def _draw(plots: Iterable[Plot], folder: Path) -> None:
    plots = tuple(plots)
    if plots and not can_draw():
        _say("no pictures: matplotlib is not installed; pip install 'gsync-p2p[plots]'")
        return
    for plot in plots:
        try:
            files = draw(plot, folder)
        except OSError as error:
            raise UsageError(f"cannot draw into {str(folder)!r} ({error.strerror})") from error
        print(f"{plot.title}: {', '.join(shown(str(file)) for file in files)}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
