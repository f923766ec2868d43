"""A process of the lab: its words, its costs and its end."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gsync.lab.processes import Process

pytestmark = pytest.mark.slow

WAITS = 'import signal, time; print(\'{"event": "ready"}\', flush=True); time.sleep(60)'


def started(home: Path, program: str) -> Process:
    return Process("it", [sys.executable, "-I", "-c", program], home=home, env=os.environ)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_its_lines_are_told_once_and_only_when_they_are_whole(tmp_path: Path) -> None:
    process = started(tmp_path, "print('{\"a\": 1}'); print('{\"a\": 2}'); print('{\"a\"', end='')")
    until(lambda: process.code is not None)
    assert list(process.lines()) == [{"a": 1}, {"a": 2}]
    assert list(process.lines()) == []
    process.close()


def test_what_it_used_is_still_known_after_it_was_killed(tmp_path: Path) -> None:
    process = started(tmp_path, WAITS)
    until(lambda: list(process.lines()))
    process.kill()
    usage = process.usage
    assert usage.rss_peak >= usage.rss > 1024 * 1024
    assert usage.descriptors_peak >= usage.descriptors >= 3
    process.measure()
    assert process.usage == usage
    assert (process.code, process.complaint()) == (-signal.SIGKILL, "")
    process.close()


def test_one_that_ends_when_it_is_asked_to_is_no_complaint(tmp_path: Path) -> None:
    process = started(tmp_path, WAITS)
    until(lambda: list(process.lines()))
    assert process.complaint() == ""
    process.end_by(signal.SIGTERM)
    assert process.ends()
    assert process.complaint() == ""
    process.close()


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        ("raise SystemExit('it hurts')", "it ended with 1: it hurts\n"),
        ("pass", "it ended with 0: "),
        ("import os; os.kill(os.getpid(), 15)", "it ended with -15: "),
    ],
)
def test_one_that_ends_by_itself_is_a_complaint(tmp_path: Path, program: str, complaint: str) -> None:
    process = started(tmp_path, program)
    until(lambda: process.code is not None)
    assert process.complaint() == complaint
    process.close()


def test_what_it_writes_to_stderr_is_a_complaint(tmp_path: Path) -> None:
    process = started(tmp_path, "import sys; print('Traceback', file=sys.stderr); " + WAITS)
    until(lambda: list(process.lines()))
    process.end_by(signal.SIGTERM)
    assert process.ends()
    assert process.complaint() == "it: Traceback\n"
    process.close()
