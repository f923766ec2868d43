"""Events for programs: one JSON object a line, each with a version, a UTC time and the event's name."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

from gsync.cli.jsonlines import SCHEMA_VERSION, JsonLines
from gsync.core.names import Endpoint, RelPath
from gsync.peer import events as ev
from gsync.tracker.events import PeerJoined, PeerLeft
from tests.unit.cli.test_console import EXAMPLES, HOSTILE, PROGRESS, fetched, skipped


def lines(*events: Any) -> list[dict[str, Any]]:
    out = io.StringIO()
    observer = JsonLines(out)
    for event in events:
        observer.observe(event)
    observer.close()
    text = out.getvalue()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_every_event_is_one_line_with_its_name() -> None:
    written = lines(*EXAMPLES)
    assert [line["event"] for line in written] == [event.name for event in EXAMPLES]
    for line in written:
        assert line["v"] == SCHEMA_VERSION == 1
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_the_facts_of_an_event_are_plain_values() -> None:
    (line,) = lines(fetched())
    assert list(line)[:3] == ["v", "time", "event"]
    del line["v"], line["time"]
    assert line == {
        "event": "file.fetched",
        "path": "b.txt",
        "source": "192.0.2.2:2000",
        "size": 15,
        "seconds": 0.003,
        "first_byte_s": 0.001,
    }


def test_absence_is_null_and_a_cause_is_its_word() -> None:
    (line,) = lines(skipped(source=None))
    assert (line["source"], line["cause"], line["again"]) == (None, "stalled", True)


def test_an_ipv6_endpoint_shows_its_port() -> None:
    (line,) = lines(ev.PeerServing(endpoint=Endpoint("2001:db8::1", 2000), files=0))
    assert line["endpoint"] == "[2001:db8::1]:2000"


def test_the_trackers_events_are_written_the_same_way() -> None:
    remote = Endpoint("192.0.2.2", 40_000)
    joined, left = lines(
        PeerJoined(remote=remote, port=None, files=3, knows_gsync=True), PeerLeft(remote=remote, reason="it closed")
    )
    assert (joined["event"], joined["remote"], joined["port"]) == ("peer.joined", "192.0.2.2:40000", None)
    assert (left["event"], left["reason"]) == ("peer.left", "it closed")


@pytest.mark.parametrize("name", [HOSTILE, "Grüße 🎉", "\udcff", '"', "\\", "a\u2028b"])
def test_any_name_comes_back_as_it_was_and_stays_on_its_line(name: str) -> None:
    out = io.StringIO()
    JsonLines(out).observe(ev.FileStale(path=RelPath(name)))
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().isascii()
    assert json.loads(out.getvalue())["path"] == name


def test_progress_comes_no_more_often_than_a_program_can_want() -> None:
    assert len(lines(*[PROGRESS] * 50)) == 1


def test_other_facts_may_be_written_too() -> None:
    out = io.StringIO()
    JsonLines(out).write("summary", {"fetched": 2})
    line = json.loads(out.getvalue())
    assert (line["event"], line["fetched"]) == ("summary", 2)


def test_a_line_is_out_at_once() -> None:
    class Pipe(io.StringIO):
        flushes = 0

        def flush(self) -> None:
            self.flushes += 1

    pipe = Pipe()
    JsonLines(pipe).observe(fetched())
    assert pipe.flushes == 1


def test_lines_that_are_told_together_leave_together() -> None:
    out = io.StringIO()
    sent: list[str] = []
    out.flush = lambda: sent.append(out.getvalue())  # type: ignore[method-assign]
    lines = JsonLines(out)
    lines.hold(True)
    lines.observe(fetched())
    lines.observe(fetched())
    assert sent == []
    lines.hold(False)
    assert sent == [out.getvalue()]
    lines.observe(fetched())
    assert sent[-1].count("\n") == 3
