"""One line of a gitignore file, and which paths it means.

The library that speaks this syntax turns a line into a regular expression that may try for minutes: `*a*a*a*a*b` takes 0.7 s for
one name of 255 bytes, and a line with three `**` 46 s for one deep path. These lines come from other machines, and a regular
expression at work holds up the whole program. So here a star is tried at most once for each place: what stands between two
stars is taken where it first fits, which loses nothing. The tests compare with that library.

Pure; called by `core/ignore.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

_POSIX: Final = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "xdigit": "0-9A-Fa-f",
    "cntrl": r"\x00-\x1f\x7f",
    "graph": "!-~",
    "print": " -~",
}

_ANY: Final = re.compile(".*", re.DOTALL)


class Pattern(Struct, frozen=True, kw_only=True):
    """What one line means: the components to match, None for any number of directories; `negated` takes back what others said."""

    components: tuple[re.Pattern[str] | None, ...]
    directory_only: bool = False
    negated: bool = False
    text: str = ""
    """The line itself, to be shown."""

    @property
    def last(self) -> re.Pattern[str]:
        """The last component of whatever may match: a quick test before the whole one."""
        return self.components[-1] or _ANY

    def matches(self, names: Sequence[str]) -> bool:
        """Whether the path with these components is meant, itself and not only something around it."""
        wanted = self.components
        if not self.last.fullmatch(names[-1]):
            return False  # nearly always; the rest is looked at only then
        here = at = 0
        retry: tuple[int, int] | None = None
        while at < len(names):
            component = wanted[here] if here < len(wanted) else _NOTHING
            if component is None:
                retry = (here + 1, at)
                here += 1
            elif component.fullmatch(names[at]):
                here, at = here + 1, at + 1
            elif retry is not None:  # the last ** takes in one directory more; earlier ones need never be tried again
                here, at = retry[0], retry[1] + 1
                retry = (here, at)
            else:
                return False
        return here == len(wanted)


_NOTHING: Final = re.compile(r"(?!)")


def parse_line(line: str) -> Pattern | None:
    """The pattern that `line` is; None for an empty line, a comment, and what git would not take for a pattern either."""
    text = _without_trailing_spaces(line.removesuffix("\r"))
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text.removeprefix("!")
    directory_only = text.endswith("/")
    text = text.removesuffix("/")
    if not text:
        return None
    anchored = "/" in text
    parts = text.removeprefix("/").split("/")
    components: list[re.Pattern[str] | None] = [] if anchored else [None]
    for part in parts:
        if anchored and len(part) > 1 and not part.strip("*"):
            if not components or components[-1] is not None:
                components.append(None)
            continue
        expression = _component(part)
        if expression is None or not part:
            return None
        components.append(re.compile(expression, re.DOTALL))
    if components[-1] is None:
        components.append(_ANY)  # all that is inside, but not the directory itself
    return Pattern(
        components=tuple(components), directory_only=directory_only, negated=negated, text=line.strip(" \t\r")
    )


def _without_trailing_spaces(line: str) -> str:
    bare = line.rstrip(" ")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if backslashes % 2 and bare != line else bare


def _component(glob: str) -> str | None:
    """The regular expression of one component; None if it can match nothing."""
    pieces = [""]
    at = 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if char == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append("")
        elif char == "?":
            pieces[-1] += "."
        elif char == "\\":
            if at == len(glob):
                return None
            pieces[-1] += re.escape(glob[at])
            at += 1
        elif char == "[":
            found = _bracket(glob, at)
            if found is None:
                return None
            expression, at = found
            pieces[-1] += expression
        else:
            pieces[-1] += re.escape(char)
    first, *others = pieces
    if not others:
        return first
    *between, last = others
    return first + "".join(f"(?>.*?{piece})" for piece in between) + f".*{last}"


def _bracket(glob: str, at: int) -> tuple[str, int] | None:
    """The set of characters that begins after the `[` before `at`, and where it ends; None if it never does."""
    negated = glob[at : at + 1] in ("!", "^")
    at += negated
    members: list[str] = []
    first = True
    while True:
        if at >= len(glob):
            return None
        char = glob[at]
        if char == "]" and not first:
            break
        first = False
        if glob.startswith("[:", at) and (end := glob.find(":]", at + 2)) > 0:
            name = glob[at + 2 : end]
            if name not in _POSIX:
                return None
            members.append(_POSIX[name])
            at = end + 2
            continue
        low, at = _member(glob, at)
        if glob[at : at + 1] == "-" and glob[at + 1 : at + 2] not in ("]", ""):
            high, at = _member(glob, at + 1)
            if low and high and low <= high:
                members.append(f"{re.escape(low)}-{re.escape(high)}")
            continue
        members.append(re.escape(low))
    inside = "".join(members)
    if negated:
        return (f"[^{inside}]" if inside else "."), at + 1
    return (f"[{inside}]" if inside else "(?!)"), at + 1


def _member(glob: str, at: int) -> tuple[str, int]:
    """One character of a set, a backslash before it taken off, and the place after it."""
    if glob[at] == "\\" and at + 1 < len(glob):
        return glob[at + 1], at + 2
    return glob[at], at + 1
