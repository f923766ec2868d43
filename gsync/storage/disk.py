"""The real folder: every name beneath one descriptor, no link followed, nothing but files, directories and links touched.

`DiskFolder` fulfils `filesystem.Folder`. It takes the lock of the folder when it is made and holds it until `close`.
Foreign errors end here: OSError becomes `StorageError` (translation.py). Blocking; runs in the threads of `workers.py`,
from several of them at once: what it remembers (directories that are being changed, the trash's open box, a slow syncfs,
the last listing) is touched only by the one thread whose job it is.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from gsync.core.model import Fingerprint, LocalTree
from gsync.core.names import OWN_FOLDER, RelPath
from gsync.errors import FolderUnusable, StorageError
from gsync.storage import renames
from gsync.storage.durability import Durability
from gsync.storage.files import DiskFile, DiskStaged, fingerprint_of, require_space
from gsync.storage.filesystem import NOTHING_KNOWN, Found, Skip, Skipped, Staged, Worth, never
from gsync.storage.listing import Lister
from gsync.storage.looking import Looking
from gsync.storage.naming import Naming
from gsync.storage.own_folder import TRASH, OwnFolder, RandomHex
from gsync.storage.renames import Spot
from gsync.storage.small_files import digest_each
from gsync.storage.staging_folder import StagingFolder
from gsync.storage.translation import storage_error, translating
from gsync.storage.trash import Trash, expired

_TRASH: Final = f"{OWN_FOLDER}/{TRASH}/"


class DiskFolder:
    """A `Folder` on the real disk."""

    def __init__(
        self,
        path: Path,
        *,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        random_hex: RandomHex = secrets.token_hex,
    ) -> None:
        """Open `path`, made where it is missing, and lock it. Raises `FolderLocked`, `FolderUnusable`."""
        self._path = path.absolute()
        self._wall_clock = wall_clock
        self._root_fd = _open_root(path)
        with ExitStack() as undo:  # whatever happens: nobody else knows the descriptor yet
            undo.callback(os.close, self._root_fd)
            self._own = OwnFolder.open(self._root_fd, random_hex=random_hex)
            undo.pop_all()
        self._umask = _umask()
        self._lister = Lister(self._root_fd)
        self._looking = Looking(self._root_fd)
        self._staging = StagingFolder(self._own.staging_fd, random_hex=random_hex, renew=self._own.renew_staging)
        self._trash = Trash(
            self._own.trash_fd, wall_clock=wall_clock, random_hex=random_hex, renew=self._own.renew_trash
        )
        self._durability = Durability(self._root_fd, monotonic=monotonic)
        self._naming = Naming(
            self._root_fd,
            looking=self._looking,
            staging=self._staging,
            sync=self._durability.sync,
            monotonic=monotonic,
        )

    @property
    def root_id(self) -> str:
        """The random id of this folder, for `Index.open`: a copy of the folder has another one."""
        return self._own.root_id

    @property
    def root_fd(self) -> int:
        """The descriptor of the folder itself, for `open_watcher`; it stays ours."""
        return self._root_fd

    @property
    def own_fd(self) -> int:
        """The descriptor of `.gsync/`, for `Index.open`; it stays ours."""
        return self._own.fd

    @property
    def new_file_mode(self) -> int:
        return 0o644 & ~self._umask

    @property
    def new_executable_mode(self) -> int:
        return 0o755 & ~self._umask

    def listing(
        self, *, beneath: RelPath | None = None, skip: Skip = never, known: LocalTree = NOTHING_KNOWN
    ) -> Iterator[Found | Skipped]:
        try:
            yield from self._lister.listing(beneath=beneath, skip=skip, known=known)
        except OSError as error:
            raise storage_error(error, beneath or "the folder") from error

    def listing_at(
        self, paths: Iterable[RelPath], *, skip: Skip = never, known: LocalTree = NOTHING_KNOWN
    ) -> Iterator[Found | Skipped]:
        try:
            yield from self._lister.listing_at(paths, skip=skip, known=known)
        except OSError as error:
            raise storage_error(error, "the folder") from error

    def look(self, path: RelPath) -> Found | None:
        with translating(path), self._naming.at(path) as spot:
            return None if spot is None else self._looking.found(path, spot)

    def fingerprint(self, path: RelPath) -> Fingerprint | None:
        with translating(path):
            status = self._naming.readable(path)
            return None if status is None else fingerprint_of(status)

    def open(self, path: RelPath) -> DiskFile:
        with translating(path):
            return _file(path, *self._looking.open(path))

    def digest_each(self, files: Iterable[tuple[RelPath, Fingerprint]]) -> Iterator[tuple[RelPath, str | StorageError]]:
        return digest_each(self._root_fd, files)

    def check_root(self) -> None:
        try:
            here = os.fstat(self._root_fd)
            there = os.stat(self._path)
            own_stands = self._own.stands()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FolderUnusable(f"the folder {self._path} is gone: {error.strerror}") from error
        except OSError as error:  # the disk does not answer now: nothing is known, and nothing concluded
            raise storage_error(error, "the folder") from error
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            raise FolderUnusable(f"{self._path} is another folder now", advice="Start gsync again to sync that one.")
        if not own_stands:
            raise FolderUnusable(
                f"{OWN_FOLDER!r} in {self._path}, or its lock or marker, was deleted or replaced while gsync ran",
                advice="No file of yours was touched. Start gsync again: it makes them anew.",
            )
        with translating(OWN_FOLDER):
            self._own.renew_staging()
            self._own.renew_trash()

    def require_space(self, count: int) -> None:
        with translating("the folder"):
            require_space(self._root_fd, count)

    def stage(self) -> DiskStaged:
        return self._staging.stage()

    def stage_content(self, content: bytes, *, mtime_ns: int, mode: int) -> tuple[DiskStaged, Fingerprint]:
        return self._staging.stage_content(content, mtime_ns=mtime_ns, mode=mode)

    def stage_link(self, target: str) -> str:
        return self._staging.stage_link(target)

    def reopen_staged(self, staged_name: str) -> DiskStaged:
        return self._staging.reopen(staged_name)

    def sync(self, staged: Sequence[Staged]) -> list[Staged]:
        return [staged[position] for position in self._durability.sync([one.fileno() for one in staged])]

    def put_new(self, staged_name: str, path: RelPath) -> bool:
        return self._naming.put_new(staged_name, path)

    def exchange(self, staged_name: str, path: RelPath) -> bool:
        return self._naming.exchange(staged_name, path)

    def make_directory(self, path: RelPath) -> bool:
        return self._naming.make_directory(path)

    def take_out(self, path: RelPath) -> str | None:
        return self._naming.take_out(path)

    def remove_directory(self, path: RelPath) -> bool:
        return self._naming.remove_directory(path)

    def move(self, source: RelPath, target: RelPath) -> bool:
        return self._naming.move(source, target)

    def adjust(
        self, path: RelPath, *, expected: Fingerprint, mtime_ns: int | None, executable: bool | None
    ) -> Fingerprint | None:
        return self._naming.adjust(path, expected=expected, mtime_ns=mtime_ns, executable=executable)

    def staged_fingerprint(self, staged_name: str) -> Fingerprint | None:
        with translating(staged_name):
            return self._fingerprint_of_ours(self._staging.spot(staged_name))

    def has_writer(self, staged_name: str) -> bool | None:
        return self._staging.has_writer(staged_name)

    def open_staged(self, staged_name: str) -> DiskFile:
        return self._staging.open(staged_name)

    def move_to_trash(self, staged_name: str, path: RelPath, *, worth: Worth) -> str:
        with translating(path):
            box = self._trash.put(self._staging.spot(staged_name), path, worth=worth)
        return f"{_TRASH}{box}/{path}"

    def trashed_fingerprint(self, trashed: str) -> Fingerprint | None:
        with translating(trashed):
            try:
                with self._trash.spot(_in_trash(trashed)) as spot:
                    return self._fingerprint_of_ours(spot)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def take_back(self, trashed: str) -> str:
        free = self._staging.free_spot()
        with translating(trashed), self._trash.spot(_in_trash(trashed)) as spot:
            renames.put_new(spot, free)
        return free.name

    def expire_trash(self) -> list[str]:
        disk = self._disk()
        with translating("the trash"):
            over = expired(self._trash.boxes(), now_s=self._wall_clock(), disk_bytes=disk.f_blocks * disk.f_frsize)
        for box in over:
            with suppress(OSError):  # what cannot be deleted today is tried again another day
                self._trash.remove(box)
        return [box.name for box in over]

    def staged_names(self) -> list[str]:
        return self._staging.names()

    def unlink_staged(self, staged_name: str) -> None:
        self._staging.unlink(staged_name)

    def sync_names(self) -> None:
        with translating("the folder"):
            self._trash.sync()
            self._naming.sync()

    def close(self) -> None:
        """Give back the lock and every descriptor."""
        if self._root_fd < 0:
            return
        self._naming.close()
        self._trash.close()
        self._own.close()
        os.close(self._root_fd)
        self._root_fd = -1

    def __enter__(self) -> DiskFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _fingerprint_of_ours(self, spot: Spot) -> Fingerprint | None:
        status = self._looking.status(spot)
        return None if status is None else fingerprint_of(status)

    def _disk(self) -> os.statvfs_result:
        with translating("the folder"):
            return os.fstatvfs(self._root_fd)


def _in_trash(trashed: str) -> str:
    return trashed.removeprefix(_TRASH)


def _open_root(path: Path) -> int:
    try:
        path.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        reason = "it is a file" if path.is_file() else error.strerror
        raise FolderUnusable(
            f"{path} cannot be used as a folder: {reason}", advice="Name a directory that you may write to."
        ) from error


def _file(path: RelPath, fd: int, status: os.stat_result) -> DiskFile:
    return DiskFile(fd, name=path, fingerprint=fingerprint_of(status))


def _umask() -> int:
    """The umask; it can be read only by setting it, so this is done once, before there are threads."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
