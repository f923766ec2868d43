"""What the person and the test do in a folder in memory: `MemoryFolder` inherits it.

What the person does is durable at once: losing that would be nobody's fault. Directories on the way are made as needed.
Nobody of the engine calls this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gsync.core.model import Kind
from gsync.core.names import OWN_FOLDER
from gsync.storage.filesystem import UNREADABLE
from gsync.storage.memory_disk import MemoryDisk, Node

_OWN: Final = OWN_FOLDER + "/"


class Person:
    """A person who works in `disk`."""

    new_file_mode: Final = 0o644
    new_executable_mode: Final = 0o755
    new_directory_mode: Final = 0o755

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk

    def put(self, name: str, content: bytes, *, mtime_ns: int | None = None) -> None:
        """Save `content` under `name` as careful editors do: a new file takes the name in one step."""
        node = self.disk.new_node(mode=self.new_file_mode)
        self.write_into(node, content, mtime_ns=mtime_ns)
        self._name(name, node)

    def edit(self, name: str, content: bytes, *, mtime_ns: int | None = None) -> None:
        """Write `content` into the file that stands at `name`: the inode stays."""
        self.write_into(self.disk.names[name], content, mtime_ns=mtime_ns)

    def mkdir(self, name: str) -> None:
        """Make the directory `name`, if there is none yet."""
        if name not in self.disk.names:
            self._name(name, self.disk.new_node(Kind.DIRECTORY, mode=self.new_directory_mode))

    def link(self, name: str, target: str) -> None:
        """Make the symlink `name`."""
        self._name(name, self.disk.new_node(Kind.LINK, target=target, mode=0o777))

    def obstruct(self, name: str, reason: str) -> None:
        """Put something at `name` that gsync does not touch; `reason` is what a listing says."""
        node = self.disk.new_node()
        node.odd = reason
        self._name(name, node)

    def hide(self, name: str) -> None:
        """Take the permission to read what stands at `name`, and with it all that is in it; `show` gives it back."""
        node = self.disk.names[name]
        node.odd = UNREADABLE
        self.disk.on_write(node)

    def show(self, name: str) -> None:
        """Undo `hide`."""
        node = self.disk.names[name]
        node.odd = ""
        self.disk.on_write(node)

    def chmod(self, name: str, mode: int) -> None:
        """Set the permission bits of `name`."""
        node = self.disk.names[name]
        node.mode = mode
        self.disk.touch(node, mtime_ns=node.mtime_ns)

    def rename(self, old: str, new: str) -> None:
        """Rename `old`, with all that is in it, to `new`; a file or link that stands there is replaced."""
        self._make_parents(new)
        _require_no_directory(self.disk.names.get(new), new)
        self.disk.move_tree(old, new)
        self.disk.sync_names()

    def remove(self, name: str) -> None:
        """Delete `name`, with all that is in it."""
        self.disk.rename(*((gone, None) for gone in (name, *self.disk.beneath(name))))
        self.disk.sync_names()

    def hold_open(self, name: str) -> Node:
        """Open the file at `name` for writing, for `write_into`, until `let_go`."""
        node = self.disk.names[name]
        node.writers += 1
        return node

    def let_go(self, node: Node) -> None:
        """Close what `hold_open` opened."""
        node.writers -= 1
        if not node.writers:
            self.disk.on_close(node)

    def write_into(self, node: Node, content: bytes, *, mtime_ns: int | None = None) -> None:
        """Write through an open descriptor, wherever the file's name is now."""
        node.content = node.durable = content
        self.disk.touch(node, mtime_ns=mtime_ns)
        if not node.writers:
            self.disk.on_close(node)

    def crash(self, *, keep: int = 0) -> None:
        """Cut the power; of the changes of names since `sync_names` the first `keep` are on the disk."""
        self.disk.crash(keep=keep)

    def contents(self) -> dict[str, bytes]:
        """Every name but those of directories, with its content: paths, `.gsync/staging/<name>`, `.gsync/trash/<box>/<path>`."""
        return {name: node.content for name, node in self.disk.names.items() if node.kind is not Kind.DIRECTORY}

    def tree(self) -> Mapping[str, tuple[Kind, bytes]]:
        """What the person sees, sorted: each path with its kind, and a file's content or a link's target."""
        return {
            name: (node.kind, node.target.encode() if node.kind is Kind.LINK else node.content)
            for name, node in sorted(self.disk.names.items())
            if not name.startswith(_OWN) and not node.odd
        }

    def _name(self, name: str, node: Node) -> None:
        if not name.startswith(_OWN):
            self._make_parents(name)
            _require_no_directory(self.disk.names.get(name), name)
        self.disk.rename((name, node))
        self.disk.sync_names()

    def _make_parents(self, name: str) -> None:
        parent = name.rpartition("/")[0]
        if not parent:
            return
        self.mkdir(parent)
        if self.disk.names[parent].kind is not Kind.DIRECTORY:
            raise NotADirectoryError(f"{name}: the test's person cannot save there, {parent} is no directory")


def _require_no_directory(node: Node | None, name: str) -> None:
    if node is not None and node.kind is Kind.DIRECTORY:
        raise IsADirectoryError(f"{name}: the test's person must remove this directory first")
