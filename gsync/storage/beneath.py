"""Opening what lies beneath a directory, so that no name leads outside it and no link is followed.

The kernel does it where it can (openat2); elsewhere a walk, one component at a time, that refuses links. `RelPath` refuses
`..`; the kernel would let it through as long as it stays inside. Raises OSError; called by `disk.py` only.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from gsync.storage import syscalls

_RESOLVE: Final = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_XDEV

_NO_OPENAT2: Final = frozenset({errno.ENOSYS, errno.EPERM})
"""Kernels before 5.6 say ENOSYS; old container sandboxes say EPERM to every call they do not know."""

_DIRECTORY: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_beneath(root_fd: int, name: str, flags: int) -> int:
    """A descriptor of `name` under `root_fd`; a link anywhere in it, or another mount, is an OSError."""
    try:
        return syscalls.openat2(name, flags | os.O_NOFOLLOW, dir_fd=root_fd, resolve=_RESOLVE)
    except OSError as error:
        if error.errno not in _NO_OPENAT2:
            raise
    return walk_beneath(root_fd, name, flags)


def walk_beneath(root_fd: int, name: str, flags: int) -> int:
    """What `open_beneath` does where the kernel has no openat2; it cannot tell a bind mount of the same file system."""
    *parents, last = name.split("/")
    device = os.fstat(root_fd).st_dev
    here = root_fd
    try:
        for component in parents:
            below = os.open(component, os.O_PATH | _DIRECTORY, dir_fd=here)
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
