"""One large content as it comes together in a staged file: block by block, in any order, each proven before it counts.

What an interrupted download left, what local files hold and what the network brings all go the same way: hashed and written in
the TRANSFER worker, by digest. It knows no network. Used by `peer/block_fetch.py`, which ends it by `finish` or `let_go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, Protocol

from gsync.core.blocks import BLOCK_BYTES, block_digest, is_zeros
from gsync.core.model import Record
from gsync.core.names import RelPath
from gsync.core.recipe import Missing, Spot
from gsync.errors import StorageError
from gsync.peer.intake import Content
from gsync.storage.filesystem import Staged
from gsync.storage.workers import Job, Pool, Workers

SLICE_BLOCKS: Final = 16
"""Local blocks looked at in one call of the worker: some 15 ms, between two buffers of other transfers."""


class LocalBlocks(Protocol):
    """A local file, open for reading; `OpenFile` and `Staged` are some."""

    def read_at(self, offset: int, count: int) -> bytes: ...


class BlockStager(Protocol):
    """The part of the disk that a download in blocks needs before anything is published; all wait for the worker."""

    def begin(self, path: RelPath, *, expected: int, digest: str = "") -> Staged:
        """A staged file that can be gone on with later, as it has a `digest`. Raises NoSpace, StorageError."""
        ...

    def partial(self, digest: str) -> Staged | None:
        """What an interrupted download of this content left."""
        ...

    def keep(self, staged: Staged) -> None:
        """Leave it for the next try. Raises StorageError."""
        ...

    def abandon(self, staged: Staged) -> None:
        """Forget it. Raises StorageError."""
        ...


class Assembly:
    """The content of `record`, whose blocks have the digests `blocks`, on its way to `path`."""

    def __init__(self, path: RelPath, record: Record, blocks: bytes, *, stager: BlockStager, workers: Workers) -> None:
        self.missing: Final = Missing(blocks, size=record.size)
        self._path = path
        self._record = record
        self._stager = stager
        self._workers = workers
        self._staged: Staged | None = None
        self._whole = len(self.missing)

    def begin(self) -> None:
        """Take up what is left of an earlier try, else begin anew. Raises StorageError."""
        left = self._stager.partial(self._record.digest)
        if left is None:
            expected = min(len(self.missing) * BLOCK_BYTES, self._record.size)
            self._staged = self._stager.begin(self._path, expected=expected, digest=self._record.digest)
        else:
            self._staged = left
            self._look_through(left, [self.missing.spot(number) for number in self.missing], in_place=True)
            self._make_holes(left)

    def take_from(self, file: LocalBlocks, spots: Iterable[Spot]) -> None:
        """Copy every missing block that is found at one of `spots`. Raises StorageError."""
        self._look_through(file, spots, in_place=False)

    def put(self, blocks: range, data: memoryview) -> Job[list[int]]:
        """Write those of `blocks`, which follow each other in `data`, that are what they should be; which ones were.

        The buffer is free again once the job is done.
        """
        assert self._staged is not None
        pieces = [(number, self.missing.spot(number), self.missing.digest(number)) for number in blocks]
        return self._workers.spawn(Pool.TRANSFER, _put, self._staged, pieces, data)

    def finish(self) -> Content:
        """The whole content; its staged file is the caller's from now on. Nothing may be missing. Raises StorageError."""
        assert self._staged is not None
        assert not self.missing
        if self._staged.size != self._record.size:
            self._workers.run(Pool.TRANSFER, self._staged.truncate, self._record.size)
        staged, self._staged = self._staged, None
        return Content(held=staged, size=self._record.size, digest=self._record.digest)

    def let_go(self) -> None:
        """It goes no further now: what is here is kept for the next try, if anything is. Raises StorageError."""
        if self._staged is None:
            return
        staged, self._staged = self._staged, None
        if len(self.missing) < self._whole:
            self._stager.keep(staged)
        else:
            self._stager.abandon(staged)

    def _look_through(self, file: LocalBlocks, spots: Iterable[Spot], *, in_place: bool) -> None:
        assert self._staged is not None
        for some in _slices(spots):
            if not self.missing:
                return
            job = self._workers.spawn(
                Pool.TRANSFER, _take_matching, file, some, self.missing, None if in_place else self._staged
            )
            try:
                found = job.get()
            finally:
                job.wait()  # both files are in use until then
            for number in found:
                self.missing.found(number)

    def _make_holes(self, staged: Staged) -> None:
        """Whatever an interrupted try left where zeros must be; where nothing was written they are already."""
        for run in self.missing.zero_runs:
            at, end = run.start * BLOCK_BYTES, min(run.stop * BLOCK_BYTES, self._record.size, staged.size)
            while at < end:
                at = self._workers.run(Pool.TRANSFER, _cleared, staged, at, end)


def _slices(spots: Iterable[Spot]) -> Iterator[list[Spot]]:
    rest = iter(spots)
    while some := list(islice(rest, SLICE_BLOCKS)):
        yield some


def _take_matching(file: LocalBlocks, spots: list[Spot], missing: Missing, target: Staged | None) -> list[int]:
    """In the worker: the missing blocks at `spots`, copied to `target`; without one, those that stand in `file` as they should."""
    found: list[int] = []
    for spot in spots:
        data = _read(file, spot)
        if len(data) < spot.count:
            break  # it became shorter, or cannot be read
        digest = block_digest(data)
        if target is None:
            if digest == missing.digest(spot.offset // BLOCK_BYTES):
                found.append(spot.offset // BLOCK_BYTES)
            continue
        for number in missing.wanting(digest):
            target.write_at(missing.spot(number).offset, data)
            found.append(number)
    return found


def _cleared(staged: Staged, at: int, end: int) -> int:
    """In the worker: let what lies from `at` to `end` be zeros, a slice of it; where to go on."""
    for _ in range(SLICE_BLOCKS):
        at = staged.data_at(at)
        if at >= end:
            break
        count = min(BLOCK_BYTES - at % BLOCK_BYTES, end - at)
        if not is_zeros(staged.read_at(at, count)):
            staged.write_at(at, bytes(count))
        at += count
    return at


def _read(file: LocalBlocks, spot: Spot) -> bytes:
    try:
        return file.read_at(spot.offset, spot.count)
    except StorageError:
        return b""


def _put(staged: Staged, pieces: list[tuple[int, Spot, bytes]], data: memoryview) -> list[int]:
    right: list[int] = []
    at = 0
    for number, spot, digest in pieces:
        block = data[at : at + spot.count]
        at += spot.count
        if block_digest(block) == digest:
            staged.write_at(spot.offset, block)
            right.append(number)
    return right
