"""What happened last: kept in order, bounded, and without what would push out everything else."""

from __future__ import annotations

import json
from itertools import count

from gsync.core.names import Endpoint, RelPath
from gsync.peer.event_log import LINES, EventLog
from gsync.peer.events import (
    Cause,
    Events,
    FileFetching,
    FileSkipped,
    FileStale,
    NamesSkipped,
    Progress,
    Stats,
    SyncDone,
)


def log() -> EventLog:
    times = count(100)
    return EventLog(wall_clock=lambda: float(next(times)))


def skipped(name: str) -> FileSkipped:
    return FileSkipped(path=RelPath.parse(name), source=None, cause=Cause.GONE, reason="it has it not", again=True)


def test_the_last_events_come_oldest_first() -> None:
    kept = log()
    for name in ("a", "b", "c"):
        kept.observe(skipped(name))
    assert [(line.time_s, line.event, line.facts["path"]) for line in kept.last(2)] == [
        *[(101.0, "file.skipped", "b"), (102.0, "file.skipped", "c")],
    ]
    assert (len(kept.last(99)), kept.last(0), log().last(5)) == (3, (), ())


def test_the_oldest_is_forgotten() -> None:
    kept = log()
    for number in range(LINES + 1):
        kept.observe(skipped(f"{number}"))
    lines = kept.last(2 * LINES)
    assert (len(lines), lines[0].facts["path"], lines[-1].facts["path"]) == (LINES, "1", str(LINES))


def test_progress_statistics_and_beginnings_are_not_kept() -> None:
    kept, events = log(), Events()
    events.subscribe(kept.observe, but=EventLog.WITHOUT)
    events.tell(Progress(files_left=1, files_done=1, bytes_done=1, bytes_per_s=1.0))
    events.tell(Stats(bytes_received=1, failed={}, late=0, greenlets=1, lag_ms=()))
    events.tell(FileStale(path=RelPath.parse("a")))
    events.tell(FileFetching(path=RelPath.parse("a"), source=Endpoint("192.0.2.1", 9000)))
    events.tell(SyncDone(fetched=1, bytes=2, seconds=3.0))
    assert [line.event for line in kept.last(9)] == ["sync.done"]


def test_the_facts_are_plain_json() -> None:
    kept = log()
    source = Endpoint("192.0.2.1", 9000)
    kept.observe(
        FileSkipped(path=RelPath.parse("a"), source=source, cause=Cause.GONE, reason="it has it not", again=True)
    )
    kept.observe(NamesSkipped(reason="a link", names=("x", "y"), count=2))
    assert [json.loads(json.dumps(line.facts)) for line in kept.last(2)] == [
        {"path": "a", "source": "192.0.2.1:9000", "cause": "gone", "reason": "it has it not", "again": True},
        {"reason": "a link", "names": ["x", "y"], "count": 2},
    ]
