"""`gsync conflicts`: the files that were edited in two places, and the choice between the two."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from gsync.cli.exits import Exit, output_errors
from gsync.cli.jsonlines import print_answers
from gsync.cli.listing import moment
from gsync.cli.place import COMMON_OPTIONS, Place
from gsync.cli.text import shown, size, table
from gsync.cli.usage import Words, aimed, parse
from gsync.core.keeping import Keep
from gsync.web.answers import Answer

TEXT: Final = f"""List the conflict copies that wait for a choice, or choose. While there are some, listing ends with exit code 6.

Usage:
  gsync conflicts [options]
  gsync conflicts keep (mine|theirs|both) <name>... [options]

  mine     the copy's content takes the file's name; what stood there goes to the trash
  theirs   the file stays as it is; the copy goes to the trash
  both     the file stays as it is; the copy stays beside it under a plain name

Options:
{COMMON_OPTIONS}
<name> is that of a copy, or of a file, which means all its copies.
"""

_BILLION: Final = 1_000_000_000


def main(argv: Sequence[str]) -> Exit:
    """List or settle conflicts; the exit code."""
    words = parse(TEXT, ["conflicts", *argv], command="conflicts")
    return _keep(words) if words["keep"] else _list(words)


def _list(words: Words) -> Exit:
    with Place.of(words).peer() as peer:
        waiting = list(peer.list("conflicts"))
    if words["--json"]:
        print_answers(waiting, sys.stdout)
    elif waiting:
        rows = [row for one in waiting for row in _rows(one)]
        with output_errors():
            for line in table(rows, right=frozenset({1})):
                print(line)
        choose = f"choose: gsync conflicts keep (mine|theirs|both) {shown(waiting[0]['path'])!r}"
        print(aimed(choose, words["--dir"]), file=sys.stderr)
    return Exit.CONFLICTS if waiting else Exit.DONE


def _rows(one: Answer) -> list[tuple[str, ...]]:
    """The file and its copy, one beneath the other, so that the two can be compared."""
    if one["stands"]:
        against = ("theirs", size(one["against_size"]), moment(one["against_mtime_ns"] // _BILLION), one["path"])
    else:
        against = ("theirs", "-", "gone", one["path"])
    return [against, ("mine", size(one["size"]), moment(one["mtime_ns"] // _BILLION), one["copy"])]


def _keep(words: Words) -> Exit:
    place = Place.of(words)
    choice = next(keep for keep in Keep if words[keep.value])
    order = {"choice": choice.value, "names": place.names(words["<name>"])}
    with place.peer() as peer:
        for kept in peer.carry_out("keep", order):
            if words["--json"]:
                print_answers([kept], sys.stdout)
                continue
            with output_errors():
                print(_told(kept))
    return Exit.DONE


def _told(kept: Answer) -> str:
    where = f"stands at {shown(kept['stands_at'])}" if kept["stands_at"] else "is in the trash"
    displaced = f"; what stood there is at {shown(kept['trashed'])}" if kept["trashed"] and kept["stands_at"] else ""
    return f"{shown(kept['copy'])} {where}{displaced}"
