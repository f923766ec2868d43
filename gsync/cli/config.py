"""What the main command was asked to do, checked once: after this, nothing in the program looks at the command line again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import gsync
from gsync.cli.usage import Words, choice_of, endpoint_of, number_of, port_of
from gsync.core.names import Endpoint
from gsync.errors import FolderUnusable

LONGEST_TIMEOUT_S: Final = 3600
MOST_FETCHES: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How to talk."""

    json: bool
    quiet: bool
    color: bool
    log_level: str
    log_file: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """The main command's options, each valid by itself."""

    tracker: Endpoint
    folder: Path
    port: int
    once: bool
    may_start_tracker: bool
    stall_s: float
    fetches: int
    verify_twice: bool
    classic: bool
    stats: bool
    output: Output


def run_config(words: Words, *, resolve: Callable[[str], str]) -> RunConfig:
    """The configuration that docopt's `words` ask for. Raises UsageError, FolderUnusable."""
    return RunConfig(
        tracker=endpoint_of(words["<ip>"], words["<port>"], resolve=resolve),
        folder=folder_of(words["--dir"]),
        port=0 if words["--port"] == "0" else port_of(words["--port"], what="serving port", lowest=1024),
        once=words["--once"],
        may_start_tracker=not (words["--no-tracker"] or words["--once"]),
        stall_s=number_of(words["--timeout"], what="timeout", lowest=0.1, highest=LONGEST_TIMEOUT_S),
        fetches=int(number_of(words["--fetches"], what="number of fetches", lowest=1, highest=MOST_FETCHES)),
        verify_twice=choice_of(words["--verify-classic"], ("once", "twice"), what="way to verify") == "twice",
        classic=words["--classic"],
        stats=words["--stats"],
        output=output_of(words),
    )


def output_of(words: Words) -> Output:
    """The part of the options that says how to talk; the same in every command."""
    return Output(
        json=words["--json"],
        quiet=words["--quiet"],
        color=not words["--no-color"],
        log_level="info" if words["--verbose"] and words["--log-level"] == "warning" else words["--log-level"],
        log_file=words["--log-file"],
    )


def folder_of(text: str) -> Path:
    """The folder that `text` names, absolute. Raises FolderUnusable for no folder, and for the one that holds the running code."""
    package = Path(gsync.__file__).resolve().parent
    try:
        folder = Path(text).expanduser().absolute()
        real = folder.resolve()
    except (RuntimeError, OSError) as error:  # a home of nobody, a link that leads to itself
        raise FolderUnusable(f"{text} leads nowhere: {error}") from error
    if real in (package.parent, package) or package in real.parents:
        raise FolderUnusable(
            f"{folder} holds the running gsync itself, so others could change the program by changing its files",
            advice="choose another folder, for example: --dir=~/Shared",
        )
    return folder
