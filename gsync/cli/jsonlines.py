"""Events as one JSON object a line, for programs: each with "v", a UTC time, and the event's name."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from gsync.cli.exits import output_errors
from gsync.core.names import Endpoint, RelPath
from gsync.peer.events import Event, Progress
from gsync.tracker.events import TrackerEvent

SCHEMA_VERSION: Final = 1
PROGRESS_EVERY_S: Final = 1.0

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))  # `json.dumps` makes one for each line
_QUICK: Final = msgspec.json.Encoder()


class JsonLines:
    """An observer that writes every event to `out`, flushed, so that a reader sees it at once."""

    WITHOUT: Final = ()
    """What it need not be told of."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._progress_due = 0.0
        self._holds = False
        self._second = (-1, "")  # the last one, and how it is spelled: a first sync says thousands of lines in it

    def observe(self, event: Event | TrackerEvent) -> None:
        """Write one event; of the progress only as much as a program can want."""
        if isinstance(event, Progress):
            if time.monotonic() < self._progress_due:
                return
            self._progress_due = time.monotonic() + PROGRESS_EVERY_S
        self.write(event.name, {name: _plain(getattr(event, name)) for name in event.__struct_fields__})

    def write(self, name: str, facts: dict[str, Any]) -> None:
        """Write one line named `name` with these facts, which are plain JSON values."""
        line = {"v": SCHEMA_VERSION, "time": self._now(), "event": name, **facts}
        with output_errors():
            self._out.write(_spelled(line) + "\n")
            if not self._holds:
                self._out.flush()

    def hold(self, more: bool) -> None:
        """Whether more lines come at once: then they leave together."""
        self._holds = more
        if not more:
            with output_errors():
                self._out.flush()

    def close(self) -> None:
        """Nothing is held back; there is nothing to end."""

    def _now(self) -> str:
        second, ms = divmod(time.time_ns() // 1_000_000, 1000)
        if second != self._second[0]:
            self._second = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second[1]}.{ms:03d}Z"


def print_answers(answers: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    """Write answers of the local API, each as a line, as they come."""
    for said in answers:
        with output_errors():
            out.write(_ENCODER.encode(said) + "\n")
            out.flush()


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Endpoint | RelPath) else value


def _spelled(line: dict[str, Any]) -> str:
    """`line` in ASCII; most lines the quick way, which knows neither escapes for letters nor halves of them."""
    with suppress(TypeError, UnicodeEncodeError):
        quick = _QUICK.encode(line)
        if quick.isascii():
            return quick.decode("ascii")
    return _ENCODER.encode(line)
