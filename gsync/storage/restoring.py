"""Getting something back from the trash: it is copied into the folder as a person would copy it, as one more edit.

What stands in its place goes to the trash in turn, as something that nobody may have seen: nothing is lost by restoring. The copy
is whole and durable before it takes the name, by the same renames as everything else. Blocking; called by the peer (in the
one thread that changes names, `Pool.DISK`), or by `gsync restore` where none runs. The peer tells its indexer to look: to the
index this is somebody's edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Final, Protocol

from gsync.core.names import RelPath
from gsync.core.status import Restored, Trashed
from gsync.errors import FileChanged, StorageError, UnknownName
from gsync.storage.filesystem import Folder, OpenFile, Staged, Worth, with_exec_bit

STEP_BYTES: Final = 1024 * 1024

TRIES: Final = 100
"""For a name that somebody takes and frees again and again in between."""


class Bin(Protocol):
    """What of `trash_bin.TrashBin` is needed here."""

    def trashed(self, *, beneath: RelPath | None = None, box: str = "") -> Iterator[Trashed]: ...

    def open(self, one: Trashed, /) -> OpenFile: ...


class Restorer:
    """Copies from `trash` into `folder`; `wall_ns` gives the copies their mtimes."""

    def __init__(self, folder: Folder, trash: Bin, *, wall_ns: Callable[[], int]) -> None:
        self._folder = folder
        self._trash = trash
        self._wall_ns = wall_ns

    def listed(self, *, beneath: RelPath | None = None) -> list[Trashed]:
        """What lies in the trash, newest box first; or only what had this path, or was in this directory."""
        return list(self._trash.trashed(beneath=beneath))

    def meant(self, names: Sequence[RelPath], *, box: str = "") -> list[Trashed]:
        """What in the trash `names` mean. Raises `UnknownName` for one that means nothing, `StorageError`.

        A name is that of a file or link: its newest version; or of a directory: the newest version of everything in it that does
        not stand there now. With a `box` it is everything of that name in it, whatever stands there now.
        """
        found: dict[RelPath, Trashed] = {}
        for name in names:
            newest: dict[RelPath, Trashed] = {}
            for one in self._trash.trashed(beneath=name, box=box):
                newest.setdefault(one.path, one)
            if not newest:
                raise UnknownName(
                    f"{name} is not in {f'the box {box} of the trash' if box else 'the trash'}",
                    advice="see what is: gsync restore --list",
                )
            exactly = newest.pop(name, None)
            if exactly is not None:
                found[name] = exactly
            if box or exactly is None:
                found.update({path: one for path, one in newest.items() if box or self._is_free(path)})
        return list(found.values())

    def restore(self, one: Trashed) -> Restored:
        """Copy it back. Raises `StorageError`; then what stood in its place stands there still, or is in the trash."""
        name = self._folder.stage_link(one.target) if one.target else self._copied(one)
        displaced = self._put(name, one.path)
        self._folder.sync_names()
        return Restored(path=one.path, box=one.box, displaced=displaced)

    def _is_free(self, path: RelPath) -> bool:
        try:
            return self._folder.look(path) is None
        except StorageError:  # something odd stands there
            return False

    def _copied(self, one: Trashed) -> str:
        """The staged name of a durable copy."""
        with self._trash.open(one) as source:
            staged = self._folder.stage()
            with ExitStack() as undo:  # whatever happens: nobody else knows the staged file yet
                undo.callback(self._folder.unlink_staged, staged.name)
                undo.callback(staged.close)
                self._copy(source, staged, one)
                undo.pop_all()
            staged.close()
        return staged.name

    def _copy(self, source: OpenFile, staged: Staged, one: Trashed) -> None:
        while True:
            hole_end = min(source.data_at(staged.size), source.fingerprint.size)
            if hole_end > staged.size:
                staged.truncate(hole_end)
            piece = source.read_at(staged.size, STEP_BYTES)
            if not piece:
                break
            staged.write(piece)
        if source.changed():
            raise FileChanged(f"{one.path}: it is still being changed in the trash")
        executable = source.fingerprint.is_executable
        staged.finish(mtime_ns=self._wall_ns(), mode=with_exec_bit(self._folder.new_file_mode, executable=executable))
        if self._folder.sync([staged]):
            raise StorageError(f"{one.path}: its copy could not be made durable")

    def _put(self, staged: str, path: RelPath) -> str:
        """Give it its name; the name in the trash of what stood there."""
        try:
            is_displaced = placed(self._folder, staged, path)
        except StorageError:
            self._folder.unlink_staged(staged)  # it is only a copy
            raise
        # Where this fails, what was displaced lies in staging, and the look at the next start takes it to the trash.
        return self._folder.move_to_trash(staged, path, worth=Worth.UNSEEN) if is_displaced else ""


def placed(folder: Folder, staged: str, path: RelPath) -> bool:
    """Give what is staged the name `path`; True when something stood there, which the staged name holds now.

    Raises `StorageError`, and nothing was done.
    """
    for _ in range(TRIES):
        if folder.put_new(staged, path):
            return False
        if folder.exchange(staged, path):
            return True
    raise StorageError(f"{path}: it comes and goes")
