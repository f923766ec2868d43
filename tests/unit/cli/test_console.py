"""What a person reads: a line an event, nothing twice, nothing that could steer the terminal."""

from __future__ import annotations

import io
from typing import get_args

import pytest

from gsync.cli.console import PLAIN_PROGRESS_EVERY_S, Console
from gsync.core.names import Endpoint, RelPath
from gsync.peer import events as ev

SOURCE = Endpoint("192.0.2.2", 2000)
TRACKER = Endpoint("192.0.2.1", 9000)
HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\n\u202egpj\x9b31m"

PROGRESS = ev.Progress(files_left=3, files_done=2, bytes_done=2048, bytes_per_s=1024.0)


def fetched(name: str = "b.txt") -> ev.FileFetched:
    return ev.FileFetched(path=RelPath(name), source=SOURCE, size=15, seconds=0.003, first_byte_s=0.001)


def skipped(*, again: bool = True, source: Endpoint | None = SOURCE, reason: str = "it stalled") -> ev.FileSkipped:
    path = RelPath.parse("b.txt")
    return ev.FileSkipped(path=path, source=source, cause=ev.Cause.STALLED, reason=reason, again=again)


def down(reason: str = "connection refused") -> ev.TrackerDown:
    return ev.TrackerDown(tracker=TRACKER, reason=reason, retry_s=5.0)


STATS = ev.Stats(bytes_received=0, failed={}, late=0, greenlets=3, lag_ms=(0.1,))

EXAMPLES: list[ev.Event] = [
    ev.PeerServing(endpoint=SOURCE, files=3),
    ev.TrackerUp(tracker=TRACKER, names=1),
    down(),
    ev.FileStale(path=RelPath("b.txt")),
    ev.FileFetching(path=RelPath("b.txt"), source=SOURCE),
    fetched(),
    skipped(),
    ev.NamesSkipped(reason="a link", names=("x", "y"), count=3),
    ev.FileConflict(path=RelPath("b.txt"), kept_as=RelPath("b.conflict.txt")),
    ev.FileDeleted(path=RelPath("b.txt")),
    ev.FileMoved(path=RelPath("c.txt"), moved_from=RelPath("b.txt")),
    ev.FileMade(path=RelPath("d"), kind="directory"),
    PROGRESS,
    ev.SyncDone(fetched=2, bytes=2048, seconds=1.5),
    STATS,
    ev.WatchIncomplete(reason="no more watches", advice="raise them"),
    ev.Trouble(what="no space", advice="free some"),
]


class Screen:
    """A console whose two streams can be read, and whose time the test turns."""

    def __init__(self, *, quiet: bool = False, color: bool = False, live: bool = False) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.now = 0.0
        self.console = Console(
            out=self.out, err=self.err, quiet=quiet, color=color, live=live, monotonic=lambda: self.now
        )

    def show(self, *events: ev.Event) -> tuple[str, str]:
        """What stands on stdout and on stderr after `events`."""
        for event in events:
            self.console.observe(event)
        return self.out.getvalue(), self.err.getvalue()


def test_there_is_an_example_of_every_event() -> None:
    assert {type(event) for event in EXAMPLES} == set(get_args(ev.Event))


@pytest.mark.parametrize(
    ("event", "out", "err"),
    [
        (fetched(), "+ b.txt  15 B from 192.0.2.2:2000, 3 ms\n", ""),
        (skipped(), "- b.txt  skipped from 192.0.2.2:2000: it stalled; it will be tried again\n", ""),
        (skipped(again=False, source=None), "- b.txt  skipped: it stalled\n", ""),
        (
            ev.FileConflict(path=RelPath("a"), kept_as=RelPath("a.conflict")),
            "! a  edited in two places; yours is kept as a.conflict\n",
            "",
        ),
        (ev.FileDeleted(path=RelPath("a")), "- a  deleted elsewhere; it is in the trash\n", ""),
        (ev.FileMoved(path=RelPath("b"), moved_from=RelPath("a")), "> b  renamed from a\n", ""),
        (ev.FileMade(path=RelPath("d"), kind="directory"), "+ d  directory\n", ""),
        (ev.NamesSkipped(reason="a link", names=("x", "y"), count=3), "", "left alone, 3 names: a link (x, y, ...)\n"),
        (ev.NamesSkipped(reason="a link", names=("x",), count=1), "", "left alone, 1 name: a link (x)\n"),
        (ev.PeerServing(endpoint=SOURCE, files=1), "", "serving 1 file at 192.0.2.2:2000\n"),
        (ev.TrackerUp(tracker=TRACKER, names=2), "", "tracker 192.0.2.1:9000 answers: 2 names in its directory\n"),
        (ev.SyncDone(fetched=2, bytes=2048, seconds=1.5), "", "in sync: fetched 2 files, 2.0 KiB in 1.5 s\n"),
        (
            ev.WatchIncomplete(reason="no more watches", advice="raise them"),
            "",
            "gsync: changes are noticed only every few seconds: no more watches\n  raise them\n",
        ),
        (ev.Trouble(what="no space", advice="free some"), "", "gsync: no space\n  free some\n"),
        (ev.Trouble(what="no space"), "", "gsync: no space\n"),
        (
            down(),
            "",
            "gsync: no tracker answers at 192.0.2.1:9000 (connection refused)\n"
            "  retrying every 5 s; start one there: gsync tracker 9000\n",
        ),
        (ev.FileStale(path=RelPath("b.txt")), "", ""),
        (ev.FileFetching(path=RelPath("b.txt"), source=SOURCE), "", ""),
        (STATS, "", ""),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_table(event: ev.Event, out: str, err: str) -> None:
    assert Screen().show(event) == (out, err)


def test_stdout_is_data_and_stderr_is_talk() -> None:
    out, err = Screen().show(*EXAMPLES)
    assert [line[0] for line in out.splitlines()] == ["+", "-", "!", "-", ">", "+"]
    assert "b.txt" not in err


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("quiet", [False, True])
def test_without_colour_there_is_not_one_colour_code(quiet: bool, live: bool) -> None:
    out, err = Screen(quiet=quiet, live=live).show(*EXAMPLES, *EXAMPLES)
    assert "\x1b" not in out
    assert "\x1b" not in err.replace("\x1b[K", "")
    assert live or "\x1b" not in err


def test_with_colour_every_code_is_ended_on_its_line() -> None:
    out, err = Screen(color=True).show(*EXAMPLES)
    for line in (out + err).splitlines():
        assert line.count("\x1b[") in (0, 2)
        assert line.count("\x1b[0m") == line.count("\x1b[") / 2
    assert "\x1b[32m+ b.txt\x1b[0m" in out


@pytest.mark.parametrize(
    "event",
    [
        fetched(HOSTILE),
        skipped(reason=HOSTILE),
        ev.FileSkipped(path=RelPath(HOSTILE), source=None, cause=ev.Cause.GONE, reason="x", again=True),
        ev.FileConflict(path=RelPath(HOSTILE), kept_as=RelPath(HOSTILE)),
        ev.NamesSkipped(reason="a link", names=(HOSTILE,), count=1),
        ev.NamesSkipped(reason=HOSTILE, names=("x",), count=1),
        down(HOSTILE),
        ev.WatchIncomplete(reason=HOSTILE, advice=HOSTILE),
        ev.Trouble(what=HOSTILE, advice=HOSTILE),
    ],
    ids=lambda event: event.name,
)
def test_a_hostile_name_is_escaped_wherever_it_stands(event: ev.Event) -> None:
    out, err = Screen().show(event)
    lines = (out + err).split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) <= 3
    assert "\\x1b" in out + err


def test_quiet_says_only_what_a_person_must_know() -> None:
    assert Screen(quiet=True).show(*EXAMPLES) == (
        "",
        "gsync: no tracker answers at 192.0.2.1:9000 (connection refused)\n"
        "  retrying every 5 s; start one there: gsync tracker 9000\n"
        "gsync: changes are noticed only every few seconds: no more watches\n"
        "  raise them\n"
        "gsync: no space\n"
        "  free some\n",
    )


def test_a_tracker_that_is_away_is_said_once() -> None:
    screen = Screen()
    _, err = screen.show(down(), down(), down("no answer within 5 s"))
    assert err.count("no tracker answers") == 1


def test_a_tracker_that_came_back_and_went_again_is_said_again() -> None:
    _, err = Screen().show(down(), ev.TrackerUp(tracker=TRACKER, names=0), down())
    assert err.count("no tracker answers") == 2


def test_without_a_terminal_progress_is_a_plain_line_each_ten_seconds() -> None:
    screen = Screen()
    for tenth in range(251):
        screen.now = tenth / 10
        screen.console.observe(PROGRESS)
    lines = screen.err.getvalue().splitlines()
    assert lines == ["3 files left, 2 done, 2.0 KiB, 1.0 KiB/s"] * int(25 / PLAIN_PROGRESS_EVERY_S)


def test_on_a_terminal_progress_is_one_line_that_others_clear() -> None:
    screen = Screen(live=True)
    screen.show(PROGRESS, PROGRESS)
    assert screen.err.getvalue() == "\r3 files left, 2 done, 2.0 KiB, 1.0 KiB/s\x1b[K" * 2
    before = screen.err.getvalue()
    screen.show(fetched())
    assert screen.err.getvalue() == before + "\r\x1b[K"
    screen.show(fetched())
    assert screen.err.getvalue() == before + "\r\x1b[K"


def test_a_live_line_is_cleared_at_the_end() -> None:
    screen = Screen(live=True)
    screen.show(PROGRESS)
    screen.console.close()
    screen.console.close()
    assert screen.err.getvalue().endswith("K\r\x1b[K")


def test_a_live_line_never_wraps() -> None:
    screen = Screen(live=True)
    screen.show(ev.Progress(files_left=10**40, files_done=10**40, bytes_done=0, bytes_per_s=0.0))
    assert len(screen.err.getvalue().removeprefix("\r").removesuffix("\x1b[K")) <= 79


def test_every_line_is_out_at_once() -> None:
    class Pipe(io.StringIO):
        flushed = ""

        def flush(self) -> None:
            self.flushed = self.getvalue()

    out, err = Pipe(), Pipe()
    console = Console(out=out, err=err, quiet=False, color=False, live=False, monotonic=lambda: 0.0)
    for event in EXAMPLES:
        console.observe(event)
        assert (out.flushed, err.flushed) == (out.getvalue(), err.getvalue())


def test_lines_that_are_told_together_leave_together() -> None:
    screen = Screen()
    sent: list[str] = []
    screen.out.flush = lambda: sent.append(screen.out.getvalue())  # type: ignore[method-assign]
    screen.console.hold(True)
    screen.show(fetched())
    screen.show(fetched())
    assert sent == []
    screen.console.hold(False)
    assert sent == [screen.out.getvalue()]
    screen.show(fetched())
    assert sent[-1].count("\n") == 3
