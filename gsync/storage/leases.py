"""Whether a program still writes into a file that was displaced.

A program that has a file open goes on writing into it wherever it is moved. The kernel grants a read lease only while
nobody has the inode open for writing or mapped shared and writable: asking for one, and giving it back, tells. Only for
displaced files: on a live one, a writer that opens it in these microseconds without blocking would be turned away.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from typing import Final

_SETSIG: Final = 10
"""F_SETSIG of fcntl.h; Python's module does not name it."""

_CANNOT_TELL: Final = frozenset({errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS})
"""Not our file, or a file system without leases."""


def has_writer(dir_fd: int, name: str) -> bool | None:
    """Whether `name` under `dir_fd` is open for writing or mapped; None when it cannot be told. Raises other OSErrors."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except PermissionError:
        return None
    try:
        # A lease that somebody breaks is told by SIGIO, which kills. SIGURG is ignored unless someone asked for it, so
        # that no state of the whole process has to be changed for this.
        fcntl.fcntl(fd, _SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        if error.errno in _CANNOT_TELL:
            return None
        raise
    finally:
        os.close(fd)
    return False
