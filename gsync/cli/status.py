"""`gsync status`: what the peer that runs here is doing, in a few lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from gsync.cli.exits import Exit, output_errors
from gsync.cli.jsonlines import print_answers
from gsync.cli.place import COMMON_OPTIONS, Place
from gsync.cli.text import count, size, table, uptime
from gsync.cli.usage import aimed, parse

TEXT: Final = f"""Show what the gsync that runs in this folder is doing, and whether all is in sync.

Usage:
  gsync status [options]

Options:
{COMMON_OPTIONS}"""


def main(argv: Sequence[str]) -> Exit:
    """Show the status; the exit code."""
    words = parse(TEXT, ["status", *argv], command="status")
    with Place.of(words).peer() as peer:
        said = peer.get("status")
    if words["--json"]:
        print_answers([said], sys.stdout)
        return Exit.DONE
    with output_errors():
        for line in table((what, aimed(told, words["--dir"])) for what, told in _rows(said)):
            print(line)
    return Exit.DONE


def _rows(said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    tracker, here = said["tracker"], said["here"]
    yield "folder", said["folder"]
    yield "state", "in sync" if said["in_sync"] else f"not in sync: {said['reason']}"
    yield "tracker", "none" if tracker is None else f"{tracker['endpoint']}, {_tracker(tracker)}"
    offered = f", offering {count(said['offered'], 'name')}" if said["peers"] else ""
    yield "others", f"{count(said['peers'], 'peer')}{offered}"
    yield "here", ", ".join(_here(here))
    if said["left"]:
        told = f", {size(said['left_bytes'])}" if said["left_bytes"] else ""
        yield "to fetch", f"{count(said['left'], 'name')}{told}"
    if said["conflicts"]:
        yield "conflicts", f"{said['conflicts']}; see them: gsync conflicts"
    if said["held_deletions"]:
        yield "held", f"{count(said['held_deletions'], 'deletion')}; let them travel: gsync release"
    if said["paused"]:
        yield "paused", "go on: gsync resume"
    if not (said["sends"] and said["receives"]):
        yield "role", "receive-only" if said["receives"] else "send-only"
    serving = f", serving at {said['serving']}" if said["serving"] else ""
    yield "peer", f"{said['name'] or 'unnamed'}, process {said['pid']}, for {uptime(said['uptime_s'])}{serving}"


def _tracker(tracker: dict[str, Any]) -> str:
    if tracker["is_up"]:
        return f"answers ({tracker['dialect']})"
    return f"does not answer ({tracker['reason']})" if tracker["reason"] else "does not answer"


def _here(here: dict[str, Any]) -> Iterator[str]:
    yield count(here["files"], "file")
    if here["directories"]:
        yield f"{here['directories']} {'directory' if here['directories'] == 1 else 'directories'}"
    if here["links"]:
        yield count(here["links"], "link")
    yield size(here["bytes"])
