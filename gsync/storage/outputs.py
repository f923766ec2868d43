"""Writes a file where a person asks for it, outside the folder: whole, or not at all.

The place is the person's own word, not that of a peer, so it may be anywhere. Called in a disk worker by the orders of the overlay.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence

from gsync.core.names import RelPath
from gsync.errors import ConfigError, StorageError


def output_path(output: str, names: Sequence[RelPath], name: RelPath | None = None) -> str:
    """The file that `name`, or the first of `names`, is written to. Raises `ConfigError` for what cannot be written to."""
    if os.path.isdir(output):
        return os.path.join(output, (name or names[0]).rpartition("/")[2])
    if len(names) > 1:
        raise ConfigError(f"{output} is no directory, and there are {len(names)} names", advice=f"mkdir {output}")
    if not os.path.isdir(os.path.dirname(output)):
        raise ConfigError(f"there is no directory {os.path.dirname(output)}", advice="make it first")
    return output


def write_output(path: str, content: bytes) -> None:
    """Let `path` be a file with this content. Raises `StorageError`."""
    staged = ""
    try:
        descriptor, staged = tempfile.mkstemp(prefix=".gsync-", dir=os.path.dirname(path))
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    except OSError as error:
        if staged:
            with contextlib.suppress(OSError):
                os.unlink(staged)
        raise StorageError(f"{path}: {error.strerror}") from error
