"""Why a fetch failed, as one word for each error that can end one; what watchers count instead of sentences."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gsync.core.model import Source
from gsync.core.schedule import FetchQueue
from gsync.errors import (
    ConnectFailed,
    CutShort,
    GsyncError,
    NoAnswer,
    ProtocolError,
    Stalled,
    StorageError,
    TransportError,
)
from gsync.net.clock import Clock
from gsync.peer.events import Cause
from gsync.peer.fetcher import NotThere

log = logging.getLogger(__name__)


class Unvouched(TransportError):
    """The source could not show that it is still there, so what it sent may be a stump."""


class SeemsEmpty(GsyncError):
    """The source gave nothing for a file that is not empty here: "empty" and "I have it not" look the same in edition 1."""


FetchError = TransportError | ProtocolError | StorageError | NotThere | SeemsEmpty
"""What a fetch can end with when it does not end well."""


def cause_of(error: FetchError) -> Cause:
    """The word for `error`, narrow classes before wide ones."""
    match error:
        case NoAnswer():
            return Cause.TIMEOUT
        case ConnectFailed():
            return Cause.REFUSED
        case Stalled():
            return Cause.STALLED
        case CutShort():
            return Cause.SHORT
        case Unvouched():
            return Cause.UNVOUCHED
        case TransportError():
            return Cause.RESET
        case ProtocolError():
            return Cause.NONSENSE
        case StorageError():
            return Cause.DISK
        case SeemsEmpty():
            return Cause.EMPTY
        case NotThere():
            return Cause.GONE


def blaming(queue: FetchQueue, clock: Clock) -> Callable[[Source, FetchError], None]:
    """What is done when one of several sources of a large file failed; the others go on."""

    def blame(source: Source, error: FetchError) -> None:
        log.info("fetch.source_failed source=%s reason=%s", source.endpoint, error)
        if isinstance(error, TransportError | ProtocolError):
            queue.blame(source.endpoint, now=clock.monotonic())

    return blame
