"""Which names are never synced: what editors and crashes leave behind, and what a person's own rules name.

Three sources, the later one has the last word: the short list of `docs/PROTOCOL.md`; `.gsyncignore`, in gitignore's syntax,
which is synced like any file, so that all machines agree; and `.gsync/ignore`, this machine's own. As with git, a `.gsyncignore`
in a subfolder speaks of what is in that folder, and a deeper one has the last word. What stands in an ignored directory is
ignored, whatever the rules say of it, and rules in there say nothing. A `.gsyncignore` elsewhere never is.

Pure; asked by the indexer (never announced) and by the planner (never fetched, never removed).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.core.patterns import Pattern, parse_line

DEFAULT_PATTERNS: Final = ("core.[0-9]* (at the top)", "*~", ".*.sw?", ".#*", "4913")
"""The list in a person's words; 4913 is the name with which vim tries whether a folder is writable. Never a directory."""

IGNORE_FILE: Final = ".gsyncignore"
"""The rules that all machines share: of the folder it stands in, and all in that."""

LOCAL_IGNORE_FILE: Final = ".gsync/ignore"
"""The rules of this machine alone."""

RULES_MAX_BYTES: Final = 64 * 1024
"""Of a file of rules; what comes after it is not used. It comes from other machines, and each name is held against all of it."""

RULES_MAX: Final = 1000
"""Patterns of a file; the same."""

RULE_FILES_MAX: Final = 1000
"""Files of rules in subfolders that are used, those nearest to the top first; others are not, and that is said."""

NESTED_RULES_MAX: Final = 10_000
"""Patterns of all of these together; the same. Each is kept as a regular expression, which takes time and room to make."""

_DIRECTORIES_REMEMBERED: Final = 10_000

_IGNORED: Final = re.compile(r"(?:.*~|\..*\.sw.|\.#.*|4913)", re.DOTALL)
_IGNORED_AT_TOP: Final = re.compile(r"core\.[0-9].*", re.DOTALL)
_FIRST_LETTERS: Final = ".4c"
"""With which such a name begins, unless it ends with a tilde: a folder has 100,000 names, and nearly all of them are others."""


def is_ignored(path: RelPath, kind: Kind = Kind.FILE) -> bool:
    """Whether `path` is left alone where a person gave no rules: not announced, not fetched, not removed."""
    if kind is Kind.DIRECTORY:
        return False
    parent, _, name = path.rpartition("/")
    if _IGNORED.fullmatch(name):
        return True
    return not parent and kind is Kind.FILE and _IGNORED_AT_TOP.fullmatch(path) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """The rules of one file, and in words what of it is not used ("" if all is)."""

    patterns: tuple[Pattern, ...] = ()
    trouble: str = ""
    maybe: re.Pattern[str] | None = field(default=None, compare=False, repr=False)
    """Matches the last name of all that any of the patterns may name: most names are done with at once."""

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
        patterns = patterns[:RULES_MAX]
        return cls(patterns=tuple(patterns), trouble=trouble, maybe=_union(one.last.pattern for one in patterns))


class _Placed(Struct, frozen=True):
    """A file of rules, the directory it speaks of with a slash at its end ("" at the top), and where it stands, for people."""

    file: RuleFile
    base: str
    where: str

    def naming(self, path: RelPath, kind: Kind) -> Pattern | None:
        """The last of its patterns that names `path`, which lies in its directory."""
        if self.file.maybe is None or not self.file.maybe.fullmatch(path.name):
            return None
        names = path[len(self.base) :].split("/")
        for pattern in reversed(self.file.patterns):
            if (not pattern.directory_only or kind is Kind.DIRECTORY) and pattern.matches(names):
                return pattern
        return None


class _Within(Struct, frozen=True):
    """What holds for everything in a directory: it is ignored, or these files speak of it, the one with the last word first."""

    is_ignored: bool
    files: tuple[_Placed, ...] = ()


class IgnoreRules:
    """What is left alone in a folder with these rules; a value that remembers what it decided about directories.

    `nested` has the rules of subfolders, by the path of the folder.
    """

    def __init__(
        self,
        shared: RuleFile | None = None,
        local: RuleFile | None = None,
        nested: Mapping[RelPath, RuleFile] | None = None,
    ) -> None:
        self.shared: Final = shared or RuleFile()
        self.local: Final = local or RuleFile()
        self.nested: Final = {path: file for path, file in (nested or {}).items() if file.patterns or file.trouble}
        own = _Placed(self.local, "", LOCAL_IGNORE_FILE)
        top = _Placed(self.shared, "", IGNORE_FILE)
        self._everywhere = tuple(one for one in (own, top) if one.file.patterns)
        self._has_own = bool(self.local.patterns)
        self._nested = {
            str(path): _Placed(file, f"{path}/", f"{path}/{IGNORE_FILE}")
            for path, file in self.nested.items()
            if file.patterns
        }
        self._directories: dict[str, _Within] = {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IgnoreRules):
            return False
        return (self.shared, self.local, self.nested) == (other.shared, other.local, other.nested)

    __hash__ = None  # type: ignore[assignment]

    def is_ignored(self, path: RelPath, kind: Kind = Kind.FILE) -> bool:
        """Whether what stands at `path` is left alone: not announced, not fetched, not removed; nor is anything in it."""
        parent, _, name = path.rpartition("/")
        within = self._directories.get(parent) or self._within(parent)
        if not within.files and name[0] not in _FIRST_LETTERS and name[-1] != "~":
            return within.is_ignored
        return within.is_ignored or _is_named(path, kind, within.files)

    def rule_for(self, path: RelPath, kind: Kind = Kind.FILE) -> str:
        """The rule by which `is_ignored` says yes, and where it stands; "" where it says no. Takes its time: for people."""
        ends = [place for place, char in enumerate(path) if char == "/"]
        for directory in (RelPath(path[:end]) for end in ends):
            rule = self._rule_naming(directory, Kind.DIRECTORY)
            if rule:
                return f"{rule}, which names {directory}/"
        return self._rule_naming(path, kind)

    def _rule_naming(self, path: RelPath, kind: Kind) -> str:
        files = self._within(path.rpartition("/")[0]).files
        if not _is_named(path, kind, files):
            return ""
        for placed in files:
            pattern = placed.naming(path, kind)
            if pattern is not None:
                return f"{pattern.text} in {placed.where}"
        always = [glob for glob in DEFAULT_PATTERNS if fnmatchcase(path.name, glob)]
        return f"{(always or DEFAULT_PATTERNS)[0]}, which is never synced"

    def _within(self, directory: str) -> _Within:
        """What holds in `directory` ("": at the top), by itself or by one around it."""
        within = _Within(False, self._everywhere)
        ends = [place for place, char in enumerate(directory) if char == "/"]
        around = [directory[:end] for end in ends] + [directory] if directory else []
        for one in around:
            if _is_named(RelPath(one), Kind.DIRECTORY, within.files):
                within = _Within(True)
                break
            if one in self._nested:
                within = _Within(False, self._with_last_word(self._nested[one], within.files))
        if len(self._directories) >= _DIRECTORIES_REMEMBERED:
            self._directories.clear()
        self._directories[directory] = within
        return within

    def _with_last_word(self, placed: _Placed, files: tuple[_Placed, ...]) -> tuple[_Placed, ...]:
        """`placed` before the others, but after this machine's own."""
        own = 1 if self._has_own else 0
        return (*files[:own], placed, *files[own:])


def _is_named(path: RelPath, kind: Kind, files: Iterable[_Placed]) -> bool:
    """What the rules say of this very path."""
    for placed in files:
        pattern = placed.naming(path, kind)
        if pattern is not None:
            return not pattern.negated and path.name != IGNORE_FILE
    return is_ignored(path, kind)


def _union(expressions: Iterable[str]) -> re.Pattern[str] | None:
    """One regular expression that matches what any of them does: most names match none, and are done with at once."""
    joined = "|".join(f"(?:{expression})" for expression in dict.fromkeys(expressions))
    return re.compile(joined, re.DOTALL) if joined else None
