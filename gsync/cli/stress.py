"""`gsync stress`: loads a swarm of real processes on this machine, and prints what came of it."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gsync.cli.config import LONGEST_TIMEOUT_S, MOST_FETCHES
from gsync.cli.exits import Exit, UsageError
from gsync.cli.jsonlines import JsonLines
from gsync.cli.text import count, duration, shown, size
from gsync.cli.usage import Words, choice_of, number_of, parse, rate_of, whole_of
from gsync.lab.churn import Growth
from gsync.lab.report import Report
from gsync.lab.scenarios import SCENARIOS, Load, Share
from gsync.lab.stress import Stress
from gsync.lab.tally import Quantiles

TEXT: Final = """Load a swarm on this machine: a tracker and peers as real processes on loopback, real files, every byte checked.

Usage:
  gsync stress [options]

Options:
  --scenario=NAME  What to go through, see below [default: disjoint]
  --peers=N        How many peers
  --files=N        How many files of one size, together
  --size=MIX       Their size, 64K say; or sizes and how many of each: 4K:1000,1M:50,1G:1
  --fetches=N      Files that a peer fetches at a time
  --seconds=S      What has not arrived after this is missing; for soak, how long to churn
  --kill=PCT       Share of the peers that are killed (-9) in the middle, and started again
  --timeout=S      Seconds of silence after which a source is skipped
  --uplink=RATE    What each peer may send at most: bytes a second, K M G = 1024^n
  --classic        Every peer speaks only edition 1, as other people's programs do
  --dir=DIR        Where the folders are made, and removed at the end, instead of the system's place for temporary files
  --report=FILE    Write the report there too, as JSON
  --json           One JSON object a line on stdout instead of words, the last one the report
  --version        Print the version
  -h, --help       Print this

Scenarios; an option changes one thing of them:
  disjoint   4 peers, each with its part of 1000 files, and all want all
  flash      a crowd of 8, and one source that has everything
  churn      10 % of 10 peers are killed in the middle
  tracker    the tracker is killed in the middle
  bad        half of 12 peers are bad: silent, stalling, trickling, cutting, lying about sizes, resetting
  giant      one file of 1 GiB among 2000 tiny ones
  soak       edits and kills for half an hour; memory, descriptors and greenlets must stay flat

Ends with 0, or 8 if one file differs, 5 if one did not arrive, 1 if a process crashed, complained or grew.
"""

MOST_PEERS: Final = 200
MOST_FILES: Final = 1_000_000
LONGEST_S: Final = 7 * 86_400
SHOWN: Final = 10

_SHARE: Final = re.compile(r"(?P<size>[0-9]{1,12})(?P<unit>[KMG]?)(:(?P<count>[0-9]{1,7}))?", re.IGNORECASE)
_UNITS: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def main(argv: Sequence[str]) -> Exit:
    """Run what `argv` asks for; the exit code says whether it held."""
    words = parse(TEXT, ["stress", *argv], command="stress")
    load = load_of(words)
    lines = JsonLines(sys.stdout) if words["--json"] else None

    def say(what: str) -> None:
        if lines is None:
            print(what, file=sys.stderr, flush=True)
        else:
            lines.write("stress.step", {"what": what})

    with _own_folder(words["--dir"]) as base:
        report = Stress(load, base=base, rng=random.Random(), say=say).run()
    facts = {"scenario": words["--scenario"], **plain(report)}
    if words["--report"] is not None:
        _write(Path(words["--report"]), facts)
    if lines is not None:
        lines.write("stress.report", facts)
    else:
        print("\n".join(table(report)), flush=True)
    return verdict(report)


def load_of(words: Words) -> Load:
    """What the options ask for, on top of their scenario. Raises UsageError."""
    load = SCENARIOS[choice_of(words["--scenario"], tuple(SCENARIOS), what="scenario")]
    changes: dict[str, Any] = {}
    for option, name, what, lowest, highest in (
        ("--peers", "peers", "number of peers", 1, MOST_PEERS),
        ("--fetches", "fetches", "number of fetches", 1, MOST_FETCHES),
    ):
        if words[option] is not None:
            changes[name] = whole_of(words[option], what=what, lowest=lowest, highest=highest)
    for option, name, what, lowest_s, highest_s in (
        ("--seconds", "seconds", "number of seconds", 1, LONGEST_S),
        ("--kill", "kill_percent", "percentage", 0, 100),
        ("--timeout", "stall_s", "timeout", 0.1, LONGEST_TIMEOUT_S),
    ):
        if words[option] is not None:
            changes[name] = number_of(words[option], what=what, lowest=lowest_s, highest=highest_s)
    if words["--uplink"] is not None:
        changes["uplink"] = rate_of(words["--uplink"], what="uplink")
    if words["--size"] is not None or words["--files"] is not None:
        changes["shares"] = shares_of(words["--size"], words["--files"])
    if words["--classic"] and load.bad_percent:
        raise UsageError("a classic peer is told one source for each file, so among bad ones it cannot get all")
    return replace(load, classic=words["--classic"], **changes)


def shares_of(mix: str | None, files: str | None) -> tuple[Share, ...]:
    """What `--size` and `--files` ask for: sizes that say how many of each, or one size, by default 4 KiB. Raises UsageError."""
    many = whole_of(files or "1000", what="number of files", lowest=1, highest=MOST_FILES)
    shares: list[Share] = []
    for word in ("4K" if mix is None else mix).split(","):
        found = _SHARE.fullmatch(word)
        if found is None:
            raise UsageError(f"{word!r} is no size", advice="--size=64K --files=1000, or --size=4K:1000,1M:50,1G:1")
        if found["count"] is not None and files is not None:
            raise UsageError("--size says how many files of each size, so --files cannot say it, too")
        if found["count"] is None and "," in (mix or ""):
            raise UsageError(f"{word!r} does not say how many files", advice="--size=4K:1000,1M:50,1G:1")
        size_bytes = int(found["size"]) * _UNITS[found["unit"].upper()]
        shares.append(Share(size=size_bytes, count=many if found["count"] is None else int(found["count"])))
    if not 1 <= sum(share.count for share in shares) <= MOST_FILES:
        raise UsageError(f"that is no number of files: a number from 1 to {MOST_FILES}")
    return tuple(shares)


def verdict(report: Report) -> Exit:
    """The exit code: what is wrong weighs more than what is missing, and that more than a crash."""
    if report.differing:
        return Exit.INTEGRITY
    if report.missing:
        return Exit.PARTIAL
    return Exit.ERROR if report.broken or not report.is_flat else Exit.DONE


def plain(report: Report) -> dict[str, Any]:
    """The report as plain JSON values."""
    rates = {"files_per_s": report.files_per_s, "bytes_per_s": report.bytes_per_s, "is_flat": report.is_flat}
    return {**msgspec.to_builtins(report), **rates, "exit": int(verdict(report))}


def table(report: Report) -> Iterator[str]:
    """The report for people, a line each."""
    for title, what in _rows(report):
        yield f"{title:<14}{what}"
    for title, places in (
        ("missing", report.missing),
        ("DIFFERENT", report.differing),
        ("broken", report.broken),
    ):
        if places:
            yield f"{title:<14}{len(places)}"
            yield from (f"  {place}" for place in places[:SHOWN])
    yield "it held" if verdict(report) is Exit.DONE else f"IT DID NOT HOLD (exit code {verdict(report)})"


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    bad = f", {count(report.bad_peers, 'bad one')}" if report.bad_peers else ""
    classic = ", edition 1 only" if report.classic else ""
    yield "swarm", f"{count(report.peers, 'peer')}{bad}, {count(report.files, 'file')}, {size(report.bytes)}{classic}"
    if report.killed:
        yield "killed", count(report.killed, "time")
    yield "makespan", f"{report.makespan_s:.1f} s from the first fetch to the last of {report.arrivals} arrivals"
    yield "rate", f"{report.files_per_s:.0f} files/s, {report.bytes_per_s / 1e6:.1f} MB/s, all peers together"
    yield "a file", _seconds(report.file_s)
    yield "first byte", _seconds(report.first_byte_s)
    yield "failed", _causes(report.failed)
    for reason, number in list(report.reasons.items())[:SHOWN]:
        yield "", f"{number} said {shown(reason)}"
    yield "false alarms", f"{report.late} timeouts struck although bytes were here"
    yield "CPU", _most({name: f"{cpu_s:.1f} s" for name, cpu_s in report.cpu_s.items()}, report.cpu_s)
    yield "peak RSS", _most({name: size(rss) for name, rss in report.rss_peak.items()}, report.rss_peak)
    yield "descriptors", _most({name: str(n) for name, n in report.descriptors_peak.items()}, report.descriptors_peak)
    lag = report.lag_ms
    yield "loop lag", f"p50 {lag.p50:.1f} ms, p99 {lag.p99:.1f} ms, max {lag.max:.0f} ms"
    for what, growth in report.growth.items():
        yield what, _growth(growth, size if what == "rss" else "{:.2f}".format)


def _seconds(times: Quantiles) -> str:
    return f"p50 {duration(times.p50)}, p95 {duration(times.p95)}, p99 {duration(times.p99)}, max {duration(times.max)}"


def _causes(failed: Mapping[str, int]) -> str:
    causes = ", ".join(f"{number} {cause}" for cause, number in failed.items())
    return f"{sum(failed.values())} fetches, tried again: {causes}" if failed else "nothing"


def _most(shown: Mapping[str, str], values: Mapping[str, float]) -> str:
    """Those of the tracker and of the three that have most."""
    first = [name for name in values if name.startswith("tracker")]
    peers = sorted((name for name in values if name not in first), key=lambda name: -values[name])
    return ", ".join(f"{name} {shown[name]}" for name in (*first, *peers[:3])) + (" ..." if len(peers) > 3 else "")


def _growth(growth: Growth, spelt: Callable[[float], str]) -> str:
    flat = "flat" if growth.is_flat else "NOT FLAT"
    sign = "-" if growth.per_minute < 0 else "+"
    return f"{flat}: {sign}{spelt(abs(growth.per_minute))} a minute at {spelt(growth.level)}, most in {growth.process}"


def _write(file: Path, facts: Mapping[str, Any]) -> None:
    try:
        file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the report to {str(file)!r} ({error.strerror})") from error


@contextmanager
def _own_folder(where: str | None) -> Iterator[Path]:
    """An empty folder, removed at the end, also after Ctrl-C; once the end has begun, further signals wait."""

    def end(number: int, _frame: object) -> None:
        for each in ending:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
    try:
        base = Path(tempfile.mkdtemp(prefix="gsync-stress-", dir=where))
    except OSError as error:
        raise UsageError(f"no folder can be made in {where!r} ({error.strerror})") from error
    for each in ending:
        signal.signal(each, end)
    try:
        yield base
    finally:
        for each in ending:
            signal.signal(each, signal.SIG_IGN)
        shutil.rmtree(base, ignore_errors=True)
