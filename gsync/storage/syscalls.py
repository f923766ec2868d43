"""The Linux calls that Python's `os` does not offer, typed; each raises OSError as `os` would.

Nothing here decides anything. Callers: `beneath.py`, `renames.py`, `durability.py`. A call that the system lacks raises
OSError(ENOSYS), so that the caller has one way to find out. ctypes releases the interpreter lock around each call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Final

RESOLVE_NO_XDEV: Final = 0x01
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2
SYNC_FILE_RANGE_WRITE: Final = 2

_OPENAT2: Final = 437
"""The number of openat2 on every Linux architecture (numbers are shared from 424 on)."""

_RETRIES: Final = 1000
"""openat2 says EAGAIN while names move under it; a bound, so that somebody who renames for ever cannot hold a thread."""

_PASSING: Final = frozenset({errno.EINTR, errno.EAGAIN})

_libc: Final = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_ENCODING: Final = sys.getfilesystemencoding()
_ENCODE_ERRORS: Final = sys.getfilesystemencodeerrors()
_NUMBER_OF_OPENAT2: Final = ctypes.c_long(_OPENAT2)
_SIZE_OF_HOW: Final = ctypes.c_size_t(ctypes.sizeof(_OpenHow))


def openat2(name: str, flags: int, *, dir_fd: int, resolve: int) -> int:
    """A descriptor of `name` opened under `dir_fd`, closed on exec, within what `resolve` allows. Cannot create."""
    call, raw, how = _function("syscall"), _bytes(name), _how(flags | os.O_CLOEXEC, resolve)
    fd = call(_NUMBER_OF_OPENAT2, dir_fd, raw, how, _SIZE_OF_HOW)  # told apart for speed: mostly it can be opened
    if fd >= 0:
        return fd
    if ctypes.get_errno() not in _PASSING:
        raise _error(name)
    return _call(name, call, _NUMBER_OF_OPENAT2, dir_fd, raw, how, _SIZE_OF_HOW)


@lru_cache(maxsize=16)
def _how(flags: int, resolve: int) -> object:
    """A pointer to it, kept because a first scan opens 100,000 files with the same; the kernel only reads what it points to."""
    return ctypes.byref(_OpenHow(flags, 0, resolve))


def renameat2(old_fd: int, old: str, new_fd: int, new: str, flags: int) -> None:
    """Rename `old` under `old_fd` to `new` under `new_fd`. Give single names: it follows links in directories."""
    _call(new, _function("renameat2"), old_fd, _bytes(old), new_fd, _bytes(new), flags)


def syncfs(fd: int) -> None:
    """Write everything that is dirty on the file system of `fd`, other programs' files too."""
    _call(None, _function("syncfs"), fd)


def start_writeback(fd: int, offset: int, count: int) -> None:
    """Begin to write a range to disk without waiting for it; a hint only, so that a later fsync has little left."""
    begin, length = ctypes.c_int64(offset), ctypes.c_int64(count)
    _call(None, _function("sync_file_range"), fd, begin, length, SYNC_FILE_RANGE_WRITE)


def _function(name: str) -> Callable[..., int]:
    try:
        function: Callable[..., int] = getattr(_libc, name)
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    return function


def _bytes(name: str) -> bytes:
    raw = name.encode(_ENCODING, _ENCODE_ERRORS)  # as os.fsencode does, which looks at more than names
    if b"\0" in raw:  # C would cut the name there and open another one
        raise OSError(errno.EINVAL, "a NUL in the name", name)
    return raw


def _call(name: str | None, function: Callable[..., int], *args: object) -> int:
    for _ in range(_RETRIES):
        answer = function(*args)
        if answer >= 0:
            return answer
        if ctypes.get_errno() not in _PASSING:
            break
    raise _error(name)


def _error(name: str | None) -> OSError:
    """What the last call said, about `name`."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), name)
