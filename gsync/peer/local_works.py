"""What a plan asks for that needs nobody else: directories, links, deletions, moves, versions.

Given: the actions of a plan. Remembers: which paths are in hand, and which have to be tried again and when. Each is carried out by
the applier with its next batch, or recorded in the index where nothing moves on the disk; then its path is planned again. A
directory goes only once nothing is left in it that is synced. Called by the syncer; decides nothing about versions.
"""

from __future__ import annotations

import heapq
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, assert_never

from msgspec.structs import replace

from gsync.core.actions import Adopt, Bury, MakeDirectory, MakeLink, Reassert, Relocate, Remove
from gsync.core.backoff import Random, backoff_s
from gsync.core.model import FileMeta, Fingerprint, Kind, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.errors import StorageError
from gsync.net.clock import Clock
from gsync.peer import events as ev
from gsync.peer.applier import Applier
from gsync.peer.outcomes import Outcomes
from gsync.peer.trees import Trees
from gsync.storage.downloads import (
    Adjustment,
    Change,
    Freed,
    Moved,
    NewDirectory,
    NewLink,
    Outcome,
    Overtaken,
    Published,
    Relocation,
    Removal,
    Removed,
    Unpublished,
)

log = logging.getLogger(__name__)

RETRY_BASE_S: Final = 0.1
RETRY_CAP_S: Final = 16.0

TIDY_TRIES: Final = 5
"""So often a directory is tried that could not be removed, because something stood in it; more often after the next start."""

LocalAction = MakeDirectory | MakeLink | Remove | Bury | Adopt | Reassert | Relocate

Record = Callable[[Mapping[RelPath, Tombstone], Mapping[RelPath, Version]], None]
"""Writes deletions and agreed versions into the index, durably; raises StorageError."""


class LocalWorks:
    """Carries out local actions. `hint` asks for a look at paths, `replan` for a new plan, `moved` tells of entries that moved.

    `wake` is called whenever `wakes_at` may have come nearer: whoever waits for it must ask again.
    """

    def __init__(
        self,
        *,
        trees: Trees,
        applier: Applier,
        outcomes: Outcomes,
        events: ev.Events,
        clock: Clock,
        rng: Random,
        author: str,
        record: Record,
        hint: Callable[[Iterable[RelPath]], None],
        replan: Callable[[list[RelPath]], None],
        moved: Callable[[list[RelPath]], None],
        wake: Callable[[], None],
    ) -> None:
        self._trees = trees
        self._applier = applier
        self._outcomes = outcomes
        self._events = events
        self._clock = clock
        self._rng = rng
        self._author = author
        self._record = record
        self._hint = hint
        self._replan = replan
        self._moved = moved
        self._wake = wake
        self._busy: set[RelPath] = set()
        self._failures: dict[RelPath, int] = {}
        self._resting: list[tuple[float, RelPath]] = []
        self._tidied: Counter[RelPath] = Counter()

    @property
    def pending(self) -> int:
        """How many paths are in hand, or wait to be tried again."""
        return len(self._busy) + len(self._resting)

    def put(self, actions: Iterable[LocalAction]) -> None:
        """Carry these out; what is in hand already is planned again when it has ended."""
        buried: dict[RelPath, Tombstone] = {}
        agreed: dict[RelPath, Version] = {}
        for action in actions:
            if isinstance(action, Relocate) and not self._busy.isdisjoint((action.path, action.source)):
                # The end of that brings up one of these names alone, and a plan of it says nothing of all that is renamed.
                self._rest(action.path, None, *action.entries)
                continue
            if action.path in self._busy:
                continue
            match action:
                case Bury() if action.path in self._applier.in_hand:
                    self._rest(action.path, None)  # something is being placed there: it is planned again afterwards
                case Bury():
                    buried[action.path] = action.tombstone
                case Reassert():
                    self._reassert(action.path, action.version)
                case Adopt() if _moves_nothing(action, self._trees.local.get(action.path)):
                    agreed[action.path] = action.version
                case Remove(expected=FileMeta(kind=Kind.DIRECTORY)) if self._trees.has_children(action.path):
                    continue  # the planner wants all that is in it gone, too: the last of that will bring it up again
                case Remove() | MakeDirectory() | MakeLink() | Adopt() | Relocate():
                    self._submit(_change(action))
                case unreachable:
                    assert_never(unreachable)
        if buried or agreed:
            self._write(buried, agreed)

    def tidy(self) -> None:
        """Try again to remove the directories that held something when they were deleted; called when all else is done."""
        for path, tombstone in list(self._trees.buried.items()):
            if tombstone.leftover_inode and path not in self._busy and self._tidied[path] < TIDY_TRIES:
                self._tidied[path] += 1
                self._submit(_second_removal(path, tombstone))

    def wakes_at(self) -> float | None:
        """When something is to be tried again."""
        return self._resting[0][0] if self._resting else None

    def take_due(self, now: float) -> list[RelPath]:
        """The paths whose rest is over: to be planned again."""
        due = []
        while self._resting and self._resting[0][0] <= now:
            due.append(heapq.heappop(self._resting)[1])
        return due

    def rest(self, path: RelPath, *others: RelPath) -> None:
        """Plan `path` and `others` again after a while, longer each time, until `forget`."""
        self._rest(path, None, *others)

    def forget(self, path: RelPath) -> None:
        """It has come right."""
        self._failures.pop(path, None)

    def _reassert(self, path: RelPath, version: Version) -> None:
        meta = self._trees.local.get(path)
        if meta is not None:
            self._submit(Adjustment(path=path, expected=meta, version=version, author=self._author))

    def _write(self, buried: Mapping[RelPath, Tombstone], agreed: Mapping[RelPath, Version]) -> None:
        """What moves only in the index and the trees."""
        versions = {**agreed, **{path: tombstone.version for path, tombstone in buried.items()}}
        self._busy |= versions.keys()
        try:
            self._record(buried, versions)
        except (
            StorageError
        ) as error:  # what was agreed turns out once more after a restart; what is deleted has to be known
            log.warning("agree.unrecorded files=%d reason=%s", len(agreed), error)
            self._trees.synced.update(agreed)
            for path in buried:
                self._rest(path, error)
            return
        finally:
            self._busy -= versions.keys()
        gone = {path: tombstone for path, tombstone in buried.items() if path not in self._trees.local}
        self._trees.note_local(gone)
        self._trees.synced.update(versions)
        for path in versions:
            self._failures.pop(path, None)
        if gone:
            self._moved(list(gone))

    def _submit(self, change: Change) -> None:
        self._busy.add(change.path)
        self._applier.submit(change, partial(self._ended, change))

    def _ended(self, change: Change, outcome: Outcome) -> None:
        self._busy.discard(change.path)
        match outcome:
            case Published() | Removed() | Freed() | Moved():
                self._failures.pop(change.path, None)
                if change.path not in self._tidied:
                    self._tell(change, outcome)
                self._replan(self._worth_a_plan(change))
            case Overtaken():
                log.info("work.overtaken path=%r reason=it was changed here meanwhile", change.path)
                self._hint([change.path, *([change.source] if isinstance(change, Relocation) else [])])
                self._rest(change.path, None, *self._worth_a_plan(change))
            case Unpublished(error=error):
                self._rest(change.path, error, *self._worth_a_plan(change))
            case unreachable:
                assert_never(unreachable)

    def _worth_a_plan(self, change: Change) -> list[RelPath]:
        paths = {change.path: None}
        left = change.path if isinstance(change, Removal) else change.source if isinstance(change, Relocation) else None
        if left is not None and (parent := left.parent) is not None:
            paths[parent] = None  # it may be empty now, and only have waited for this
        if isinstance(change, NewDirectory) and change.expected is not None:
            paths |= dict.fromkeys(self._trees.remote.beneath(change.path))  # what waited for a file to make room
        if isinstance(change, Relocation):
            paths |= dict.fromkeys([change.source, *change.entries, *change.buried])
        return list(paths)

    def _tell(self, change: Change, outcome: Published | Removed | Freed | Moved) -> None:
        match change:
            case Removal():
                self._events.tell(ev.FileDeleted(path=change.path))
            case Relocation():
                self._events.tell(ev.FileMoved(path=change.path, moved_from=change.source))
            case NewDirectory() | NewLink() if isinstance(outcome, Published):
                self._events.tell(ev.FileMade(path=change.path, kind=outcome.meta.kind.value))
            case _:
                pass

    def _rest(self, path: RelPath, error: StorageError | None, *others: RelPath) -> None:
        """Plan `path` again after a while, and the `others` with it: what a rename covers was planned as one with it."""
        failures = self._failures[path] = self._failures.get(path, 0) + 1
        delay_s = backoff_s(failures, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S, rng=self._rng)
        at = self._clock.monotonic() + delay_s
        for resting in dict.fromkeys([path, *others]):
            heapq.heappush(self._resting, (at, resting))
        self._wake()
        if error is not None:
            self._outcomes.work_failed(path, error)


def _second_removal(path: RelPath, tombstone: Tombstone) -> Removal:
    there = Fingerprint(size=0, mtime_ns=0, ctime_ns=0, inode=tombstone.leftover_inode, mode=0, kind=Kind.DIRECTORY)
    expected = FileMeta(fingerprint=there, version=tombstone.version)
    return Removal(path=path, expected=expected, tombstone=replace(tombstone, leftover_inode=0))


def _change(action: Remove | MakeDirectory | MakeLink | Adopt | Relocate) -> Change:
    match action:
        case Remove():
            return Removal(
                path=action.path, expected=action.expected, tombstone=action.tombstone, displaced=action.displaced
            )
        case MakeDirectory():
            return NewDirectory(
                path=action.path,
                version=action.version,
                author=action.record.author,
                expected=action.expected.fingerprint if action.expected else None,
                displaced=action.displaced,
                loser=action.expected,
                grave=action.grave,
            )
        case MakeLink():
            return NewLink(
                path=action.path,
                version=action.version,
                target=action.record.target,
                digest=action.record.digest,
                author=action.record.author,
                moved_from=action.record.moved_from,
                expected=action.expected.fingerprint if action.expected else None,
                displaced=action.displaced,
                loser=action.expected,
                grave=action.grave,
            )
        case Adopt():
            return _adjustment(action)
        case Relocate():
            return Relocation(path=action.path, source=action.source, entries=action.entries, buried=action.buried)
        case unreachable:
            assert_never(unreachable)


def _moves_nothing(action: Adopt, meta: FileMeta | None) -> bool:
    """Whether only the synced tree has to learn of it."""
    if action.record is None or meta is None:
        return True
    change = _adjustment(action)
    return meta.version == action.version and change.mtime_ns is None and change.executable is None


def _adjustment(action: Adopt) -> Adjustment:
    assert action.record is not None
    assert action.expected is not None
    seen, record = action.expected.fingerprint, action.record
    is_file = seen.kind is Kind.FILE
    return Adjustment(
        path=action.path,
        expected=action.expected,
        version=action.version,
        author=record.author,
        mtime_ns=record.mtime_ns if is_file and record.mtime_ns != seen.mtime_ns else None,
        executable=record.executable if is_file and record.executable != seen.is_executable else None,
    )
