"""From words on the command line to what docopt understood: one text a command, and help for the one who mistyped.

The first word picks the command before docopt runs (in one combined text `gsync tracker 9000` would parse as an ip and a
port); docopt then parses that command's own text. The docopt dict goes no further than the command's `config` function.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from gsync import __version__
from gsync.cli.exits import UsageError
from gsync.core.names import Endpoint
from gsync.errors import NameRefused

Words = Mapping[str, Any]
"""What docopt makes of a command line."""

_ENDS_IN_A_QUESTION = re.compile(
    r"\bgsync (ls|status|conflicts( keep .+)?|release|resume|scan|search [^`:;]+|restore --list)$"
)
"""A command to paste that looks at a running peer, at the end of an advice, and has no folder yet."""

PROGRAM_VARIABLE = "GSYNC_COMMAND"
"""In the environment: what to type for `gsync` here, where it is not on the PATH."""

_CALLED = re.compile(r"(?<![\w/.-])(?<!there: )(?<!own machine: )gsync(?= [a-z0-9<-])(?! again)")
"""The program in a command of an advice; not of one that is for another machine."""


class Told(Exception):  # not an error: the way out of docopt once help or a version was asked for
    """The answer to `--help` or `--version`, to be printed on stdout."""


def parse(text: str, argv: Sequence[str], *, command: str) -> Words:
    """What `argv` says by the docopt `text`; UsageError in one line with a did-you-mean, Told for --help and --version."""
    from docopt import DocoptExit, docopt

    if any(word in ("-h", "--help") for word in argv):
        raise Told(text.strip())
    if "--version" in argv:
        raise Told(f"gsync {__version__}")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return docopt(text, argv=list(argv), default_help=False)
    except DocoptExit:
        raise UsageError(_what_is_wrong(text, argv), advice=f"gsync {command} --help".replace("  ", " ")) from None


def _what_is_wrong(text: str, argv: Sequence[str]) -> str:
    known = sorted(set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text)))
    for word in argv:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in known:
            return f"there is no option {option!r}{did_you_mean(option, known)}"
    given = [word.partition("=")[0] for word in argv if word.startswith("--") and word != "--"]
    for option in given:
        if given.count(option) > 1:
            return f"{option} is given {given.count(option)} times; once is what it takes"
    usage = [line.strip() for line in text.partition("Usage:")[2].splitlines() if line.strip().startswith("gsync")]
    return f"that is not how this command is used; it is: {usage[0]}"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A clause that names the nearest known word, or nothing."""
    bare = {one.lstrip("-"): one for one in known}  # two dashes are no likeness
    near = difflib.get_close_matches(word.lstrip("-"), bare, n=1, cutoff=0.6)
    return f"; did you mean {str(bare[near[0]])!r}?" if near else ""


def aimed(advice: str, folder: str | None) -> str:
    """`advice` with `folder` (None: the working directory) in the command at its end, so that it is right wherever it is pasted.

    Its commands begin as this gsync can be called here: `bin/gsync` says how, in PROGRAM_VARIABLE.
    """
    if folder is not None and _ENDS_IN_A_QUESTION.search(advice):
        advice = f"{advice} --dir={shlex.quote(folder)}"
    program = os.environ.get(PROGRAM_VARIABLE, "gsync")
    return advice if program == "gsync" else _CALLED.sub(lambda _: shlex.quote(program), advice)


def port_of(text: str, *, what: str = "port", lowest: int = 1) -> int:
    """The port that `text` spells, else UsageError."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not lowest <= int(text) <= 65535:
        raise UsageError(f"{text!r} is no {what}: a whole number from {lowest} to 65535")
    return int(text)


def number_of(text: str, *, what: str, lowest: float, highest: float) -> float:
    """The number that `text` spells, within its bounds, else UsageError."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not lowest <= value <= highest:
        raise UsageError(f"{text!r} is no {what}: a number from {lowest:g} to {highest:g}")
    return value


def whole_of(text: str, *, what: str, lowest: int, highest: int) -> int:
    """The whole number that `text` spells, within its bounds, else UsageError."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
        raise UsageError(f"{text!r} is no {what}: a whole number from {lowest} to {highest}")
    return int(text)


_RATE_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_RATE_LOWEST = 1024


def rate_of(text: str, *, what: str = "rate") -> int:
    """The bytes a second that `text` spells: a number, or one with K, M or G, each 1,024 times the one before; else UsageError."""
    spelled = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([KMG]?)", text.strip().upper())
    rate = int(float(spelled[1]) * _RATE_UNITS[spelled[2]]) if spelled else 0
    if rate < _RATE_LOWEST:
        raise UsageError(f"{text!r} is no {what}: bytes a second, from 1K on, such as 500K, 1.5M or 1G")
    return rate


def choice_of(text: str, known: Sequence[str], *, what: str) -> str:
    """`text` if it is one of `known`, else UsageError."""
    if text not in known:
        raise UsageError(f"{text!r} is no {what}: one of {', '.join(known)}{did_you_mean(text, known)}")
    return text


def endpoint_of(host: str, port: str, *, resolve: Any) -> Endpoint:
    """The tracker that `<ip> <port>` names; a host name is resolved once. UsageError says when the two are swapped."""
    if re.fullmatch(r"[0-9]{1,5}", host) and not re.fullmatch(r"[0-9]{1,5}", port):
        raise UsageError("the address comes first, then the port", advice=f"gsync {port} {host}")
    number = port_of(port)
    try:
        endpoint = Endpoint.parse(host, number)
    except NameRefused:
        endpoint = Endpoint.parse(resolve(host), number)
    if endpoint.ip in ("0.0.0.0", "::"):
        raise UsageError(
            f"{endpoint.ip} is no address that a tracker can be reached at",
            advice=f"on the tracker's own machine: gsync 127.0.0.1 {number}",
        )
    return endpoint
