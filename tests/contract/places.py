"""A folder of each kind, and a person who works in it, for the contract suite."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

from gsync.core.names import RelPath
from gsync.storage.disk import DiskFolder
from gsync.storage.filesystem import Folder, OpenFile, Staged
from gsync.storage.memory import MemoryFolder


class Place(Protocol):
    """A folder, and a person who works in it."""

    folder: Folder

    def save(self, name: str, content: bytes) -> None: ...

    def write_into(self, name: str, content: bytes) -> None: ...

    def write_into_in_secret(self, name: str, content: bytes) -> None: ...

    def make_link(self, name: str, target: str = "/etc/hostname") -> None: ...

    def make_directory(self, name: str) -> None: ...

    def make_fifo(self, name: str) -> None: ...

    def rename(self, old: str, new: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def chmod(self, name: str, mode: int) -> None: ...

    def open_for_writing(self, name: str) -> None: ...

    def close_all(self) -> None: ...

    def content(self, name: str) -> bytes | None: ...

    def lose_root(self) -> None: ...


class DiskPlace:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = DiskFolder(path)
        self._open: list[int] = []

    def save(self, name: str, content: bytes) -> None:
        aside = self.path.parent / "aside"
        aside.write_bytes(content)
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        aside.replace(self.path / name)

    def write_into(self, name: str, content: bytes) -> None:
        (self.path / name).write_bytes(content)

    def write_into_in_secret(self, name: str, content: bytes) -> None:
        path = self.path / name
        before = path.stat()
        path.write_bytes(content)
        while path.stat().st_mtime_ns != before.st_mtime_ns or path.stat().st_ctime_ns == before.st_ctime_ns:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # again, until the disk's clock has ticked

    def make_link(self, name: str, target: str = "/etc/hostname") -> None:
        (self.path / name).symlink_to(target)

    def make_directory(self, name: str) -> None:
        (self.path / name).mkdir(parents=True)

    def make_fifo(self, name: str) -> None:
        os.mkfifo(self.path / name)

    def rename(self, old: str, new: str) -> None:
        (self.path / old).rename(self.path / new)

    def remove(self, name: str) -> None:
        path = self.path / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def chmod(self, name: str, mode: int) -> None:
        (self.path / name).chmod(mode)

    def open_for_writing(self, name: str) -> None:
        self._open.append(os.open(self.path / name, os.O_RDWR))

    def close_all(self) -> None:
        while self._open:
            os.close(self._open.pop())

    def content(self, name: str) -> bytes | None:
        path = self.path / name
        return path.read_bytes() if path.exists() else None

    def lose_root(self) -> None:
        self.path.rename(self.path.with_name("elsewhere"))

    def end(self) -> None:
        self.close_all()
        self.folder.close()


class MemoryPlace:
    def __init__(self) -> None:
        self.folder = MemoryFolder()

    def save(self, name: str, content: bytes) -> None:
        self.folder.put(name, content)

    def write_into(self, name: str, content: bytes) -> None:
        self.folder.edit(name, content)

    def write_into_in_secret(self, name: str, content: bytes) -> None:
        self.folder.edit(name, content, mtime_ns=self.folder.disk.names[name].mtime_ns)

    def make_link(self, name: str, target: str = "/etc/hostname") -> None:
        self.folder.link(name, target)

    def make_directory(self, name: str) -> None:
        self.folder.mkdir(name)

    def make_fifo(self, name: str) -> None:
        self.folder.obstruct(name, "a FIFO")

    def rename(self, old: str, new: str) -> None:
        self.folder.rename(old, new)

    def remove(self, name: str) -> None:
        self.folder.remove(name)

    def chmod(self, name: str, mode: int) -> None:
        self.folder.chmod(name, mode)

    def open_for_writing(self, name: str) -> None:
        self.folder.hold_open(name)

    def close_all(self) -> None:
        for node in self.folder.disk.names.values():
            node.writers = 0

    def content(self, name: str) -> bytes | None:
        return self.folder.contents().get(name)

    def lose_root(self) -> None:
        self.folder.root_stands = False


def staged(folder: Folder, content: bytes, *, mtime_s: int = 1_600_000_000, mode: int = 0o640) -> Staged:
    """An open staged file with `content`."""
    one = folder.stage()
    one.write(content)
    one.finish(mtime_ns=mtime_s * 10**9, mode=mode)
    return one


def staged_name(folder: Folder, content: bytes) -> str:
    """The name of a staged file with `content`, closed."""
    one = staged(folder, content)
    one.close()
    return one.name


def path(text: str) -> RelPath:
    return RelPath.parse(text)


def whole(file: OpenFile) -> bytes:
    """Its content; it is closed."""
    with file:
        return file.read_at(0, 1 << 20)
