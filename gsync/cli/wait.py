"""`gsync wait`: returns when the folders of all peers are equal, as far as this one can know."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from gsync.cli.exits import Exit
from gsync.cli.jsonlines import print_answers
from gsync.cli.place import COMMON_OPTIONS, Place
from gsync.cli.text import shown
from gsync.cli.usage import aimed, number_of, parse
from gsync.web.answers import Answer
from gsync.web.client import Client

TEXT: Final = f"""Wait until this folder is the same as that of everybody else who is there.

It is when nothing is left to fetch, to publish or to announce, the tracker is there and has the same directory as this
folder, a look at everything here finds nothing new, and all peers of ours have it all. Where that cannot become so unless
somebody does something about it (a version that is refused, edits of a receive-only peer), it ends with exit code 5.

Usage:
  gsync wait [options]

Options:
  --timeout=S    Seconds after which to give up, with exit code 7; 0 only looks; for ever if not given
{COMMON_OPTIONS}"""

LONGEST_S: Final = 10 * 365 * 86_400.0
ASK_S: Final = 15.0
"""One question waits so long at the peer; then the next one is asked."""


def main(argv: Sequence[str]) -> Exit:
    """Wait; the exit code."""
    words = parse(TEXT, ["wait", *argv], command="wait")
    given = words["--timeout"]
    timeout_s = LONGEST_S if given is None else number_of(given, what="timeout", lowest=0, highest=LONGEST_S)
    with Place.of(words).peer() as peer:
        said = until_settled(peer, timeout_s=timeout_s, monotonic=time.monotonic)
    if words["--json"]:
        print_answers([said], sys.stdout)
    elif said["stuck"]:
        print(f"gsync: not in sync, and to wait is of no use: {shown(said['reason'])}", file=sys.stderr)
    elif not said["settled"]:
        print(f"gsync: not in sync after {timeout_s:g} s: {shown(said['reason'])}", file=sys.stderr)
        print(aimed("  see what is missing: gsync status", words["--dir"]), file=sys.stderr)
    if said["settled"]:
        return Exit.DONE
    return Exit.PARTIAL if said["stuck"] else Exit.NOT_IN_TIME


def until_settled(peer: Client, *, timeout_s: float, monotonic: Callable[[], float]) -> Answer:
    """Ask `peer` again and again, until it is settled, or will never be, or the time is over; its last answer."""
    until = monotonic() + timeout_s
    while True:
        left_s = max(0.0, until - monotonic())
        said = peer.get("wait", seconds=f"{min(ASK_S, left_s):.3f}")
        if said["settled"] or said["stuck"] or left_s <= ASK_S:
            return said
