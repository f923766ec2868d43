"""A file system in memory: inodes, names, and what a power cut leaves of both. What `MemoryFolder` stands on.

A content outlives a power cut once it was synced, a name once `sync_names` was called; in between, any number of the changes
of names since may have reached the disk, in their order, as on a journaling file system. A directory is an inode with a
name; what is in it has longer names. `.gsync` has no directories, only names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from gsync.core.model import Fingerprint, Kind
from gsync.core.names import RelPath
from gsync.errors import FileVanished, PathRefused
from gsync.storage.filesystem import TARGET_MAX_BYTES, Found

_NS: Final = 1_000_000_000

ENDLESS: Final = 1 << 60
"""A capacity that no test fills; nothing is counted then."""


class Node(Struct, eq=False):
    """An inode: a file, directory or link; with `odd` something that gsync does not touch, and why."""

    inode: int
    kind: Kind = Kind.FILE
    content: bytes = b""
    target: str = ""
    mtime_ns: int = 0
    ctime_ns: int = 0
    mode: int = 0o600
    odd: str = ""
    writers: int = 0
    durable: bytes | None = None
    """What a power cut leaves of the content; None: nothing was ever synced."""

    def fingerprint(self) -> Fingerprint:
        """What fstat would say, as far as it is shown."""
        shows_times = self.kind is not Kind.DIRECTORY
        return Fingerprint(
            size=len(self.target.encode()) if self.kind is Kind.LINK else len(self.content),
            mtime_ns=self.mtime_ns if shows_times else 0,
            ctime_ns=self.ctime_ns if shows_times else 0,
            inode=self.inode,
            mode=self.mode,
            kind=self.kind,
        )

    def found(self, path: RelPath) -> Found:
        """What a listing says of it at `path`."""
        return Found(path=path, fingerprint=self.fingerprint(), target=self.target)

    def touchable(self, name: str) -> Node:
        """Itself; `PathRefused` where it is odd."""
        if self.odd:
            raise PathRefused(f"{name}: {self.odd}")
        return self

    def one_of(self, *kinds: Kind, name: str) -> Node:
        """Itself; `PathRefused` where it is anything else."""
        if self.touchable(name).kind not in kinds:
            raise PathRefused(f"{name}: a {self.kind}")
        return self


Change = tuple[tuple[str, Node | None], ...]
"""What one step does to names; None frees a name."""


class MemoryDisk:
    """Names and inodes; `names` is for looking at, `rename` changes it. `on_names`, `on_write`, `on_close` tell a watcher."""

    def __init__(self, *, wall_clock: Callable[[], float], capacity: int, mtime_step_ns: int) -> None:
        self.names: dict[str, Node] = {}
        self.capacity = capacity
        self._wall_clock = wall_clock
        self._mtime_step_ns = mtime_step_ns
        self._durable_names: dict[str, Node] = {}
        self._renames: list[Change] = []
        self._adjusted: list[tuple[Node, int, int]] = []
        self._inodes = 0
        self._tick = 0
        self.on_names: Callable[[Change], None] = nobody
        self.on_write: Callable[[Node], None] = nobody
        self.on_close: Callable[[Node], None] = nobody

    @property
    def free(self) -> int:
        """Bytes that are not taken."""
        if self.capacity >= ENDLESS:
            return self.capacity
        return self.capacity - sum(len(node.content) for node in set(self.names.values()))

    def new_node(self, kind: Kind = Kind.FILE, *, target: str = "", mode: int = 0o600) -> Node:
        """An empty inode without a name."""
        self._inodes += 1
        node = Node(inode=self._inodes, kind=kind, target=target, mode=mode)
        self.touch(node)
        return node

    def beneath(self, name: str) -> Iterator[str]:
        """The names of all that is in the directory `name`, each after the directory that it is in; "" is the folder itself."""
        start = name + "/" if name else ""
        return (other for other in sorted(self.names) if other.startswith(start))

    def names_of(self, node: Node) -> list[str]:
        """The names that lead to `node`."""
        return [name for name, other in self.names.items() if other is node]

    def touch(self, node: Node, *, mtime_ns: int | None = None) -> None:
        """Set ctime to now, and mtime (now, if None) as coarsely as this disk keeps it."""
        now_ns = self._now_ns()
        mtime_ns = now_ns if mtime_ns is None else mtime_ns
        node.mtime_ns = mtime_ns - mtime_ns % self._mtime_step_ns
        node.ctime_ns = now_ns
        self.on_write(node)

    def there(self, name: str) -> Node:
        """The node with this name; `FileVanished` where none is."""
        node = self.names.get(name)
        if node is None:
            raise FileVanished(f"{name}: there is no such file any more")
        return node

    def bars(self, above: str) -> bool:
        """Whether nothing can stand beneath `above` that could be reached."""
        node = self.names.get(above)
        return node is None or node.kind is not Kind.DIRECTORY or node.odd != ""

    def rename(self, *change: tuple[str, Node | None]) -> None:
        """Give or free names in one step; as on a real disk this sets the ctime of what is renamed."""
        for _, node in change:
            if node is not None:
                node.ctime_ns = self._now_ns()
        _apply(self.names, change)
        self._renames.append(change)
        self.on_names(change)

    def move_tree(self, source: str, target: str) -> None:
        """Rename `source`, with all that is in it, in one step."""
        inside = [(name, target + name.removeprefix(source), self.names[name]) for name in self.beneath(source)]
        moved = self.names[source]
        freed = [(name, None) for name in (source, *(name for name, _, _ in inside))]
        moved.ctime_ns = self._now_ns()
        change = (*freed, (target, moved), *((new, node) for _, new, node in inside))
        _apply(self.names, change)
        self._renames.append(change)
        self.on_names(((source, None), (target, moved)))

    def adjust(self, node: Node, *, mtime_ns: int, mode: int) -> None:
        """Set mtime and mode; a power cut before `sync_names` undoes it."""
        self._adjusted.append((node, node.mtime_ns, node.mode))
        node.mode = mode
        self.touch(node, mtime_ns=mtime_ns)

    def sync_names(self) -> None:
        """Make all changes of names so far durable, and what was adjusted."""
        self._durable_names = dict(self.names)
        self._renames.clear()
        self._adjusted.clear()

    def crash(self, *, keep: int) -> None:
        """Cut the power: the first `keep` changes since `sync_names` are on the disk, contents are as last synced."""
        names = dict(self._durable_names)
        for change in self._renames[:keep]:
            _apply(names, change)
        for node, mtime_ns, mode in reversed(self._adjusted):
            node.mtime_ns, node.mode = mtime_ns, mode
        for node in names.values():
            node.content = node.durable if node.durable is not None else bytes(len(node.content))
            node.writers = 0
        self.names = names
        self.sync_names()

    def _now_ns(self) -> int:
        self._tick += 1  # two changes within one instant of the clock still differ
        return int(self._wall_clock() * _NS) + self._tick


def nobody(_: object) -> None:
    """Hears what a watcher would be told, where there is none."""


def _apply(names: dict[str, Node], change: Change) -> None:
    for name, node in change:
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def regular(node: Node | None, name: str) -> Node:
    """`node`, which must be a regular file; raises `FileVanished` where there is none, and as `Node.one_of` does."""
    if node is None:
        raise FileVanished(f"{name}: there is no such file any more")
    return node.one_of(Kind.FILE, name=name)


def require_target(target: str) -> None:
    """Raises `PathRefused` for what the kernel would not take as the target of a link."""
    if not target or "\0" in target or len(target.encode()) > TARGET_MAX_BYTES:
        raise PathRefused("no link can lead there")
