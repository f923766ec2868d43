"""Keeps the local tree true to the disk: looks at what hints name, soon, and at everything now and then.

Hints come from the watcher and from whoever doubts a path; core/settle.py says when they are due. Where all directories are
watched everything is looked at about each minute, because a hint may be lost; elsewhere each RESCAN_S. Files that must be
read first are read meanwhile, in pieces. How a look is taken is in scanning.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import gevent
from gevent.event import Event

from gsync.core.backoff import Random
from gsync.core.deletions import HOLD_SHARE
from gsync.core.model import Kind
from gsync.core.names import RelPath
from gsync.core.settle import Hint, Settling, What
from gsync.errors import StorageError
from gsync.net.clock import Clock
from gsync.net.tasks import TaskGroup
from gsync.peer.events import Events, Trouble, WatchIncomplete
from gsync.peer.reading import Begun, read_piece
from gsync.peer.rules import no_local_rules
from gsync.peer.scanning import Looked, Scanning
from gsync.peer.trees import Trees
from gsync.storage.filesystem import Folder
from gsync.storage.index import Index
from gsync.storage.watcher import Incomplete, Watcher
from gsync.storage.workers import Pool, Workers

RESCAN_S: Final = 5.0
"""Between two looks at everything where not all changes give hints."""

WATCHED_RESCAN_S: Final = 60.0
WATCHED_RESCAN_JITTER_S: Final = 30.0
"""The same where they do, at random within this much more: not all machines of a swarm at one time."""

RESCAN_SHARE: Final = 200
"""A rescan comes after 200 times what the last one cost, so looking costs at most half a percent of a core."""

UNSETTLED_S: Final = 0.05
"""Before the start, files that changed within the disk's last clock tick are looked at again after this."""

FIRST_READ_S: Final = 10.0
"""So long the start reads new files. What is larger is told without a digest, which is enough for classic peers, and read while
the peer runs.
"""

FIRST_LOOKS: Final = 5
"""So often the first scan is repeated for files that are being written, before it is announced without them."""

TOLD_TOGETHER: Final = 2000
"""Files that were read are told when they are so many, or when nothing is left to read."""

TOLD_TOGETHER_FIRST: Final = 10_000
"""The same before the start, when nobody is served yet who would have to wait: each time costs a flush of the disk."""


class Indexer:
    """The loop that looks; `on_change` hears which paths of the trees are new, changed or gone.

    `watcher` None: nobody expects hints, and it is not said that there are none. Without `native` only what classic peers know is
    looked at, and nothing is read for its digest. `local_rules` reads this machine's own rules, in the scan thread.
    """

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
        watcher: Watcher | None = None,
        rng: Random | None = None,
        native: bool = False,
        max_delete: float = HOLD_SHARE,
        local_rules: Callable[[], bytes] = no_local_rules,
        keep_blocks: Callable[[str, Sequence[bytes]], object] = lambda digest, blocks: None,
        first_read_s: float = FIRST_READ_S,
    ) -> None:
        self._folder = folder
        self._index = index
        self._workers = workers
        self._trees = trees
        self._events = events
        self._clock = clock
        self._rng = rng
        self._settling = Settling()
        self._scanning = Scanning(
            folder=folder,
            index=index,
            workers=workers,
            trees=trees,
            events=events,
            clock=clock,
            settling=self._settling,
            in_hand=in_hand,
            on_change=on_change,
            watcher=watcher,
            native=native,
            max_delete=max_delete,
            local_rules=local_rules,
        )
        self._unread = self._scanning.unread
        self._keep_blocks = keep_blocks
        self._first_read_s = first_read_s
        self._asked = False
        self._wake = Event()
        self._has_unread = Event()
        self._told_kept_back = False
        self._failed = ""
        self._told: Incomplete | None = None if watcher is not None else self._scanning.watcher.incomplete

    def touching(self, paths: Iterable[RelPath]) -> None:
        """The applier puts its hand on `paths` now: a look that is under way says nothing about them."""
        self._scanning.touching(paths)

    def hint(self, paths: Iterable[RelPath]) -> None:
        """Something may have changed at `paths`; they are looked at soon."""
        self._hear([Hint(path=path, what=What.CLOSED) for path in paths])

    def ask(self) -> None:
        """Look at everything soon."""
        self._asked = True
        self._wake.set()

    def look(self) -> Looked:
        """Look at everything now. Raises StorageError, FolderUnusable."""
        return self._after(self._scanning.look())

    @property
    def held(self) -> frozenset[RelPath]:
        """Paths that are gone, of which nobody is told until `release`."""
        return self._scanning.holding.held

    def release(self) -> int:
        """Let go what is held back, now; how many paths they were. Raises StorageError, FolderUnusable."""
        released = self._scanning.holding.release()
        if released:
            self._after(self._scanning.look_at(released))
        return len(released)

    def unfinished(self) -> int:
        """How many paths changed, or may have changed, and are not told yet."""
        return len(self._settling.pending) + len(self._unread)

    def is_ignored(self, path: RelPath, kind: Kind = Kind.FILE) -> bool:
        """Whether the rules of this folder leave alone what stands, or would stand, at `path`."""
        return self._scanning.rules.is_ignored(path, kind)

    def rule_for(self, path: RelPath, kind: Kind = Kind.FILE) -> str:
        """The rule by which `is_ignored` says yes, for people; "" where it says no."""
        return self._scanning.rules.rule_for(path, kind)

    def start(self) -> None:
        """The first scan, before anything is announced. Raises StorageError, FolderUnusable."""
        until_s = self._clock.monotonic() + self._first_read_s
        for _ in range(FIRST_LOOKS):
            unsettled = self.look().unsettled
            self._read_all(until_s, together=TOLD_TOGETHER_FIRST)
            if not unsettled:
                break
            gevent.sleep(UNSETTLED_S)
            self._settling.take(self._clock.monotonic())  # by now all that could not be judged is due
        if len(self._unread):
            self._scanning.tell_unread()
        if not self._index.has_history:
            self._workers.run(Pool.DISK, self._index.record, scanned=True)

    def run(self) -> None:
        """Look whenever it is due; never returns. A folder that is gone raises FolderUnusable: it ends the peer."""
        with TaskGroup() as tasks:
            tasks.spawn(self._scanning.watcher.run, self._hear)
            tasks.spawn(self._read_on)
            rescan_s = self._clock.monotonic() + self._pause_s(took_s=0.0)
            while True:
                rescan_s = self._look_when_due(rescan_s)

    def _look_when_due(self, rescan_s: float) -> float:
        """Wait until something is due, and look at it; when everything is due next (`rescan_s` if it was not now)."""
        began = self._wait(rescan_s)
        due = self._settling.take(began)
        everything = self._asked or due.everything or began >= rescan_s
        self._asked = False
        try:
            if everything:
                self.look()
            if due.paths:
                self._after(self._scanning.look_at(due.paths))
            self._failed = ""
        except StorageError as error:
            self._say_failed(error)
            self._settling.looked((), moving=due.paths, now=self._clock.monotonic())
        if not everything:
            return rescan_s
        now = self._clock.monotonic()
        return now + self._pause_s(took_s=now - began)

    def _wait(self, rescan_s: float) -> float:
        """Until something may be due; what time it is then."""
        while not self._asked:
            now = self._clock.monotonic()
            next_s = self._settling.next_s()
            until_s = rescan_s if next_s is None else min(next_s, rescan_s)
            if now >= until_s:
                break
            self._wake.clear()
            self._wake.wait(until_s - now)
        return self._clock.monotonic()

    def _pause_s(self, *, took_s: float) -> float:
        if self._scanning.watcher.incomplete is not None:
            return max(RESCAN_S, took_s * RESCAN_SHARE)
        jitter_s = WATCHED_RESCAN_JITTER_S * (self._rng.random() if self._rng is not None else 0.5)
        return max(WATCHED_RESCAN_S + jitter_s, took_s * RESCAN_SHARE)

    def _hear(self, hints: Sequence[Hint]) -> None:
        now = self._clock.monotonic()
        for hint in hints:
            if hint.path is None:
                self._scanning.covers_everything = True
            self._settling.hint(hint, is_known=hint.path in self._trees.local, now=now)
        self._wake.set()

    def _after(self, looked: Looked) -> Looked:
        """A look may have left something to read, to look at again, and to say."""
        if len(self._unread):
            self._has_unread.set()
        self._wake.set()
        if looked.changed and not self._told_kept_back:
            self._say_kept_back()
        incomplete = self._scanning.watcher.incomplete
        if incomplete is not None and incomplete != self._told:
            self._events.tell(WatchIncomplete(reason=incomplete.reason, advice=incomplete.advice))
        self._told = incomplete
        return looked

    def _say_kept_back(self) -> None:
        """Once. Not of what a first look finds: most of that is what the others have."""
        if self._index.has_history and self._trees.kept_back():
            self._told_kept_back = True
            what = "what is edited in this folder is told to nobody: this peer only receives"
            self._events.tell(
                Trouble(what=what, advice="`gsync status` counts such edits; without --receive-only they travel")
            )

    def _say_failed(self, error: StorageError) -> None:
        """Once, until it is something else or worked in between."""
        if str(error) != self._failed:
            self._events.tell(Trouble(what=f"the folder cannot be scanned: {error}", advice="it is tried again"))
        self._failed = str(error)

    def _read_on(self) -> None:
        while True:
            self._has_unread.wait()
            self._has_unread.clear()
            try:
                self._read_all()
            except StorageError as error:
                self._say_failed(error)
                gevent.sleep(RESCAN_S)
                self._has_unread.set()

    def _read_all(self, until_s: float = math.inf, *, together: int | None = None) -> None:
        """Read what must be read, and look at it again with its digests: by the thousand, else a first scan tells file by file."""
        together = together or TOLD_TOGETHER
        begun: Begun | None = None
        try:
            while len(self._unread) and self._clock.monotonic() < until_s:
                files = self._unread.next_files(begun)
                piece = self._workers.run(Pool.SCAN, read_piece, self._folder, files, begun)
                begun = piece.begun
                self._unread.take_in(files, piece)
                for read in piece.read.values():
                    if len(read.blocks) > 1:  # whoever fetches it asks for them: it is not read again for that
                        self._keep_blocks(read.digest, read.blocks)
                self._settling.looked((), moving=piece.moved, now=self._clock.monotonic())
                self._wake.set()
                if len(self._unread.digests) >= together or not len(self._unread):
                    self._after(self._scanning.look_at(self._unread.digests))
            if self._unread.digests:
                self._after(self._scanning.look_at(self._unread.digests))
        finally:
            if begun is not None:
                begun.close()
