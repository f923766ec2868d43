"""Publishing: changes are made to the folder, in batches, so that a crash at any instant loses nothing.

One batch, in this order (each step durable before the next begins):

    1. stage         small contents and links are written to staging; mode and mtime are set (staging.py)
    2. sync          all of them at once
    3. journal       a row for each change that a crash could leave half done, one transaction
    4. carry out     each in its turn (steps.py): what is staged takes its name (placements.py), directories are made and what
                     was deleted or freed goes (directories.py, removals.py, freeings.py), trees are renamed (relocations.py),
                     times and exec bits are set (adjustments.py); only where exactly that stands which the planner saw
    5. place         what came out of the folder goes to the trash or to its conflict name (displaced.py), or waits (limbo.py)
    6. sync names    folder, staging, trash
    7. index         entries and agreed versions in, journal rows out, one transaction

A crash before 4 leaves a staged name that holds the inode of its row: a download, to be fetched again. After 4 the folder is
as it should be, and recovery.py finishes the rest. A change that fails drops out with its outcome; the others go on.

Blocking; every method runs in one and the same thread (`workers.Pool.DISK`). Knows no greenlets, logs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, assert_never

from msgspec.structs import replace

from gsync.core.model import Entry, FileMeta
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import StorageError
from gsync.storage import recovery
from gsync.storage.adjustments import Adjustments
from gsync.storage.directories import Directories
from gsync.storage.displaced import Places
from gsync.storage.downloads import (
    Adjustment,
    Change,
    Download,
    Freeing,
    NewDirectory,
    NewLink,
    Outcome,
    Overtaken,
    Placed,
    Released,
    Relocation,
    Removal,
    Unpublished,
)
from gsync.storage.filesystem import Folder, Staged
from gsync.storage.freeings import Freeings
from gsync.storage.index import Index
from gsync.storage.journal import JournalRow, RowState
from gsync.storage.limbo import Limbo
from gsync.storage.partials import Partial, Partials
from gsync.storage.placements import Placements
from gsync.storage.relocations import Relocations
from gsync.storage.removals import Removals
from gsync.storage.staging import Ready, Staging
from gsync.storage.steps import Step, in_turn, touched

BATCH_MAX_FILES: Final = 500
BATCH_MAX_BYTES: Final = 32 * 1024 * 1024
"""How much one call should be given: each file of a batch keeps a descriptor open until the batch is durable."""


class Publisher:
    """The only hand that changes `folder`; one for each open folder. `clock` is monotonic, both are in seconds."""

    def __init__(
        self,
        folder: Folder,
        index: Index,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._index = index
        self._wall_clock = wall_clock
        self._limbo = Limbo(folder, Places(folder, author=index.author), clock=clock)
        self._staging = Staging(folder)
        self._placements = Placements(folder, self._limbo)
        self._directories = Directories(folder, self._limbo)
        self._removals = Removals(folder, self._limbo)
        self._freeings = Freeings(folder, self._limbo)
        self._adjustments = Adjustments(folder)
        self._relocations = Relocations(folder)
        self._partials = Partials()
        self._resumable: dict[str, str] = {}  # staged name -> digest, of downloads that are being written
        self._unagreed: list[Step] = []
        self._owed: set[str] = set()  # names of downloads that are gone, whose rows go with the next transaction

    def recover(self) -> list[Released]:
        """Finish what a crash interrupted; once, before anything else and before `Index.load`. Raises `StorageError`."""
        return recovery.recover(self._folder, self._index, self._limbo, self._partials, now_s=self._wall_clock())

    def begin(self, path: RelPath, *, digest: str = "", size: int = 0) -> Staged:
        """A staged file for a large download of `size` bytes (0: untold), journalled, so that a crash leaves no riddle.

        With its `digest` it can be resumed, after `keep` or a crash.
        """
        if size:
            self._folder.require_space(size)  # before a byte of it is fetched for nothing
        staged = self._folder.stage()
        try:
            entry = FileMeta(fingerprint=staged.fingerprint(), version=Version.from_mtime(0), digest=digest)
            self._index.record(journal=[JournalRow(name=staged.name, path=path, state=RowState.OPEN, entry=entry)])
        except StorageError:
            self._forget(staged)
            raise
        if digest:
            self._resumable[staged.name] = digest
        return staged

    def partial(self, digest: str) -> Staged | None:
        """What there is of the content with `digest` from an interrupted download; it is yours as if `begin` had made it.

        Which of its bytes are good nobody knows: read it again.
        """
        found = self._partials.take(digest)
        if found is None:
            return None
        try:
            staged = self._folder.reopen_staged(found.name)
        except StorageError:
            self._owed.add(found.name)
            return None
        if staged.inode != found.inode:  # somebody put something else there: not ours to write into
            staged.close()
            return None
        self._resumable[staged.name] = digest
        return staged

    def keep(self, staged: Staged) -> None:
        """Leave a download for later, if `begin` was told its digest; else this is `abandon`. Raises `StorageError`."""
        digest = self._resumable.pop(staged.name, "")
        if not digest:
            self.abandon(staged)
            return
        now = staged.fingerprint()
        staged.close()
        kept = Partial(name=staged.name, digest=digest, inode=now.inode, size=now.size, since_s=now.mtime_ns / 1e9)
        going = [one.name for one in self._partials.keep([kept], now_s=self._wall_clock())]
        if going:
            self._index.record(forget=going)
            for name in going:
                self._folder.unlink_staged(name)

    def abandon(self, staged: Staged) -> None:
        """Forget a download that `begin` made and that was not published. Raises `StorageError`: the start will forget it."""
        self._forget(staged)
        self._index.record(forget=[staged.name])

    def publish(self, batch: Sequence[Change]) -> list[Outcome]:
        """The outcome of each change, in the order of `batch`; contents are used up, whatever the outcome."""
        outcomes: dict[int, Outcome] = {}
        ready = self._journal(self._make_durable(self._stage(batch, outcomes), outcomes), outcomes)
        steps = {at: self._carry_out(batch[at], ready[at].row) for at in in_turn(batch) if at in ready}
        outcomes.update(zip(steps, self._agree(list(steps.values())), strict=True))
        return [outcomes[position] for position in range(len(batch))]

    def review_limbo(self) -> list[Outcome | Released]:
        """What had to wait and has now been finished; to be asked about each second."""
        unagreed, self._unagreed = self._unagreed, []
        agreed = self._agree(unagreed) if unagreed else []
        finished = [
            step.outcome for step, now in zip(unagreed, agreed, strict=True) if step.is_done and now is step.outcome
        ]
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
        """Paths that were changed but that the index could not yet be told of: a scan must not take them for edits."""
        return frozenset(path for step in self._unagreed for path in step.entries)

    def _stage(self, batch: Sequence[Change], outcomes: dict[int, Outcome]) -> dict[int, Ready]:
        ready: dict[int, Ready] = {}
        busy = set(self.busy_paths())
        for position, change in enumerate(batch):
            staged = change.content if isinstance(change, Download) and not isinstance(change.content, bytes) else None
            paths = touched(change)
            if not busy.isdisjoint(paths):  # whoever asked for this could not know what stands there by now
                if staged is not None:
                    self._forget(staged)
                outcomes[position] = Overtaken(path=change.path)
                continue
            busy.update(paths)
            try:
                ready[position] = self._staging.ready(change)
            except StorageError as error:
                outcomes[position] = Unpublished(path=change.path, error=error)
                if staged is not None:
                    self._owed.add(staged.name)
            if staged is not None:
                self._resumable.pop(staged.name, None)
        return ready

    def _make_durable(self, ready: Mapping[int, Ready], outcomes: dict[int, Outcome]) -> dict[int, Ready]:
        staged = [one.staged for one in ready.values() if one.staged is not None]
        failed = {one.name for one in self._folder.sync(staged)} if staged else set()
        durable: dict[int, Ready] = {}
        for position, one in ready.items():
            if one.row is not None and one.row.name in failed:
                self._discard([one])
                error = StorageError(f"{one.row.path}: the disk did not take it")
                outcomes[position] = Unpublished(path=one.row.path, error=error)
            else:
                durable[position] = one
        return durable

    def _journal(self, ready: dict[int, Ready], outcomes: dict[int, Outcome]) -> dict[int, Ready]:
        rows = {position: one.row for position, one in ready.items() if one.row is not None}
        for one in ready.values():
            if one.staged is not None:
                one.staged.close()  # before the rename: a watcher would see a close under the new name as an edit
        if not rows:
            return ready
        try:
            self._index.record(journal=rows.values())
        except StorageError as error:
            self._discard(ready.values())
            self._owed.update(row.name for row in rows.values())  # who knows whether it was written
            outcomes.update({at: Unpublished(path=row.path, error=error) for at, row in rows.items()})
            return {position: one for position, one in ready.items() if one.row is None}
        return ready

    def _carry_out(self, change: Change, row: JournalRow | None) -> Step:
        """Steps 4 and 5 for one change."""
        try:
            match change:
                case Relocation():
                    return self._relocations.relocate(change)
                case Adjustment():
                    return self._adjustments.adjust(change, row)
                case _:
                    assert row is not None
            match change:
                case Download() | NewLink():
                    return self._placements.place(row)
                case NewDirectory():
                    return self._directories.make(row)
                case Removal():
                    return self._removals.remove(row)
                case Freeing():
                    return self._freeings.free(row)
                case unreachable:
                    assert_never(unreachable)
        except StorageError as error:
            return Step(outcome=Unpublished(path=change.path, error=error), row=row)

    def _agree(self, steps: Sequence[Step]) -> list[Outcome]:
        """Steps 6 and 7: the outcome of each of `steps`. The rows of downloads that were not used go, and then the downloads."""
        downloads: list[str] = []
        waiting = [step.waiting for step in steps if step.waiting is not None]
        for row in (step.row for step in steps if not step.is_done):
            if row is None or row.state is not RowState.STAGED:
                continue
            if recovery.holds_download(self._folder, row):
                downloads.append(row.name)
            else:  # a half-done exchange: whatever the name holds now, it is not ours to unlink
                self._limbo.hold(row)
                waiting.append(replace(row, state=RowState.LIMBO))
        entries: dict[RelPath, Entry | None] = {}
        synced: dict[RelPath, Version] = {}
        for step in steps:
            entries |= step.entries
            synced |= step.synced
        forget = [*self._owed, *(step.row.name for step in steps if step.row is not None)]
        try:
            if any(step.renamed for step in steps):
                self._folder.sync_names()
            if entries or waiting or forget:
                self._index.record(entries=entries, synced=synced, journal=waiting, forget=forget)
        except StorageError as error:
            self._unagreed += steps
            return [_untold(step, error) for step in steps]
        self._owed.clear()
        for name in downloads:
            with suppress(StorageError):  # without its row it goes to the trash at the next start
                self._folder.unlink_staged(name)
        return [step.outcome for step in steps]

    def _forget(self, staged: Staged) -> None:
        self._resumable.pop(staged.name, None)
        staged.close()
        self._owed.add(staged.name)
        with suppress(StorageError):  # the look at start clears what stays
            self._folder.unlink_staged(staged.name)

    def _discard(self, ready: Iterable[Ready]) -> None:
        """Forget what was never near the folder."""
        self._owed.update(self._staging.discard(ready))


def _untold(step: Step, error: StorageError) -> Outcome:
    """What may be said of a step that the index could not be told of."""
    return Unpublished(path=step.outcome.path, error=error) if step.is_done else step.outcome


def _released(row: JournalRow, placed: Placed) -> Released:
    return Released(path=row.path, conflict_copy=placed.conflict_copy, trashed=placed.trashed, remark=placed.remark)
