"""`MemoryWatcher`: the `Watcher` of a folder in memory, for tests and the simulation.

It tells what inotify would tell, of the directories that it was told to cover and of no others, at the very instant. `lose`
is what an overflow is on a real disk, `deaf` what comes before it.
"""

from __future__ import annotations

from collections.abc import Collection

from gevent.event import Event

from gsync.core.model import Kind
from gsync.core.names import OWN_FOLDER, RelPath
from gsync.core.settle import Hint, What
from gsync.storage.filesystem import Skip
from gsync.storage.memory_disk import Change, MemoryDisk, Node, nobody
from gsync.storage.watcher import Incomplete, OnHints


class MemoryWatcher:
    """A `Watcher` of `disk`; the last one made hears everything."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.incomplete: Incomplete | None = None
        self.deaf = False
        self._disk = disk
        self._covered: set[int] = set()
        self._covers_root = False
        self._waiting: list[Hint] = []
        self._on_hints: OnHints = self._waiting.extend
        disk.on_names = self._names_changed
        disk.on_write = self._written
        disk.on_close = self._closed

    def run(self, on_hints: OnHints) -> None:
        self._on_hints = on_hints
        waiting, self._waiting = self._waiting, []
        if waiting:
            on_hints(waiting)
        Event().wait()

    def cover(self, beneath: RelPath | None, skip: Skip) -> None:
        if beneath is None:
            self._covers_root = True
        left_out: set[str] = set()
        names = self._disk.beneath(beneath or "")
        for name in names if beneath is None else [beneath, *names]:
            node = self._disk.names.get(name)
            if node is None or node.kind is not Kind.DIRECTORY or _is_own(name):
                continue
            path = RelPath.parse(name)
            if node.odd or not left_out.isdisjoint(path.ancestors) or (path != beneath and skip(path, node.kind)):
                left_out.add(name)
            else:
                self._covered.add(node.inode)

    def drop(self, paths: Collection[RelPath]) -> None:
        return

    def close(self) -> None:
        self._disk.on_names = nobody
        self._disk.on_write = self._disk.on_close = nobody

    def lose(self) -> None:
        """Too much happened at once: what was waiting is lost, and that is told."""
        self._waiting.clear()
        self._on_hints([Hint(path=None)])

    def _names_changed(self, change: Change) -> None:
        freed = [name for name, node in change if node is None]
        for name, node in change:
            if node is None:
                self._tell(name, What.VANISHED)
            elif node.kind is Kind.DIRECTORY:
                self._tell(name, What.DIRECTORY, came_from=freed[0] if freed else "")
            else:
                self._tell(name, What.MOVED_IN, came_from=freed[0] if freed else "")

    def _written(self, node: Node) -> None:
        for name in self._disk.names_of(node):
            self._tell(name, What.DIRECTORY if node.kind is Kind.DIRECTORY else What.WRITTEN)

    def _closed(self, node: Node) -> None:
        for name in self._disk.names_of(node):
            self._tell(name, What.CLOSED)

    def _tell(self, name: str, what: What, *, came_from: str = "") -> None:
        if self.deaf or _is_own(name) or not self._hears(name, what):
            return
        old = RelPath.parse(came_from) if came_from and not _is_own(came_from) else None
        self._on_hints([Hint(path=RelPath.parse(name), what=what, came_from=old)])

    def _hears(self, name: str, what: What) -> bool:
        parent = name.rpartition("/")[0]
        if not parent:
            return self._covers_root
        node = self._disk.names.get(parent)
        if node is None:  # removed in the same step
            return what is What.VANISHED
        return node.inode in self._covered


def _is_own(name: str) -> bool:
    return name == OWN_FOLDER or name.startswith(OWN_FOLDER + "/")
