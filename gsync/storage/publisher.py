"""Publishing: downloads become files of the folder, in batches, so that a crash at any instant loses nothing.

One batch, in this order (each step durable before the next begins):

    1. stage         small contents are written to staging; mode and mtime are set
    2. sync          all of them at once
    3. journal       a row for each, one transaction: "this inode is only a download"
    4. rename        into a free name, or exchanged with exactly the file that the planner saw
    5. place         what an exchange brought out goes to the trash or to its conflict name (displaced.py), or waits (limbo.py)
    6. sync names    folder, staging, trash
    7. index         entries and agreed versions in, journal rows out, one transaction

A crash before 4 leaves a staged name that holds the inode of its row: a download, to be fetched again. After 4 the path
holds that inode, and recovery.py finishes the rest. A file that fails drops out with its outcome; the others go on.

Blocking; every method runs in one and the same thread (`workers.Pool.DISK`). Knows no greenlets, logs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from gsync.core.model import FileMeta, Fingerprint, Kind
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import PathRefused, StorageError
from gsync.storage import recovery
from gsync.storage.displaced import Places, published
from gsync.storage.downloads import Download, Outcome, Overtaken, Placed, Published, Released, Unpublished
from gsync.storage.filesystem import Folder, Staged
from gsync.storage.index import Index
from gsync.storage.journal import JournalRow, RowState
from gsync.storage.limbo import Limbo

BATCH_MAX_FILES: Final = 500
BATCH_MAX_BYTES: Final = 32 * 1024 * 1024
"""How much one call should be given: each file of a batch keeps a descriptor open until the batch is durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A download in staging, complete but not yet durable."""

    download: Download
    staged: Staged


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moved:
    """A download that stands at its path, though not yet durably; `placed` is None while what it displaced is in limbo."""

    row: JournalRow
    meta: FileMeta
    placed: Placed | None


class Publisher:
    """The only hand that puts files into `folder`; one for each open folder. `clock` is monotonic, in seconds."""

    def __init__(self, folder: Folder, index: Index, *, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._index = index
        self._limbo = Limbo(folder, Places(folder, author=index.author), clock=clock)
        self._unagreed: list[_Moved] = []
        self._owed: set[str] = set()  # names of downloads that are gone, whose rows go with the next transaction

    def recover(self) -> list[Released]:
        """Finish what a crash interrupted; once, before anything else and before `Index.load`. Raises `StorageError`."""
        return recovery.recover(self._folder, self._index, self._limbo)

    def begin(self, path: RelPath) -> Staged:
        """A staged file for a large download, journalled, so that a crash leaves nothing to wonder about."""
        staged = self._folder.stage()
        row = JournalRow(
            name=staged.name,
            path=path,
            state=RowState.OPEN,
            entry=FileMeta(fingerprint=staged.fingerprint(), version=Version.from_mtime(0)),
        )
        try:
            self._index.record(journal=[row])
        except StorageError:
            self._discard([staged])
            raise
        return staged

    def abandon(self, staged: Staged) -> None:
        """Forget a download that `begin` made and that was not published. Raises `StorageError`: the start will forget it."""
        self._discard([staged])
        self._index.record(forget=[staged.name])

    def publish(self, batch: Sequence[Download]) -> list[Outcome]:
        """The outcome of each download, in the order of `batch`; their contents are used up, whatever the outcome."""
        outcomes: dict[int, Outcome] = {}
        ready = self._stage(batch, outcomes)
        rows = self._journal(self._make_durable(ready, outcomes), outcomes)
        moved: dict[int, _Moved] = {}
        for position, row in rows.items():
            result = self._move(row)
            if isinstance(result, _Moved):
                moved[position] = result
            else:
                outcomes[position] = result
        agreed = self._agree(list(moved.values()), dropped=[row for at, row in rows.items() if at not in moved])
        outcomes.update(zip(moved, agreed, strict=True))
        return [outcomes[position] for position in range(len(batch))]

    def review_limbo(self) -> list[Published | Released]:
        """What had to wait and has now been finished; to be asked about each second."""
        unagreed, self._unagreed = self._unagreed, []
        agreed = self._agree(unagreed) if unagreed else []
        finished: list[Published | Released] = [one for one in agreed if isinstance(one, Published)]
        taken_back = self._limbo.look_again()
        settled = [(row, self._limbo.settle(row)) for row in self._limbo.rows()]
        released = {row.name: _released(row, placed) for row, placed in settled if placed is not None}
        copies = dict(one.conflict_copy for one in released.values() if one.conflict_copy is not None)
        waiting = [row for row in taken_back if row.name not in released]
        if released or waiting:
            with suppress(StorageError):  # the files have their places; a row too many is cleared at the next start
                self._folder.sync_names()
                self._index.record(entries=copies, journal=waiting, forget=released)
        return [*finished, *released.values()]

    def busy_paths(self) -> frozenset[RelPath]:
        """Paths that were published but that the index could not yet be told of: a scan must not take them for edits."""
        return frozenset(moved.row.path for moved in self._unagreed)

    def _stage(self, batch: Sequence[Download], outcomes: dict[int, Outcome]) -> dict[int, _Ready]:
        ready: dict[int, _Ready] = {}
        for position, download in enumerate(batch):
            try:
                ready[position] = _Ready(download=download, staged=self._staged(download))
            except StorageError as error:
                outcomes[position] = Unpublished(path=download.path, error=error)
        return ready

    def _staged(self, download: Download) -> Staged:
        staged = download.content
        if isinstance(staged, bytes):
            self._folder.require_space(len(staged))
            content, staged = staged, self._folder.stage()
        else:
            content = b""
        try:
            if content:
                staged.write(content)
            staged.finish(mtime_ns=download.mtime_ns, mode=self._mode(download))
        except StorageError:
            self._discard([staged])
            raise
        return staged

    def _mode(self, download: Download) -> int:
        if download.mode is not None:
            return download.mode
        return self._folder.new_file_mode if download.expected is None else download.expected.mode & 0o777

    def _make_durable(self, ready: Mapping[int, _Ready], outcomes: dict[int, Outcome]) -> dict[int, _Ready]:
        if not ready:
            return {}
        failed = self._folder.sync([one.staged for one in ready.values()])
        self._discard(failed)
        names = {staged.name for staged in failed}
        for position, one in ready.items():
            if one.staged.name in names:
                error = StorageError(f"{one.download.path}: the disk did not take it")
                outcomes[position] = Unpublished(path=one.download.path, error=error)
        return {position: one for position, one in ready.items() if one.staged.name not in names}

    def _journal(self, ready: Mapping[int, _Ready], outcomes: dict[int, Outcome]) -> dict[int, JournalRow]:
        rows = {position: _row(one.download, one.staged) for position, one in ready.items()}
        for one in ready.values():
            one.staged.close()  # before the rename: a watcher would see a close under the new name as an edit
        try:
            self._index.record(journal=rows.values())
        except StorageError as error:
            self._discard(one.staged for one in ready.values())
            outcomes.update({at: Unpublished(path=row.path, error=error) for at, row in rows.items()})
            return {}
        return rows

    def _move(self, row: JournalRow) -> _Moved | Overtaken | Unpublished:
        """Steps 4 and 5 for one file."""
        try:
            if row.expected is None:
                if not self._folder.put_new(row.name, row.path):
                    _require_file(
                        self._folder.fingerprint(row.path), row.path
                    )  # no file goes where a link stands: say so
                    return Overtaken(path=row.path)
                return _Moved(row=row, meta=self._meta(row), placed=Placed())
            if self._folder.fingerprint(row.path) != row.expected or not self._folder.exchange(row.name, row.path):
                return Overtaken(path=row.path)
            self._check_displaced(row)
        except StorageError as error:
            return Unpublished(path=row.path, error=error)
        return _Moved(row=row, meta=self._meta(row), placed=self._limbo.settle(row))

    def _check_displaced(self, row: JournalRow) -> None:
        """Put back what an exchange brought out when that is no regular file, and raise `PathRefused`."""
        try:
            _require_file(self._folder.staged_fingerprint(row.name), row.path)
        except PathRefused:
            self._folder.exchange(row.name, row.path)
            raise
        except StorageError:
            return  # it cannot be looked at now; limbo will

    def _meta(self, row: JournalRow) -> FileMeta:
        return published(self._folder, row)

    def _agree(self, moved: Sequence[_Moved], *, dropped: Iterable[JournalRow] = ()) -> list[Published | Unpublished]:
        """Steps 6 and 7: the outcome of each of `moved`. The rows of `dropped` downloads go, and then the downloads."""
        downloads: list[str] = []
        waiting = [replace(one.row, state=RowState.LIMBO) for one in moved if one.placed is None]
        for row in dropped:
            if recovery.holds_download(self._folder, row):
                downloads.append(row.name)
            else:  # a half-done exchange: whatever the name holds now, it is not ours to unlink
                self._limbo.hold(row)
                waiting.append(replace(row, state=RowState.LIMBO))
        entries, synced = _learnt(moved)
        forget = [*downloads, *self._owed, *(one.row.name for one in moved if one.placed is not None)]
        try:
            if moved:
                self._folder.sync_names()
            if entries or waiting or forget:
                self._index.record(entries=entries, synced=synced, journal=waiting, forget=forget)
        except StorageError as error:
            self._unagreed += moved
            return [Unpublished(path=one.row.path, error=error) for one in moved]
        self._owed.clear()
        for name in downloads:
            with suppress(StorageError):  # without its row it goes to the trash at the next start
                self._folder.unlink_staged(name)
        return [_published(one) for one in moved]

    def _discard(self, staged: Iterable[Staged]) -> None:
        """Forget downloads that were never near the folder."""
        for one in staged:
            one.close()
            self._owed.add(one.name)
            with suppress(StorageError):  # the look at start clears what stays
                self._folder.unlink_staged(one.name)


def _require_file(there: Fingerprint | None, path: RelPath) -> None:
    if there is not None and there.kind is not Kind.FILE:
        raise PathRefused(f"{path}: a {there.kind}")


def _row(download: Download, staged: Staged) -> JournalRow:
    return JournalRow(
        name=staged.name,
        path=download.path,
        state=RowState.STAGED,
        entry=FileMeta(
            fingerprint=staged.fingerprint(),
            version=download.version,
            digest=download.digest,
            author=download.author,
            moved_from=download.moved_from,
        ),
        expected=download.expected,
        displaced=download.displaced,
        loser=download.loser,
    )


def _learnt(moved: Iterable[_Moved]) -> tuple[dict[RelPath, FileMeta], dict[RelPath, Version]]:
    entries: dict[RelPath, FileMeta] = {}
    for one in moved:
        entries[one.row.path] = one.meta
        if one.placed is not None and one.placed.conflict_copy is not None:
            path, meta = one.placed.conflict_copy
            entries[path] = meta
    return entries, {one.row.path: one.meta.version for one in moved}


def _published(moved: _Moved) -> Published:
    placed = moved.placed or Placed()
    return Published(
        path=moved.row.path,
        meta=moved.meta,
        conflict_copy=placed.conflict_copy,
        trashed=placed.trashed,
        remark=placed.remark,
    )


def _released(row: JournalRow, placed: Placed) -> Released:
    return Released(path=row.path, conflict_copy=placed.conflict_copy, trashed=placed.trashed, remark=placed.remark)
