"""Deletions that wait for a person, because too much was gone at once.

What is held keeps its entries, here and in the index: nobody else hears that it is gone. After a restart the first scan finds
it gone again, and it is held again. It counts what went within the last WINDOW_S together, for a large deletion reaches us
in many looks; what went before it became too much has gone. Owned by the indexer, which does as it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gsync.core.deletions import HOLD_MIN, HOLD_SHARE, held_back
from gsync.core.model import Kind, LocalTree, Tombstone
from gsync.core.names import RelPath

WINDOW_S: Final = 10.0


class Holding:
    """The paths that are held back."""

    def __init__(self, share: float = HOLD_SHARE) -> None:
        self._share = share
        self._held: frozenset[RelPath] = frozenset()
        self._released: frozenset[RelPath] = frozenset()
        self._went: list[tuple[float, frozenset[RelPath]]] = []

    @property
    def held(self) -> frozenset[RelPath]:
        return self._held

    def sift(self, buried: Mapping[RelPath, Tombstone], local: LocalTree, *, now: float) -> frozenset[RelPath]:
        """Of what is gone from `local` now, that which must not be told."""
        fresh = buried.keys() - self._held - self._released
        self._released = self._released - buried.keys()
        self._went = [(when, paths) for when, paths in self._went if now - when < WINDOW_S]
        files = frozenset(path for path in fresh if buried[path].kind is not Kind.DIRECTORY)
        if files and self._is_too_much(files, local):
            self._held = self._held | fresh
        elif files:
            self._went.append((now, files))
        return self._held & buried.keys()

    def back(self, paths: frozenset[RelPath]) -> None:
        """These stand there again."""
        self._held -= paths

    def release(self) -> frozenset[RelPath]:
        """A person says that it was meant: what was held may go at the next look, and is returned."""
        released, self._held = self._held, frozenset()
        self._released = self._released | released
        return released

    def _is_too_much(self, files: frozenset[RelPath], local: LocalTree) -> bool:
        went = files.union(*(paths for _, paths in self._went))
        if len(went) <= HOLD_MIN:
            return False  # in any folder: it need not be counted
        known = sum(entry.kind is not Kind.DIRECTORY for entry in local.values()) + len(went - files)
        return held_back(went, known_files=known, share=self._share)
