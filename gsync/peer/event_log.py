"""What happened last, for `gsync log`: an observer that keeps the latest events as lines, and forgets the oldest.

Progress, statistics, and that a file is about to be fetched, are not kept: they would push out what came of it. Fed by
`peer.events`, asked by the local API.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from gsync.core.names import Endpoint
from gsync.core.status import LogLine
from gsync.peer.events import Event, FileFetching, FileStale, Progress, Stats

LINES: Final = 10_000
"""Some megabytes at most; a first sync of more files keeps the last of them."""


class EventLog:
    """The last `LINES` events; `wall_clock` gives them their times."""

    WITHOUT: Final = (Progress, Stats, FileFetching, FileStale)
    """What it should not be told of."""

    def __init__(self, *, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self._events: deque[tuple[float, Event]] = deque(maxlen=LINES)

    def observe(self, event: Event) -> None:
        """Keep `event`; short, as an observer must be."""
        self._events.append((self._wall_clock(), event))

    def last(self, count: int) -> tuple[LogLine, ...]:
        """The last `count` of them, oldest first."""
        if count <= 0:
            return ()
        return tuple(_line(time_s, event) for time_s, event in list(self._events)[-count:])


def _line(time_s: float, event: Event) -> LogLine:
    facts = {name: _plain(getattr(event, name)) for name in event.__struct_fields__}
    return LogLine(time_s=time_s, event=event.name, facts=facts)


def _plain(value: object) -> object:
    """A JSON value; names and causes are text already."""
    if isinstance(value, Endpoint):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
