"""The rules of what is left alone, as they stand on the disk now: `.gsyncignore`, and this machine's own.

`read` runs in the scan thread. A file of rules that is being written, or cannot be read now, changes nothing: half of it would
tell everybody of what it was meant to leave out. Called by the indexer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gsync.core.ignore import IGNORE_FILE, RULES_MAX_BYTES, IgnoreRules, RuleFile
from gsync.core.names import RelPath
from gsync.errors import FileVanished, PathRefused, StorageError
from gsync.storage.filesystem import Folder
from gsync.storage.scanner import SETTLED_NS

SHARED: Final = RelPath.parse(IGNORE_FILE)


def no_local_rules() -> bytes:
    """Where this machine has no rules of its own."""
    return b""


def read_rules(
    folder: Folder, before: IgnoreRules, *, now_ns: int, local: Callable[[], bytes] = no_local_rules
) -> tuple[IgnoreRules, bool]:
    """The rules as they stand, and whether they must be read again soon; `before` stays where they cannot be read now."""
    try:
        mine = RuleFile.parse(local())
    except StorageError:
        mine = before.local
    try:
        with folder.open(SHARED) as file:
            if abs(now_ns - file.fingerprint.ctime_ns) < SETTLED_NS:
                return before, True
            raw = file.read_at(0, RULES_MAX_BYTES + 1)
            if file.changed():
                return before, True
    except (FileVanished, PathRefused):
        raw = b""
    except StorageError:
        return before, False
    rules = IgnoreRules(RuleFile.parse(raw), mine)
    return (before if rules == before else rules), False
