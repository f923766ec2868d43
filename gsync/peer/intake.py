"""Where the bytes of one fetch go: memory while they are few, a staged file once they are many.

Filled by the fetcher through `room` and `took`, straight from the socket. Small files are hashed here and written by the
publisher together with their batch (one pool hop for hundreds of files). Large ones go to staging a buffer at a time in the
transfer worker while the next buffer fills, so neither hashing nor the disk ever holds up the loop, and memory stays at
`BUFFERS` x 1 MiB a transfer.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from msgspec import Struct

from gsync.core.blocks import ContentHasher
from gsync.core.names import RelPath
from gsync.storage.filesystem import Staged
from gsync.storage.workers import Job

SMALL_MAX: Final = 256 * 1024
"""Up to this size a file waits in memory for its batch; above, a pool hop a buffer costs less than the copy."""

BUFFER: Final = 1024 * 1024
BUFFERS: Final = 4
_FIRST_ROOM: Final = 16 * 1024


class Stager(Protocol):
    """The part of the disk that a fetch needs before anything is published; all but `write` wait for the worker."""

    def begin(self, path: RelPath, *, expected: int) -> Staged: ...

    def write(self, staged: Staged, hasher: ContentHasher, data: memoryview) -> Job[None]: ...

    def abandon(self, staged: Staged) -> None: ...


class Content(Struct, frozen=True, kw_only=True):
    """What was received: the bytes themselves or the staged file that holds them, with size and digest."""

    held: bytes | Staged
    size: int
    digest: str


class Intake:
    """Takes the bytes of `path`; `expected` is their number where the source told it."""

    def __init__(self, path: RelPath, *, stager: Stager, expected: int | None) -> None:
        self._path = path
        self._stager = stager
        self._expected = expected
        self._hasher = ContentHasher()
        self._buffer = bytearray(_FIRST_ROOM if expected is None else min(max(expected, 1), BUFFER))
        self._filled = 0
        self._staged: Staged | None = None
        self._writing: deque[tuple[Job[None], bytearray]] = deque()
        self.size = 0

    def room(self) -> memoryview:
        """Where the next bytes go; never empty. May wait for the worker, raises `StorageError` when it failed."""
        if self._filled == len(self._buffer):
            if self._staged is None and self._filled < SMALL_MAX:
                self._buffer = self._buffer + bytes(min(len(self._buffer), SMALL_MAX - self._filled))
            else:
                self._pass_on()
        return memoryview(self._buffer)[self._filled :]

    def took(self, count: int) -> None:
        """`count` bytes were put where `room` pointed."""
        self._filled += count
        self.size += count

    def finish(self) -> Content:
        """All bytes are here: what they are. The staged file, if there is one, is the caller's from now on."""
        if self._staged is None and self._filled <= SMALL_MAX:
            body = bytes(memoryview(self._buffer)[: self._filled])
            self._hasher.update(body)
            return Content(held=body, size=self.size, digest=self._hasher.digest())
        if self._filled:
            self._pass_on()
        while self._writing:
            self._await_oldest()
        staged, self._staged = self._staged, None
        assert staged is not None
        return Content(held=staged, size=self.size, digest=self._hasher.digest())

    def abandon(self) -> None:
        """Forget what came; waits for writes that are under way, whose buffers and descriptor are still in use."""
        while self._writing:
            self._writing.popleft()[0].wait()
        if self._staged is not None:
            staged, self._staged = self._staged, None
            self._stager.abandon(staged)

    def _pass_on(self) -> None:
        """Hand the filled buffer to the worker and take a free one."""
        if self._staged is None:
            self._staged = self._stager.begin(self._path, expected=self._expected or 0)
        full = memoryview(self._buffer)[: self._filled]
        self._writing.append((self._stager.write(self._staged, self._hasher, full), self._buffer))
        self._filled = 0
        if len(self._writing) < BUFFERS:
            self._buffer = bytearray(BUFFER)
            return
        buffer = self._await_oldest()
        self._buffer = buffer if len(buffer) == BUFFER else bytearray(BUFFER)

    def _await_oldest(self) -> bytearray:
        """Wait for the oldest write; it counts as under way until it has ended, also if this wait is broken off."""
        job, buffer = self._writing[0]
        job.get()
        self._writing.popleft()
        return buffer


def abandon(content: Content, stager: Stager) -> None:
    """Forget content that was received but is not wanted any more."""
    if not isinstance(content.held, bytes):
        stager.abandon(content.held)
