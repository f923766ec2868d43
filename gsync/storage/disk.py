"""The real folder: every name beneath one descriptor, no link followed, nothing but regular files touched.

`DiskFolder` fulfils `filesystem.Folder`. It takes the lock of the folder when it is made and holds it until `close`.
Foreign errors end here: OSError becomes `StorageError` (translation.py). Blocking; runs in the threads of `workers.py`,
from several of them at once: what it remembers (the trash's open box, a slow syncfs, the last listing) is touched only by
the one thread whose job it is.

Classic system: files at the top of the folder only. Subfolders change `_spot`, `Lister` and `Trash.put`, nothing else.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from gsync.core.model import Fingerprint
from gsync.core.names import OWN_FOLDER, RelPath
from gsync.errors import FileVanished, FolderUnusable, NoSpace, PathRefused, StorageError
from gsync.storage import leases, renames
from gsync.storage.beneath import open_beneath
from gsync.storage.durability import Durability
from gsync.storage.files import DiskFile, DiskStaged, fingerprint_of
from gsync.storage.filesystem import Found, Skip, Skipped, Staged, Worth, never
from gsync.storage.listing import OTHER_MOUNT, UNREADABLE, Lister, is_unreadable, kind_of
from gsync.storage.own_folder import TRASH, OwnFolder, RandomHex
from gsync.storage.renames import Spot
from gsync.storage.space import floor_bytes
from gsync.storage.translation import storage_error
from gsync.storage.trash import Trash, expired

_STAGED_NAME_BYTES: Final = 8
_TRASH: Final = f"{OWN_FOLDER}/{TRASH}/"
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


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
        self._random_hex = random_hex
        self._root_fd = _open_root(path)
        try:
            self._own = OwnFolder.open(self._root_fd, random_hex=random_hex)
        except BaseException:
            os.close(self._root_fd)
            raise
        self._device = os.fstat(self._root_fd).st_dev
        self._lister = Lister(self._root_fd)
        self._trash = Trash(self._own.trash_fd, wall_clock=wall_clock, random_hex=random_hex)
        self._durability = Durability(self._root_fd, monotonic=monotonic)
        self._mode = 0o644 & ~_umask()

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
        return self._mode

    @property
    def new_executable_mode(self) -> int:
        return self._mode | (self._mode & 0o444) >> 2

    def listing(self, *, beneath: RelPath | None = None, skip: Skip = never) -> Iterator[Found | Skipped]:
        try:
            yield from self._lister.listing()
        except OSError as error:
            raise storage_error(error, "the folder") from error

    def look(self, path: RelPath) -> Found | None:
        raise StorageError("not yet")

    def stage_link(self, target: str) -> str:
        raise StorageError("not yet")

    def reopen_staged(self, staged_name: str) -> Staged:
        raise StorageError("not yet")

    def make_directory(self, path: RelPath) -> bool:
        raise StorageError("not yet")

    def take_out(self, path: RelPath) -> str | None:
        raise StorageError("not yet")

    def remove_directory(self, path: RelPath) -> bool:
        raise StorageError("not yet")

    def move(self, source: RelPath, target: RelPath) -> bool:
        raise StorageError("not yet")

    def adjust(
        self, path: RelPath, *, expected: Fingerprint, mtime_ns: int | None, executable: bool | None
    ) -> Fingerprint | None:
        raise StorageError("not yet")

    def fingerprint(self, path: RelPath) -> Fingerprint | None:
        spot = self._spot(path)
        fingerprint = self._fingerprint(spot)
        if fingerprint is not None and is_unreadable(spot.name, dir_fd=spot.dir_fd):
            raise PathRefused(f"{path}: {UNREADABLE}")  # as a link: it is not announced, so nothing may replace it
        return fingerprint

    def open(self, path: RelPath) -> DiskFile:
        if self._fingerprint(self._spot(path)) is None:  # looked at first, for to open a device may do something
            raise FileVanished(f"{path}: there is no such file any more")
        try:
            fd = open_beneath(self._root_fd, path, _READ)
        except OSError as error:
            raise storage_error(error, path) from error
        return _regular(fd, name=path)

    def check_root(self) -> None:
        try:
            here = os.fstat(self._root_fd)
            there = os.stat(self._path)
            marker_stands = self._own.marker_stands()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FolderUnusable(f"the folder {self._path} is gone: {error.strerror}") from error
        except OSError as error:  # the disk does not answer now: nothing is known, and nothing concluded
            raise storage_error(error, "the folder") from error
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            raise FolderUnusable(f"{self._path} is another folder now", advice="Start gsync again to sync that one.")
        if not marker_stands:
            raise FolderUnusable(f"{OWN_FOLDER!r} in {self._path} is gone or was replaced", advice="Start gsync again.")

    def require_space(self, count: int) -> None:
        disk = self._disk()
        if disk.f_bavail * disk.f_frsize < count + floor_bytes(disk.f_blocks * disk.f_frsize):
            raise NoSpace(f"no room for {count} more bytes above the free-space floor")

    def stage(self) -> DiskStaged:
        name = self._random_hex(_STAGED_NAME_BYTES)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return DiskStaged(os.open(name, flags, 0o600, dir_fd=self._own.staging_fd), name=name)
        except OSError as error:
            raise storage_error(error, "staging") from error

    def sync(self, staged: Sequence[Staged]) -> list[Staged]:
        return [staged[position] for position in self._durability.sync([one.fileno() for one in staged])]

    def put_new(self, staged_name: str, path: RelPath) -> bool:
        try:
            return renames.put_new(self._staged(staged_name), self._spot(path))
        except OSError as error:
            raise storage_error(error, path) from error

    def exchange(self, staged_name: str, path: RelPath) -> bool:
        try:
            return renames.exchange(self._staged(staged_name), self._spot(path))
        except OSError as error:
            raise storage_error(error, path) from error

    def staged_fingerprint(self, staged_name: str) -> Fingerprint | None:
        return self._fingerprint(self._staged(staged_name))

    def has_writer(self, staged_name: str) -> bool | None:
        try:
            return leases.has_writer(self._own.staging_fd, staged_name)
        except OSError as error:
            raise storage_error(error, staged_name) from error

    def open_staged(self, staged_name: str) -> DiskFile:
        try:
            fd = open_beneath(self._own.staging_fd, staged_name, _READ)
        except OSError as error:
            raise storage_error(error, staged_name) from error
        return _regular(fd, name=staged_name)

    def move_to_trash(self, staged_name: str, path: RelPath, *, worth: Worth) -> str:
        try:
            box = self._trash.put(self._staged(staged_name), path, worth=worth)
        except OSError as error:
            raise storage_error(error, path) from error
        return f"{_TRASH}{box}/{path}"

    def trashed_fingerprint(self, trashed: str) -> Fingerprint | None:
        try:
            with self._trash.spot(trashed.removeprefix(_TRASH)) as spot:
                return self._fingerprint(spot)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise storage_error(error, trashed) from error

    def take_back(self, trashed: str) -> str:
        name = self._random_hex(_STAGED_NAME_BYTES)
        try:
            with self._trash.spot(trashed.removeprefix(_TRASH)) as spot:
                renames.put_new(spot, self._staged(name))
        except OSError as error:
            raise storage_error(error, trashed) from error
        return name

    def expire_trash(self) -> list[str]:
        disk = self._disk()
        try:
            over = expired(self._trash.boxes(), now_s=self._wall_clock(), disk_bytes=disk.f_blocks * disk.f_frsize)
        except OSError as error:
            raise storage_error(error, "the trash") from error
        for box in over:
            with suppress(OSError):  # what cannot be deleted today is tried again another day
                self._trash.remove(box)
        return [box.name for box in over]

    def staged_names(self) -> list[str]:
        try:
            return os.listdir(self._own.staging_fd)
        except OSError as error:
            raise storage_error(error, "staging") from error

    def unlink_staged(self, staged_name: str) -> None:
        try:
            os.unlink(staged_name, dir_fd=self._own.staging_fd)
        except FileNotFoundError:
            return
        except OSError as error:
            raise storage_error(error, staged_name) from error

    def sync_names(self) -> None:
        try:
            self._trash.sync()
            os.fsync(self._own.staging_fd)
            os.fsync(self._root_fd)
        except OSError as error:
            raise storage_error(error, "the folder") from error

    def close(self) -> None:
        """Give back the lock and every descriptor."""
        if self._root_fd < 0:
            return
        self._trash.close()
        self._own.close()
        os.close(self._root_fd)
        self._root_fd = -1

    def __enter__(self) -> DiskFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _fingerprint(self, spot: Spot) -> Fingerprint | None:
        try:
            status = os.stat(spot.name, dir_fd=spot.dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise storage_error(error, spot.name) from error
        if not stat.S_ISREG(status.st_mode):
            raise PathRefused(f"{spot.name}: {kind_of(status)}")
        if status.st_dev != self._device:
            raise PathRefused(f"{spot.name}: {OTHER_MOUNT}")
        return fingerprint_of(status)

    def _spot(self, path: RelPath) -> Spot:
        """Where `path` stands. A single name needs no openat2: nothing in it can lead anywhere."""
        if "/" in path:
            raise PathRefused(f"{path}: in a subfolder: not synced yet")
        return Spot(self._root_fd, path)

    def _staged(self, name: str) -> Spot:
        return Spot(self._own.staging_fd, name)

    def _disk(self) -> os.statvfs_result:
        try:
            return os.fstatvfs(self._root_fd)
        except OSError as error:
            raise storage_error(error, "the folder") from error


def _open_root(path: Path) -> int:
    try:
        path.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        reason = "it is a file" if path.is_file() else error.strerror
        raise FolderUnusable(
            f"{path} cannot be used as a folder: {reason}", advice="Name a directory that you may write to."
        ) from error


def _regular(fd: int, *, name: str) -> DiskFile:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise PathRefused(f"{name}: {kind_of(status)}")
    return DiskFile(fd, name=name, fingerprint=fingerprint_of(status))


def _umask() -> int:
    """The umask; it can be read only by setting it, so this is done once, before there are threads."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
