"""What `make bench` was asked to do, and how much of everything it then measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docopt import docopt

TEXT: Final = """Measure gsync against floors and other programs, in the same run.

Usage:
  tests.bench [options]

Options:
  --runs=N       How often each thing is measured; the median counts [default: 5]
  --only=NAMES   Some of: large,small,peers,tracker,keepalive,idle,start,help (classic), edit,edit-busy,first,
                 verified,scan,scan-large,rename,reuse,join (native),
                 search,news,flood,timers,lost (overlay)
  --quick        Once, and little of everything: to see that it works, not how fast it is
  --out=DIR      Where the lines, the table and the pictures go [default: build/bench]
  -h, --help     Print this
"""

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured at a time."""

    large_bytes: int
    small_files: int
    crowd_files: int
    crowds: tuple[int, ...]
    tracked_peers: int
    tracked_names: int
    tracked_s: float
    both_ways_files: int
    both_ways_file_bytes: int
    idle_files: int
    idle_s: float
    edits: int
    their_edits: int
    moving_bytes: int
    scanned_files: int
    scanned_large_files: int
    scanned_idle_s: float
    renamed_files: int
    reused_bytes: int
    joined_records: tuple[int, ...]
    search_clients: tuple[int, ...]
    searches: int
    searched_files: int
    timed_copies: int
    lossy_seeds: int


FULL: Final = Scale(
    large_bytes=1024 * MIB,
    small_files=10_000,
    crowd_files=2_000,
    crowds=(1, 2, 4, 8),
    tracked_peers=1_000,
    tracked_names=10_000,
    tracked_s=20.0,
    both_ways_files=4,
    both_ways_file_bytes=1024 * MIB,
    idle_files=10_000,
    idle_s=30.0,
    edits=40,
    their_edits=20,
    moving_bytes=4096 * MIB,
    scanned_files=100_000,
    scanned_large_files=1024,
    scanned_idle_s=100.0,
    renamed_files=10_000,
    reused_bytes=1024 * MIB,
    joined_records=(10_000, 100_000, 1_000_000),
    search_clients=(1, 5, 10, 30),
    searches=300,
    searched_files=20,
    timed_copies=100_000,
    lossy_seeds=20,
)
QUICK: Final = Scale(
    large_bytes=64 * MIB,
    small_files=500,
    crowd_files=100,
    crowds=(1, 2),
    tracked_peers=50,
    tracked_names=500,
    tracked_s=3.0,
    both_ways_files=4,
    both_ways_file_bytes=64 * MIB,
    idle_files=500,
    idle_s=3.0,
    edits=4,
    their_edits=2,
    moving_bytes=192 * MIB,
    scanned_files=1_000,
    scanned_large_files=32,
    scanned_idle_s=3.0,
    renamed_files=500,
    reused_bytes=64 * MIB,
    joined_records=(1_000, 10_000),
    search_clients=(1, 5),
    searches=30,
    searched_files=2,
    timed_copies=10_000,
    lossy_seeds=2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, checked; `only` is empty for all figures."""

    runs: int
    only: tuple[str, ...]
    scale: Scale
    out: Path


def options_of(argv: Sequence[str], *, names: Sequence[str]) -> Options:
    """What `argv` asks for; SystemExit, with a word why, where it makes no sense. `names` are the figures there are."""
    words = docopt(TEXT, argv=list(argv))
    quick = bool(words["--quick"])
    if not words["--runs"].isdigit() or int(words["--runs"]) < 1:
        raise SystemExit(f"--runs={words['--runs']}: a whole number from 1")
    only = tuple(filter(None, (words["--only"] or "").split(",")))
    if unknown := set(only) - set(names):
        raise SystemExit(f"there is no figure {sorted(unknown)[0]!r}; there are {', '.join(names)}")
    return Options(
        runs=1 if quick else int(words["--runs"]),
        only=only,
        scale=QUICK if quick else FULL,
        out=Path(words["--out"]).absolute(),
    )
