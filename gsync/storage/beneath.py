"""Opening what lies beneath a directory, so that no name leads outside it and no link is followed.

The kernel does it where it can (openat2); elsewhere a walk, one component at a time, that refuses links. `RelPath` refuses
`..`; the kernel would let it through as long as it stays inside. Raises OSError; called by the modules of the real folder.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final, Self

from gsync.storage import syscalls

_RESOLVE: Final = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_XDEV

_NO_OPENAT2: Final = frozenset({errno.ENOSYS, errno.EPERM})
"""Kernels before 5.6 say ENOSYS; old container sandboxes say EPERM to every call they do not know."""

_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_DIRECTORY: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_beneath(root_fd: int, name: str, flags: int) -> int:
    """A descriptor of `name` under `root_fd`; a link anywhere in it, or another mount, is an OSError."""
    try:
        return syscalls.openat2(name, flags | os.O_NOFOLLOW, dir_fd=root_fd, resolve=_RESOLVE)
    except OSError as error:
        if error.errno not in _NO_OPENAT2:
            raise
    return walk_beneath(root_fd, name, flags)


def open_directory(root_fd: int, path: str) -> int:
    """A descriptor of the directory `path`, good for fsync too; "" is the root itself. A link in it is ELOOP, a file ENOTDIR."""
    # With the dot, for a link as the last component would be "not a directory" else.
    return open_beneath(root_fd, f"{path}/." if path else ".", _OPEN_DIRECTORY)


class LastDirectory:
    """Opens one directory after the other, and keeps the last one open: for names that come sorted. In a `with`, and briefly."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._path: str | None = None
        self._fd = -1

    def open(self, path: str) -> int:
        """A descriptor of the directory `path`, as `open_directory` gives it; it stays ours until the next call."""
        if path != self._path:
            self.close()
            self._fd = open_directory(self._root_fd, path)
            self._path = path
        return self._fd

    def close(self) -> None:
        if self._path is not None:
            os.close(self._fd)
        self._path = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def walk_beneath(root_fd: int, name: str, flags: int) -> int:
    """What `open_beneath` does where the kernel has no openat2; it cannot tell a bind mount of the same file system."""
    *parents, last = name.split("/")
    device = os.fstat(root_fd).st_dev
    here = root_fd
    try:
        for component in parents:
            below = _open_component(component, dir_fd=here)
            if here != root_fd:
                os.close(here)
            here = below
        fd = os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    finally:
        if here != root_fd:
            os.close(here)
    if os.fstat(fd).st_dev != device:
        os.close(fd)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    return fd


def _open_component(name: str, *, dir_fd: int) -> int:
    try:
        return os.open(name, os.O_PATH | _DIRECTORY, dir_fd=dir_fd)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise
