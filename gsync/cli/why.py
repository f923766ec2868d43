"""`gsync why <path>`: why a file is as it is, what will become of it, and what is in the way."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from gsync.cli.exits import Exit, output_errors
from gsync.cli.jsonlines import print_answers
from gsync.cli.place import COMMON_OPTIONS, Place
from gsync.cli.text import shown, table
from gsync.cli.usage import parse

TEXT: Final = f"""Tell why a file is as it is: what is here, what others have, what was agreed, and what will be done.

Usage:
  gsync why <path> [options]

Options:
{COMMON_OPTIONS}"""

_ROWS: Final = (
    ("here", "here"),
    ("elsewhere", "elsewhere"),
    ("agreed", "agreed last"),
    ("deleted", "deleted"),
    ("ignored_by", "ignored by"),
    ("plan", "to do"),
    ("waiting", "waits for"),
    ("failure", "went wrong"),
)


def main(argv: Sequence[str]) -> Exit:
    """Explain; the exit code, 4 for a name of which nothing is known."""
    words = parse(TEXT, ["why", *argv], command="why")
    place = Place.of(words)
    path = place.name(words["<path>"])
    with place.peer() as peer:
        said = peer.get("why", path=path)
    if words["--json"]:
        print_answers([said], sys.stdout)
        return Exit.DONE
    with output_errors():
        print(f"{shown(said['path'])}: {said['state']}")
        for line in table([(f"  {title}", said[field]) for field, title in _ROWS if said[field]]):
            print(line)
    return Exit.DONE
