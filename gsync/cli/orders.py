"""`gsync release`, `pause`, `resume`, `scan`, `stop`: one word to the peer that runs here, and what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Final

from gsync.cli.exits import Exit
from gsync.cli.jsonlines import print_answers
from gsync.cli.place import COMMON_OPTIONS, Place
from gsync.cli.text import count
from gsync.cli.usage import Words, aimed, parse
from gsync.errors import GsyncError
from gsync.storage.visiting import holder
from gsync.web.answers import Answer
from gsync.web.client import Client, NotRunning, Unresponsive

TEXTS: Final = {
    "release": "Let the deletions travel that are held back because there were so many at once.",
    "pause": "Leave this folder alone, and tell nobody of what changes in it, until `gsync resume`.",
    "resume": "Go on after `gsync pause`.",
    "scan": "Look at the whole folder now, instead of waiting until a change is noticed.",
    "stop": "End the gsync that runs in this folder, and return when it has ended.",
}

STOP_S: Final = 15.0
"""A peer that has not ended so long after it was told to is said to hang."""

_LOOK_EVERY_S: Final = 0.02


def text_of(word: str) -> str:
    """The help of one of these commands."""
    return f"{TEXTS[word]}\n\nUsage:\n  gsync {word} [options]\n\nOptions:\n{COMMON_OPTIONS}"


def release(argv: Sequence[str]) -> Exit:
    """Release held deletions; the exit code."""
    words, said = _order("release", argv)
    number = said["released"]
    return _end(words, said, f"released {count(number, 'deletion')}" if number else "no deletion is held back")


def pause(argv: Sequence[str]) -> Exit:
    """Pause the peer; the exit code."""
    words, said = _order("pause", argv)
    return _end(words, said, "paused; go on: gsync resume")


def resume(argv: Sequence[str]) -> Exit:
    """Let the peer go on; the exit code."""
    words, said = _order("resume", argv)
    return _end(words, said, "going on")


def scan(argv: Sequence[str]) -> Exit:
    """Look at the folder now; the exit code."""
    words, said = _order("scan", argv)
    number = said["changed"]
    return _end(words, said, f"{count(number, 'name')} had changed" if number else "nothing had changed")


def stop(argv: Sequence[str]) -> Exit:
    """End the peer, and wait for its end; the exit code."""
    words = _words("stop", argv)
    place = Place.of(words)
    with place.peer() as peer:
        said = peer.order("stop")
    with place.own() as own_fd:
        _wait_for_end(own_fd)
    return _end(words, said, "stopped")


def _order(word: str, argv: Sequence[str]) -> tuple[Words, Answer]:
    words = _words(word, argv)
    with Place.of(words).peer() as peer:
        return words, peer.order(word)


def _words(word: str, argv: Sequence[str]) -> Words:
    return parse(text_of(word), [word, *argv], command=word)


def _end(words: Words, said: Answer, line: str) -> Exit:
    if words["--json"]:
        print_answers([said], sys.stdout)
    else:
        print(aimed(line, words["--dir"]), file=sys.stderr)
    return Exit.DONE


def _wait_for_end(own_fd: int) -> None:
    until = time.monotonic() + STOP_S
    while time.monotonic() < until:
        if _has_ended(own_fd):
            return
        time.sleep(_LOOK_EVERY_S)
    pid = holder(own_fd)
    raise Unresponsive(
        f"it was told to stop, but has not ended after {STOP_S:g} s", advice=f"end it: kill {pid}" if pid else ""
    )


def _has_ended(own_fd: int) -> bool:
    if holder(own_fd) is not None:
        return False
    try:  # where the kernel does not tell who holds the lock, the socket goes with the peer
        Client(own_fd).get("status")
    except NotRunning:
        return True
    except GsyncError:  # it ended while it was asked, or goes on
        return False
    return False
