"""`gsync why <path>`: why a file is as it is, what will become of it, and what is in the way."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from gsync.cli.exits import Exit, output_errors
from gsync.cli.jsonlines import print_answers
from gsync.cli.listing import moment
from gsync.cli.place import COMMON_OPTIONS, Place
from gsync.cli.text import duration, shown, table
from gsync.cli.usage import parse
from gsync.core.names import RelPath
from gsync.web.answers import Answer
from gsync.web.client import Client

TEXT: Final = f"""Tell why a file is as it is: what is here, what others have, what was agreed, and what will be done.

Usage:
  gsync why <path> [options]

Options:
{COMMON_OPTIONS}"""

_ROWS: Final = (
    ("here", "here"),
    ("elsewhere", "elsewhere"),
    ("agreed", "agreed last"),
    ("believed", "this copy"),
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
        copy = _copy(peer, path)
    if words["--json"]:
        print_answers([said if copy is None else {**said, "copy": copy}], sys.stdout)
        return Exit.DONE
    said["believed"] = "" if copy is None else _believed(copy)
    with output_errors():
        print(f"{shown(said['path'])}: {said['state']}")
        for line in table([(f"  {title}", said[field]) for field, title in _ROWS if said[field]]):
            print(line)
    return Exit.DONE


def _copy(peer: Client, path: RelPath) -> Answer | None:
    """How far the copy here can be believed; None where there is no copy, or no overlay in which it could be old."""
    return next((copy for copy in peer.list("copies", beneath=path) if copy["path"] == path), None)


def _believed(copy: Answer) -> str:
    origin = f"; its origin is {copy['origin']}" if copy["origin"] else ""
    left = f"; believed for {duration(copy['ttr_s'])} more" if copy["ttr_s"] else ""
    reason = f": {copy['reason']}" if copy["reason"] else ""
    since = f" since {moment(copy['since_s'])}" if copy["since_s"] else ""
    return f"{copy['state']}{since}{reason}{left}{origin}"
