"""`MemoryFolder`: a folder without a disk, for tests and the simulation, with the disk's faults at command.

It behaves as `disk.DiskFolder` does (`tests/contract/test_folder.py` runs over both), and it knows what a real disk keeps
through a power cut: a content after `sync`, a name after `sync_names`. `crash` forgets the rest. What the folder's *person*
does is in memory_person.py.

`on_call` is told the name of each method before it runs: there a test raises an error (`FailAt`), or lets the person act at
that very instant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from gsync.core.model import Fingerprint, Kind, LocalTree
from gsync.core.names import OWN_FOLDER, RelPath
from gsync.errors import FileVanished, FolderUnusable, NoSpace, PathRefused, StorageError
from gsync.storage.filesystem import (
    NOTHING_KNOWN,
    OTHER_MOUNT,
    UNREADABLE,
    Found,
    OpenFile,
    Skip,
    Skipped,
    Staged,
    Worth,
    never,
    with_exec_bit,
)
from gsync.storage.memory_disk import ENDLESS, MemoryDisk, Node, regular, require_target
from gsync.storage.memory_files import MemoryFile, MemoryStaged, digest_each
from gsync.storage.memory_person import Person
from gsync.storage.space import floor_bytes
from gsync.storage.trash import box_name, expired, parse_box

_TRASH: Final = f"{OWN_FOLDER}/trash"
_HIDING: Final = frozenset({OTHER_MOUNT, UNREADABLE})


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


class MemoryFolder(Person):
    """A `Folder` in memory. `wall_clock` gives its files their times."""

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
        super().__init__(MemoryDisk(wall_clock=wall_clock, capacity=capacity, mtime_step_ns=mtime_step_ns))
        self._wall_clock = wall_clock
        self._names_given = 0

    def listing(
        self, *, beneath: RelPath | None = None, skip: Skip = never, known: LocalTree = NOTHING_KNOWN
    ) -> Iterator[Found | Skipped]:
        self.on_call("listing")
        names = list(self.disk.beneath("")) if beneath is None else [beneath, *self.disk.beneath(beneath)]
        left_out: set[str] = set()
        for name in names:
            node = self.disk.names.get(name)
            if node is None or name.startswith(OWN_FOLDER + "/"):
                continue
            path = RelPath.parse(name)
            if path == beneath and (reason := self._hidden_by(path)):
                yield Skipped(name=name, reason=reason, hides=path)
                return
            if not left_out.isdisjoint(path.ancestors) or any(self.disk.bars(above) for above in path.ancestors):
                continue
            if node.odd:
                yield Skipped(name=name, reason=node.odd, hides=path if node.odd in _HIDING else None)
            elif skip(path, node.kind):
                left_out.add(path)
            else:
                yield node.found(path)

    def listing_at(
        self, paths: Iterable[RelPath], *, skip: Skip = never, known: LocalTree = NOTHING_KNOWN
    ) -> Iterator[Found | Skipped]:
        for path in paths:
            yield from self.listing(beneath=path, skip=skip)

    def look(self, path: RelPath) -> Found | None:
        self.on_call("look")
        node = self._stands(path)
        return None if node is None else node.touchable(path).found(path)

    def fingerprint(self, path: RelPath) -> Fingerprint | None:
        self.on_call("fingerprint")
        node = self._stands(path)
        return None if node is None else node.touchable(path).fingerprint()

    def open(self, path: RelPath) -> OpenFile:
        self.on_call("open")
        return MemoryFile(regular(self._stands(path), path))

    def digest_each(self, files: Iterable[tuple[RelPath, Fingerprint]]) -> Iterator[tuple[RelPath, str | StorageError]]:
        return digest_each(self.open, files)

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
        name = self._random_hex(8)
        self.disk.rename((_staging(name), node))
        return self._staged(node, name)

    def stage_content(self, content: bytes, *, mtime_ns: int, mode: int) -> tuple[Staged, Fingerprint]:
        staged = self.stage()
        try:
            if content:
                staged.write(content)
            staged.finish(mtime_ns=mtime_ns, mode=mode)
        except StorageError:
            self.disk.rename((_staging(staged.name), None))
            raise
        return staged, staged.fingerprint()

    def stage_link(self, target: str) -> str:
        self.on_call("stage_link")
        require_target(target)
        node = self.disk.new_node(Kind.LINK, target=target, mode=0o777)
        name = self._random_hex(8)
        self.disk.rename((_staging(name), node))
        return name

    def reopen_staged(self, staged_name: str) -> Staged:
        self.on_call("reopen_staged")
        return self._staged(regular(self.disk.names.get(_staging(staged_name)), staged_name), staged_name)

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
        node = self.disk.there(_staging(staged_name))
        self._make_parents_of(path)
        if path in self.disk.names:
            return False
        self.disk.rename((_staging(staged_name), None), (path, node))
        return True

    def exchange(self, staged_name: str, path: RelPath) -> bool:
        self.on_call("exchange")
        node, displaced = self.disk.there(_staging(staged_name)), self._stands(path)
        if displaced is None:
            return False
        if displaced.kind is Kind.DIRECTORY:
            raise PathRefused(f"{path}: a directory")
        self.disk.rename((_staging(staged_name), displaced), (path, node))
        return True

    def make_directory(self, path: RelPath) -> bool:
        self.on_call("make_directory")
        self._make_parents_of(path)
        there = self.disk.names.get(path)
        if there is not None:
            there.one_of(Kind.DIRECTORY, name=path)
            return False
        self.disk.rename((path, self.disk.new_node(Kind.DIRECTORY, mode=self.new_directory_mode)))
        return True

    def take_out(self, path: RelPath) -> str | None:
        self.on_call("take_out")
        node = self._stands(path)
        if node is None:
            return None
        node.one_of(Kind.FILE, Kind.LINK, name=path)
        name = self._random_hex(8)
        self.disk.rename((path, None), (_staging(name), node))
        return name

    def remove_directory(self, path: RelPath) -> bool:
        self.on_call("remove_directory")
        node = self._stands(path)
        if node is None:
            return True
        node.one_of(Kind.DIRECTORY, name=path)
        if any(self.disk.beneath(path)):
            return False
        self.disk.rename((path, None))
        return True

    def move(self, source: RelPath, target: RelPath) -> bool:
        self.on_call("move")
        node = self._stands(source)
        if node is None:
            raise FileVanished(f"{source}: there is no such file any more")
        node.touchable(source)
        if target.startswith(source + "/"):
            raise PathRefused(f"{target}: within what is moved there")
        self._make_parents_of(target)
        if target in self.disk.names:
            return False
        self.disk.move_tree(source, target)
        return True

    def adjust(
        self, path: RelPath, *, expected: Fingerprint, mtime_ns: int | None, executable: bool | None
    ) -> Fingerprint | None:
        self.on_call("adjust")
        node = self._stands(path)
        if node is None or node.odd or replace(node.fingerprint(), ctime_ns=expected.ctime_ns) != expected:
            return None
        if node.kind is not Kind.FILE:
            return node.fingerprint()
        mode = node.mode if executable is None else with_exec_bit(node.mode, executable=executable)
        mtime_ns = node.mtime_ns if mtime_ns is None else mtime_ns
        if (mode, mtime_ns) != (node.mode, node.mtime_ns):
            self.disk.adjust(node, mtime_ns=mtime_ns, mode=mode)
        return node.fingerprint()

    def staged_fingerprint(self, staged_name: str) -> Fingerprint | None:
        self.on_call("staged_fingerprint")
        return self._fingerprint_of_ours(_staging(staged_name))

    def has_writer(self, staged_name: str) -> bool | None:
        self.on_call("has_writer")
        node = self.disk.there(_staging(staged_name))
        return node.writers > 0 if self.can_lease else None

    def open_staged(self, staged_name: str) -> OpenFile:
        self.on_call("open_staged")
        return MemoryFile(regular(self.disk.names.get(_staging(staged_name)), staged_name))

    def move_to_trash(self, staged_name: str, path: RelPath, *, worth: Worth) -> str:
        self.on_call("move_to_trash")
        node = self.disk.there(_staging(staged_name))
        name = f"{_TRASH}/{box_name(self._wall_clock(), worth=worth, random_hex=self._random_hex)}/{path}"
        self.disk.rename((_staging(staged_name), None), (name, node))
        return name

    def trashed_fingerprint(self, trashed: str) -> Fingerprint | None:
        self.on_call("trashed_fingerprint")
        return self._fingerprint_of_ours(trashed)

    def take_back(self, trashed: str) -> str:
        self.on_call("take_back")
        name = self._random_hex(8)
        self.disk.rename((trashed, None), (_staging(name), self.disk.there(trashed)))
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

    def _stands(self, path: RelPath) -> Node | None:
        for above in path.ancestors:
            node = self.disk.names.get(above)
            if node is not None and (node.kind is Kind.LINK or node.odd in _HIDING):
                raise PathRefused(f"{path}: {node.odd or 'a link'} on the way to it")
            if self.disk.bars(above):
                return None
        return self.disk.names.get(path)

    def _hidden_by(self, path: RelPath) -> str:
        reasons = (self.disk.names[above].odd for above in path.ancestors if above in self.disk.names)
        return next((reason for reason in reasons if reason in _HIDING), "")

    def _make_parents_of(self, path: RelPath) -> None:
        for above in path.ancestors:
            if above not in self.disk.names:
                self.disk.rename((above, self.disk.new_node(Kind.DIRECTORY, mode=self.new_directory_mode)))
            elif self.disk.bars(above):
                raise PathRefused(f"{path}: a part of it is not a directory")

    def _fingerprint_of_ours(self, name: str) -> Fingerprint | None:
        node = self.disk.names.get(name)
        return None if node is None else node.touchable(name).fingerprint()

    def _staged(self, node: Node, name: str) -> MemoryStaged:
        return MemoryStaged(self.disk, node, name=name, on_call=self._tell)

    def _tell(self, method: str) -> None:
        self.on_call(method)  # whoever listens now

    def _random_hex(self, count: int) -> str:
        self._names_given += 1
        return f"{self._names_given:0{2 * count}x}"


def _staging(name: str) -> str:
    return f"{OWN_FOLDER}/staging/{name}"
