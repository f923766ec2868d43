"""What the engine may ask of a disk: the protocols that `disk.py` (the real one) and `memory.py` (the fake) both fulfil.

Everything here is blocking and runs in `storage.workers`, except `OpenFile.fileno`. Names are `RelPath`, so no method
can be led outside the folder by its arguments; the disk itself makes sure that no link leads outside either. Both
implementations pass `tests/contract/test_folder.py`.

A *staged* file lives in `.gsync/staging/` under a random name (`Staged.name`) until it is published. After `exchange` that
same staged name holds the file which was displaced: whoever asked for the exchange must look at it and find it a place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from gsync.core.model import Fingerprint
from gsync.core.names import RelPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A regular file that a listing found."""

    path: RelPath
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something that a listing found and gsync does not touch; `name` is for showing only, `reason` says why."""

    name: str
    reason: str


class Worth(Enum):
    """What a file in the trash is worth keeping for; the value ends the name of its box in the trash."""

    SUPERSEDED = ""
    """Its author's newer version took its place."""

    UNSEEN = "-unseen"
    """Somebody may have put work into it that nobody has seen since: it is never purged early."""


class OpenFile(Protocol):
    """A regular file open for reading; a context manager that closes it."""

    @property
    def fingerprint(self) -> Fingerprint:
        """What fstat said when it was opened."""
        ...

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; b"" past the end."""
        ...

    def fileno(self) -> int:
        """The descriptor, for sendfile; the fake raises `io.UnsupportedOperation`."""
        ...

    def changed(self) -> bool:
        """Whether the file may be no longer what it was when it was opened: size, mtime or ctime moved.

        A save that replaces it does not count; what only gives it another name or other permission bits does.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> OpenFile: ...

    def __exit__(self, *exc: object) -> None: ...


class Staged(Protocol):
    """A file being written in staging, open until `close`; nothing of it shows in the folder."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int:
        """Bytes written so far."""
        ...

    @property
    def inode(self) -> int: ...

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`; starts writeback early on large files. Raises `NoSpace`, `StorageError`."""
        ...

    def finish(self, *, mtime_ns: int, mode: int) -> None:
        """Set permission bits and mtime on the descriptor; the last change before it is made durable."""
        ...

    def fingerprint(self) -> Fingerprint:
        """fstat of the file as it stands."""
        ...

    def fileno(self) -> int:
        """The descriptor, for receiving straight into it; the fake raises `io.UnsupportedOperation`."""
        ...

    def close(self) -> None:
        """Release the descriptor; the staged file stays. To be done before publishing, or watchers see an edit."""
        ...


class Folder(Protocol):
    """The folder that is kept in sync, held by its descriptor."""

    @property
    def new_file_mode(self) -> int:
        """The permission bits of a file that nobody gave any: 0644 without what the umask takes away."""
        ...

    def listing(self) -> Iterator[Found | Skipped]:
        """Everything at the top of the folder but `.gsync`; FIFOs, devices, links, mounts, odd names come as `Skipped`."""
        ...

    def fingerprint(self, path: RelPath) -> Fingerprint | None:
        """lstat of what stands at `path`, None where nothing does; anything but a readable file raises `PathRefused`."""
        ...

    def open(self, path: RelPath) -> OpenFile:
        """The regular file at `path`, for reading. Raises `FileVanished`, `PathRefused`, `StorageError`; never blocks on a FIFO."""
        ...

    def check_root(self) -> None:
        """Raise `FolderUnusable` if the path no longer leads to the folder that was opened, or its marker is gone.

        `StorageError` where the disk does not answer now: then nothing is known.
        """
        ...

    def require_space(self, count: int) -> None:
        """Raise `NoSpace` unless `count` more bytes fit above the free-space floor."""
        ...

    def stage(self) -> Staged:
        """A new, empty staged file with a random name, O_EXCL, 0600."""
        ...

    def sync(self, staged: Sequence[Staged]) -> list[Staged]:
        """Make the contents of all durable; returns those that failed: *not written*, to be dropped and fetched again."""
        ...

    def put_new(self, staged_name: str, path: RelPath) -> bool:
        """Move a staged file to a free `path`; False (and nothing done) when something stands there already."""
        ...

    def exchange(self, staged_name: str, path: RelPath) -> bool:
        """Swap a staged file with the one at `path`; False (and nothing done) when nothing stands there."""
        ...

    def staged_fingerprint(self, staged_name: str) -> Fingerprint | None:
        """lstat of what now stands at a staged name; None where nothing does; `PathRefused` as above."""
        ...

    def has_writer(self, staged_name: str) -> bool | None:
        """Whether somebody has it open for writing or mapped (a read lease is refused); None: cannot be told."""
        ...

    def open_staged(self, staged_name: str) -> OpenFile:
        """The staged file, for reading (to hash what was displaced)."""
        ...

    def move_to_trash(self, staged_name: str, path: RelPath, *, worth: Worth) -> str:
        """Move a staged file to `.gsync/trash/<time>-<id>/<path>`; returns that name, relative to the folder."""
        ...

    def trashed_fingerprint(self, trashed: str) -> Fingerprint | None:
        """lstat of what `move_to_trash` put at the name it returned; None where nothing is."""
        ...

    def take_back(self, trashed: str) -> str:
        """Move a file out of the trash to a new staged name, which is returned."""
        ...

    def expire_trash(self) -> list[str]:
        """Delete what has been in the trash for 30 days, and old superseded versions beyond their room; returns the boxes."""
        ...

    def staged_names(self) -> list[str]:
        """Everything in staging, for the look at start."""
        ...

    def unlink_staged(self, staged_name: str) -> None:
        """Forget a download; never called on what may be a person's file."""
        ...

    def sync_names(self) -> None:
        """Make the renames done so far durable: fsync of the folder, staging and trash directories."""
        ...

    def close(self) -> None: ...
