"""`.gsync/staging/` on the real disk: what is being written, and what was just displaced, under random names.

The directory is ours alone (0700), and a name in it is a single one, so nothing in it can lead anywhere. Foreign errors end
here. Made by `disk.py`, which says what may be put where.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gsync.core.model import Fingerprint
from gsync.errors import PathRefused, StorageError
from gsync.storage import leases
from gsync.storage.files import DiskFile, DiskStaged, fingerprint_of, require_space
from gsync.storage.filesystem import TARGET_MAX_BYTES
from gsync.storage.looking import READ, opened_regular
from gsync.storage.own_folder import RandomHex
from gsync.storage.renames import Spot
from gsync.storage.translation import translating

ROOM_BYTES: Final = 1024 * 1024
"""Small contents are measured against the free-space floor together, so many bytes at a time."""

_NAME_BYTES: Final = 8
_NAMES_AT_ONCE: Final = 64
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE: Final = os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class StagingFolder:
    """The names in staging, by its descriptor (which stays its owner's).

    `renew` makes the descriptor lead to staging again where a person took that away, and says whether it was so.
    """

    def __init__(self, fd: int, *, random_hex: RandomHex, renew: Callable[[], bool] = lambda: False) -> None:
        self.fd = fd
        self._renew = renew
        self._random_hex = random_hex
        self._names: list[str] = []
        self._room = 0

    def spot(self, name: str) -> Spot:
        """Where `name` stands."""
        return Spot(self.fd, name)

    def free_spot(self) -> Spot:
        """A new name."""
        return Spot(self.fd, self._free_name())

    def stage(self) -> DiskStaged:
        """A new, empty file."""
        name = self._free_name()
        with translating("staging"):
            return DiskStaged(self._made(name, 0o600), name=name)

    def stage_content(self, content: bytes, *, mtime_ns: int, mode: int) -> tuple[DiskStaged, Fingerprint]:
        """A file that is finished, made with as few calls as can be: a first sync comes through here file by file."""
        name = self._free_name()
        with translating(name):
            self._take_room(len(content))
            fd = self._made(name, mode)
            try:
                rest = content
                while rest:
                    rest = rest[os.write(fd, rest) :]
                os.utime(fd, ns=(mtime_ns, mtime_ns))
                status = os.fstat(fd)
                if stat.S_IMODE(status.st_mode) != mode:  # the umask, or what the directory passes on, took bits away
                    os.fchmod(fd, mode)
                    status = os.fstat(fd)
            except OSError:
                os.close(fd)
                with suppress(OSError):  # the look at start clears what stays
                    os.unlink(name, dir_fd=self.fd)
                raise
        return DiskStaged(fd, name=name, size=len(content)), fingerprint_of(status)

    def stage_link(self, target: str) -> str:
        """The name of a new link."""
        if not target or "\0" in target or len(os.fsencode(target)) > TARGET_MAX_BYTES:
            raise PathRefused("no link can lead there")
        name = self._free_name()
        with translating("staging"):
            os.symlink(target, name, dir_fd=self.fd)
        return name

    def reopen(self, name: str) -> DiskStaged:
        """A file that was closed, to be written on."""
        fd, status = self._opened(name, _WRITE)
        return DiskStaged(fd, name=name, size=status.st_size)

    def open(self, name: str) -> DiskFile:
        """A file, to be read."""
        fd, status = self._opened(name, READ)
        return DiskFile(fd, name=name, fingerprint=fingerprint_of(status))

    def has_writer(self, name: str) -> bool | None:
        """Whether somebody has it open for writing; nobody can a link."""
        with translating(name):
            if stat.S_ISLNK(os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mode):
                return False
            return leases.has_writer(self.fd, name)

    def names(self) -> list[str]:
        """Everything."""
        with translating("staging"):
            return os.listdir(self.fd)

    def unlink(self, name: str) -> None:
        """Remove `name`, if it is there."""
        with translating(name):
            try:
                os.unlink(name, dir_fd=self.fd)
            except FileNotFoundError:
                return

    def renew(self) -> None:
        """Make staging anew where a person deleted it. Raises StorageError."""
        try:
            self._renew()
        except OSError as error:  # not a file that vanished: nothing was learnt of any
            raise StorageError(f"staging was deleted, and cannot be made anew: {error.strerror}") from error

    def _free_name(self) -> str:
        if not self._names:  # randomness costs as much for one as for many
            digits = self._random_hex(_NAME_BYTES * _NAMES_AT_ONCE)
            self._names = [digits[at : at + 2 * _NAME_BYTES] for at in range(0, len(digits), 2 * _NAME_BYTES)]
        return self._names.pop()

    def _made(self, name: str, mode: int) -> int:
        try:
            return os.open(name, _NEW, mode, dir_fd=self.fd)
        except FileNotFoundError:
            self.renew()
            return os.open(name, _NEW, mode, dir_fd=self.fd)

    def _take_room(self, count: int) -> None:
        if count > self._room:
            spare = require_space(self.fd, count)
            self._room = count + min(spare, ROOM_BYTES)
        self._room -= count

    def _opened(self, name: str, flags: int) -> tuple[int, os.stat_result]:
        with translating(name):
            return opened_regular(self.fd, name, flags)
