"""`gsync get`, `free`, `refresh`, `mark`: orders about single copies, and what became of each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gsync.cli.exits import Exit, UsageError, output_errors
from gsync.cli.jsonlines import print_answers
from gsync.cli.place import COMMON_OPTIONS, Place
from gsync.cli.text import padded, shown, size
from gsync.cli.usage import Words, parse
from gsync.core.copies import CopyState
from gsync.web.answers import Answer

GET_TEXT: Final = f"""Fetch files from the best copy that a search finds, or from one peer; from the next one where that fails.

A name may be a pattern, in quotes, or a directory: then all comes that is in it. In a folder on demand files stay, and are kept as
others have them.

Usage:
  gsync get <name>... [options]

Options:
  --from=PEER    From this peer only
  -o PATH, --output=PATH  Write a file there, or files into that directory, instead of into the folder
{COMMON_OPTIONS}"""

FREE_TEXT: Final = f"""Drop the content of files here, and only here, in a folder that is kept on demand (--on-demand).

Usage:
  gsync free <name>... [options]

Options:
{COMMON_OPTIONS}
They stay listed, and `gsync get` brings them back. Nothing goes unless another peer promises to keep it. To remove a file from the
folder is something else: that deletes it everywhere.
"""

REFRESH_TEXT: Final = f"""Ask now whether copies are still what their origins have, instead of when their time is over.

Usage:
  gsync refresh [<name>...] [options]

Options:
{COMMON_OPTIONS}
Without a name it means every copy here.
"""

MARK_TEXT: Final = f"""Give files that were made here a new version, so that the copies elsewhere are out of date; or withdraw that.

Usage:
  gsync mark (valid|invalid) <name>... [options]

Options:
{COMMON_OPTIONS}
Only the peer that a file comes from can mark it; the others are told where.
"""

_STATE_COLUMNS: Final = max(len(state) for state in CopyState)


def get(argv: Sequence[str]) -> Exit:
    """Fetch; the exit code, 5 when one did not come."""
    words = parse(GET_TEXT, ["get", *argv], command="get")
    names = words["<name>"]
    order = {"holder": words["--from"] or "", "output": _output(words["--output"], names=len(names))}
    return _each(words, "get", names, order, _got, failed=_has_reason)


def free(argv: Sequence[str]) -> Exit:
    """Free; the exit code, 5 when one was kept."""
    words = parse(FREE_TEXT, ["free", *argv], command="free")
    return _each(words, "free", words["<name>"], {}, _freed, failed=_has_reason)


def refresh(argv: Sequence[str]) -> Exit:
    """Ask about copies; the exit code, 5 when nobody answered for one."""
    words = parse(REFRESH_TEXT, ["refresh", *argv], command="refresh")
    return _each(words, "refresh", words["<name>"], {}, _refreshed, failed=_is_expired)


def mark(argv: Sequence[str]) -> Exit:
    """Mark; the exit code, 11 for what was not made here."""
    words = parse(MARK_TEXT, ["mark", *argv], command="mark")
    word = "valid" if words["valid"] else "invalid"
    order = {"valid": words["valid"]}
    return _each(words, "mark", words["<name>"], order, lambda said: _marked(said, word), failed=lambda said: False)


def _each(
    words: Words,
    order: str,
    texts: Sequence[str],
    rest: Mapping[str, Any],
    line: Callable[[Answer], str],
    *,
    failed: Callable[[Answer], bool],
) -> Exit:
    place = Place.of(words)
    names = place.names(texts)
    ended = Exit.DONE
    with place.peer() as peer:
        for said in peer.carry_out(order, {"names": names, **rest}):
            if failed(said):
                ended = Exit.PARTIAL
            if words["--json"]:
                print_answers([said], sys.stdout)
            else:
                _print(line(said))
    return ended


def _output(text: str | None, *, names: int) -> str:
    """Where to write, absolute: the peer has another working directory."""
    if text is None:
        return ""
    path = os.path.abspath(os.path.expanduser(text))
    if not text or (names > 1 and not os.path.isdir(path)):
        raise UsageError(f"{text!r} is no directory, and {names} files cannot go into one file")
    if not os.path.isdir(os.path.dirname(path)):
        raise UsageError(f"there is no directory {os.path.dirname(path)!r}")
    return path


def _has_reason(said: Answer) -> bool:
    return bool(said["reason"])


def _is_expired(said: Answer) -> bool:
    return bool(said["state"] == CopyState.EXPIRED)


def _got(said: Answer) -> str:
    if said["reason"]:
        return f"- {shown(said['path'])}  {shown(said['reason'])}"
    source = f" from {shown(said['holder'])}" if said["holder"] else ", here already"
    output = f", as {shown(said['output'])}" if said["output"] else ""
    return f"+ {shown(said['path'])}  {size(said['size'])}{source}{output}"


def _freed(said: Answer) -> str:
    if said["reason"]:
        return f"{shown(said['path'])}  kept: {shown(said['reason'])}"
    return f"{shown(said['path'])}  freed" + (f" {size(said['size'])}" if said["size"] else "")  # none of a directory


def _refreshed(said: Answer) -> str:
    reason = f"  {shown(said['reason'])}" if said["reason"] else ""
    return f"{padded(shown(said['state']), _STATE_COLUMNS)}  {shown(said['path'])}{reason}"


def _marked(said: Answer, word: str) -> str:
    return f"{shown(said['path'])}  marked {word}, version {shown(said['version'])}"


def _print(line: str) -> None:
    with output_errors():
        print(line, flush=True)
