"""Events for people: a line each, and on a terminal one live line that shows how far the fetching is.

stdout has what happened to files; stderr has the talk around it. Nothing is printed when nothing changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, TextIO, assert_never

from gsync.cli.exits import output_errors
from gsync.cli.text import count, duration, shown, size
from gsync.cli.usage import aimed
from gsync.peer import events as ev

PLAIN_PROGRESS_EVERY_S: Final = 10.0
"""Without a terminal a plain progress line comes this often, so that a log shows life and no more."""

_CLEAR_LINE: Final = "\r\x1b[K"


_AboutFile = ev.FileSkipped | ev.FileConflict | ev.FileDeleted | ev.FileMoved | ev.FileMade
_AboutPeer = (
    ev.PeerServing
    | ev.TrackerUp
    | ev.TrackerDown
    | ev.FileStale
    | ev.FileFetching
    | ev.NamesSkipped
    | ev.Progress
    | ev.SyncDone
    | ev.Stats
    | ev.WatchIncomplete
    | ev.Trouble
)


class Console:
    """An observer that prints. `monotonic` is only used to space the progress lines."""

    WITHOUT: Final = (ev.FileStale, ev.FileFetching, ev.Stats)
    """What it need not be told of, for it says nothing about it."""

    def __init__(
        self,
        *,
        out: TextIO,
        err: TextIO,
        quiet: bool,
        color: bool,
        live: bool,
        monotonic: Callable[[], float],
        folder: str | None = None,
    ) -> None:
        """`folder` is told in commands to paste."""
        self._out, self._err = out, err
        self._quiet, self._color, self._live = quiet, color, live
        self._monotonic = monotonic
        self._last_plain = monotonic()
        self._live_shown = False
        self._away = False
        self._holds = False
        self._folder = folder

    def say(self, line: str) -> None:
        """A line of talk, on stderr; not with -q."""
        if not self._quiet:
            self._print(line, self._err)

    def error(self, what: str, advice: str = "") -> None:
        """A line that a person must see, with or without -q, and what to do about it."""
        self._print(self._paint(f"gsync: {shown(what)}", "31"), self._err)
        if advice:
            self._print(f"  {shown(aimed(advice, self._folder))}", self._err)

    def observe(self, event: ev.Event) -> None:
        """Print what `event` means to a person."""
        if isinstance(event, ev.FileFetched):  # by far the most
            self._fetched(event)
        elif isinstance(event, _AboutFile):
            self._about_a_file(event)
        else:
            self._about_the_peer(event)

    def hold(self, more: bool) -> None:
        """Whether more lines come at once: then they leave together, for each flush lets other threads go first."""
        self._holds = more
        if not more:
            with output_errors():
                self._out.flush()
                self._err.flush()

    def close(self) -> None:
        """Leave the terminal with a clean line."""
        with output_errors():
            self._clear()

    def _fetched(self, event: ev.FileFetched) -> None:
        if not self._quiet:
            what = f"{size(event.size)} from {event.source}, {duration(event.seconds)}"
            self._print(self._paint(f"+ {shown(event.path)}", "32") + f"  {what}", self._out)

    def _about_a_file(self, event: _AboutFile) -> None:
        match event:
            case ev.FileSkipped():
                again = "; it will be tried again" if event.again else ""
                source = f" from {event.source}" if event.source else ""
                self._data(
                    self._paint(f"- {shown(event.path)}", "33") + f"  skipped{source}: {shown(event.reason)}{again}"
                )
            case ev.FileConflict():
                kept = shown(event.kept_as)
                self._data(
                    self._paint(f"! {shown(event.path)}", "33") + f"  edited in two places; yours is kept as {kept}"
                )
            case ev.FileDeleted():
                self._data(self._paint(f"- {shown(event.path)}", "31") + "  deleted elsewhere; it is in the trash")
            case ev.FileMoved():
                self._data(self._paint(f"> {shown(event.path)}", "32") + f"  renamed from {shown(event.moved_from)}")
            case ev.FileMade():
                self._data(self._paint(f"+ {shown(event.path)}", "32") + f"  {event.kind}")
            case unreachable:
                assert_never(unreachable)

    def _about_the_peer(self, event: _AboutPeer) -> None:
        match event:
            case ev.NamesSkipped():
                names = ", ".join(map(shown, event.names)) + (", ..." if event.count > len(event.names) else "")
                self.say(f"left alone, {count(event.count, 'name')}: {shown(event.reason)} ({names})")
            case ev.PeerServing():
                self.say(f"serving {count(event.files, 'file')} at {event.endpoint}")
            case ev.TrackerUp():
                self._away = False
                self.say(f"tracker {event.tracker} answers: {count(event.names, 'name')} in its directory")
            case ev.TrackerDown():
                self._tracker_down(event)
            case ev.Progress():
                self._progress(event)
            case ev.SyncDone():
                took = duration(event.seconds)
                self.say(f"in sync: fetched {count(event.fetched, 'file')}, {size(event.bytes)} in {took}")
            case ev.WatchIncomplete():
                self.error(f"changes are noticed only every few seconds: {event.reason}", event.advice)
            case ev.Trouble():
                self.error(event.what, event.advice)
            case ev.FileStale() | ev.FileFetching() | ev.Stats():
                pass
            case unreachable:
                assert_never(unreachable)

    def _tracker_down(self, event: ev.TrackerDown) -> None:
        if self._away:  # said once; the tries go on in silence
            return
        self._away = True
        self.error(
            f"no tracker answers at {event.tracker} ({event.reason})",
            f"retrying every {event.retry_s:.0f} s; start one there: gsync tracker {event.tracker.port}",
        )

    def _progress(self, event: ev.Progress) -> None:
        line = (
            f"{count(event.files_left, 'file')} left, {event.files_done} done, "
            f"{size(event.bytes_done)}, {size(event.bytes_per_s)}/s"
        )
        if self._quiet:
            return
        if self._live:
            width = _width(self._err)
            with output_errors():
                self._err.write(f"\r{line[: width - 1]}\x1b[K")
                self._err.flush()
            self._live_shown = True
        elif self._monotonic() - self._last_plain >= PLAIN_PROGRESS_EVERY_S:
            self._last_plain = self._monotonic()
            self._print(line, self._err)

    def _data(self, line: str) -> None:
        if not self._quiet:
            self._print(line, self._out)

    def _print(self, line: str, out: TextIO) -> None:
        with output_errors():
            self._clear()
            out.write(f"{line}\n")
            if not self._holds:
                out.flush()

    def _clear(self) -> None:
        if self._live_shown:
            self._live_shown = False
            self._err.write(_CLEAR_LINE)
            self._err.flush()

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._color else text


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except OSError:
        return 80
