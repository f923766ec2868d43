"""Keeps the local tree true to the disk: one scan at the start, then again and again, sooner when somebody asks.

A scan is one transaction: all it found is compared, recorded in the index, and shown to the others at once. Paths that the
applier touched while the scan ran are left out of it, so our own publishing is never taken for an edit. A folder that
vanished or was replaced stops the peer; nothing is concluded from its emptiness.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from gsync.core.diff import Changes, Seen, diff
from gsync.core.ignore import is_ignored
from gsync.core.model import FileMeta, Kind
from gsync.core.names import RelPath
from gsync.errors import StorageError
from gsync.net.clock import Clock
from gsync.peer.events import Events, NamesSkipped, Trouble
from gsync.peer.trees import Trees
from gsync.storage.filesystem import Folder, Found
from gsync.storage.index import Index
from gsync.storage.scanner import Scan, scan
from gsync.storage.workers import Pool, Workers

log = logging.getLogger(__name__)

RESCAN_S: Final = 5.0
RESCAN_SHARE: Final = 200
"""A rescan comes after 200 times what the last one cost, so looking costs at most half a percent of a core."""

UNSETTLED_S: Final = 0.05
"""A file that changed within the disk's last clock tick is looked at again after this."""

FIRST_LOOKS: Final = 5
"""So often the first scan is repeated for files that are being written, before it is announced without them."""

SHOWN_PER_REASON: Final = 5


class Indexer:
    """The loop that scans; `on_change` hears which paths of the local tree are new, changed or gone."""

    def __init__(
        self,
        *,
        folder: Folder,
        index: Index,
        workers: Workers,
        trees: Trees,
        events: Events,
        clock: Clock,
        in_hand: Callable[[], frozenset[RelPath]],
        on_change: Callable[[set[RelPath]], None],
    ) -> None:
        self._folder = folder
        self._index = index
        self._workers = workers
        self._trees = trees
        self._events = events
        self._clock = clock
        self._in_hand = in_hand
        self._on_change = on_change
        self._asked = Event()
        self._door = BoundedSemaphore(1)
        self._looks = 0
        self._unsettled = False
        self._touched: set[RelPath] | None = None
        self._told: set[tuple[str, str]] = set()

    def touching(self, paths: Iterable[RelPath]) -> None:
        """The applier puts its hand on `paths` now: a scan that is under way says nothing about them."""
        if self._touched is not None:
            self._touched.update(paths)

    def ask(self) -> None:
        """Scan soon."""
        self._asked.set()

    def start(self) -> None:
        """The first scan, before anything is announced. Raises StorageError, FolderUnusable."""
        for _ in range(FIRST_LOOKS):
            if not self.look():
                return
            gevent.sleep(UNSETTLED_S)

    def run(self) -> None:
        """Scan now and then; never returns. A folder that is gone raises FolderUnusable: it ends the peer."""
        pause_s = RESCAN_S
        while True:
            self._asked.wait(pause_s)
            self._asked.clear()
            began = self._clock.monotonic()
            try:
                unsettled = self.look()
            except StorageError as error:
                self._events.tell(Trouble(what=f"the folder cannot be scanned: {error}", advice="it is tried again"))
                unsettled = False
            took_s = self._clock.monotonic() - began
            pause_s = UNSETTLED_S if unsettled else max(RESCAN_S, took_s * RESCAN_SHARE)

    def look(self) -> bool:
        """Scan once and take over what changed; whether some file must be looked at again soon.

        One look at a time; whoever waits for his turn takes one that began meanwhile for his own.
        """
        began_before = self._looks
        with self._door:
            if self._looks == began_before:
                self._looks += 1
                self._unsettled = self._look()
            return self._unsettled

    def _look(self) -> bool:
        known = dict(self._trees.local)
        self._touched = set(self._in_hand())
        try:
            found, changes = self._workers.run(Pool.SCAN, self._compare, known)
            self._record(changes.without(self._touched))
            settled = changes.without(self._touched)
        finally:
            self._touched = None
        self._tell_skipped(found)
        if settled.changed or settled.gone:
            log.info("scan.changed changed=%d gone=%d", len(settled.changed), len(settled.gone))
            self._trees.note_local(settled.changed, settled.gone)
            self._on_change({*settled.changed, *settled.gone})
        return bool(found.unsettled)

    def _record(self, changes: Changes) -> None:
        """Into the index before anybody hears of it: else a power cut would re-use a version's number for other content.

        What the applier publishes meanwhile is recorded by a later call in the same thread, so it has the last word.
        """
        if changes.changed or changes.gone:
            entries: dict[RelPath, FileMeta | None] = {**changes.changed, **dict.fromkeys(changes.gone)}
            self._workers.run(Pool.DISK, self._index.record, entries=entries, synced={})

    def _compare(self, known: dict[RelPath, FileMeta]) -> tuple[Scan, Changes]:
        """In the scan thread: what is there, and how it differs from `known`."""
        self._folder.check_root()
        found = scan(self._folder, known, now_ns=int(self._clock.wall() * 1e9))
        files = {
            path: Seen(fingerprint=one.fingerprint)
            for path, one in found.files.items()
            if _is_classic(one) and path not in found.hidden and not is_ignored(path)
        }
        author = self._index.author
        return found, diff(known, files, author=author, has_history=False, rewritten=found.rewritten)

    def _tell_skipped(self, found: Scan) -> None:
        """Say once what is left alone, a line a reason."""
        fresh: dict[str, list[str]] = {}
        for skipped in found.skipped:
            if (skipped.name, skipped.reason) not in self._told:
                fresh.setdefault(skipped.reason, []).append(skipped.name)
        self._told = {(skipped.name, skipped.reason) for skipped in found.skipped}
        for reason, names in fresh.items():
            log.info("scan.skipped reason=%s names=%r", reason, names[:SHOWN_PER_REASON])
            self._events.tell(NamesSkipped(reason=reason, names=tuple(names[:SHOWN_PER_REASON]), count=len(names)))


def _is_classic(found: Found) -> bool:
    """Whether it is a regular file at the top of the folder."""
    return found.fingerprint.kind is Kind.FILE and "/" not in found.path
