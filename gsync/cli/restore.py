"""`gsync restore <name>...`: gets replaced or deleted files back from the trash, whether a peer runs here or not."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from gsync.cli.exits import Exit, NotRunningHere, output_errors
from gsync.cli.jsonlines import print_answers
from gsync.cli.place import COMMON_OPTIONS, Place
from gsync.cli.text import shown, size
from gsync.cli.usage import Words, parse
from gsync.core.names import RelPath
from gsync.storage.disk import DiskFolder
from gsync.storage.restoring import Restorer
from gsync.storage.trash_bin import TrashBin
from gsync.web.answers import Answer, answer

TEXT: Final = f"""Copy files back from the trash, where gsync puts what it replaces or deletes.

It works while no gsync runs here, too.

Usage:
  gsync restore --list [<name>] [options]
  gsync restore <name>... [--at=BOX] [options]

Options:
  --list         Show what lies in the trash, the newest first
  --at=BOX       Take the version from this box, instead of the newest one
{COMMON_OPTIONS}
The copy is an edit like any other. What stands in its place now goes to the trash.
<name> is a file; or a directory, which means everything in it that is not there now.
"""

_SIZE_COLUMNS: Final = 10


def main(argv: Sequence[str]) -> Exit:
    """List or restore; the exit code, 4 for a name that is not in the trash."""
    words = parse(TEXT, ["restore", *argv], command="restore")
    place = Place.of(words)
    return _list(words, place) if words["--list"] else _restore(words, place)


def _list(words: Words, place: Place) -> Exit:
    beneath = place.name(words["<name>"][0]) if words["<name>"] else None
    with place.own() as own_fd:
        for one in TrashBin(own_fd).trashed(beneath=beneath):
            _print(words, answer(one), f"{one.box:32}  {size(one.size):>{_SIZE_COLUMNS}}  {shown(one.path)}")
    return Exit.DONE


def _restore(words: Words, place: Place) -> Exit:
    names, box = place.names(words["<name>"]), words["--at"] or ""
    try:
        with place.peer() as peer:
            for said in peer.carry_out("restore", {"names": names, "box": box}):
                _tell(words, said)
    except NotRunningHere:
        for said in _by_ourselves(place, names, box):
            _tell(words, said)
    return Exit.DONE


def _by_ourselves(place: Place, names: list[RelPath], box: str) -> Iterator[Answer]:
    """The same without a peer. The folder is locked meanwhile, so that none can start in between."""
    with place.own() as own_fd, DiskFolder(place.folder) as folder:
        restorer = Restorer(folder, TrashBin(own_fd), wall_ns=time.time_ns)
        for one in restorer.meant(names, box=box):
            yield answer(restorer.restore(one))


def _tell(words: Words, said: Answer) -> None:
    displaced = f"; what stood there is at {shown(said['displaced'])}" if said["displaced"] else ""
    _print(words, said, f"+ {shown(said['path'])}  from {said['box']}{displaced}")


def _print(words: Words, said: dict[str, Any], line: str) -> None:
    if words["--json"]:
        print_answers([said], sys.stdout)
        return
    with output_errors():
        print(line)
