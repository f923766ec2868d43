"""The roof: picks the command, runs it, and turns whatever ends it into words and an exit code.

The one `except Exception` of the program is here. Commands live in modules of their own and are imported when they are asked
for, so that `gsync --help` stays quick.
"""

from __future__ import annotations

import gc
import importlib
import io
import logging
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Final

from gsync import __version__
from gsync.cli.exits import Exit, UsageError, exit_for
from gsync.cli.text import shown
from gsync.cli.usage import Told, aimed, did_you_mean
from gsync.errors import ConfigError, GsyncError

log = logging.getLogger(__name__)

HELP: Final = f"""gsync {__version__}: a folder that stays the same on every machine, with no cloud in between

Usage:
  gsync <ip> <port> [options]         keep this folder in sync through the tracker at <ip>:<port>, until Ctrl-C
  gsync tracker [<port>] [options]    run a tracker; it prints the line to paste on the other machines
  gsync demo [options]                a tracker and three peers in temporary folders, to see it work
  gsync stress [options]              load a swarm of processes on this machine, and check every byte
  gsync lab staleness [options]       measure how many reads are stale in each mode, and what that costs

In a folder that gsync keeps (or with --dir=DIR):
  gsync status                        what is here, what is missing, who else is there, and whether all is in sync
  gsync wait [--timeout=S]            return when all folders are equal
  gsync ls [<name>]                   every file, and how it stands
  gsync why <path>                    why a file is as it is
  gsync peers                         who else offers files
  gsync log                           what happened last
  gsync conflicts                     the files that were edited in two places; with `keep`, settle them
  gsync restore <name>...             get a replaced or deleted file back from the trash
  gsync release                       let deletions travel that are held back because there were so many at once
  gsync pause, gsync resume           leave the folder alone for a while, and go on
  gsync scan                          look at the whole folder now
  gsync stop                          end the gsync that runs there
  gsync search <name>                 who has a file, or files like '*.jpg', asked from neighbour to neighbour
  gsync get <name>...                 fetch files from the best copy that a search finds
  gsync free <name>...                drop files here, and only here, in a folder that is kept on demand
  gsync refresh [<name>...]           ask whether copies are still what their origins have
  gsync mark (valid|invalid) <name>...  say of files made here that copies elsewhere are out of date, or not
  gsync mode [<mode>], gsync ttr [<s>]  how copies are kept honest, and for how long they are believed
  gsync shell                         a prompt for all these, with completion and history

On a fresh machine this alone works, and starts its own tracker:
  gsync 127.0.0.1 9000 --dir=DIR

`gsync run --help`, and likewise for every other command, lists the options.
"""

COMMANDS: Final = {
    "run": "run.main",
    "tracker": "tracker.main",
    "demo": "demo.main",
    "stress": "stress.main",
    "lab": "lab.main",
    "status": "status.main",
    "wait": "wait.main",
    "ls": "listing.ls",
    "peers": "listing.peers",
    "log": "listing.log",
    "why": "why.main",
    "conflicts": "conflicts.main",
    "restore": "restore.main",
    "release": "orders.release",
    "pause": "orders.pause",
    "resume": "orders.resume",
    "scan": "orders.scan",
    "stop": "orders.stop",
    "search": "search.main",
    "get": "copies.get",
    "free": "copies.free",
    "refresh": "copies.refresh",
    "mark": "copies.mark",
    "mode": "mode.mode",
    "ttr": "mode.ttr",
    "shell": "shell.main",
}
"""Each command's word, and its function in a module of this room."""

COLLECT_GARBAGE_AFTER: Final = (100_000, 50, 100)
"""Python's own pace looks through all objects so often that reading 100,000 records stalls the loop for 0.3 s; so it is 0.06 s."""

Command = Callable[[Sequence[str]], Exit]


def run_command(argv: Sequence[str]) -> int:
    """Run what `argv` asks for; the exit code. Every error becomes a line on stderr that says what to do."""
    _prepare_output()
    gc.set_threshold(*COLLECT_GARBAGE_AFTER)
    try:
        return int(_command(argv))
    except Told as told:
        print(told)
        return Exit.DONE
    except GsyncError as error:
        _complain(error, else_advice=_help_for(argv) if isinstance(error, UsageError) else "", folder=_folder_in(argv))
        return exit_for(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # whoever read our stdout has gone; nobody is left to tell
        sys.stderr.close()
        return Exit.ERROR
    except Exception:
        log.exception("error")
        print(
            "gsync: this is a defect of gsync; what is above says where. Nothing in the folder was lost.",
            file=sys.stderr,
        )
        return Exit.ERROR


def _command(argv: Sequence[str]) -> Exit:
    if not argv or argv[0] in ("-h", "--help", "help"):
        raise (
            Told(HELP.strip())
            if argv
            else UsageError(
                "it needs the address and the port of a tracker",
                advice="gsync 127.0.0.1 9000 --dir=DIR    (all of it: gsync --help)",
            )
        )
    if argv[0] == "--version":
        raise Told(f"gsync {__version__}")
    if sys.platform != "linux":
        raise ConfigError(
            f"this version runs on Linux only, and this is {sys.platform}",
            advice="run it on a Linux machine, or in a Linux container or virtual machine on this one",
        )
    word, rest = argv[0], argv[1:]
    if word in COMMANDS:
        return _load(word)(rest)
    if not rest and any(character in word for character in ".:"):
        raise UsageError(
            f"{word} is where the tracker is; its port is missing", advice=f"gsync {shlex.quote(word)} 9000"
        )
    if not word.startswith("-") and not any(character in word for character in ".:") and not word.isdigit():
        hint = did_you_mean(word, tuple(COMMANDS))
        if hint or not rest or rest[0].startswith("-"):
            raise UsageError(f"there is no command {word!r}{hint}", advice="gsync --help")
    return _load("run")(argv)


def _prepare_output() -> None:
    """A name that the terminal's encoding lacks must not end the program, nor a call of the system for each line slow it down.

    That is what PYTHONUNBUFFERED makes, which many containers set. What has to be seen at once is flushed.
    """
    out = sys.stdout
    if not isinstance(out, io.TextIOWrapper):
        return
    if out is sys.__stdout__ and isinstance(out.buffer, io.RawIOBase):
        out = sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(out.buffer), encoding=out.encoding, line_buffering=out.isatty()
        )
    out.reconfigure(errors="backslashreplace")


def _load(word: str) -> Command:
    module, _, function = COMMANDS[word].partition(".")
    command: Command = getattr(importlib.import_module(f"gsync.cli.{module}"), function)
    return command


def _help_for(argv: Sequence[str]) -> str:
    return f"gsync {argv[0] if argv and argv[0] in COMMANDS else 'run'} --help"


def _folder_in(argv: Sequence[str]) -> str | None:
    """What `--dir` says, if it is there."""
    for number, word in enumerate(argv, start=1):
        if word == "--dir" and number < len(argv):
            return argv[number]
        if word.startswith("--dir="):
            return word.removeprefix("--dir=")
    return None


def _complain(error: GsyncError, *, else_advice: str, folder: str | None) -> None:
    what = str(error) or type(error).__doc__ or type(error).__name__
    print(f"gsync: {shown(what)}", file=sys.stderr)
    advice = error.advice if isinstance(error, ConfigError) else getattr(error, "advice", "")
    if advice or else_advice:
        print(f"  {aimed(advice or else_advice, folder)}", file=sys.stderr)
