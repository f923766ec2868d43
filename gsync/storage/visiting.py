"""What those who do not hold a folder may learn of its `.gsync/`: who runs there, and what was noted for them.

Makes nothing, takes no lock, follows no link. Called by the commands that look at a running peer; `note` by
the one that runs it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from gsync.core.names import OWN_FOLDER
from gsync.errors import FolderUnusable
from gsync.storage.own_folder import LOCK

TRACKER_NOTE: Final = "tracker"
"""The note that says which tracker the last peer here was told: `<ip> <port>`."""

_NOTE_MAX_BYTES: Final = 1024
_OPEN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def look_into(root: Path) -> int:
    """A descriptor of the `.gsync/` that is in `root`, for those who only look; the caller's to close.

    Makes nothing and takes no lock. Raises `FolderUnusable` where there is none: no gsync was ever here.
    """
    try:
        return os.open(root / OWN_FOLDER, _DIRECTORY)
    except OSError as error:
        raise FolderUnusable(f"no gsync was ever in {root} ({error.strerror})") from error


def holder(own_fd: int) -> int | None:
    """The process that holds the lock now, as the kernel tells; None where nobody does, or it does not tell."""
    try:
        status = os.stat(LOCK, dir_fd=own_fd, follow_symlinks=False)
        held = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in held.splitlines():
        words = line.split()  # 1: FLOCK ADVISORY WRITE 4711 fd:00:1234 0 EOF; a process of elsewhere is -1 or 0
        if len(words) >= 6 and words[1] == "FLOCK" and words[5] == place and words[4].isdecimal():
            return int(words[4]) or None
    return None


def note(own_fd: int, name: str, text: str) -> None:
    """Leave a short word in `.gsync/` for those who look into it later; nothing depends on it, so a failure is one less word."""
    with suppress(OSError):
        fd = os.open(
            name,
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            0o600,
            dir_fd=own_fd,
        )
        try:
            os.write(fd, text.encode("utf-8"))
        finally:
            os.close(fd)


def noted(own_fd: int, name: str) -> str:
    """What `note` left; "" where there is nothing, or nothing that can be read."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=own_fd)
    except OSError:
        return ""
    try:
        return os.read(fd, _NOTE_MAX_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)
