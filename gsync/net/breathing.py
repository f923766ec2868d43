"""One breath: the way in which long work lets timers, sockets and the other greenlets have their turn."""

from __future__ import annotations

from typing import Final

import gevent

BREATH_BYTES: Final = 1024 * 1024
"""Whoever moves or hashes bytes breathes after each of these; about a millisecond of work."""

_SHORTEST_SLEEP_S: Final = 1e-9


def breathe() -> None:
    """Let everything that is ready run, then go on; costs 5 us. Call it after each `BREATH_BYTES` or 5 ms of work.

    `gevent.sleep(0)` would not do: it queues a callback, and gevent runs up to 50 callbacks before it looks at sockets
    and timers at all, so that work of 5 ms a piece would make keepalives 250 ms late. A timer, even one that is due at
    once, is only found by looking.
    """
    gevent.sleep(_SHORTEST_SLEEP_S)
