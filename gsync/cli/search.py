"""`gsync search <name>`: who has a file, or files with such names; asked from neighbour to neighbour, hits shown as they come."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from gsync.cli.exits import Exit, output_errors
from gsync.cli.jsonlines import print_answers
from gsync.cli.place import COMMON_OPTIONS, Place
from gsync.cli.text import count, padded, shown, size
from gsync.cli.usage import number_of, parse, whole_of
from gsync.core.copies import CopyState
from gsync.core.flood import QUERY_TTL, TTL_MAX
from gsync.errors import UnknownName
from gsync.web.answers import Answer
from gsync.web.controls import SEARCH_WAIT_MAX_S, SEARCH_WAIT_S

TEXT: Final = f"""Ask the neighbours, and theirs in turn, who has a file whose copy can be believed. No tracker is needed.

Usage:
  gsync search <name> [options]

Options:
  --ttl=HOPS     How far the question travels [default: {QUERY_TTL}]
  --wait=S       For how many seconds hits are waited for [default: {SEARCH_WAIT_S:g}]
{COMMON_OPTIONS}
<name> is a file's, or a pattern in quotes: '*.jpg' means names in any directory, 'photos/202?/*' whole paths.
"""

_STATE_COLUMNS: Final = max(len(state) for state in CopyState)
_HOLDER_COLUMNS: Final = 14
_SIZE_COLUMNS: Final = 10
_VERSION_COLUMNS: Final = 12
_HOPS_COLUMNS: Final = 7
_MS_COLUMNS: Final = 9


def main(argv: Sequence[str]) -> Exit:
    """Search; the exit code, 4 where nobody who answered has it."""
    words = parse(TEXT, ["search", *argv], command="search")
    ttl = whole_of(words["--ttl"], what="number of hops", lowest=1, highest=TTL_MAX)
    wait_s = number_of(words["--wait"], what="number of seconds", lowest=0, highest=SEARCH_WAIT_MAX_S)
    place = Place.of(words)
    pattern = place.name(words["<name>"])
    found = False
    with place.peer() as peer:
        for hit in peer.list("search", pattern=pattern, ttl=f"{ttl}", seconds=f"{wait_s:g}"):
            found = True
            if words["--json"]:
                print_answers([hit], sys.stdout)
            else:
                _print(_line(hit))
    if not found:
        raise UnknownName(
            f"nobody who answered within {wait_s:g} s has {pattern}", advice="see who is asked: gsync peers"
        )
    return Exit.DONE


def _line(hit: Answer) -> str:
    """One hit. The columns have fixed widths, because lines are printed as they come."""
    holder = shown(hit["holder"]) + (", here" if hit["is_here"] else "")
    name = shown(hit["path"]) + ("/" if hit["kind"] == "directory" else "@" if hit["kind"] == "link" else "")
    big = size(hit["size"]) if hit["kind"] == "file" else "-"
    return "  ".join(
        (
            padded(shown(hit["state"]), _STATE_COLUMNS),
            padded(holder, _HOLDER_COLUMNS),
            padded(big, _SIZE_COLUMNS, right=True),
            padded(shown(hit["version"]), _VERSION_COLUMNS),
            padded(count(hit["hops"], "hop"), _HOPS_COLUMNS, right=True),
            padded(f"{hit['ms']:.1f} ms", _MS_COLUMNS, right=True),
            name,
        )
    )


def _print(line: str) -> None:
    with output_errors():
        print(line, flush=True)
