"""Where the log goes: the one place that configures `logging`. Called once, by the command that runs."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from gsync.cli.exits import UsageError

LEVELS = ("debug", "info", "warning", "error")


def configure(*, level: str, file: str | None) -> None:
    """Send gsync's log to stderr, or to `file`, from `level` on. Raises UsageError for a level or a file that cannot be."""
    if level not in LEVELS:
        raise UsageError(f"{level!r} is no log level; it is one of {', '.join(LEVELS)}")
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("gsync: %(message)s"))
    else:
        try:
            handler = logging.FileHandler(Path(file), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write the log to {file!r} ({error.strerror})") from error
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger("gsync")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False
