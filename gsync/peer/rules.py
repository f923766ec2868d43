"""The rules of what is left alone, as they stand on the disk now: each `.gsyncignore`, and this machine's own.

`read_rules` runs in the scan thread. A file of rules that is being written, or cannot be read now, changes nothing: half of it
would tell everybody of what it was meant to leave out. One in an ignored directory says nothing, as with git. Only what stands
here is read: what others offer is held against their rules once these have arrived. Called by `scanning.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import groupby
from typing import Final

from msgspec import Struct, field

from gsync.core.ignore import (
    IGNORE_FILE,
    LOCAL_IGNORE_FILE,
    NESTED_RULES_MAX,
    RULE_FILES_MAX,
    RULES_MAX_BYTES,
    IgnoreRules,
    RuleFile,
)
from gsync.core.model import Fingerprint
from gsync.core.names import RelPath
from gsync.errors import FileVanished, PathRefused, StorageError
from gsync.storage.filesystem import Folder, OpenFile
from gsync.storage.scanner import may_hide_a_change

SHARED: Final = RelPath.parse(IGNORE_FILE)

_TOO_MANY: Final = (
    f"no more than {RULE_FILES_MAX:,} files of rules and {NESTED_RULES_MAX:,} patterns in subfolders are used"
)


class RulesRead(Struct, frozen=True, kw_only=True):
    """The rules as they were read, and what each file of rules showed then: it need not be read again before that changes."""

    rules: IgnoreRules = field(default_factory=IgnoreRules)
    shown: Mapping[RelPath, Fingerprint] = field(default_factory=dict)
    moving: frozenset[RelPath] = frozenset()
    """Files to be read again soon: they are being written."""
    trouble: str = ""
    """What is not used, in words; "" where all is."""


def no_local_rules() -> bytes:
    """Where this machine has no rules of its own."""
    return b""


def is_rules(path: RelPath) -> bool:
    """Whether a file at `path` holds rules."""
    return path == IGNORE_FILE or path.endswith("/" + IGNORE_FILE)


def read_rules(
    folder: Folder,
    before: RulesRead,
    files: Mapping[RelPath, Fingerprint],
    *,
    now_ns: int,
    clock_ns: Callable[[], int] | None = None,
    local: Callable[[], bytes] = no_local_rules,
) -> RulesRead:
    """The rules of `files`, of those that `before` knows and of the one at the top; what cannot be read now is as `before`."""
    try:
        mine = RuleFile.parse(local())
    except StorageError:
        mine = before.rules.local
    reading = _Reading(folder, before, partial(may_hide_a_change, now_ns=now_ns, clock_ns=clock_ns))
    shared = reading.of(SHARED)
    rules = IgnoreRules(shared, mine)
    shown = {**before.shown, **files}
    nested = sorted(shown.keys() - {SHARED}, key=lambda path: (_depth(path), path))
    count = patterns = 0
    is_full = False
    for _, level in groupby(nested, key=_depth):  # whether one is ignored is said by those around it
        found: dict[RelPath, RuleFile] = {}
        for path in level:
            if rules.is_ignored(path):
                continue
            if is_full:
                reading.shown[path] = shown[path]
                continue
            file = reading.of(path)
            count, patterns = count + 1, patterns + len(file.patterns)
            is_full = count > RULE_FILES_MAX or patterns > NESTED_RULES_MAX
            if not is_full:
                found[RelPath(path.rpartition("/")[0])] = file
        rules = IgnoreRules(shared, mine, {**rules.nested, **found})
    return RulesRead(
        rules=before.rules if rules == before.rules else rules,
        shown=reading.shown,
        moving=frozenset(reading.moving),
        trouble=_TOO_MANY if is_full else _trouble(rules),
    )


class _Reading:
    """One file of rules after the other."""

    def __init__(self, folder: Folder, before: RulesRead, may_move: Callable[[int], bool]) -> None:
        self._folder = folder
        self._before = before
        self._may_move = may_move
        self.shown: dict[RelPath, Fingerprint] = {}
        self.moving: set[RelPath] = set()

    def of(self, path: RelPath) -> RuleFile:
        """What the file at `path` says now."""
        try:
            with self._folder.open(path) as file:
                return self._read(path, file)
        except (FileVanished, PathRefused):
            return RuleFile()
        except StorageError:
            return self._as_before(path)

    def _read(self, path: RelPath, file: OpenFile) -> RuleFile:
        if file.fingerprint == self._before.shown.get(path):
            return self._as_before(path)
        if self._may_move(file.fingerprint.ctime_ns):
            self.moving.add(path)
            return self._as_before(path)
        raw = file.read_at(0, RULES_MAX_BYTES + 1)
        if file.changed():
            self.moving.add(path)
            return self._as_before(path)
        self.shown[path] = file.fingerprint
        return RuleFile.parse(raw)

    def _as_before(self, path: RelPath) -> RuleFile:
        if path in self._before.shown:
            self.shown[path] = self._before.shown[path]
        before = self._before.rules
        if path == SHARED:
            return before.shared
        return before.nested.get(RelPath(path.rpartition("/")[0]), RuleFile())


def _depth(path: RelPath) -> int:
    return path.count("/")


def _trouble(rules: IgnoreRules) -> str:
    files = {IGNORE_FILE: rules.shared, LOCAL_IGNORE_FILE: rules.local}
    files |= {f"{path}/{IGNORE_FILE}": file for path, file in rules.nested.items()}
    return next((f"of the rules in {where!r}: {file.trouble}" for where, file in files.items() if file.trouble), "")
