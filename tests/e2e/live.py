"""Live folders of native peers: what a person would compare, an independent look at it, and questions to running peers.

A picture is made with the standard library alone and knows nothing of gsync but the name `.gsync`: kinds, contents, mtimes in
nanoseconds, exec bits, targets of links, empty directories.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsync.errors import GsyncError
from gsync.web.client import Client
from tests.e2e.cluster import DEADLINE_S, Peer, eventually
from tests.e2e.folders import OWN

QUIET_S = 15.0
"""One question to a peer waits so long at the peer, at most."""


@dataclass(frozen=True, slots=True)
class Thing:
    """What stands at one path: `what` is the digest of a file, the target of a link, "" for a directory."""

    kind: str
    what: str = ""
    size: int = 0
    mtime_ns: int = 0
    executable: bool = False


Picture = Mapping[str, Thing]


def picture(folder: Path) -> dict[str, Thing]:
    """Everything in the folder but what is ours, at any depth."""
    found: dict[str, Thing] = {}
    _look_into(os.fsencode(folder), b"", found)
    return found


def _look_into(folder: bytes, beneath: bytes, found: dict[str, Thing]) -> None:
    with os.scandir(os.path.join(folder, beneath)) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        path = os.path.join(beneath, name)
        if path == os.fsencode(OWN):
            continue
        full = os.path.join(folder, path)
        status = os.lstat(full)
        if stat.S_ISDIR(status.st_mode):
            found[os.fsdecode(path)] = Thing("directory")
            _look_into(folder, path, found)
        elif stat.S_ISLNK(status.st_mode):
            found[os.fsdecode(path)] = Thing("link", os.fsdecode(os.readlink(full)))
        else:
            with open(full, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            executable = bool(status.st_mode & stat.S_IXUSR)
            found[os.fsdecode(path)] = Thing("file", digest, status.st_size, status.st_mtime_ns, executable)


def differences(pictures: Mapping[str, Picture]) -> list[str]:
    """Where these folders differ, path by path, for a failed test to show."""
    paths = sorted({path for one in pictures.values() for path in one})
    found = []
    for path in paths:
        at = {name: one.get(path) for name, one in pictures.items()}
        if len(set(at.values())) > 1:
            found.append(f"{path!r}: {at}")
    return found


@contextmanager
def asking(peer: Peer | Path) -> Iterator[Client]:
    """Questions to the peer that runs in this folder."""
    folder = peer if isinstance(peer, Path) else peer.folder
    own_fd = os.open(folder / OWN, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Client(own_fd)
    finally:
        os.close(own_fd)


def status(peer: Peer) -> dict[str, Any]:
    """`gsync status --json`, without a process for it."""
    with asking(peer) as client:
        return dict(client.get("status"))


def settles(peer: Peer, *, within_s: float = DEADLINE_S) -> None:
    """`gsync wait`, without a process for it."""
    said: dict[str, Any] = {}

    def is_settled() -> bool:
        try:
            with asking(peer) as client:
                said.update(client.get("wait", seconds="2"))
        except (GsyncError, FileNotFoundError) as error:  # it is starting
            said["reason"] = str(error)
            return False
        return bool(said["settled"])

    try:
        eventually(is_settled, f"{peer.name} settled", within_s=within_s)
    except AssertionError as error:
        raise AssertionError(f"{error}: {said.get('reason')}\n{peer.last_words()}") from None


def settle(peers: Iterable[Peer], *, within_s: float = DEADLINE_S) -> dict[str, Thing]:
    """Wait until each peer says that it is settled; then their folders must be equal, at once. What stands in them."""
    peers = list(peers)
    for peer in peers:
        settles(peer, within_s=within_s)
    pictures = {peer.folder.name: picture(peer.folder) for peer in peers}
    different = differences(pictures)
    assert not different, "\n".join([*different[:20], *(peer.last_words() for peer in peers)])
    return dict(pictures[peers[0].folder.name])


def trashed_contents(folder: Path) -> set[bytes]:
    """The contents of all files that lie in the trash of the folder, at any depth."""
    return {
        path.read_bytes() for path in (folder / OWN / "trash").rglob("*") if path.is_file() and not path.is_symlink()
    }


def staged_bytes(folder: Path) -> int:
    """How much of unfinished large files stands on the disk; what is not there yet is a hole."""
    staging = folder / OWN / "staging"
    total = 0
    for name in os.listdir(staging) if staging.is_dir() else ():
        with suppress(FileNotFoundError):
            total += (staging / name).lstat().st_blocks * 512
    return total
