"""`make bench`: measures what gsync promises to be, and prints a JSON line a figure, then one table.

Says first what machine it runs on. A goal that is missed is shown and costs nothing, for a benchmark is no test; the exit
code is 1 only when something did not sync.
"""

from __future__ import annotations

import compileall
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TextIO

from tests.bench import (
    block_reuse,
    copy_timers,
    crowd,
    directory_rename,
    edit_arrival,
    first_byte,
    first_sync,
    flood_count,
    folder_scan,
    idle_peer,
    keepalive_gap,
    large_file,
    lost_news,
    overlay_news,
    overlay_search,
    record_join,
    small_files,
    tracker_share,
)
from tests.bench.figure import Figure
from tests.bench.machine import this_machine
from tests.bench.options import options_of
from tests.bench.place import places
from tests.bench.table import table_of
from tests.bench.workbench import Workbench
from tests.e2e.cluster import REPOSITORY

FIGURES: Final[Mapping[str, Callable[[Workbench], Iterator[Figure]]]] = {
    "large": large_file.measure_classic,
    "small": small_files.measure,
    "peers": crowd.measure,
    "tracker": tracker_share.measure,
    "keepalive": keepalive_gap.measure,
    "idle": idle_peer.measure,
    "start": first_byte.measure_start,
    "help": first_byte.measure_help,
    "edit": edit_arrival.measure,
    "edit-busy": edit_arrival.measure_busy,
    "first": first_sync.measure,
    "verified": large_file.measure_native,
    "scan": folder_scan.measure,
    "scan-large": folder_scan.measure_large,
    "rename": directory_rename.measure,
    "reuse": block_reuse.measure,
    "join": record_join.measure,
    "search": overlay_search.measure,
    "news": overlay_news.measure,
    "flood": flood_count.measure,
    "timers": copy_timers.measure,
    "lost": lost_news.measure,
}


def main(argv: list[str]) -> int:
    """Measure what `argv` asks for; the exit code."""
    options = options_of(argv, names=tuple(FIGURES))
    bench = Workbench(options=options, places=places())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that what was begun is cleared away
    compileall.compile_dir(REPOSITORY / "gsync", quiet=1)  # programs here may write no bytecode: none should have to
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        figures = _measure_all(bench)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for place in bench.places:
            place.clear()
    return 1 if any(figure.failures for figure in figures) else 0


def _measure_all(bench: Workbench) -> list[Figure]:
    """The figures that were asked for, told as they come, and then as a table."""
    figures = []
    machine = this_machine(bench.places)
    with (bench.options.out / "figures.jsonl").open("w") as lines:
        _tell(machine.line(), lines)
        print(f"on {machine.told()}", file=sys.stderr)
        if machine.is_busy:
            print("warning: others use this machine now; what follows is noisy", file=sys.stderr)
        for name, measure in FIGURES.items():
            if not bench.options.only or name in bench.options.only:
                for figure in _guarded(name, measure, bench):
                    figures.append(figure)
                    _tell(figure.line(), lines)
    table = f"{machine.told()}\n\n{table_of(figures)}\n"
    (bench.options.out / "table.txt").write_text(table)
    print(f"\n{table}", end="")
    return figures


def _guarded(name: str, measure: Callable[[Workbench], Iterator[Figure]], bench: Workbench) -> Iterator[Figure]:
    """The figures of `measure`; what it waited for in vain is a failure of its own, and the next ones are still measured."""
    print(f"{name}:", file=sys.stderr, flush=True)
    try:
        yield from measure(bench)
    except AssertionError as error:
        yield Figure(name=name, place="-", what="broken off", failures=(*bench.take_failures(), str(error)))


def _tell(line: dict[str, Any], file: TextIO) -> None:
    for out in (sys.stdout, file):
        print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
