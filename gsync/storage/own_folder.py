"""`.gsync/`: the folder inside the user's folder that is ours, made and opened through descriptors only.

    .gsync/lock        held (flock) while a gsync runs here; says its process id
    .gsync/root        the marker: a random id of this folder, and the inode of the root it was made for
    .gsync/staging/    files being written, and files just displaced
    .gsync/trash/      what was displaced, for 30 days
    .gsync/control     the socket at which the running peer answers (gsync/web/)
    .gsync/tracker     a note: which tracker it was told last
    .gsync/ignore      a person's own rules for this machine, read only
    .gsync/index.sqlite (see index.py)
    .gsync/trees.sqlite, for a moment (see spilled.py)

A marker that names another inode lies in a *copy* of a folder (or in one restored from a backup): it gets a new id, so
that the copy does not speak with the original's voice. Refuses to follow links: somebody may have planted them.

A person may delete or move away any of it while gsync runs. Staging and trash are made anew then; without the marker or the lock
nobody can say any more that this is the folder that was opened, and that nobody else is in it: `stands` says so.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Final

from gsync.core.names import OWN_FOLDER
from gsync.errors import FolderLocked, FolderUnusable
from gsync.storage.translation import storage_error

STAGING: Final = "staging"
TRASH: Final = "trash"
LOCK: Final = "lock"
MARKER: Final = "root"
IGNORE: Final = "ignore"

_MARKER_MAX_BYTES: Final = 4096
_ROOT_ID_BYTES: Final = 16
_NO_FILE: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.ENOTDIR})
"""What opening a link, a socket, or something beneath what is no directory says."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

RandomHex = Callable[[int], str]


@dataclass(slots=True, kw_only=True)
class OwnFolder:
    """The open descriptors of `.gsync/` and what lies in it; `close` gives them and the lock back."""

    fd: int
    staging_fd: int
    trash_fd: int
    lock_fd: int
    root_id: str
    _stack: ExitStack = field(repr=False)

    @classmethod
    def open(cls, root_fd: int, *, random_hex: RandomHex) -> OwnFolder:
        """Make what is missing, take the lock. Raises `FolderLocked`, `FolderUnusable`; then nothing stays open."""
        with ExitStack() as stack:
            try:
                opened = cls._opened(stack, root_fd, random_hex=random_hex)
            except OSError as error:
                raise _unusable(error.strerror or str(error)) from error
            opened._stack = stack.pop_all()
            return opened

    @classmethod
    def _opened(cls, stack: ExitStack, root_fd: int, *, random_hex: RandomHex) -> OwnFolder:
        fd = _open_directory(stack, OWN_FOLDER, dir_fd=root_fd)
        lock_fd = _take_lock(stack, fd)
        opened = cls(
            fd=fd,
            lock_fd=lock_fd,
            staging_fd=_open_directory(stack, STAGING, dir_fd=fd),
            trash_fd=_open_directory(stack, TRASH, dir_fd=fd),
            root_id=_root_id(fd, root_inode=os.fstat(root_fd).st_ino, random_hex=random_hex),
            _stack=stack,
        )
        os.fsync(fd)
        os.fsync(root_fd)
        return opened

    def stands(self) -> bool:
        """Whether the marker says what it said, and the lock is the one that we hold. Raises OSError where it cannot be told."""
        marker = _read_marker(self.fd)
        return marker is not None and marker[0] == self.root_id and _is_at(self.lock_fd, LOCK, dir_fd=self.fd)

    def renew_staging(self) -> bool:
        """Make staging anew where it was taken away; whether it was. Raises OSError."""
        return _renewed(self.staging_fd, STAGING, dir_fd=self.fd)

    def renew_trash(self) -> bool:
        """The same for the trash."""
        return _renewed(self.trash_fd, TRASH, dir_fd=self.fd)

    def close(self) -> None:
        """Release the descriptors, and with them the lock."""
        self._stack.close()


def read_own_rules(own_fd: int, *, bytes_max: int) -> bytes:
    """The first `bytes_max` bytes of `.gsync/ignore` in the own folder behind `own_fd`; b"" where there is no such file.

    Raises StorageError where it cannot be read now.
    """
    try:
        fd = os.open(IGNORE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=own_fd)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise storage_error(error, f"{OWN_FOLDER}/{IGNORE}") from error
    try:
        return os.read(fd, bytes_max) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError as error:
        raise storage_error(error, f"{OWN_FOLDER}/{IGNORE}") from error
    finally:
        os.close(fd)


def _open_directory(stack: ExitStack, name: str, *, dir_fd: int) -> int:
    try:
        os.mkdir(name, 0o700, dir_fd=dir_fd)
    except FileExistsError:
        pass
    except OSError as error:
        raise _unusable(f"cannot make {name!r} in it: {error.strerror}") from error
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=dir_fd)
    except OSError as error:
        raise _unusable(f"{name!r} in it is not a directory of its own ({error.strerror})") from error
    stack.callback(os.close, fd)
    if stat.S_IMODE(os.fstat(fd).st_mode) & 0o077:
        os.fchmod(fd, 0o700)  # what is staged and what is in the trash is for its owner alone
    return fd


def _is_at(fd: int, name: str, *, dir_fd: int) -> bool:
    """Whether what is open as `fd` still has that name."""
    try:
        there = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(fd))


def _renewed(fd: int, name: str, *, dir_fd: int) -> bool:
    """Whether the directory open as `fd` was not `name` any more: then it is now, and the number of the descriptor stays."""
    if _is_at(fd, name, dir_fd=dir_fd):
        return False
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=dir_fd)
    new = os.open(name, _DIRECTORY, dir_fd=dir_fd)
    try:
        os.dup2(new, fd, inheritable=False)
    finally:
        os.close(new)
    os.fsync(dir_fd)
    return True


def _take_lock(stack: ExitStack, own_fd: int) -> int:
    fd = _open_file(LOCK, os.O_RDWR | os.O_CREAT, dir_fd=own_fd)
    stack.callback(os.close, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(fd, 20, 0).decode("ascii", errors="replace").strip() or "unknown"
        raise FolderLocked(
            f"another gsync already runs in this folder (process {holder})",
            advice=f"Use another folder, or stop that one: kill {holder}"
            if holder.isdecimal()
            else "Use another folder.",
        ) from error
    except OSError as error:
        raise _unusable(f"it cannot be locked: {error.strerror}") from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode("ascii"), 0)
    return fd


def _root_id(own_fd: int, *, root_inode: int, random_hex: RandomHex) -> str:
    marker = _read_marker(own_fd)
    if marker is not None and marker[1] == root_inode:
        return marker[0]
    root_id = random_hex(_ROOT_ID_BYTES)
    _write_marker(own_fd, json.dumps({"id": root_id, "inode": root_inode}).encode("ascii"), suffix=random_hex(4))
    return root_id


def _read_marker(own_fd: int) -> tuple[str, int] | None:
    """The id and the inode that the marker names; None where there is none, or nonsense. Raises FolderUnusable, OSError."""
    try:
        fd = os.open(MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=own_fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise _unusable(f"{MARKER!r} in it cannot be read ({error.strerror})") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _unusable(f"{MARKER!r} in it is not a regular file")
        raw = os.read(fd, _MARKER_MAX_BYTES)
    finally:
        os.close(fd)
    try:
        marker = json.loads(raw)
        return str(marker["id"]), int(marker["inode"])
    except (ValueError, TypeError, KeyError):
        return None


def _write_marker(own_fd: int, raw: bytes, *, suffix: str) -> None:
    new = f"{MARKER}.{suffix}"
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=own_fd)
        try:
            os.write(fd, raw)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(new, MARKER, src_dir_fd=own_fd, dst_dir_fd=own_fd)
    except OSError as error:
        raise _unusable(f"{MARKER!r} in it cannot be written: {error.strerror}") from error


def _open_file(name: str, flags: int, *, dir_fd: int) -> int:
    """A regular file of ours; a link, a FIFO, or a second name of somebody's file is refused."""
    try:
        fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=dir_fd)
    except OSError as error:
        raise _unusable(f"{name!r} in it cannot be opened ({error.strerror})") from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(fd)
        raise _unusable(f"{name!r} in it is not a regular file of its own")
    return fd


def _unusable(what: str) -> FolderUnusable:
    return FolderUnusable(
        f"gsync's own folder {OWN_FOLDER!r} cannot be used: {what}",
        advice=f"Look at {OWN_FOLDER!r} in the folder; move what does not belong there away, then start again.",
    )
