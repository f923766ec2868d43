"""What stands in the real folder: files, directories and links, and with a reason everything that gsync leaves alone.

A listing opens one directory after another beneath the root, so that no link is followed and no other mount entered, and at
most one is open at a time, however deep they lie. An unchanged name costs one stat and five comparisons: the values of the
last listing, or of the trees, are handed out again, so that both share memory. Called by `disk.py` only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from gsync.core.blocks import CONTENT_MAX_BYTES
from gsync.core.model import DIRECTORY, FILE, LINK, FileMeta, Fingerprint, Kind, LocalTree
from gsync.core.names import OWN_FOLDER, RelPath
from gsync.errors import NameRefused
from gsync.storage.beneath import LastDirectory, open_beneath
from gsync.storage.files import fingerprint_of
from gsync.storage.filesystem import (
    NOTHING_KNOWN,
    OTHER_MOUNT,
    TARGET_MAX_BYTES,
    TOO_LARGE,
    UNREADABLE,
    Found,
    Skip,
    Skipped,
    never,
)

_WORDS: Final = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

KINDS: Final = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.LINK}
_TYPES: Final = {kind: bits for bits, kind in KINDS.items()}

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY

_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""What opening a directory says that was renamed or replaced since it was seen: the next listing will see how."""

_HIDING: Final = {errno.EACCES: UNREADABLE, errno.EPERM: UNREADABLE, errno.EXDEV: OTHER_MOUNT}

_Names = dict[str, Found]
"""What a directory held at the last listing, by name."""


class _Asked(Struct, frozen=True):
    """What a listing is to leave out, and what is known already."""

    skip: Skip
    known: LocalTree


class Lister:
    """Lists one folder again and again; `root_fd` stays its owner's. Raises OSError."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._device = os.fstat(root_fd).st_dev
        self._uid = os.geteuid()
        self._last: dict[str, _Names] = {}
        self._last_skip: Skip = never

    def listing(
        self, *, beneath: RelPath | None = None, skip: Skip = never, known: LocalTree = NOTHING_KNOWN
    ) -> Iterator[Found | Skipped]:
        """Everything but `.gsync`, in the order of the disk, a directory before what is in it."""
        if beneath is not None:
            yield from self.listing_at([beneath], skip=skip, known=known)
            return
        self._ask_anew_if_other(skip)
        fresh: dict[str, _Names] = {}
        yield from self._walk([None], fresh, _Asked(skip, known))
        self._last = fresh

    def listing_at(
        self, paths: Iterable[RelPath], *, skip: Skip = never, known: LocalTree = NOTHING_KNOWN
    ) -> Iterator[Found | Skipped]:
        """The same of what stands at each of `paths`, and in it."""
        self._ask_anew_if_other(skip)
        asked = _Asked(skip, known)
        with LastDirectory(self._root_fd) as last:
            for path in paths:
                top = self._top(path, asked, last)
                if isinstance(top, Found) and top.fingerprint.kind is DIRECTORY:
                    yield from self._walk([top], self._last, asked)
                elif top is not None:
                    yield top

    def _ask_anew_if_other(self, skip: Skip) -> None:
        if skip != self._last_skip:  # nothing that is remembered was asked of this one
            self._last, self._last_skip = {}, skip

    def _top(self, path: RelPath, asked: _Asked, last: LastDirectory) -> Found | Skipped | None:
        """What stands at `path` itself."""
        above, _, name = path.rpartition("/")
        directory = RelPath(above) if above else None
        try:
            fd = last.open(above)
        except OSError as error:
            return _unopened(error, path)
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            found = self._last.get(above, {}).get(name)
            if found is not None and shows(found.fingerprint, status):
                return found
            seen = self._look(directory, name, status, fd, asked)
        except FileNotFoundError:
            return None
        if isinstance(seen, Found):
            self._last.setdefault(above, {})[name] = seen
        return seen

    def _walk(self, waiting: list[Found | None], fresh: dict[str, _Names], asked: _Asked) -> Iterator[Found | Skipped]:
        """List the `waiting` directories (None: the root) and all in them.

        One is told of when it is open: before, nobody knows if it can be.
        """
        while waiting:
            found = waiting.pop()
            directory = None if found is None else found.path
            try:
                # Opened anew even if it is the root: a descriptor that is shared shares the place in the directory too.
                fd = open_beneath(self._root_fd, directory or ".", _OPEN)
            except OSError as error:
                if found is None:
                    raise
                if (hidden := _unopened(error, found.path)) is not None:
                    yield hidden
                continue
            try:
                if found is not None:
                    yield found
                yield from self._entries(directory, fd, fresh, waiting, asked)
            finally:
                os.close(fd)

    def _entries(
        self,
        directory: RelPath | None,
        fd: int,
        fresh: dict[str, _Names],
        waiting: list[Found | None],
        asked: _Asked,
    ) -> Iterator[Found | Skipped]:
        """What is in one open directory; the directories in it are put to those `waiting`."""
        before = self._last.get(directory or "", {})
        fresh[directory or ""] = now = {}
        with os.scandir(fd) as entries:
            for entry in entries:
                name = entry.name
                if not directory and name == OWN_FOLDER:
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except PermissionError:  # the directory can be read, but not entered
                    yield _hidden(directory, name)
                    continue
                found = before.get(name)
                if found is None or not shows(found.fingerprint, status):
                    seen = self._look(directory, name, status, fd, asked)
                    if not isinstance(seen, Found):
                        if seen is not None:
                            yield seen
                        continue
                    found = seen
                now[name] = found
                if found.fingerprint.kind is DIRECTORY:
                    waiting.append(found)
                else:
                    yield found

    def _look(
        self, directory: RelPath | None, name: str, status: os.stat_result, dir_fd: int, asked: _Asked
    ) -> Found | Skipped | None:
        """What a path that is new or changed shows; None where it is skipped unsaid, or gone meanwhile."""
        entry = None
        if asked.known:  # no name yet, but what is known under it has one
            path = RelPath(f"{directory}/{name}" if directory else name)
            entry = asked.known.get(path)
            if entry is not None and self._is_as_known(entry, status):
                return None if asked.skip(path, entry.kind) else Found(path=path, fingerprint=entry.fingerprint)
        kind = KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return Skipped(name=_shown(directory, name), reason=kind_of(status))
        try:
            path = _joined(directory, name)
        except NameRefused as refused:
            return Skipped(name=_shown(directory, name), reason=f"its name: {refused.reason}")
        if status.st_dev != self._device:
            return Skipped(name=path, reason=OTHER_MOUNT, hides=path)
        if asked.skip(path, kind):
            return None
        if kind is FILE and status.st_size > CONTENT_MAX_BYTES:
            return Skipped(name=path, reason=TOO_LARGE, hides=path)
        if kind is FILE and not self._is_ours(status) and is_unreadable(name, dir_fd=dir_fd):
            return Skipped(name=path, reason=UNREADABLE, hides=path)
        if kind is not LINK:
            is_known = entry is not None and shows(entry.fingerprint, status)
            return Found(path=path, fingerprint=entry.fingerprint if entry and is_known else fingerprint_of(status))
        return link_found(path, status, dir_fd=dir_fd)

    def _is_as_known(self, entry: FileMeta, status: os.stat_result) -> bool:
        """Whether it is what is known there, can be read, and needs no further question; most of what a start finds is."""
        return (
            self._is_ours(status)
            and status.st_dev == self._device
            and entry.kind is not LINK
            and shows(entry.fingerprint, status)
        )

    def _is_ours(self, status: os.stat_result) -> bool:
        """Whether we may read it because it belongs to us: then the system need not be asked, which is nearly always so."""
        return status.st_uid == self._uid and bool(status.st_mode & stat.S_IRUSR)


def link_found(path: RelPath, status: os.stat_result, *, dir_fd: int) -> Found | Skipped | None:
    """The link at `path`, which is in the open directory; None where it is one no longer."""
    try:
        target = os.readlink(path.name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EINVAL}:
            return None
        raise
    try:
        size = len(target.encode("utf-8"))
    except UnicodeEncodeError:
        return Skipped(name=path, reason="a link whose target is not valid UTF-8")
    if size > TARGET_MAX_BYTES:
        return Skipped(name=path, reason=f"a link with a target longer than {TARGET_MAX_BYTES} bytes")
    return Found(path=path, fingerprint=fingerprint_of(status), target=target)


def kind_of(status: os.stat_result) -> str:
    """What `status` shows, in words, for whoever wonders why it is left alone."""
    return _WORDS.get(stat.S_IFMT(status.st_mode), "not a regular file")


def is_unreadable(name: str, *, dir_fd: int) -> bool:
    """Whether something stands there that we may not read: to announce it would be to promise what cannot be served."""
    # Not with `effective_ids`: where a sandbox knows no faccessat2, everything would look unreadable.
    return not os.access(name, os.R_OK, dir_fd=dir_fd) and os.access(name, os.F_OK, dir_fd=dir_fd)


def shows(known: Fingerprint, status: os.stat_result) -> bool:
    """Whether `status` is still what `known` was made from."""
    return (
        known.inode == status.st_ino
        and known.mode | _TYPES[known.kind] == status.st_mode
        and (
            known.kind is DIRECTORY
            or (
                known.ctime_ns == status.st_ctime_ns
                and known.mtime_ns == status.st_mtime_ns
                and known.size == status.st_size
            )
        )
    )


def _unopened(error: OSError, path: RelPath) -> Skipped | None:
    """What it means that a directory on the way to `path`, or there, cannot be opened; None: nothing stands there any more."""
    if error.errno in _GONE:
        return None
    if error.errno in _HIDING:
        return Skipped(name=path, reason=_HIDING[error.errno], hides=path)
    raise error


def _hidden(directory: RelPath | None, name: str) -> Skipped:
    try:
        path = _joined(directory, name)
    except NameRefused:
        return Skipped(name=_shown(directory, name), reason=UNREADABLE)
    return Skipped(name=path, reason=UNREADABLE, hides=path)


def _joined(directory: RelPath | None, name: str) -> RelPath:
    """The path of `name` in a directory that was found, or at the top. Raises NameRefused."""
    return directory.child(name) if directory else RelPath.parse(name)


def _shown(directory: RelPath | None, name: str) -> str:
    """A name that may not be text, for a person's eyes."""
    shown = os.fsencode(name).decode("utf-8", errors="backslashreplace")
    return f"{directory}/{shown}" if directory else shown
