"""The block digests of contents that stand in this folder, or came here: what a native peer asks for before a large file.

Kept by digest while there is room; else the file is read again, a slice at a time in the SCAN worker, so that scans go on in
between. Only a list that proves itself against the digest is ever given out. Used by the native server and fetcher; whoever
hashes a large file for reasons of its own may leave its list here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from gevent.lock import BoundedSemaphore

from gsync.core.blocks import BLOCK_BYTES, ContentHasher, digest_of_blocks
from gsync.errors import FileChanged
from gsync.storage.filesystem import OpenFile
from gsync.storage.hashing import hash_on
from gsync.storage.workers import Pool, Workers

KEPT_BYTES: Final = 16 * 1024 * 1024
"""Digests of half a million blocks, of 512 GiB of content."""

SLICE_BYTES: Final = 64 * BLOCK_BYTES
"""Read between two looks at what else the SCAN worker has to do: some 50 ms."""

READERS: Final = 2
"""Files that are read for their lists at a time; whoever asks for another one waits."""


class BlockLists:
    """Block digests, joined, by the digest of the whole."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._readers = BoundedSemaphore(READERS)

    def known(self, digest: str) -> bytes | None:
        """The list of the content with this digest, if it is kept."""
        kept = self._kept.get(digest)
        if kept is not None:
            self._kept.move_to_end(digest)
        return kept

    def keep(self, digest: str, blocks: Sequence[bytes]) -> None:
        """Remember a list that is known to be right; the one that was used longest ago goes."""
        self.keep_joined(digest, b"".join(blocks))

    def keep_joined(self, digest: str, joined: bytes) -> None:
        """The same, of a list whose digests stand one after the other."""
        if digest in self._kept or len(joined) > KEPT_BYTES:
            return
        self._kept[digest] = joined
        self._size += len(joined)
        while self._size > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest)

    def of(self, file: OpenFile, digest: str, *, on_slice: Callable[[], None] = lambda: None) -> bytes:
        """The list of `file`, which should have this digest; `on_slice` is called now and then while it is read.

        Raises `FileChanged` if it has another one, `StorageError` if it cannot be read.
        """
        with self._readers:
            kept = self.known(digest)
            if kept is not None:  # read for somebody else, while we waited
                return kept
            blocks = self._read(file, on_slice)
        if digest_of_blocks(blocks) != digest:
            raise FileChanged("it is not what the index says any more")
        self.keep(digest, blocks)
        return b"".join(blocks)

    def _read(self, file: OpenFile, on_slice: Callable[[], None]) -> tuple[bytes, ...]:
        hasher = ContentHasher()
        while True:
            job = self._workers.spawn(Pool.SCAN, _read_slice, file, hasher)
            try:
                more = job.get()
            finally:
                job.wait()  # the descriptor is in use until then
            if not more:
                break
            on_slice()
        if file.changed():
            raise FileChanged("it was changed while it was read")
        return hasher.blocks()


def _read_slice(file: OpenFile, hasher: ContentHasher) -> bool:
    """Hash the next slice; whether there is more."""
    end = file.fingerprint.size
    return bool(hash_on(file, hasher, end=end, budget=SLICE_BYTES)) and hasher.size < end
