"""Finds blocks of a wanted content on this disk: in the file that it replaces, where it was moved from, in files that are equal.

Whatever is found is copied by digest (`peer/assembly.py`), so a file that changes meanwhile costs nothing but a block. What
cannot be read is passed over. Used by `peer/native_fetcher.py`, before anything is fetched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from gsync.core.blocks import BLOCK_BYTES, BLOCK_DIGEST_BYTES
from gsync.core.model import FileMeta, Kind, Record
from gsync.core.names import RelPath
from gsync.core.recipe import END_GRID_WORTH, Spot, end_grid, start_grid
from gsync.errors import StorageError
from gsync.peer.assembly import Assembly
from gsync.peer.block_lists import BlockLists
from gsync.peer.trees import Trees
from gsync.storage.filesystem import Folder, OpenFile

log = logging.getLogger(__name__)

EQUALS_MAX: Final = 2
"""Files with the wanted digest that are tried: the first one that is still what the index says is enough."""


class Reuse:
    """What this folder can give to a content that is wanted."""

    def __init__(self, *, folder: Folder, trees: Trees, lists: BlockLists) -> None:
        self._folder = folder
        self._trees = trees
        self._lists = lists

    def give_to(self, assembly: Assembly, path: RelPath, record: Record, *, old: FileMeta | None) -> None:
        """Copy what is missing of `record` from files that may have it; `old` stands at `path` now. Raises StorageError."""
        local = self._trees.local
        for equal in list(self._trees.holders_of(record.digest))[:EQUALS_MAX]:
            self._copy(assembly, equal, local.get(equal), record)
        self._copy(assembly, path, old, record)
        if record.moved_from is not None:
            self._copy(assembly, record.moved_from, local.get(record.moved_from), record)

    def _copy(self, assembly: Assembly, path: RelPath, meta: FileMeta | None, record: Record) -> None:
        if not assembly.missing or meta is None or meta.kind is not Kind.FILE:
            return
        try:
            file = self._folder.open(path)
        except StorageError as error:
            log.debug("reuse.passed_over path=%r reason=%s", path, error)
            return
        with file:
            assembly.take_from(file, self._promising(assembly, file, meta.digest))
            if len(assembly.missing) > END_GRID_WORTH:
                assembly.take_from(
                    file, end_grid(old_size=file.fingerprint.size, size=record.size, data_at=file.data_at)
                )

    def _promising(self, assembly: Assembly, file: OpenFile, digest: str) -> Iterator[Spot]:
        """The blocks of `file` from its start; only those that are wanted, where its block list is known."""
        blocks = self._lists.known(digest)
        for spot in start_grid(old_size=file.fingerprint.size, data_at=file.data_at):
            at = spot.offset // BLOCK_BYTES * BLOCK_DIGEST_BYTES
            if blocks is None or assembly.missing.wanting(blocks[at : at + BLOCK_DIGEST_BYTES]):
                yield spot
