"""The exit codes, and the one place that says which error means which."""

from __future__ import annotations

from enum import IntEnum
from types import TracebackType

from gsync.errors import AddressInUse, ConfigError, GsyncError, NoSpace, TransportError, UnknownName


class Exit(IntEnum):
    """What the program's end tells the one who started it; the list of docs/guide.md."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    NO_TRACKER = 3
    NO_SUCH_FILE = 4
    PARTIAL = 5
    CONFLICTS = 6
    NOT_IN_TIME = 7
    INTEGRITY = 8
    NO_SPACE = 9
    NOT_RUNNING = 10
    REFUSED = 11
    INTERRUPTED = 130
    TERMINATED = 143


class UsageError(ConfigError):
    """The command line cannot be understood, or asks for something that cannot be."""


class OutputLost(GsyncError):
    """What gsync has to say cannot be written where it was sent: a full disk behind a redirection, for one."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write to stdout or stderr ({error.strerror})")
        self.advice = "send the output elsewhere, or say less: -q"


class output_errors:  # noqa: N801  (as a function: it is one, but for its speed)
    """Within it an OSError of writing becomes OutputLost; a broken pipe stays one: there nobody is left to tell."""

    __slots__ = ()

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise OutputLost(error) from error


class Unreachable(GsyncError):
    """No tracker answers, and this command cannot wait for one."""

    def __init__(self, what: str, *, advice: str) -> None:
        super().__init__(what)
        self.advice = advice


class NotRunningHere(GsyncError):
    """No gsync runs in this folder."""

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
        case UnknownName():
            return Exit.NO_SUCH_FILE
        case NoSpace():
            return Exit.NO_SPACE
        case NotRunningHere():
            return Exit.NOT_RUNNING
        case ConfigError():
            return Exit.REFUSED
        case _:
            return Exit.ERROR
