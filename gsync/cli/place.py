"""Which folder a command means, which names in it, and the way to the peer that runs there.

The folder is that of `--dir`, else the working directory or the nearest one above it that gsync keeps. Names on the command line
are meant as a shell means them: from the working directory, or from the folder where `--dir` says another one. Called by the
commands that look at a running peer.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from gsync.cli.exits import NotRunningHere, UsageError
from gsync.cli.usage import Words
from gsync.core.names import OWN_FOLDER, RelPath
from gsync.errors import FolderUnusable, GsyncError, NameRefused
from gsync.storage.visiting import TRACKER_NOTE, holder, look_into, noted
from gsync.web.client import Client, NotRunning, Unresponsive

COMMON_OPTIONS: Final = """\
  --dir=DIR      The folder; the working directory, or the nearest one above it that gsync keeps, if not given
  --json         One JSON object a line on stdout instead of words
  --version      Print the version
  -h, --help     Print this
"""
"""The options of every command that looks at a peer; they end its text."""

ON_THIS_MACHINE: Final = "127.0.0.1 9000"
"""The tracker of a command to paste where nobody knows of one."""


class Place(Struct, frozen=True, kw_only=True):
    """A folder, and the directory from which names are meant."""

    folder: Path
    base: Path

    @classmethod
    def of(cls, words: Words) -> Place:
        """The place that the command line means."""
        if words["--dir"] is None:
            here = Path(os.path.abspath("."))
            kept = [up for up in (here, *here.parents) if (up / OWN_FOLDER).is_dir()]
            return cls(folder=kept[0] if kept else here, base=here)
        folder = Path(os.path.abspath(os.path.expanduser(words["--dir"])))
        return cls(folder=folder, base=folder)

    def name(self, text: str) -> RelPath:
        """The path in the folder that `text` means; UsageError for one outside it, or the folder itself."""
        see = f"names are meant from {self.base}; see which there are: gsync ls --dir={shlex.quote(str(self.folder))}"
        path = os.path.relpath(os.path.join(self.base, text), self.folder) if text else ""
        if path in ("", "."):
            raise UsageError(f"{text!r} is the folder itself" if path else "'' is no name", advice=see)
        if path.split("/")[0] == "..":
            raise UsageError(f"{text!r} is not in the folder {self.folder}", advice=see)
        try:
            return RelPath.parse(path)
        except NameRefused as error:
            raise UsageError(f"{text!r} cannot be the name of anything that is synced: {error.reason}") from error

    def names(self, texts: Sequence[str]) -> list[RelPath]:
        """The same for each."""
        return [self.name(text) for text in texts]

    @contextmanager
    def peer(self) -> Iterator[Client]:
        """The way to the peer that runs here. Raises `NotRunningHere`, also later, when the peer turns out to be none."""
        with self.own() as own_fd:
            try:
                yield Client(own_fd)
            except NotRunning as error:
                pid = holder(own_fd)
                if pid is not None:
                    what = f"a gsync runs in {self.folder} (process {pid}), but takes no questions"
                    raise Unresponsive(what, advice=f"end it: kill {pid}") from error
                raise self._not_running(noted(own_fd, TRACKER_NOTE)) from error
            except Unresponsive as error:
                pid = holder(own_fd)
                error.advice = error.advice or (f"end it: kill {pid}" if pid is not None else "")
                raise

    @contextmanager
    def own(self) -> Iterator[int]:
        """The descriptor of the folder's `.gsync/`. Raises `NotRunningHere` where there is none."""
        try:
            own_fd = look_into(self.folder)
        except FolderUnusable as error:
            raise self._not_running("") from error
        try:
            yield own_fd
        finally:
            os.close(own_fd)

    def start_command(self, tracker: str = "") -> str:
        """What to paste to start a peer here; `tracker` is the note of the last one."""
        ip, _, port = tracker.strip().partition(" ")
        told = f"{ip} {port}" if ip and port.isdecimal() and set(ip) <= set("0123456789abcdef.:") else ON_THIS_MACHINE
        return f"gsync {told} --dir={shlex.quote(str(self.folder))}"

    def _not_running(self, tracker: str) -> GsyncError:
        if not self.folder.is_dir():
            what = "is no directory" if self.folder.exists() else "does not exist"
            return NotRunningHere(
                f"no gsync runs in {self.folder}: it {what}",
                advice="name the folder that it keeps, as in: gsync status --dir=DIR",
            )
        if not tracker:
            start = f"start one, for this machine alone: {self.start_command()}"
            return NotRunningHere(f"no gsync runs in {self.folder}", advice=start)
        return NotRunningHere(f"no gsync runs in {self.folder}", advice=f"start one: {self.start_command(tracker)}")
