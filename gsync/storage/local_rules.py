"""This machine's own rules of what is left alone: `.gsync/ignore`, which travels nowhere. Read by the indexer."""

from __future__ import annotations

import os
import stat
from typing import Final

from gsync.core.ignore import RULES_MAX_BYTES
from gsync.storage.translation import storage_error

LOCAL_RULES: Final = "ignore"


def read_local_rules(own_fd: int) -> bytes:
    """What stands in `.gsync/ignore`, b"" where there is none; a link or a FIFO there counts as none. Raises StorageError."""
    try:
        fd = os.open(LOCAL_RULES, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=own_fd)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise storage_error(error, LOCAL_RULES) from error
    try:
        return os.read(fd, RULES_MAX_BYTES + 1) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError as error:
        raise storage_error(error, LOCAL_RULES) from error
    finally:
        os.close(fd)
