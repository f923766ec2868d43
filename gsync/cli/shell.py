"""`gsync shell`: a prompt for the commands that ask a running peer, with completion and history.

Each line is a command line without `gsync` in front, carried out as if it had been typed in a shell; the prompt itself decides
nothing and knows nothing of the peer, but for the names that it completes. The history lies beside other programs' state, never
in a folder that is synced.
"""

from __future__ import annotations

import cmd
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

from gsync.cli import main as roof
from gsync.cli.exits import Exit
from gsync.cli.place import Place
from gsync.cli.text import shown
from gsync.cli.usage import parse
from gsync.core.copies import Mode
from gsync.errors import GsyncError

TEXT: Final = """A prompt in the folder: the other commands without `gsync` in front, with completion (Tab) and history.

Usage:
  gsync shell [options]

Options:
  --dir=DIR      The folder; the working directory, or the nearest one above it that gsync keeps, if not given
  --version      Print the version
  -h, --help     Print this

`help` lists the commands, `help ls` explains one; `quit` or Ctrl-D ends. A line that begins with # is a remark.
"""

NOT_AT_A_PROMPT: Final = ("run", "tracker", "demo", "stress", "lab", "shell")
"""What has no place at a prompt: these commands do not ask a running peer."""

HISTORY_LINES: Final = 1000

NAMES_LOOKED_AT: Final = 20_000
"""One Tab looks at so many names at most, to be there before a person wonders."""


def main(argv: Sequence[str]) -> Exit:
    """Take commands until the end of the input; the exit code is that of the last one."""
    words = parse(TEXT, ["shell", *argv], command="shell")
    place = Place.of(words)
    with place.peer() as peer:  # where no peer runs, a prompt is of no use
        peer.get("status")
    prompt = Prompt(
        run=roof.run_command,
        names=lambda: _names(place),
        options=[] if words["--dir"] is None else [f"--dir={words['--dir']}"],
        is_a_person=sys.stdin.isatty(),
    )
    with _History(_history_file(os.environ)) if sys.stdin.isatty() else nullcontext():
        prompt.cmdloop()
    return prompt.ended


class Prompt(cmd.Cmd):
    """Lines in, commands out."""

    def __init__(
        self,
        *,
        run: Callable[[Sequence[str]], int],
        names: Callable[[], Iterable[str]],
        options: Sequence[str] = (),
        is_a_person: bool = True,
    ) -> None:
        super().__init__()
        self.prompt = "gsync> " if is_a_person else ""
        self.intro = "`help` lists the commands; Ctrl-D ends." if is_a_person else None
        self.ended = Exit.DONE
        self._run = run
        self._path_names = names
        self._options = list(options)
        self._ends: list[str] = []
        self._words = [word for word in roof.COMMANDS if word not in NOT_AT_A_PROMPT]

    def cmdloop(self, intro: Any = None) -> None:
        """As usual, but Ctrl-C only gives up the line."""
        while True:
            try:
                return super().cmdloop(intro)
            except KeyboardInterrupt:
                print()
                self.intro = None

    def onecmd(self, line: str) -> bool:
        """Carry out one line; whether it was the last one."""
        if line == "EOF":  # cmd's word for the end of the input
            if self.prompt:
                print()
            return True
        try:
            words = [] if line.lstrip().startswith("#") else shlex.split(line)
        except ValueError as error:
            print(f"gsync: {str(error).lower()}", file=sys.stderr)
            self.ended = Exit.USAGE
            return False
        if not words:
            return False
        if words[0] in ("quit", "exit"):
            return True
        if words[0] in ("help", "?"):
            self._help(words[1:])
        elif words[0] in self._words:
            self.ended = Exit(self._run([*words, *self._options]))
        else:
            print(f"gsync: there is no command {words[0]!r} here; `help` lists them", file=sys.stderr)
            self.ended = Exit.USAGE
        return False

    def complete(self, text: str, state: int) -> Any:
        """As usual, but that a word which is the only one left is ended with a blank, as in a shell."""
        if not state:
            super().complete(text, state)
            self._ends = list(self.completion_matches or ())
            if len(self._ends) == 1 and not self._ends[0].endswith("/"):
                self._ends[0] += " "
        return self._ends[state] if state < len(self._ends) else None

    def completenames(self, text: str, *_: Any) -> list[str]:
        """The commands that begin so."""
        return [word for word in (*self._words, "help", "quit") if word.startswith(text)]

    def completedefault(self, text: str, line: str, begidx: int, endidx: int) -> list[str]:
        """What may stand at this place of a command: a mode, or a name in the folder."""
        before = line[:begidx].split()
        if before == ["help"]:
            return [word for word in self._words if word.startswith(text)]
        if before == ["mode"]:
            return [mode.value for mode in Mode if mode.value.startswith(text)]
        if before == ["mark"]:
            return [word for word in ("valid", "invalid") if word.startswith(text)]
        try:
            return completed(line[:endidx], begidx, islice(self._path_names(), NAMES_LOOKED_AT))
        except GsyncError:  # no peer any more: the command itself will say so
            return []

    def _help(self, words: Sequence[str]) -> None:
        if words and words[0] in self._words:
            self._run([words[0], "--help"])
        else:
            print("  ".join(self._words))
            print("`help <command>` explains one, `quit` ends.")


def completed(line: str, begin: int, names: Iterable[str]) -> list[str]:
    """What can follow `begin` in `line` so that its last word becomes one of `names`, up to the next / as in a shell.

    readline takes a blank for the end of a word; here one with a backslash before it is none.
    """
    start = _start_of_last_word(line)
    typed = line[start:].replace("\\", "")
    ends = {_up_to_slash(name, len(typed)) for name in names if name.startswith(typed)}
    # A directory that has something in it is offered as the way there alone; without the / it need not be typed.
    return sorted(escaped(end)[begin - start :] for end in ends if f"{end}/" not in ends)


def escaped(name: str) -> str:
    """`name` as one word of a command line."""
    return "".join(f"\\{c}" if c in " \\'\"" else c for c in name)


def _start_of_last_word(line: str) -> int:
    blanks = [at for at, c in enumerate(line) if c in " \t" and (at == 0 or line[at - 1] != "\\")]
    return blanks[-1] + 1 if blanks else 0


def _up_to_slash(name: str, begin: int) -> str:
    at = name.find("/", begin)
    return name if at < 0 else name[: at + 1]


def _names(place: Place) -> Iterable[str]:
    """The paths that are known here, as they are spelled from where names are meant."""
    with place.peer() as peer:
        for entry in peer.list("ls"):
            path = str(entry["path"])
            if shown(path) == path:
                yield os.path.relpath(place.folder / path, place.base)


def _history_file(environ: Mapping[str, str]) -> Path:
    """Where the XDG rules put what a program remembers for its person."""
    state = environ.get("XDG_STATE_HOME", "")
    return (Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state") / "gsync" / "history"


class _History:
    """readline with what was typed the last time; without either where the machine does not have it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> None:
        with suppress(ImportError):
            import readline

            readline.set_completer_delims(" \t\n")
            readline.set_history_length(HISTORY_LINES)
            with suppress(OSError):
                readline.read_history_file(self._file)

    def __exit__(self, *exc: object) -> None:
        with suppress(ImportError, OSError):
            import readline

            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            readline.write_history_file(self._file)
            self._file.chmod(0o600)
