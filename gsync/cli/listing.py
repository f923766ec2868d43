"""`gsync ls`, `gsync peers`, `gsync log`: lists of what a peer knows, a line each."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from gsync.cli.exits import Exit, output_errors
from gsync.cli.jsonlines import print_answers
from gsync.cli.place import COMMON_OPTIONS, Place
from gsync.cli.text import padded, shown, size, table
from gsync.cli.usage import choice_of, parse, whole_of
from gsync.core.copies import CopyState
from gsync.core.status import State
from gsync.errors import ConfigError, UnknownName
from gsync.web.answers import Answer
from gsync.web.client import Client

LS_TEXT: Final = f"""List every path that is known here, and how it stands: {", ".join(State)}.

Usage:
  gsync ls [<name>] [options]

Options:
  --state=STATES  Only paths that stand so; several with commas between: --state=stale,missing
                 Where the gsync here has neighbours, a second word says how far the copy here can be believed:
                 {", ".join(CopyState)}
{COMMON_OPTIONS}
<name> is a file, or a directory with all that is in it.
"""

PEERS_TEXT: Final = f"""List the other peers that offer files now: how many, and how many that nobody else has.

Usage:
  gsync peers [options]

Options:
{COMMON_OPTIONS}"""

LOG_TEXT: Final = f"""List what happened last in the gsync that runs here, the latest at the end.

Usage:
  gsync log [options]

Options:
  --last=N       So many lines at most [default: 50]
{COMMON_OPTIONS}"""

MOST_LINES: Final = 10_000

_STATE_COLUMNS: Final = max(len(state) for state in State)
_COPY_COLUMNS: Final = max(len(state) for state in CopyState)
_SIZE_COLUMNS: Final = 10
_BILLION: Final = 1_000_000_000


def ls(argv: Sequence[str]) -> Exit:
    """List paths; the exit code, 4 for a name of which nothing is known."""
    words = parse(LS_TEXT, ["ls", *argv], command="ls")
    place = Place.of(words)
    states = _states(words["--state"])
    query = (
        {} if words["<name>"] is None or _is_all(place, words["<name>"]) else {"beneath": place.name(words["<name>"])}
    )
    known = False
    with place.peer() as peer:
        copies = {copy["path"]: copy for copy in peer.list("copies", **query)}
        for entry in peer.list("ls", **query):
            known = True
            copy = copies.get(entry["path"])
            if states and entry["state"] not in states and (copy is None or copy["state"] not in states):
                continue
            if words["--json"]:
                print_answers([entry if copy is None else {**entry, "copy": copy}], sys.stdout)
            else:
                _print([_line(entry, copy, with_copies=bool(copies))])
    if query and not known:
        raise UnknownName(f"nothing is known of {query['beneath']}", advice="see what there is: gsync ls")
    return Exit.DONE


def peers(argv: Sequence[str]) -> Exit:
    """List the others; the exit code."""
    words = parse(PEERS_TEXT, ["peers", *argv], command="peers")
    with Place.of(words).peer() as peer:
        found = list(peer.list("peers"))
        neighbours = _neighbours(peer)
    if words["--json"]:
        print_answers([*found, *({"v": one["v"], "neighbour": one["name"], **one} for one in neighbours)], sys.stdout)
        return Exit.DONE
    if found:
        rows = [
            (one["endpoint"], one["dialect"], f"{one['offers']}", f"{one['only']}", one["trouble"]) for one in found
        ]
        _print(table([("address", "speaks", "names", "only there", ""), *rows], right=frozenset({2, 3})))
    if neighbours:
        links = [(one["name"], one["endpoint"] or "-", "up" if one["is_up"] else one["reason"]) for one in neighbours]
        _print(table([("neighbour", "address", "link"), *links]))
    return Exit.DONE


def log(argv: Sequence[str]) -> Exit:
    """List what happened; the exit code."""
    words = parse(LOG_TEXT, ["log", *argv], command="log")
    last = whole_of(words["--last"], what="number of lines", lowest=1, highest=MOST_LINES)
    with Place.of(words).peer() as peer:
        happened = list(peer.list("log", last=str(last)))
    if words["--json"]:
        print_answers(happened, sys.stdout)
    elif happened:
        _print(table([(moment(one["time_s"]), one["event"], _facts(one["facts"])) for one in happened]))
    return Exit.DONE


def moment(time_s: float) -> str:
    """A time of the wall clock, in UTC."""
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # a disk may say any number
        return "-"


def _states(text: str | None) -> frozenset[str]:
    if text is None:
        return frozenset()
    known = [*(state.value for state in State), *(state.value for state in CopyState)]
    return frozenset(choice_of(word, known, what="state") for word in text.split(","))


def _neighbours(peer: Client) -> list[Answer]:
    """The neighbours in the overlay; none where there is no overlay."""
    try:
        said = peer.get("overlay")
    except ConfigError:
        return []
    return [{"v": said["v"], **one} for one in said["neighbours"]]


def _is_all(place: Place, text: str) -> bool:
    return (place.base / text).resolve() == place.folder.resolve()


def _line(entry: Answer, copy: Answer | None, *, with_copies: bool) -> str:
    """One path. The columns have fixed widths, because lines are printed as they come."""
    name = shown(entry["path"]) + ("/" if entry["kind"] == "directory" else "@" if entry["kind"] == "link" else "")
    big = size(entry["size"]) if entry["kind"] == "file" else "-"
    holders = len(entry["holders"])
    state, when = entry["state"], moment(entry["mtime_ns"] // _BILLION) if entry["mtime_ns"] else "-"
    if with_copies:
        believed = padded("-" if copy is None else shown(copy["state"]), _COPY_COLUMNS)
        state = f"{state:{_STATE_COLUMNS}}  {believed}"
        name += f"  of {shown(copy['origin'])}" if copy is not None and copy["origin"] else ""
    return f"{state:{_STATE_COLUMNS}}  {big:>{_SIZE_COLUMNS}}  {when:19}  {holders:>3}  {name}"


def _facts(facts: dict[str, object]) -> str:
    """The path first, for that is what is looked for."""
    path = facts.get("path")
    told = {name: value for name, value in facts.items() if name != "path" and value not in (None, "")}
    rest = " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in told.items()
    )
    return f"{path}  {rest}" if path is not None else rest


def _print(lines: Iterable[str]) -> None:
    with output_errors():
        for line in lines:
            print(line)
