"""`MemoryBin`: the trash of a `MemoryFolder`, for a person who looks for something in it; the fake of `trash_bin.TrashBin`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gsync.core.model import Kind
from gsync.core.names import OWN_FOLDER, RelPath
from gsync.core.status import Trashed
from gsync.errors import FileVanished, PathRefused, UnknownName
from gsync.storage.memory import MemoryFolder
from gsync.storage.memory_files import MemoryFile
from gsync.storage.trash import parse_box

_TRASH: Final = f"{OWN_FOLDER}/trash/"


class MemoryBin:
    """Fulfils `restoring.Bin`."""

    def __init__(self, folder: MemoryFolder) -> None:
        self._folder = folder

    def trashed(self, *, beneath: RelPath | None = None, box: str = "") -> Iterator[Trashed]:
        found = [one for one in self._all() if not box or one.box == box]
        if box and not found:
            raise UnknownName(f"there is no box {box} in the trash", advice="see which there are: gsync restore --list")
        for one in sorted(sorted(found, key=lambda one: one.path), key=lambda one: one.box, reverse=True):
            if beneath is None or one.path == beneath or one.path.startswith(f"{beneath}/"):
                yield one

    def open(self, one: Trashed) -> MemoryFile:
        node = self._folder.disk.names.get(f"{_TRASH}{one.box}/{one.path}")
        if node is None:
            raise FileVanished(f"{one.path}: there is no such file any more")
        if node.kind is not Kind.FILE:
            raise PathRefused(f"{one.path}: a {node.kind}")
        return MemoryFile(node)

    def _all(self) -> Iterator[Trashed]:
        for name, node in list(self._folder.disk.names.items()):
            if not name.startswith(_TRASH):
                continue
            box_name, _, path = name.removeprefix(_TRASH).partition("/")
            box = parse_box(box_name, size=0)
            if box is None or node.kind is Kind.DIRECTORY:
                continue
            yield Trashed(
                box=box_name,
                path=RelPath.parse(path),
                size=node.fingerprint().size,
                since_s=box.since_s,
                target=node.target,
            )
