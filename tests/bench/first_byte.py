"""`start` and `help`: how long a person waits for the first thing that a fresh process does."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tests.bench.figure import Figure, Measure, at_most
from tests.bench.place import Place
from tests.bench.small_files import BARE
from tests.bench.stopwatch import LONGEST_S, ends_after, interleaved
from tests.bench.workbench import Workbench, random_file
from tests.e2e.cluster import GSYNC, Cluster, Program, free_port

START_BOUND_S: Final = 0.6
HELP_BOUND_S: Final = 0.4
NAME: Final = "greeting.bin"
_LOOK_S: Final = 0.001


def measure_start(bench: Workbench) -> Iterator[Figure]:
    """From exec to the first byte of an answer at the serving port, against a bare gevent server."""
    for place in bench.places:
        with place.cluster() as cluster:
            yield _started(bench, place, cluster)


def measure_help(bench: Workbench) -> Iterator[Figure]:
    """`gsync --help`, against a Python that does nothing."""
    with bench.quietest.cluster() as cluster:

        def program(argv: Sequence[str]) -> Callable[[int], float]:
            def run(_run: int) -> float:
                seconds, ended = ends_after(lambda: cluster.run(argv))
                bench.require(ended.code == 0, ended.last_words())
                return seconds

            return run

        contenders = {"gsync": program([*GSYNC, "--help"]), "python": program([sys.executable, "-P", "-c", "pass"])}
        taken = interleaved(bench.runs, contenders)
    ours = Measure(name="--help", unit="s", samples=taken["gsync"])
    yield Figure(
        name="help",
        place="-",
        what="`gsync --help`, whole process: seconds",
        ours=(ours,),
        against=(Measure(name="python -c pass", unit="s", samples=taken["python"]),),
        goals=(at_most(HELP_BOUND_S, ours.median, "s"),),
        failures=bench.take_failures(),
    )


def _started(bench: Workbench, place: Place, cluster: Cluster) -> Figure:
    port = cluster.tracker().port

    def ours(run: int) -> float:
        folder = cluster.folder(f"folder-{run}")
        random_file(folder / NAME, 4096)
        serving = free_port()
        return _first_byte(
            lambda: cluster.peer(folder, port, "--no-tracker", f"--port={serving}", json=False), lambda _: serving
        )

    def bare(run: int) -> float:
        folder = cluster.folder(f"folder-{run}")
        return _first_byte(lambda: cluster.run([*BARE, "serve", folder]), _bare_port)

    taken = interleaved(bench.runs, {"gsync": ours, "bare": bare})
    started = Measure(name="first byte", unit="s", samples=taken["gsync"])
    return Figure(
        name="start",
        place=place.name,
        what="from exec to the first byte of an answer, one file in a fresh folder: seconds",
        ours=(started,),
        against=(Measure(name="bare gevent server", unit="s", samples=taken["bare"]),),
        goals=(at_most(START_BOUND_S, started.median, "s"),),
        failures=bench.take_failures(),
    )


def _first_byte(start: Callable[[], Program], port_of: Callable[[Program], int | None]) -> float:
    """The seconds from the call of `start` to the first byte of an answer; the program is ended."""
    began = time.perf_counter()
    program = start()
    try:
        while not _answers(port_of(program)):
            if program.code is not None or time.perf_counter() - began > LONGEST_S:
                raise AssertionError(f"not a byte was served\n{program.last_words()}")
            time.sleep(_LOOK_S)
        return time.perf_counter() - began
    finally:
        program.stop()


def _answers(port: int | None) -> bool:
    if port is None:
        return False
    with socket.socket() as sock:
        sock.settimeout(LONGEST_S)
        try:
            sock.connect(("127.0.0.1", port))
            sock.sendall(os.fsencode(NAME) + b"\n")
            return len(sock.recv(1)) == 1
        except ConnectionError:
            return False


def _bare_port(program: Program) -> int | None:
    """The port that it has printed, read where it is written, for it is not known beforehand."""
    said = program.out
    return int(said.split()[1]) if said.startswith("READY ") and said.endswith("\n") else None
