"""Reads files that a look found to be new or changed, in pieces, so that the digest of each is known before others hear of it.

A piece is one call in the scan thread, at most PIECE_BYTES or PIECE_FILES, so that a look at something else waits milliseconds
for it and not the minutes that a large file takes. A digest belongs to the fingerprint that the file had before it was read
and after it: a file that moved meanwhile has none, and is looked at again. Nothing is locked or leased: whoever works in the
folder never notices.

`Unread` remembers what is to be read and what was; the indexer owns it. `read_piece` runs in the scan thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct, field

from gsync.core.blocks import BLOCK_BYTES, ContentHasher
from gsync.core.model import Fingerprint
from gsync.core.names import RelPath
from gsync.errors import FileChanged, FileVanished, StorageError
from gsync.storage.filesystem import Folder, OpenFile
from gsync.storage.hashing import hash_on

PIECE_BYTES: Final = 16 * 1024 * 1024
PIECE_FILES: Final = 500


class Read(Struct, frozen=True, kw_only=True, gc=False):
    """The digest of a file as long as it has this fingerprint, and those of its blocks."""

    fingerprint: Fingerprint
    digest: str
    blocks: tuple[bytes, ...] = ()


class Begun:
    """A file of which a part was read; `close` it if it is not read to its end."""

    def __init__(self, path: RelPath, expected: Fingerprint, file: OpenFile) -> None:
        self.path = path
        self.expected = expected
        self._file = file
        self._hasher = ContentHasher()

    def read_on(self, budget: int) -> tuple[int, bool]:
        """Read about `budget` bytes; how many they were, and whether that was the end. Raises FileChanged, StorageError."""
        before, end = self._hasher.size, self.expected.size
        if end > before and not hash_on(self._file, self._hasher, end=end, budget=budget):
            raise FileChanged(f"{self.path}: it was cut while it was read")
        if self._file.changed():  # a large file that is being written is given up now, and not at its end
            raise FileChanged(f"{self.path}: it was changed while it was read")
        return self._hasher.size - before, self._hasher.size == end

    def read(self) -> Read:
        """Of a file that was read to its end."""
        return Read(fingerprint=self.expected, digest=self._hasher.digest(), blocks=self._hasher.blocks())

    def close(self) -> None:
        self._file.close()


class Piece(Struct, frozen=True, kw_only=True):
    """What came of a piece: the digests, files that moved, files that cannot be read, and the one that was not finished."""

    read: Mapping[RelPath, Read] = field(default_factory=dict)
    moved: frozenset[RelPath] = frozenset()
    refused: frozenset[RelPath] = frozenset()
    begun: Begun | None = None


def read_piece(
    folder: Folder,
    files: Sequence[tuple[RelPath, Fingerprint]],
    begun: Begun | None = None,
    *,
    bytes_max: int = PIECE_BYTES,
) -> Piece:
    """Read about `bytes_max` bytes of `files`: `begun` if it is the first (else it is closed), the small ones, the others."""
    reading = _Reading(bytes_max)
    if begun is not None and files and files[0] == (begun.path, begun.expected):
        reading.read_on(begun)
        files = files[1:]
    elif begun is not None:
        begun.close()
    small = [one for one in files if one[1].size <= BLOCK_BYTES]
    if reading.budget > 0:
        for (path, expected), (_, digest) in zip(small, folder.digest_each(small), strict=False):
            reading.take(path, expected, digest)
            if reading.budget <= 0:
                break
    for path, expected in files:
        if reading.budget <= 0:
            break
        if expected.size > BLOCK_BYTES:
            reading.open(folder, path, expected)
    return Piece(
        read=reading.read,
        moved=frozenset(reading.moved),
        refused=frozenset(reading.refused),
        begun=reading.begun,
    )


class _Reading:
    """One piece as it grows."""

    def __init__(self, bytes_max: int) -> None:
        self.budget = bytes_max
        self.read: dict[RelPath, Read] = {}
        self.moved: set[RelPath] = set()
        self.refused: set[RelPath] = set()
        self.begun: Begun | None = None

    def take(self, path: RelPath, expected: Fingerprint, digest: str | StorageError) -> None:
        """A small file that was read, or why not."""
        if isinstance(digest, StorageError):
            self._failed(path, digest)
        else:
            self.read[path] = Read(fingerprint=expected, digest=digest)
            self.budget -= expected.size

    def open(self, folder: Folder, path: RelPath, expected: Fingerprint) -> None:
        """Begin a large file."""
        try:
            file = folder.open(path)
        except StorageError as error:
            self._failed(path, error)
            return
        begun = Begun(path, expected, file)
        if file.fingerprint == expected:
            self.read_on(begun)
        else:
            begun.close()
            self.moved.add(path)

    def read_on(self, file: Begun) -> None:
        """Go on with a large file, as far as the budget goes."""
        try:
            count, ended = file.read_on(self.budget)
            self.budget -= count
            if not ended:
                self.budget = 0
                self.begun = file
                return
            self.read[file.path] = file.read()
        except StorageError as error:
            self._failed(file.path, error)
        file.close()

    def _failed(self, path: RelPath, error: StorageError) -> None:
        (self.moved if isinstance(error, FileChanged | FileVanished) else self.refused).add(path)


class Unread:
    """What is to be read, in the order of asking, and the digests of what was read."""

    def __init__(self) -> None:
        self._files: dict[RelPath, Fingerprint] = {}
        self.digests: dict[RelPath, Read] = {}

    def __len__(self) -> int:
        """How many files are still to be read."""
        return len(self._files)

    @property
    def paths(self) -> frozenset[RelPath]:
        """The files that are still to be read."""
        return frozenset(self._files)

    def want(self, files: Mapping[RelPath, Fingerprint]) -> None:
        """These are to be read; a file that was asked for with another fingerprint is another one now."""
        self._files.update(files)

    def next_files(self, begun: Begun | None) -> list[tuple[RelPath, Fingerprint]]:
        """The files of the next piece, the one that was begun first."""
        batch = list(islice(self._files.items(), PIECE_FILES))
        if begun is not None and self._files.get(begun.path) == begun.expected:
            first = (begun.path, begun.expected)
            batch = [first, *(one for one in batch if one != first)]
        return batch

    def take_in(self, files: Sequence[tuple[RelPath, Fingerprint]], piece: Piece) -> None:
        """Of `files` these were dealt with; what was asked for anew meanwhile stays to be read."""
        for path, expected in files:
            done = path in piece.read or path in piece.moved or path in piece.refused
            if done and self._files.get(path) == expected:
                del self._files[path]
        self.digests.update(piece.read)

    def forget(self, paths: Iterable[RelPath]) -> None:
        """The digests of `paths` were used, or are worth nothing any more."""
        for path in paths:
            self.digests.pop(path, None)
