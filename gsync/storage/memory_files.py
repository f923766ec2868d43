"""Open files of the folder in memory: one open for reading, and one being written in staging. Made by `memory.py`."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator

from gsync.core.blocks import digest_of_bytes
from gsync.core.model import Fingerprint
from gsync.core.names import RelPath
from gsync.errors import FileChanged, NoSpace, StorageError
from gsync.storage.filesystem import OpenFile
from gsync.storage.memory_disk import MemoryDisk, Node


class MemoryFile:
    """An `OpenFile`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.fingerprint = node.fingerprint()

    def read_at(self, offset: int, count: int) -> bytes:
        return self._node.content[offset : offset + count]

    def data_at(self, offset: int) -> int:
        return offset

    def fileno(self) -> int:
        raise io.UnsupportedOperation("a file in memory has no descriptor")

    def changed(self) -> bool:
        now, was = self._node.fingerprint(), self.fingerprint
        return (now.size, now.mtime_ns, now.ctime_ns) != (was.size, was.mtime_ns, was.ctime_ns)

    def close(self) -> None:
        return

    def __enter__(self) -> MemoryFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class MemoryStaged:
    """A `Staged`; `on_call` is told the name of each method before it runs."""

    def __init__(self, disk: MemoryDisk, node: Node, *, name: str, on_call: Callable[[str], None]) -> None:
        self._disk = disk
        self._node = node
        self._on_call = on_call
        self.name = name

    @property
    def size(self) -> int:
        return len(self._node.content)

    @property
    def inode(self) -> int:
        return self._node.inode

    def write(self, data: bytes | memoryview) -> None:
        self._on_call("write")
        self._put(self.size, data)

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        self._on_call("write_at")
        self._put(offset, data)

    def read_at(self, offset: int, count: int) -> bytes:
        self._on_call("read_at")
        return self._node.content[offset : offset + count]

    def data_at(self, offset: int) -> int:
        return offset

    def truncate(self, size: int) -> None:
        self._on_call("truncate")
        self._node.content = self._node.content[:size].ljust(size, b"\0")
        self._disk.touch(self._node)

    def finish(self, *, mtime_ns: int, mode: int) -> None:
        self._on_call("finish")
        self._node.mode = mode
        self._disk.touch(self._node, mtime_ns=mtime_ns)

    def fingerprint(self) -> Fingerprint:
        return self._node.fingerprint()

    def fileno(self) -> int:
        raise io.UnsupportedOperation("a file in memory has no descriptor")

    def close(self) -> None:
        return

    def _put(self, offset: int, data: bytes | memoryview) -> None:
        if self._disk.free < len(data):
            raise NoSpace(f"{self.name}: the disk is full")
        if not len(data):
            return
        before = self._node.content.ljust(offset, b"\0")
        self._node.content = before[:offset] + bytes(data) + before[offset + len(data) :]
        self._disk.touch(self._node)


def digest_each(
    open_file: Callable[[RelPath], OpenFile], files: Iterable[tuple[RelPath, Fingerprint]]
) -> Iterator[tuple[RelPath, str | StorageError]]:
    """What `Folder.digest_each` says."""
    for path, expected in files:
        try:
            with open_file(path) as file:
                content = file.read_at(0, expected.size)
                if file.fingerprint != expected or file.changed():
                    raise FileChanged(f"{path}: it was changed before it was read")
            yield path, digest_of_bytes(content)
        except StorageError as error:
            yield path, error
