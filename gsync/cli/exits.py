"""The exit codes, and the one place that says which error means which."""

from __future__ import annotations

from enum import IntEnum

from gsync.errors import AddressInUse, ConfigError, GsyncError, NoSpace, TransportError


class Exit(IntEnum):
    """What the program's end tells the one who started it; the list of docs/guide.md."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    NO_TRACKER = 3
    NO_SUCH = 4
    PARTIAL = 5
    INTEGRITY = 8
    NO_SPACE = 9
    REFUSED = 11
    INTERRUPTED = 130
    TERMINATED = 143


class UsageError(ConfigError):
    """The command line cannot be understood, or asks for something that cannot be."""


class Unreachable(GsyncError):
    """No tracker answers, and this command cannot wait for one."""

    def __init__(self, what: str, *, advice: str) -> None:
        super().__init__(what)
        self.advice = advice


def exit_for(error: GsyncError) -> Exit:
    """The exit code that `error` deserves when it ends a command."""
    match error:
        case UsageError() | AddressInUse():  # a port that is taken, here or for a tracker, is asked for wrongly
            return Exit.USAGE
        case Unreachable() | TransportError():
            return Exit.NO_TRACKER
        case NoSpace():
            return Exit.NO_SPACE
        case ConfigError():
            return Exit.REFUSED
        case _:
            return Exit.ERROR
