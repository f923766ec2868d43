"""What the main command was asked to do, checked once: after this, nothing in the program looks at the command line again."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

import gsync
from gsync.cli.exits import UsageError
from gsync.cli.overlay import OverlayConfig, overlay_of
from gsync.cli.usage import Words, choice_of, endpoint_of, number_of, port_of, rate_of, whole_of
from gsync.core.names import Endpoint, PeerName
from gsync.errors import FolderUnusable, NameRefused

LONGEST_TIMEOUT_S: Final = 3600
MOST_FETCHES: Final = 256
LONGEST_NAME: Final = 64


class Output(Struct, frozen=True, kw_only=True):
    """How to talk."""

    json: bool
    quiet: bool
    color: bool
    log_level: str
    log_file: str | None


class RunConfig(Struct, frozen=True, kw_only=True):
    """The main command's options, each valid by itself."""

    tracker: Endpoint | None
    """None: the neighbours are known by address, and no tracker is needed."""
    folder: Path
    port: int
    once: bool
    may_start_tracker: bool
    stall_s: float
    fetches: int
    verify_twice: bool
    classic: bool
    stats: bool
    name: str
    is_named: bool
    """Whether a person chose the name."""
    sends: bool
    receives: bool
    limit_up: int | None
    limit_down: int | None
    max_delete: float
    """A share of the files, 0 to 1."""
    overlay: OverlayConfig
    output: Output


def run_config(words: Words, *, resolve: Callable[[str], str]) -> RunConfig:
    """The configuration that docopt's `words` ask for. Raises UsageError, FolderUnusable."""
    if words["--send-only"] and words["--receive-only"]:
        raise UsageError("--send-only and --receive-only exclude each other; with neither, a peer does both")
    has_tracker = words["<ip>"] is not None
    if words["--once"] and not has_tracker:
        raise UsageError("--once needs a tracker: without one nobody says what there is to fetch")
    name = name_of(words["--name"])
    return RunConfig(
        tracker=endpoint_of(words["<ip>"], words["<port>"], resolve=resolve) if has_tracker else None,
        folder=folder_of(words["--dir"]),
        port=0 if words["--port"] == "0" else port_of(words["--port"], what="serving port", lowest=1024),
        once=words["--once"],
        may_start_tracker=not (words["--no-tracker"] or words["--once"]),
        stall_s=number_of(words["--timeout"], what="timeout", lowest=0.1, highest=LONGEST_TIMEOUT_S),
        fetches=whole_of(words["--fetches"], what="number of fetches", lowest=1, highest=MOST_FETCHES),
        verify_twice=choice_of(words["--verify-classic"], ("once", "twice"), what="way to verify") == "twice",
        classic=words["--classic"],
        stats=words["--stats"],
        name=name,
        is_named=words["--name"] is not None,
        sends=not words["--receive-only"],
        receives=not words["--send-only"],
        limit_up=_rate(words["--limit-up"]),
        limit_down=_rate(words["--limit-down"]),
        max_delete=number_of(words["--max-delete"], what="share of files in percent", lowest=0, highest=100) / 100,
        overlay=overlay_of(words, name=name, resolve=resolve),
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


def name_of(text: str | None) -> str:
    """What a peer may be called: this machine's name unless it was told; UsageError for what cannot stand in a topology file."""
    if text is None:
        return os.uname().nodename[:LONGEST_NAME]
    if len(text) > LONGEST_NAME:
        raise UsageError(f"{text!r} is no name: 1 to {LONGEST_NAME} characters that can be shown")
    try:
        return PeerName.parse(text)
    except NameRefused as error:
        raise UsageError(f"{text!r} is no name of a peer: {error.reason}") from error


def _rate(text: str | None) -> int | None:
    return None if text is None else rate_of(text)


def folder_of(text: str) -> Path:
    """The folder that `text` names, absolute.

    Raises FolderUnusable for no folder, and for one that holds, at any depth, the running code.
    """
    if not text:  # an unset variable of a script must not mean the working directory
        raise UsageError("--dir names no folder: it is empty", advice="gsync 127.0.0.1 9000 --dir=DIR")
    try:
        folder = Path(text).expanduser().absolute()
        real = folder.resolve()
    except (RuntimeError, OSError) as error:  # a home of nobody, a link that leads to itself
        raise FolderUnusable(f"{text} leads nowhere: {error}") from error
    code = _running_code()
    if real == code[0].parent or any(real == one or real in one.parents or one in real.parents for one in code):
        raise FolderUnusable(
            f"{folder} holds the running gsync itself, so others could change the program by changing its files",
            advice="choose another folder, for example: --dir=~/Shared",
        )
    return folder


def _running_code() -> list[Path]:
    """Where the program is run from: the package, and the virtual environment with the libraries, if there is one."""
    package = Path(gsync.__file__).resolve().parent
    environment = [Path(sys.prefix).resolve()] if sys.prefix != sys.base_prefix else []
    return [package, *environment]
