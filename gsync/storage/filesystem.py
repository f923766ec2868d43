"""What the engine may ask of a disk: the protocols that `disk.py` (the real one) and `memory.py` (the fake) both fulfil.

Everything here is blocking and runs in `storage.workers`, except `OpenFile.fileno`. Names are `RelPath`, so no method
can be led outside the folder by its arguments; the disk itself makes sure that no link leads outside either. Both
implementations pass `tests/contract/test_folder.py`.

A *staged* file lives in `.gsync/staging/` under a random name (`Staged.name`) until it is published. After `exchange` that
same staged name holds the file which was displaced: whoever asked for the exchange must look at it and find it a place.

Files, directories and links are what a folder is made of; anything else is left alone. Of a directory a fingerprint shows
only inode and permission bits (size and times are 0): what is put into it or taken out of it does not change it. Where a
name in the middle of a path is a link, every method raises `PathRefused`, and `StorageError` where it may not be entered;
where it is a file, nothing stands at the path.

What changes names (`put_new` to `adjust`, and the trash) is called by one thread only, and is durable after `sync_names`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Final, Protocol

from msgspec import Struct

from gsync.core.blocks import CONTENT_MAX_BYTES
from gsync.core.model import Fingerprint, Kind, LocalTree
from gsync.core.names import RelPath
from gsync.errors import StorageError

OTHER_MOUNT: Final = "on another mount"
UNREADABLE: Final = "not readable by this user"
TOO_LARGE: Final = f"larger than {CONTENT_MAX_BYTES // 1024**4} TiB"

TARGET_MAX_BYTES: Final = 4095
"""Linux PATH_MAX without its NUL: no link can lead further."""


class Found(Struct, frozen=True, kw_only=True, gc=False):
    """A file, directory or link that stands at a path; `target` is where a link leads, as it says so itself."""

    path: RelPath
    fingerprint: Fingerprint
    target: str = ""


class Skipped(Struct, frozen=True, kw_only=True):
    """Something that a listing found and gsync does not touch; `name` is for showing only, `reason` says why.

    Where `hides` is set, what was known at that path and in it may still be there: nothing follows from not seeing it.
    """

    name: str
    reason: str
    hides: RelPath | None = None


Skip = Callable[[RelPath, Kind], bool]
"""Whether what stands at a path is none of our business; depends on nothing but its two arguments."""


NOTHING_KNOWN: Final[LocalTree] = {}


def never(path: RelPath, kind: Kind) -> bool:
    """The `Skip` that skips nothing."""
    return False


def with_exec_bit(mode: int, *, executable: bool) -> int:
    """The permission bits `mode`, with the right to run for all who may read, or for nobody."""
    return mode | (mode & 0o444) >> 2 if executable else mode & ~0o111


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

    def data_at(self, offset: int) -> int:
        """Where data begins at or after `offset`: from there up to it are zeros, which need not be read; past the last, the end.

        `offset` itself where the system does not say.
        """
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
        """Where it ends now."""
        ...

    @property
    def inode(self) -> int: ...

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`, long stretches of zeros as holes; starts writeback early. Raises `NoSpace`, `StorageError`."""
        ...

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write all of `data` at `offset`; a gap before it reads as zeros. One call at a time."""
        ...

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`, as written so far; b"" past the end."""
        ...

    def data_at(self, offset: int) -> int:
        """Where data begins at or after `offset`: from there up to it are zeros, which need not be read; past the last, the end.

        `offset` itself where the system does not say.
        """
        ...

    def truncate(self, size: int) -> None:
        """Cut it off after `size` bytes, or let it end there with zeros."""
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

    @property
    def new_executable_mode(self) -> int:
        """The same for a file that may be run: 0755 without what the umask takes away."""
        ...

    def listing(
        self, *, beneath: RelPath | None = None, skip: Skip = never, known: LocalTree = NOTHING_KNOWN
    ) -> Iterator[Found | Skipped]:
        """Everything in the folder but `.gsync`, a directory before what is in it; or what stands `beneath` a path, and there.

        FIFOs, devices, mounts, odd names come as `Skipped`. What `skip` says yes to does not come at all, and is not entered;
        about what did not change since the last listing it is asked again only if it is another function than then. Where
        something shows what is `known` of it, it is found with that very fingerprint: a large folder is in memory once.
        """
        ...

    def listing_at(
        self, paths: Iterable[RelPath], *, skip: Skip = never, known: LocalTree = NOTHING_KNOWN
    ) -> Iterator[Found | Skipped]:
        """`listing(beneath=path)` of each of `paths`; quick when those in one directory come together."""
        ...

    def look(self, path: RelPath) -> Found | None:
        """What stands at `path` (lstat), None where nothing does; anything odd or unreadable raises `PathRefused`."""
        ...

    def fingerprint(self, path: RelPath) -> Fingerprint | None:
        """The fingerprint of what `look` would find."""
        ...

    def open(self, path: RelPath) -> OpenFile:
        """The regular file at `path`, for reading. Raises `FileVanished`, `PathRefused`, `StorageError`; never blocks on a FIFO."""
        ...

    def digest_each(self, files: Iterable[tuple[RelPath, Fingerprint]]) -> Iterator[tuple[RelPath, str | StorageError]]:
        """The digest of each of `files`, of at most one block, in their order; the others are read when the next one is asked for.

        `FileChanged` for one that does not show this fingerprint, which a listing saw, or moved while it was read; what else
        `open` raises. Quick when those in one directory come together.
        """
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

    def stage_content(self, content: bytes, *, mtime_ns: int, mode: int) -> tuple[Staged, Fingerprint]:
        """A staged file that is finished, and how it shows: all of `content`, which is small. Raises `NoSpace`, `StorageError`;
        then nothing stays.
        """
        ...

    def stage_link(self, target: str) -> str:
        """The staged name of a new link to `target`; `PathRefused` for what no link can say."""
        ...

    def reopen_staged(self, staged_name: str) -> Staged:
        """A staged file that was closed, to be gone on with. Raises `FileVanished`, `PathRefused`."""
        ...

    def sync(self, staged: Sequence[Staged]) -> list[Staged]:
        """Make the contents of all durable; returns those that failed: *not written*, to be dropped and fetched again."""
        ...

    def put_new(self, staged_name: str, path: RelPath) -> bool:
        """Move a staged file or link to a free `path`; False when something stands there. Missing parents are made."""
        ...

    def exchange(self, staged_name: str, path: RelPath) -> bool:
        """Swap what is staged with the file or link at `path`; False (and nothing done) when nothing stands there.

        A directory at `path` raises `PathRefused`. One that comes at that very instant is swapped: look at what came out.
        """
        ...

    def make_directory(self, path: RelPath) -> bool:
        """Let a directory stand at `path`; False when one does already. Missing parents are made.

        Raises `PathRefused` where something else stands.
        """
        ...

    def take_out(self, path: RelPath) -> str | None:
        """Move the file or link at `path` to a new staged name, which is returned; None when nothing stands there.

        Raises `PathRefused` for anything else.
        """
        ...

    def remove_directory(self, path: RelPath) -> bool:
        """Remove the directory at `path`; False when something is in it, True also when it is gone already.

        Raises `PathRefused` where something else stands.
        """
        ...

    def move(self, source: RelPath, target: RelPath) -> bool:
        """Rename what stands at `source`, a directory with all that is in it, to a free `target`; False when that is taken.

        Missing parents of `target` are made. Raises `FileVanished` when nothing stands at `source`.
        """
        ...

    def adjust(
        self, path: RelPath, *, expected: Fingerprint, mtime_ns: int | None, executable: bool | None
    ) -> Fingerprint | None:
        """Set mtime and exec bit (None: it stays) of the file at `path`; returns what it shows now.

        None, and nothing done, when what stands there is not `expected` (but for its ctime). Of a link or a directory
        there is nothing to set: it is only looked at.
        """
        ...

    def staged_fingerprint(self, staged_name: str) -> Fingerprint | None:
        """lstat of what now stands at a staged name; None where nothing does; anything odd raises `PathRefused`."""
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
        """Make all changes of names and every `adjust` so far durable."""
        ...

    def close(self) -> None: ...
