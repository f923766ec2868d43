"""Which names are never synced: what editors and crashes leave behind, and what a person's own rules name.

Three sources, the later one has the last word: the short list of `docs/PROTOCOL.md`; `.gsyncignore` at the top of the folder,
in gitignore's syntax, which is synced like any file, so that all machines agree; and `.gsync/ignore`, this machine's own. A
`.gsyncignore` in a subfolder is a file like others. What stands in an ignored directory is ignored, whatever the rules say
of it. `.gsyncignore` itself never is.

Pure; asked by the indexer (never announced) and by the planner (never fetched, never removed).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.core.patterns import Pattern, parse_line

DEFAULT_PATTERNS: Final = ("core.[0-9]* (at the top)", "*~", ".*.sw?", ".#*", "4913")
"""The list in a person's words; 4913 is the name with which vim tries whether a folder is writable. Never a directory."""

IGNORE_FILE: Final = ".gsyncignore"
"""The rules that all machines share; at the top of the folder."""

LOCAL_IGNORE_FILE: Final = ".gsync/ignore"
"""The rules of this machine alone."""

RULES_MAX_BYTES: Final = 64 * 1024
"""Of a file of rules; what comes after it is not used. It comes from other machines, and each name is held against all of it."""

RULES_MAX: Final = 1000
"""Patterns of a file; the same."""

_DIRECTORIES_REMEMBERED: Final = 10_000

_IGNORED: Final = re.compile(r"(?:.*~|\..*\.sw.|\.#.*|4913)", re.DOTALL)
_IGNORED_AT_TOP: Final = re.compile(r"core\.[0-9].*", re.DOTALL)


def is_ignored(path: RelPath, kind: Kind = Kind.FILE) -> bool:
    """Whether `path` is left alone where a person gave no rules: not announced, not fetched, not removed."""
    if kind is Kind.DIRECTORY:
        return False
    if _IGNORED.fullmatch(path.name):
        return True
    return kind is Kind.FILE and "/" not in path and _IGNORED_AT_TOP.fullmatch(path) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """The rules of one file, and in words what of it is not used ("" if all is)."""

    patterns: tuple[Pattern, ...] = ()
    trouble: str = ""

    @classmethod
    def parse(cls, raw: bytes) -> RuleFile:
        """Total: what is no pattern is passed over; give it one byte more than RULES_MAX_BYTES of a longer file."""
        trouble = ""
        if len(raw) > RULES_MAX_BYTES:
            trouble = f"it is longer than {RULES_MAX_BYTES // 1024} KiB; the rest is not used"
            raw = raw[:RULES_MAX_BYTES].rpartition(b"\n")[0]
        text = raw.decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")
        patterns = [pattern for line in text.split("\n") if (pattern := parse_line(line)) is not None]
        if len(patterns) > RULES_MAX:
            trouble = f"it has more than {RULES_MAX} patterns; the rest is not used"
        return cls(patterns=tuple(patterns[:RULES_MAX]), trouble=trouble)


class IgnoreRules:
    """What is left alone in a folder with these rules; a value that remembers what it decided about directories."""

    def __init__(self, shared: RuleFile | None = None, local: RuleFile | None = None) -> None:
        self.shared: Final = shared or RuleFile()
        self.local: Final = local or RuleFile()
        self._patterns = (*self.shared.patterns, *self.local.patterns)
        self._maybe = _union(pattern.last.pattern for pattern in self._patterns)
        self._directories: dict[str, bool] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IgnoreRules) and (self.shared, self.local) == (other.shared, other.local)

    __hash__ = None  # type: ignore[assignment]

    def is_ignored(self, path: RelPath, kind: Kind = Kind.FILE) -> bool:
        """Whether what stands at `path` is left alone: not announced, not fetched, not removed; nor is anything in it."""
        parent = path.rpartition("/")[0]
        if parent and self._is_directory_ignored(parent):
            return True
        return self._is_named(path, kind)

    def rule_for(self, path: RelPath, kind: Kind = Kind.FILE) -> str:
        """The rule by which `is_ignored` says yes, and where it stands; "" where it says no. Takes its time: for people."""
        ends = [place for place, char in enumerate(path) if char == "/"]
        for directory in (RelPath(path[:end]) for end in ends):
            rule = self._rule_naming(directory, Kind.DIRECTORY)
            if rule:
                return f"{rule}, which names {directory}/"
        return self._rule_naming(path, kind)

    def _rule_naming(self, path: RelPath, kind: Kind) -> str:
        if not self._is_named(path, kind):
            return ""
        names = path.split("/")
        for number, pattern in reversed(list(enumerate(self._patterns))):
            if (not pattern.directory_only or kind is Kind.DIRECTORY) and pattern.matches(names):
                where = IGNORE_FILE if number < len(self.shared.patterns) else LOCAL_IGNORE_FILE
                return f"{pattern.text} in {where}"
        always = [glob for glob in DEFAULT_PATTERNS if fnmatchcase(path.name, glob)]
        return f"{(always or DEFAULT_PATTERNS)[0]}, which is never synced"

    def _is_directory_ignored(self, directory: str) -> bool:
        """Whether it, or a directory around it, is named by the rules."""
        known = self._directories.get(directory)
        if known is None:
            ends = [place for place, char in enumerate(directory) if char == "/"]
            around = [directory[:end] for end in ends] + [directory]
            known = any(self._is_named(RelPath(one), Kind.DIRECTORY) for one in around)
            if len(self._directories) >= _DIRECTORIES_REMEMBERED:
                self._directories.clear()
            self._directories[directory] = known
        return known

    def _is_named(self, path: RelPath, kind: Kind) -> bool:
        """What the rules say of this very path."""
        if self._maybe is not None and self._maybe.fullmatch(path.name):
            names = path.split("/")
            for pattern in reversed(self._patterns):
                if (not pattern.directory_only or kind is Kind.DIRECTORY) and pattern.matches(names):
                    return not pattern.negated and path != IGNORE_FILE
        return is_ignored(path, kind)


def _union(expressions: Iterable[str]) -> re.Pattern[str] | None:
    """One regular expression that matches what any of them does: most names match none, and are done with at once."""
    joined = "|".join(f"(?:{expression})" for expression in dict.fromkeys(expressions))
    return re.compile(joined, re.DOTALL) if joined else None
