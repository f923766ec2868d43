"""Sends bytes to one who may read slowly, or not at all: at full speed, within the uplink, and never for ever.

A reader that takes less than RATE_MIN over WINDOW_S is dropped: it holds a place that others wait for. Waiting for the uplink
is not held against him. Called by both servers of the peer link, classic and native.
"""

from __future__ import annotations

from typing import Final

import gevent

from gsync.errors import Stalled
from gsync.net.throttle import Throttle
from gsync.net.transport import Readable, Stream

WINDOW_S: Final = 30.0
RATE_MIN: Final = 4 * 1024
"""A reader that takes fewer bytes/s than this over the window is dropped: it holds a place that others wait for."""

WINDOW_BYTES: Final = int(RATE_MIN * WINDOW_S)


def send(stream: Stream, data: bytes | bytearray | memoryview, *, uplink: Throttle | None = None) -> None:
    """Send all of `data`. Raises `Stalled` for a reader that is too slow: then only a reset makes sense."""
    rest = memoryview(data)
    while rest:
        step = rest[: portion(min(len(rest), WINDOW_BYTES), uplink)]
        with gevent.Timeout(WINDOW_S, Stalled("the reader takes nothing, or too little")):
            stream.send(step)
        rest = rest[len(step) :]


def send_file(
    stream: Stream,
    file: Readable,
    *,
    offset: int,
    count: int,
    uplink: Throttle | None = None,
    mappable: bool = False,
) -> int:
    """Send `count` bytes of `file` from `offset`; how many there were: fewer where the file ended. Raises `Stalled`.

    `mappable` as in `Stream.send_file`.
    """
    sent = 0
    while sent < count:
        due = portion(count - sent, uplink)
        before, in_time = stream.bytes_sent, False
        with gevent.Timeout(WINDOW_S, False):
            stream.send_file(file, offset=offset + sent, count=due, mappable=mappable)
            in_time = True
        went = stream.bytes_sent - before
        sent += went
        if in_time and went < due:
            break
        if not in_time and went < WINDOW_BYTES:
            raise Stalled(f"the reader takes less than {RATE_MIN} bytes/s")
    return sent


def portion(most: int, uplink: Throttle | None) -> int:
    """How many of `most` bytes may be sent now; waits for its turn where the uplink is limited."""
    if uplink is None:
        return most
    part = uplink.portion(most)
    uplink.take(part)
    return part
