"""Takes looks at the folder, one at a time, and takes over what they found.

A look is one transaction: all it found is compared, renames are paired, and it is recorded in the index before it is shown to
the others. Paths that the applier touched while the look ran are left out of it, so our own publishing is never taken for an
edit; so are, when everything is looked at, paths that something happens to just now. Both are looked at again. What a look
means is in look.py, which deletions wait for a person in holding.py, what is left alone in rules.py.

Owned by the indexer, which says when. Raises StorageError where a look is not possible now, FolderUnusable where it never will
be: the folder vanished or was replaced, and nothing is concluded from its emptiness.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from gevent.lock import BoundedSemaphore
from msgspec import Struct
from msgspec.structs import replace

from gsync.core.deletions import HOLD_SHARE
from gsync.core.diff import Changes
from gsync.core.ignore import IgnoreRules
from gsync.core.model import Entry, FileMeta, Fingerprint, Kind
from gsync.core.names import RelPath
from gsync.core.pausing import paused
from gsync.core.settle import Hint, Settling, What
from gsync.errors import StorageError
from gsync.net.breathing import breathe
from gsync.net.clock import Clock
from gsync.peer.events import Events, Trouble
from gsync.peer.holding import Holding
from gsync.peer.look import Answer, Question, look
from gsync.peer.reading import Unread
from gsync.peer.rules import RulesRead, is_rules, no_local_rules, read_rules
from gsync.peer.skipped import SkippedNames
from gsync.peer.trees import Trees
from gsync.storage.filesystem import Folder, Skip
from gsync.storage.index import Index
from gsync.storage.watcher import NoWatcher, Watcher
from gsync.storage.workers import Pool, Workers

log = logging.getLogger(__name__)

RULES_ROUNDS: Final = 5
"""Looks at everything because files of rules are found to be others: rules that let in a directory show those in it."""

LOG_LIKE_MAX: Final = 1000
"""When more paths than these are told at once, they are not remembered as lately told: it is no log that grew."""


class Looked(Struct, frozen=True, kw_only=True):
    """What came of a look: how many paths had changed, and how many could not be judged yet."""

    changed: int = 0
    unsettled: int = 0


class Scanning:
    """Looks at everything, or at some paths; `on_change` hears which paths of the trees moved.

    Without `native` only the regular files at the top are seen, and no digests are made: classic peers know no more.
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
        settling: Settling,
        in_hand: Callable[[], frozenset[RelPath]],
        on_change: Callable[[set[RelPath]], None],
        watcher: Watcher | None = None,
        native: bool = False,
        max_delete: float = HOLD_SHARE,
        local_rules: Callable[[], bytes] = no_local_rules,
    ) -> None:
        self._folder = folder
        self._index = index
        self._workers = workers
        self._trees = trees
        self._events = events
        self._clock = clock
        self._settling = settling
        self._in_hand = in_hand
        self._on_change = on_change
        self.watcher: Final = watcher or NoWatcher()
        self._native = native
        self._local_rules = local_rules
        self.holding: Final = Holding(max_delete)
        self.unread: Final = Unread()
        self.covers_everything = True
        self._withdrawn: dict[RelPath, FileMeta] = {}
        self._let_in: set[RelPath] = set()
        self._door = BoundedSemaphore(1)
        self._looks = 0
        self._last = Looked()
        self._touched: set[RelPath] | None = None
        self._skipped = SkippedNames(events)
        self._no_rules = IgnoreRules()
        self._rules: RulesRead | None = None
        self._skip = self._skip_by(self.rules)

    @property
    def rules(self) -> IgnoreRules:
        """What is left alone now."""
        return self._no_rules if self._rules is None else self._rules.rules

    def touching(self, paths: Iterable[RelPath]) -> None:
        """The applier puts its hand on `paths` now: a look that is under way says nothing about them."""
        if self._touched is not None:
            self._touched.update(paths)

    def look(self) -> Looked:
        """Look at everything; whoever waits for his turn takes a look that began meanwhile for his own."""
        began_before = self._looks
        with self._door:
            if self._looks == began_before:
                self._looks += 1
                self._read_rules({})
                self._last = self._look_by_rules(None)
            return self._last

    def look_at(self, paths: Iterable[RelPath]) -> Looked:
        """Look at `paths`, at all that is in those which are directories, and at the directories around them if they are new."""
        with self._door:
            return self._look_by_rules(self._with_new_parents(paths))

    def tell_unread(self) -> None:
        """Tell of the new files that nobody has read yet, without their digests."""
        with self._door:
            self._look_by_rules(self._with_new_parents(self.unread.paths), tells_unread=True)

    def _look_by_rules(self, paths: frozenset[RelPath] | None, *, tells_unread: bool = False) -> Looked:
        """Look; where other files of rules are found than were read, look at everything once more, by what these say."""
        looked = self._look(paths, tells_unread=tells_unread)
        rounds = RULES_ROUNDS
        while looked is None and rounds:
            rounds -= 1
            looked = self._look(None, tells_unread=tells_unread)
            if looked is not None and paths is not None:
                looked = self._look(paths, tells_unread=tells_unread)
        if looked is None:  # there is more to come, or somebody goes on changing them
            self._settling.hint(Hint(path=None), is_known=False, now=self._clock.monotonic())
        return looked or Looked(unsettled=1)

    def _look(self, paths: frozenset[RelPath] | None, *, tells_unread: bool = False) -> Looked | None:
        """None, and nothing taken over, if it was by rules that are others now."""
        question = replace(self._question(paths), tells_unread=tells_unread)
        covers_everything = paths is None and (self.covers_everything or self.watcher.incomplete is not None)
        self._touched = set(self._in_hand())
        try:
            answer = self._workers.run(Pool.SCAN, self._compare, question, covers_everything)
            if answer.rules is not None and self._read_rules(answer.rules):
                return None
            self.holding.back(answer.back)
            busy = self._settling.pending if paths is None else frozenset[RelPath]()
            changes = self._trees.unknowing(answer.changes, self._index.author).without(self._touched | busy)
            changes = changes.without(self._hold_back(changes))
            self._record(changes)
            changes = changes.without(self._touched)
            left_out = (_paths(answer.changes) | answer.unread.keys()) & self._touched
        finally:
            self._touched = None
        if paths is None:
            self.covers_everything = self.covers_everything and not covers_everything
            self._skipped.tell(answer.skipped)
        self.unread.forget(question.digests)
        not_now = left_out | busy
        self.unread.want({path: seen for path, seen in answer.unread.items() if path not in not_now})
        now = self._clock.monotonic()
        self._settling.looked(paths or _paths(changes), moving=answer.moving | left_out, now=now)
        if paths is None and not covers_everything:
            self._cover_later(changes)
        self._take_over(changes, answer.ignored)
        if paths is None and self._let_in:  # planned only now: what stands here under these names is known
            let_in, self._let_in = self._let_in, set()
            self._on_change(let_in)
        return Looked(changed=len(_paths(changes)), unsettled=len(answer.moving))

    def _question(self, paths: frozenset[RelPath] | None) -> Question:
        local = self._trees.local
        vanished = self._settling.vanished
        asked = None if paths is None else paths | vanished
        if asked is not None and not any(path in local and local[path].kind is Kind.DIRECTORY for path in asked):
            local = {path: local[path] for path in asked if path in local}
        digests = self.unread.digests
        return Question(
            paths=paths,
            vanished=vanished,
            local=dict(local),
            buried=self._trees.buried,
            author=self._index.author,
            has_history=self._native and self._index.has_history,
            now_ns=self._now_ns(),
            clock_ns=self._now_ns,
            skip=self._skip,
            reads_everything=self._native,
            hinted=self._settling.pending,
            held=self.holding.held,
            digests={path: read for path, read in digests.items() if paths is None or path in paths},
            rules=self._rules.shown if self._rules is not None else None,
        )

    def _compare(self, question: Question, covers_everything: bool) -> Answer:
        """In the scan thread. Directories are watched before they are listed: what is made in between would be missed."""
        if covers_everything:
            self.watcher.cover(None, question.skip)
        for path in sorted((question.paths or frozenset()) - question.digests.keys()):
            entry = question.local.get(path)
            if (entry is None or entry.kind is Kind.DIRECTORY) and not question.skip(path, Kind.DIRECTORY):
                self.watcher.cover(path, question.skip)  # does nothing where no directory stands
        answer = look(self._folder, question)
        directories = [path for path, stone in answer.changes.buried.items() if stone.kind is Kind.DIRECTORY]
        if directories:
            self.watcher.drop(directories)
        return answer

    def _with_new_parents(self, paths: Iterable[RelPath]) -> frozenset[RelPath]:
        asked = set(paths)
        if self._native:
            for parent in {path.rpartition("/")[0] for path in asked}:
                if parent and parent not in self._trees.local:
                    above = (*RelPath(parent).ancestors, RelPath(parent))
                    asked.update([one for one in above if one not in self._trees.local][:1])
        return frozenset(asked)

    def _cover_later(self, changes: Changes) -> None:
        """New directories that a look at everything found are watched, and looked at once more, as if there had been a hint."""
        for path, meta in changes.changed.items():
            if meta.kind is Kind.DIRECTORY and path not in self._trees.local:
                hint = Hint(path=path, what=What.DIRECTORY)
                self._settling.hint(hint, is_known=False, now=self._clock.monotonic())

    def _hold_back(self, changes: Changes) -> frozenset[RelPath]:
        before = len(self.holding.held)
        sources = {meta.moved_from for meta in changes.changed.values()}
        gone = {path: stone for path, stone in changes.buried.items() if path not in sources}
        held = self.holding.sift(gone, self._trees.local, now=self._clock.monotonic())
        count = len(self.holding.held)
        if count > 2 * before:  # once, and again when it has become much more
            what = f"{count:,} paths are gone at once: their deletion is held back, nobody else is told"
            self._events.tell(Trouble(what=what, advice="If it was meant, let it go: gsync release"))
        return held

    def _record(self, changes: Changes) -> None:
        """Into the index before anybody hears of it: else a power cut would re-use a version's number for other content.

        What the applier publishes meanwhile is recorded by a later call in the same thread, so it has the last word.
        """
        entries: dict[RelPath, Entry | None] = {**changes.changed, **changes.buried}
        if entries:
            self._workers.run(Pool.DISK, self._index.record, entries=entries)

    def _take_over(self, changes: Changes, ignored: frozenset[RelPath]) -> None:
        """Show it to the others. What is ignored now keeps its entry in the index; it is only not told any more."""
        self._withdrawn |= {path: self._trees.local[path] for path in ignored if path in self._trees.local}
        touched = {path for path, meta in changes.changed.items() if self._shows_the_same(path, meta)}
        paths = (_paths(changes) | ignored) - touched
        if paths or touched:
            log.info("scan.changed changed=%d gone=%d", len(changes.changed), len(changes.buried) + len(ignored))
            self._trees.note_local({**changes.changed, **changes.buried}, ignored)
        if paths:
            if len(paths) <= LOG_LIKE_MAX:
                self._settling.announced(paths, now=self._clock.monotonic())
            self._on_change(paths)

    def _shows_the_same(self, path: RelPath, meta: FileMeta) -> bool:
        """Whether the others know all of this already: only its fingerprint on this disk is another one."""
        old = self._trees.local.get(path)
        return old is not None and (old.version, old.digest) == (meta.version, meta.digest)

    # What is left alone

    def _read_rules(self, files: Mapping[RelPath, Fingerprint]) -> bool:
        """Take over the rules as they stand, those of `files` too; what they leave alone no longer is known again as it was.

        Whether they are others than before.
        """
        if not self._native:
            return False
        last = self._rules
        if last is None:
            files = {path: entry.fingerprint for path, entry in self._trees.local.items() if is_rules(path)}
            last = RulesRead()
        before = last.rules
        self._rules = read = self._workers.run(
            Pool.SCAN,
            read_rules,
            self._folder,
            last,
            files,
            now_ns=self._now_ns(),
            clock_ns=self._now_ns,
            local=self._local_rules,
        )
        if read.moving:
            self._settling.looked((), moving=read.moving, now=self._clock.monotonic())
        if read.trouble and read.trouble != last.trouble:
            self._events.tell(Trouble(what=read.trouble))
        if read.rules is before:
            return False
        self._skip = self._skip_by(read.rules)
        self.covers_everything = True
        back = [path for path, entry in self._withdrawn.items() if not read.rules.is_ignored(path, entry.kind)]
        entries = {path: self._withdrawn.pop(path) for path in back}
        stands = self._workers.run(Pool.SCAN, _standing, self._folder, entries)
        self._trees.note_local({path: entries[path] for path in stands})
        self._on_change(set(stands))
        self._let_in.update(self._offers_let_in(before))
        return True

    def _offers_let_in(self, before: IgnoreRules) -> Iterator[RelPath]:
        """What others offer that the rules of `before` left alone, and these do not: nobody has planned it yet."""
        for path, offer in paused(self._trees.remote.items(), breathe):
            kind = offer.record.kind if offer.record is not None else Kind.FILE
            if before.is_ignored(path, kind) and not self.rules.is_ignored(path, kind):
                yield path

    def _skip_by(self, rules: IgnoreRules) -> Skip:
        if self._native:
            return rules.is_ignored
        return lambda path, kind: kind is not Kind.FILE or "/" in path or rules.is_ignored(path, kind)

    def _now_ns(self) -> int:
        return int(self._clock.wall() * 1e9)


def _paths(changes: Changes) -> set[RelPath]:
    return {*changes.changed, *changes.buried}


def _standing(folder: Folder, paths: Iterable[RelPath]) -> list[RelPath]:
    """Those of `paths` where something stands, or may stand; in the scan thread."""
    standing = []
    for path in paths:
        with suppress(StorageError):
            if folder.fingerprint(path) is None:
                continue
        standing.append(path)
    return standing
