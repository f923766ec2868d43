"""`gsync mode` and `gsync ttr`: how the copies here are kept honest, shown or changed while the peer runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from gsync.cli.exits import Exit, output_errors
from gsync.cli.jsonlines import print_answers
from gsync.cli.place import COMMON_OPTIONS, Place
from gsync.cli.text import shown
from gsync.cli.usage import choice_of, number_of, parse
from gsync.core.copies import Mode
from gsync.web.answers import Answer
from gsync.web.controls import TTR_MAX_S, TTR_MIN_S

MODE_TEXT: Final = f"""Say how the copies here are kept honest, or change it, while gsync runs.

Usage:
  gsync mode [<mode>] [options]

Options:
{COMMON_OPTIONS}
<mode> is one of:
  push     believe a copy until its origin says that it is old
  pull     ask its origin whenever its time to refresh is over
  lazy     the same, but only when somebody wants the copy
  hybrid   push, and pull for what push may have lost
  passive  neither listen nor ask; whatever else travels is passed on
"""

TTR_TEXT: Final = f"""Say for how long others believe what was made here before they ask again, or change it.

Usage:
  gsync ttr [<seconds>] [options]

Options:
{COMMON_OPTIONS}
<seconds> is from {TTR_MIN_S:g} to {TTR_MAX_S:g}. Copies that are elsewhere already keep the time that they were given.
"""


def mode(argv: Sequence[str]) -> Exit:
    """Show or set the mode; the exit code."""
    words = parse(MODE_TEXT, ["mode", *argv], command="mode")
    wanted = words["<mode>"]
    if wanted is not None:
        choice_of(wanted, [one.value for one in Mode], what="mode")
    with Place.of(words).peer() as peer:
        if wanted is not None:
            peer.order("mode", {"mode": wanted})
        said = peer.get("overlay")
    return _end(said, shown(said["mode"]), json=words["--json"])


def ttr(argv: Sequence[str]) -> Exit:
    """Show or set the time to refresh; the exit code."""
    words = parse(TTR_TEXT, ["ttr", *argv], command="ttr")
    text = words["<seconds>"]
    wanted = None if text is None else number_of(text, what="number of seconds", lowest=TTR_MIN_S, highest=TTR_MAX_S)
    with Place.of(words).peer() as peer:
        if wanted is not None:
            peer.order("ttr", {"seconds": wanted})
        said = peer.get("overlay")
    return _end(said, f"{said['ttr_s']:g} s", json=words["--json"])


def _end(said: Answer, line: str, *, json: bool) -> Exit:
    if json:
        print_answers([said], sys.stdout)
        return Exit.DONE
    with output_errors():
        print(line)
    return Exit.DONE
