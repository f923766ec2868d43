"""Carrying out what a person chose for a conflict, with their files, as they would: rename, and the trash for what has to go.

    keep     the copy                       the file
    -------  -----------------------------  ----------------------------------------
    MINE     takes the file's name          to the trash, if one stands there
    THEIRS   to the trash                   stays
    BOTH     gets a plain name beside it    stays

Deletes nothing. What goes to the trash goes there as superseded if it is what the index knows, else as something that nobody may
have seen. Blocking; called by the peer in the one thread that changes names (`Pool.DISK`), which then looks at these names
as at any other change.
"""

from __future__ import annotations

from typing import assert_never

from gsync.core.keeping import Keep, Kept, free_names
from gsync.core.model import LocalTree
from gsync.core.names import RelPath
from gsync.errors import FileVanished, PathRefused, StorageError
from gsync.storage.filesystem import Folder, Worth
from gsync.storage.restoring import placed


class Settler:
    """Settles conflicts in `folder`, one at a time."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def keep(self, choice: Keep, copy: RelPath, path: RelPath, *, known: LocalTree) -> Kept:
        """Do as `choice` says with the conflict copy of the file `path`; `known` is what the index knows.

        Raises `StorageError`; then both stand as they stood, or what is missing lies in staging until the next start.
        """
        match choice:
            case Keep.MINE:
                kept = self._keep_mine(copy, path, known)
            case Keep.THEIRS:
                kept = Kept(copy=copy, trashed=self._to_trash(self._take_out(copy), copy, known))
            case Keep.BOTH:
                kept = Kept(copy=copy, stands_at=self._rename(copy, path))
            case unreachable:
                assert_never(unreachable)
        self._folder.sync_names()
        return kept

    def _keep_mine(self, copy: RelPath, path: RelPath, known: LocalTree) -> Kept:
        if path == copy:
            raise PathRefused(f"{copy}: its plain name cannot be used; rename it yourself")
        staged = self._take_out(copy)
        try:
            is_displaced = placed(self._folder, staged, path)
        except StorageError:
            self._folder.put_new(staged, copy)
            raise
        return Kept(copy=copy, stands_at=path, trashed=self._to_trash(staged, path, known) if is_displaced else "")

    def _take_out(self, path: RelPath) -> str:
        staged = self._folder.take_out(path)
        if staged is None:
            raise FileVanished(f"{path}: there is no such file any more")
        return staged

    def _to_trash(self, staged: str, path: RelPath, known: LocalTree) -> str:
        now, entry = self._folder.staged_fingerprint(staged), known.get(path)
        is_known = now is not None and entry is not None and now.same_content_as(entry.fingerprint)
        return self._folder.move_to_trash(staged, path, worth=Worth.SUPERSEDED if is_known else Worth.UNSEEN)

    def _rename(self, copy: RelPath, path: RelPath) -> RelPath:
        for name in free_names(path):
            if self._folder.move(copy, name):
                return name
        raise StorageError(f"{path}: there are as many copies of it as there may be")
