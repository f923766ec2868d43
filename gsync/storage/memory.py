"""`MemoryFolder`: a folder without a disk, for tests and the simulation, with the disk's faults at command.

It behaves as `disk.DiskFolder` does (`tests/contract/test_folder.py` runs over both), and it knows what a real disk keeps
through a power cut: a content after `sync`, a name after `sync_names`. `crash` forgets the rest. What the folder's *person*
does (`put`, `edit`, `remove`, `write_into`) is durable at once: losing that would be nobody's fault.

`on_call` is told the name of each method before it runs: there a test raises an error (`FailAt`), or lets the person act at
that very instant.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from gsync.core.model import Fingerprint
from gsync.core.names import OWN_FOLDER, RelPath
from gsync.errors import FileVanished, FolderUnusable, NoSpace, PathRefused, StorageError
from gsync.storage.filesystem import Found, OpenFile, Skipped, Staged, Worth
from gsync.storage.memory_disk import ENDLESS, MemoryDisk, Node
from gsync.storage.space import floor_bytes
from gsync.storage.trash import box_name, expired, parse_box

_TRASH: Final = f"{OWN_FOLDER}/trash"


@dataclass(slots=True)
class FailAt:
    """For `MemoryFolder.on_call`: raises `error` at the call numbered `at` (the first is 0), once; counts all calls."""

    at: int
    error: BaseException
    calls: int = field(default=0, init=False)

    def __call__(self, method: str) -> None:
        self.calls += 1
        if self.calls == self.at + 1:
            raise self.error


class MemoryFolder:
    """A `Folder` in memory. `wall_clock` gives its files their times."""

    new_file_mode: Final = 0o644

    def __init__(
        self,
        *,
        wall_clock: Callable[[], float] = lambda: 1_700_000_000.0,
        capacity: int = ENDLESS,
        mtime_step_ns: int = 1,
        can_lease: bool = True,
    ) -> None:
        """`mtime_step_ns` is how coarsely the disk keeps mtimes: 2 s on some sticks."""
        self.root_id = "memory"
        self.root_stands = True
        self.can_lease = can_lease
        self.on_call: Callable[[str], None] = lambda method: None
        self.disk = MemoryDisk(wall_clock=wall_clock, capacity=capacity, mtime_step_ns=mtime_step_ns)
        self._wall_clock = wall_clock
        self._boxes = 0

    # What the engine does

    def listing(self) -> Iterator[Found | Skipped]:
        self.on_call("listing")
        for name, node in list(self.disk.names.items()):
            if name.startswith(OWN_FOLDER + "/"):
                continue
            if node.kind:
                yield Skipped(name=name, reason=node.kind)
            else:
                yield Found(path=RelPath.parse(name), fingerprint=node.fingerprint())

    def fingerprint(self, path: RelPath) -> Fingerprint | None:
        self.on_call("fingerprint")
        return self._fingerprint(_spot(path))

    def open(self, path: RelPath) -> OpenFile:
        self.on_call("open")
        return _MemoryFile(self._regular(_spot(path)))

    def check_root(self) -> None:
        self.on_call("check_root")
        if not self.root_stands:
            raise FolderUnusable("the folder is gone")

    def require_space(self, count: int) -> None:
        self.on_call("require_space")
        if self.disk.free < count + floor_bytes(self.disk.capacity):
            raise NoSpace(f"no room for {count} more bytes above the free-space floor")

    def stage(self) -> Staged:
        self.on_call("stage")
        node = self.disk.new_node()
        name = f"{node.inode:016x}"
        self.disk.rename((_staging(name), node))
        return _MemoryStaged(self, node, name=name)

    def sync(self, staged: Sequence[Staged]) -> list[Staged]:
        try:
            self.on_call("sync")
        except StorageError:
            return list(staged)
        for one in staged:
            node = self.disk.names[_staging(one.name)]
            node.durable = node.content
        return []

    def put_new(self, staged_name: str, path: RelPath) -> bool:
        self.on_call("put_new")
        node, target = self._there(_staging(staged_name)), _spot(path)
        if target in self.disk.names:
            return False
        self.disk.rename((_staging(staged_name), None), (target, node))
        return True

    def exchange(self, staged_name: str, path: RelPath) -> bool:
        self.on_call("exchange")
        node, target = self._there(_staging(staged_name)), _spot(path)
        displaced = self.disk.names.get(target)
        if displaced is None:
            return False
        self.disk.rename((_staging(staged_name), displaced), (target, node))
        return True

    def staged_fingerprint(self, staged_name: str) -> Fingerprint | None:
        self.on_call("staged_fingerprint")
        return self._fingerprint(_staging(staged_name))

    def has_writer(self, staged_name: str) -> bool | None:
        self.on_call("has_writer")
        node = self._there(_staging(staged_name))
        return node.writers > 0 if self.can_lease else None

    def open_staged(self, staged_name: str) -> OpenFile:
        self.on_call("open_staged")
        return _MemoryFile(self._regular(_staging(staged_name)))

    def move_to_trash(self, staged_name: str, path: RelPath, *, worth: Worth) -> str:
        self.on_call("move_to_trash")
        node = self._there(_staging(staged_name))
        name = f"{_TRASH}/{box_name(self._wall_clock(), worth=worth, random_hex=self._random_hex)}/{path}"
        self.disk.rename((_staging(staged_name), None), (name, node))
        return name

    def trashed_fingerprint(self, trashed: str) -> Fingerprint | None:
        self.on_call("trashed_fingerprint")
        return self._fingerprint(trashed)

    def take_back(self, trashed: str) -> str:
        self.on_call("take_back")
        name = self._random_hex(8)
        self.disk.rename((trashed, None), (_staging(name), self._there(trashed)))
        return name

    def expire_trash(self) -> list[str]:
        self.on_call("expire_trash")
        boxes = {}
        for name, node in self.disk.names.items():
            box = parse_box(name.split("/")[2], size=len(node.content)) if name.startswith(_TRASH + "/") else None
            if box is not None:
                boxes[box] = name
        over = expired(boxes, now_s=self._wall_clock(), disk_bytes=self.disk.capacity)
        for box in over:
            self.disk.rename((boxes[box], None))
        return [box.name for box in over]

    def staged_names(self) -> list[str]:
        self.on_call("staged_names")
        start = _staging("")
        return [name.removeprefix(start) for name in self.disk.names if name.startswith(start)]

    def unlink_staged(self, staged_name: str) -> None:
        self.on_call("unlink_staged")
        if _staging(staged_name) in self.disk.names:
            self.disk.rename((_staging(staged_name), None))

    def sync_names(self) -> None:
        self.on_call("sync_names")
        self.disk.sync_names()

    def close(self) -> None:
        return

    # What the person and the test do

    def put(self, name: str, content: bytes, *, mtime_ns: int | None = None) -> None:
        """Save `content` under `name` as careful editors do: a new file takes the name in one step."""
        node = self.disk.new_node()
        node.mode = self.new_file_mode
        self.write_into(node, content, mtime_ns=mtime_ns)
        self._by_person((name, node))

    def edit(self, name: str, content: bytes, *, mtime_ns: int | None = None) -> None:
        """Write `content` into the file that stands at `name`: the inode stays."""
        self.write_into(self.disk.names[name], content, mtime_ns=mtime_ns)

    def obstruct(self, name: str, kind: str) -> None:
        """Put something at `name` that is not a regular file; `kind` is the reason that a listing gives."""
        node = self.disk.new_node()
        node.kind = kind
        self._by_person((name, node))

    def remove(self, name: str) -> None:
        """Delete `name`."""
        self._by_person((name, None))

    def hold_open(self, name: str) -> Node:
        """Open the file at `name` for writing, for `write_into`; taking one from its `writers` closes it."""
        node = self.disk.names[name]
        node.writers += 1
        return node

    def write_into(self, node: Node, content: bytes, *, mtime_ns: int | None = None) -> None:
        """Write through an open descriptor, wherever the file's name is now."""
        node.content = node.durable = content
        self.disk.touch(node, mtime_ns=mtime_ns)

    def crash(self, *, keep: int = 0) -> None:
        """Cut the power; of the renames since `sync_names` the first `keep` are on the disk."""
        self.disk.crash(keep=keep)

    def contents(self) -> dict[str, bytes]:
        """Every name with its content: paths, `.gsync/staging/<name>`, `.gsync/trash/<box>/<path>`."""
        return {name: node.content for name, node in self.disk.names.items()}

    def _by_person(self, *change: tuple[str, Node | None]) -> None:
        self.disk.rename(*change)
        self.disk.sync_names()

    def _there(self, name: str) -> Node:
        node = self.disk.names.get(name)
        if node is None:
            raise FileVanished(f"{name}: there is no such file any more")
        return node

    def _regular(self, name: str) -> Node:
        node = self._there(name)
        if node.kind:
            raise PathRefused(f"{name}: {node.kind}")
        return node

    def _fingerprint(self, name: str) -> Fingerprint | None:
        return self._regular(name).fingerprint() if name in self.disk.names else None

    def _random_hex(self, count: int) -> str:
        self._boxes += 1
        return f"{self._boxes:0{2 * count}x}"


class _MemoryFile:
    def __init__(self, node: Node) -> None:
        self._node = node
        self.fingerprint = node.fingerprint()

    def read_at(self, offset: int, count: int) -> bytes:
        return self._node.content[offset : offset + count]

    def fileno(self) -> int:
        raise io.UnsupportedOperation("a file in memory has no descriptor")

    def changed(self) -> bool:
        now, was = self._node.fingerprint(), self.fingerprint
        return (now.size, now.mtime_ns, now.ctime_ns) != (was.size, was.mtime_ns, was.ctime_ns)

    def close(self) -> None:
        return

    def __enter__(self) -> _MemoryFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _MemoryStaged:
    def __init__(self, folder: MemoryFolder, node: Node, *, name: str) -> None:
        self._folder = folder
        self._node = node
        self.name = name

    @property
    def size(self) -> int:
        return len(self._node.content)

    @property
    def inode(self) -> int:
        return self._node.inode

    def write(self, data: bytes | memoryview) -> None:
        self._folder.on_call("write")
        if self._folder.disk.free < len(data):
            raise NoSpace(f"{self.name}: the disk is full")
        self._node.content += bytes(data)
        self._folder.disk.touch(self._node)

    def finish(self, *, mtime_ns: int, mode: int) -> None:
        self._folder.on_call("finish")
        self._node.mode = mode
        self._folder.disk.touch(self._node, mtime_ns=mtime_ns)

    def fingerprint(self) -> Fingerprint:
        return self._node.fingerprint()

    def fileno(self) -> int:
        raise io.UnsupportedOperation("a file in memory has no descriptor")

    def close(self) -> None:
        return


def _spot(path: RelPath) -> str:
    if "/" in path:
        raise PathRefused(f"{path}: in a subfolder: not synced yet")
    return path


def _staging(name: str) -> str:
    return f"{OWN_FOLDER}/staging/{name}"
