"""What `gsync stress` understands, and how it tells what came of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gsync.cli.exits import Exit, UsageError
from gsync.cli.stress import TEXT, load_of, plain, shares_of, table, verdict
from gsync.cli.usage import parse
from gsync.lab.churn import Growth
from gsync.lab.report import Report
from gsync.lab.scenarios import SCENARIOS, Load, Share
from gsync.lab.tally import Quantiles


def load(*words: str) -> Load:
    return load_of(parse(TEXT, ["stress", *words], command="stress"))


def report(**changes: Any) -> Report:
    facts: dict[str, Any] = {
        "peers": 3,
        "bad_peers": 1,
        "files": 10,
        "bytes": 40960,
        "classic": False,
        "killed": 1,
        "makespan_s": 2.0,
        "arrivals": 20,
        "arrived_bytes": 81920,
        "file_s": Quantiles(count=20, p50=0.01, p95=0.02, p99=0.03, max=0.04),
        "first_byte_s": Quantiles(),
        "failed": {"stalled": 2, "short": 1},
        "reasons": {"stalled: not a byte for 10 s": 2},
        "late": 4,
        "cpu_s": {"tracker.1": 0.1, "peer-1.2": 1.5},
        "rss_peak": {"tracker.1": 1024, "peer-1.2": 2048},
        "descriptors_peak": {"tracker.1": 10, "peer-1.2": 20},
        "lag_ms": Quantiles(count=100, p50=0.1, p95=1, p99=2.5, max=30),
        **changes,
    }
    return Report(**facts)


def test_without_a_word_every_peer_has_its_part() -> None:
    assert load() == SCENARIOS["disjoint"]


def test_an_uplink_bounds_what_each_peer_sends() -> None:
    assert load("--uplink=2M").uplink == 2 * 1024**2
    assert load().uplink is None
    with pytest.raises(UsageError, match="no uplink"):
        load("--uplink=nothing")


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_scenario_has_a_line_of_help(name: str) -> None:
    assert f"\n  {name} " in TEXT
    assert load(f"--scenario={name}") == SCENARIOS[name]


def test_an_option_changes_one_thing_of_the_scenario() -> None:
    changed = load(
        "--scenario=churn", "--peers=3", "--seconds=9", "--kill=50", "--fetches=2", "--timeout=1", "--classic"
    )
    assert (changed.peers, changed.seconds, changed.kill_percent, changed.fetches) == (3, 9, 50, 2)
    assert (changed.stall_s, changed.classic, changed.shares) == (1, True, SCENARIOS["churn"].shares)


@pytest.mark.parametrize(
    ("mix", "files", "shares"),
    [
        (None, "7", [(4096, 7)]),
        ("64K", None, [(65536, 1000)]),
        ("1m", "2", [(2**20, 2)]),
        ("0", "2", [(0, 2)]),
        ("5:3", None, [(5, 3)]),
        ("4K:1000,1M:50,1G:1", None, [(4096, 1000), (2**20, 50), (2**30, 1)]),
    ],
)
def test_sizes_may_be_one_or_a_mix(mix: str | None, files: str | None, shares: list[tuple[int, int]]) -> None:
    assert shares_of(mix, files) == tuple(Share(size=size, count=count) for size, count in shares)


@pytest.mark.parametrize(
    "words",
    [
        ["--size=4X"],
        ["--size="],
        ["--size=4K:"],
        ["--size=4K:1,1M"],
        ["--size=4K:1", "--files=2"],
        ["--size=4K:0"],
        ["--files=0"],
        ["--files=1000001"],
        ["--peers=0"],
        ["--peers=201"],
        ["--kill=101"],
        ["--seconds=0"],
        ["--scenario=flush"],
        ["--scenario=bad", "--classic"],
    ],
)
def test_what_cannot_be_is_wrong_usage(words: list[str]) -> None:
    with pytest.raises(UsageError):
        load(*words)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, Exit.DONE),
        ({"broken": ("peer-1.2: Traceback",)}, Exit.ERROR),
        ({"missing": ("peer-1: a",), "broken": ("x",)}, Exit.PARTIAL),
        ({"missing": ("peer-1: a",), "differing": ("peer-2: b: another content",)}, Exit.INTEGRITY),
        ({"growth": {"rss": Growth(process="peer-1", level=1, per_minute=9, is_flat=False)}}, Exit.ERROR),
    ],
)
def test_the_worst_thing_decides_the_exit_code(changes: dict[str, Any], code: Exit) -> None:
    assert verdict(report(**changes)) is code
    assert plain(report(**changes))["exit"] == code


def test_the_table_has_a_line_for_each_figure() -> None:
    flat = Growth(process="peer-1", level=1024, per_minute=-512, is_flat=True)
    assert list(table(report(growth={"rss": flat}))) == [
        "swarm         3 peers, 1 bad one, 10 files, 40.0 KiB",
        "killed        1 time",
        "makespan      2.0 s from the first fetch to the last of 20 arrivals",
        "rate          10 files/s, 0.0 MB/s, all peers together",
        "a file        p50 10 ms, p95 20 ms, p99 30 ms, max 40 ms",
        "first byte    p50 0 ms, p95 0 ms, p99 0 ms, max 0 ms",
        "failed        3 fetches, tried again: 2 stalled, 1 short",
        "              2 said stalled: not a byte for 10 s",
        "false alarms  4 timeouts struck although bytes were here",
        "CPU           tracker.1 0.1 s, peer-1.2 1.5 s",
        "peak RSS      tracker.1 1.0 KiB, peer-1.2 2.0 KiB",
        "descriptors   tracker.1 10, peer-1.2 20",
        "loop lag      p50 0.1 ms, p99 2.5 ms, max 30 ms",
        "rss           flat: -512 B a minute at 1.0 KiB, most in peer-1",
        "it held",
    ]


def test_what_went_wrong_is_shown_by_the_first_ten() -> None:
    missing = tuple(f"peer-1: {number}" for number in range(12))
    lines = list(table(report(missing=missing, differing=("peer-2: b: another content",))))
    assert lines[13:] == [
        "missing       12",
        *(f"  {place}" for place in missing[:10]),
        "DIFFERENT     1",
        "  peer-2: b: another content",
        "IT DID NOT HOLD (exit code 8)",
    ]


def test_the_report_is_plain_json() -> None:
    facts = json.loads(json.dumps(plain(report())))
    assert (facts["files_per_s"], facts["bytes_per_s"], facts["file_s"]["p99"]) == (10, 40960, 0.03)
