"""The digests of many small files, one after the other, with as few calls of the system as it takes: a first scan reads 100,000.

Nothing is believed that moved: a file counts if it shows, once it was read, what it showed when it was listed. That was longer
ago than a tick of the clock (`scanner.SETTLED_NS`), so whoever wrote to it since moved its ctime. Called by `disk.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from gsync.core.blocks import DIGEST_PREFIX, block_digest
from gsync.core.model import Fingerprint
from gsync.core.names import RelPath
from gsync.errors import FileChanged, FileVanished, StorageError
from gsync.storage.beneath import LastDirectory, open_beneath
from gsync.storage.listing import shows
from gsync.storage.looking import READ
from gsync.storage.translation import storage_error


def digest_each(
    root_fd: int, files: Iterable[tuple[RelPath, Fingerprint]]
) -> Iterator[tuple[RelPath, str | StorageError]]:
    """What `Folder.digest_each` says, beneath `root_fd`."""
    files = list(files)
    longest = max((expected.size for _, expected in files), default=0)
    buffer = memoryview(bytearray(longest + 1))  # one more: a file that grew is noticed
    with LastDirectory(root_fd) as last:
        for path, expected in files:
            outcome: str | StorageError
            try:
                outcome = _digest(last, path, expected, buffer)
            except NotADirectoryError:
                outcome = FileVanished(f"{path}: there is no such file any more")
            except OSError as error:
                outcome = storage_error(error, path)
            except StorageError as error:
                outcome = error
            yield path, outcome


def _digest(last: LastDirectory, path: RelPath, expected: Fingerprint, buffer: memoryview) -> str:
    directory, _, name = path.rpartition("/")
    fd = open_beneath(last.open(directory), name, READ)
    try:
        count = os.readv(fd, (buffer,))
        while 0 < count < expected.size and (more := os.readv(fd, (buffer[count:],))):
            count += more
        status = os.fstat(fd)
    finally:
        os.close(fd)
    if count != expected.size or not shows(expected, status):
        raise FileChanged(f"{path}: it was changed before it was read")
    return DIGEST_PREFIX + block_digest(buffer[:count]).hex()
