"""One look at the folder: what differs from what is known, and what must be read before it can be told.

Runs in the scan thread, between two values: a `Question` with what is known, an `Answer` with what changed. It is one
transaction: renames are paired over all that it saw. A file with another fingerprint than it had is told only with its digest:
a few small ones are read at once, the others are named in `Answer.unread`, and left as they were known until the indexer
has read them and looks again. A peer that speaks the classic dialect alone needs no digests; it reads only what may have been
rewritten under its old mtime, and sees nothing but the regular files at the top.

Called by the indexer; decides nothing about holding back deletions, records nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from gsync.core.diff import Changes, Seen, diff, same_size_and_mtime
from gsync.core.ignore import IGNORE_FILE
from gsync.core.model import DIRECTORY, FILE, BuriedTree, FileMeta, Fingerprint, LocalTree
from gsync.core.moves import paired
from gsync.core.names import RelPath
from gsync.errors import StorageError
from gsync.peer.reading import Read, read_piece
from gsync.peer.rules import is_rules
from gsync.storage.filesystem import Folder, Found, Skip, Skipped
from gsync.storage.scanner import look_at, scan

READ_AT_ONCE_BYTES: Final = 4 * 1024 * 1024
READ_AT_ONCE_FILES: Final = 500
"""What a look reads by itself: a few milliseconds, and one way to the thread and back less for a file that was saved."""


class Question(Struct, frozen=True, kw_only=True):
    """Where to look (None: everywhere), and what is known there.

    `local` is a copy, or only what is known at `paths` when no known directory is among them; `buried` may change meanwhile.
    `vanished` names paths that are to be looked at later: what is seen new may be something that stood there.
    """

    paths: frozenset[RelPath] | None
    vanished: frozenset[RelPath]
    local: LocalTree
    buried: BuriedTree
    author: str
    has_history: bool
    now_ns: int
    """The wall clock when it was asked."""
    skip: Skip
    reads_everything: bool
    clock_ns: Callable[[], int] | None = None
    """Tells the wall clock meanwhile."""
    tells_unread: bool = False
    """New files that must be read first are told before, without a digest."""
    hinted: frozenset[RelPath] = frozenset()
    """Something may happen to these just now, and they will be looked at for that."""
    held: frozenset[RelPath] = frozenset()
    digests: Mapping[RelPath, Read] = field(default_factory=dict)
    rules: Mapping[RelPath, Fingerprint] | None = None
    """What the files of rules showed when they were read by which `skip` judges; None: they are not looked for."""


class Answer(Struct, frozen=True, kw_only=True):
    """What a look found.

    `unread` must be read first; `moving` must be looked at again soon; `ignored` is known, and now left alone by a rule; `back`
    is what was `held` for gone and stands there. `rules`, if not None: files of rules are others than were read, by which all
    this was judged; these are new or changed.
    """

    changes: Changes
    unread: Mapping[RelPath, Fingerprint]
    moving: frozenset[RelPath]
    ignored: frozenset[RelPath]
    back: frozenset[RelPath]
    skipped: tuple[Skipped, ...]
    rules: Mapping[RelPath, Fingerprint] | None = None


def look(folder: Folder, question: Question) -> Answer:
    """Raises StorageError where the folder cannot be read now, FolderUnusable where it is gone."""
    folder.check_root()
    if (read := _just_read(question)) is not None:
        return _told_as_read(read, question)
    if question.paths is None:
        found = scan(folder, question.local, now_ns=question.now_ns, clock_ns=question.clock_ns, skip=question.skip)
        gone = question.local.keys() - found.files.keys()
    else:
        found = look_at(
            folder,
            question.paths,
            question.local,
            now_ns=question.now_ns,
            clock_ns=question.clock_ns,
            skip=question.skip,
        )
        gone = known_at(question.paths, question.local) - found.files.keys()
    rules = _other_rules(question, found.files)
    ignored = frozenset(path for path in gone if question.skip(path, question.local[path].kind))
    known = {path: question.local[path] for path in gone - ignored}
    seen, new = _compared(found.files, question, known)
    known |= _renamed_away(folder, question, seen.keys() - known.keys(), seen)
    moved = dict(paired(known, seen))
    wanted = {
        path: one.fingerprint
        for path, one in seen.items()
        if not one.digest
        and _must_be_read(one, known.get(path), known.get(moved[path]) if path in moved else None, question)
    } | new
    for path, source in moved.items():
        if not seen[path].digest:
            seen[path] = replace(seen[path], digest=known[source].digest)
    unread, moving = _read_some(folder, wanted, seen)
    for path in wanted:
        if question.tells_unread and path not in known and path not in moved:
            continue
        if path not in seen or not seen[path].digest:  # as if nothing had happened there yet
            seen.pop(path, None)
            known.pop(path, None)
            if path in moved and moved[path] not in seen:
                known.pop(moved[path], None)
            moved.pop(path, None)
    for path in [path for path, source in moved.items() if source not in known]:
        del moved[path]  # what stands at its old name now is not told yet, so that it was there cannot be said either
    changes = diff(
        known,
        seen,
        author=question.author,
        has_history=question.has_history,
        buried={path: stone for path in seen if (stone := question.buried.get(path)) is not None},
        moved=moved,
    )
    return Answer(
        changes=changes,
        unread=unread,
        moving=found.unsettled | moving,
        ignored=ignored,
        back=question.held & found.files.keys(),
        skipped=found.skipped,
        rules=rules,
    )


def _just_read(question: Question) -> dict[RelPath, Seen] | None:
    """What was asked for, if that is new files and nothing else, as they were when they were read a moment ago.

    They need no further look, and a first scan has 100,000 of them. What was read is what stood there since it was listed, and the
    watcher or the next look at everything tells what became of it since, as it does of what happens after a look. Where something
    is known, was deleted, or has given a hint meanwhile, the folder is looked at.
    """
    digests, local, buried, skip = question.digests, question.local, question.buried, question.skip
    if question.paths is None or len(digests) != len(question.paths) or not digests or local or question.vanished:
        return None
    if any(path in buried for path in digests) or not digests.keys().isdisjoint(question.hinted):
        return None
    return {
        path: Seen(fingerprint=read.fingerprint, digest=read.digest)
        for path, read in digests.items()
        if not skip(path, FILE)
    }


def _told_as_read(read: Mapping[RelPath, Seen], question: Question) -> Answer:
    return Answer(
        changes=diff({}, read, author=question.author, has_history=question.has_history),
        unread={},
        moving=frozenset(),
        ignored=frozenset(),
        back=frozenset(),
        skipped=(),
        rules=_other_rules(question, read),
    )


def _compared(
    found: Mapping[RelPath, Found], question: Question, known: dict[RelPath, FileMeta]
) -> tuple[dict[RelPath, Seen], dict[RelPath, Fingerprint]]:
    """What differs from what is known, which goes to `known`; and apart from it, in a first look, the files nobody has read.

    Of those there is nothing to say before they were read, and none of them can be a known thing under a new name.
    """
    seen: dict[RelPath, Seen] = {}
    new: dict[RelPath, Fingerprint] = {}
    local, digests, reads = question.local, question.digests, question.reads_everything
    is_first = reads and not (local or question.vanished or question.tells_unread)
    for path, one in found.items():
        entry = local.get(path)
        if entry is None:
            if is_first and one.fingerprint.kind is FILE and path not in digests:
                new[path] = one.fingerprint
                continue
        elif entry.fingerprint == one.fingerprint and not (reads and _lacks_digest(entry)):
            continue
        else:
            known[path] = entry
        seen[path] = _seen(one, digests.get(path))
    return seen, new


def _other_rules(question: Question, found: Mapping[RelPath, Found | Seen]) -> dict[RelPath, Fingerprint] | None:
    """The files of rules that are not as they were when they were read; None where all are."""
    if question.rules is None:
        return None
    others = {
        path: one.fingerprint
        for path, one in found.items()
        if path.endswith(IGNORE_FILE)
        and is_rules(path)
        and one.fingerprint.kind is FILE
        and question.rules.get(path) != one.fingerprint
    }
    gone = [path for path in question.rules if path not in found and _was_asked(path, question)]
    return others if others or gone else None


def _was_asked(path: RelPath, question: Question) -> bool:
    return question.paths is None or path in question.paths or not question.paths.isdisjoint(path.ancestors)


def _renamed_away(
    folder: Folder, question: Question, new: set[RelPath], seen: Mapping[RelPath, Seen]
) -> dict[RelPath, FileMeta]:
    """The entries at `vanished` that stand among the `new` paths now: both halves of a rename must be seen in one look."""
    if not new or not question.vanished or question.paths is None:
        return {}
    names = known_at(question.vanished - question.paths, question.local)
    candidates = {path: question.local[path] for path in names if path not in seen}
    sources = paired(candidates, {path: seen[path] for path in new}).values()
    return {path: candidates[path] for path in sources if not _stands(folder, path)}


def _stands(folder: Folder, path: RelPath) -> bool:
    try:
        return folder.fingerprint(path) is not None
    except StorageError:
        return True  # or may stand


def known_at(paths: frozenset[RelPath], local: LocalTree) -> set[RelPath]:
    """What is known at `paths`, and in those which are known as directories."""
    known = {path for path in paths if path in local}
    directories = [path for path in known if local[path].kind is DIRECTORY]
    if not directories:
        return known
    names = sorted(local)
    entered: set[RelPath] = set()
    for directory in sorted(directories):
        if not entered.isdisjoint(directory.ancestors):
            continue
        entered.add(directory)
        start = directory + "/"
        at = bisect_left(names, start)
        while at < len(names) and names[at].startswith(start):
            known.add(names[at])
            at += 1
    return known


def _seen(found: Found, read: Read | None) -> Seen:
    digest = read.digest if read is not None and read.fingerprint == found.fingerprint else ""
    return Seen(fingerprint=found.fingerprint, target=found.target, digest=digest)


def _lacks_digest(entry: FileMeta) -> bool:
    return not entry.digest and entry.kind is FILE


def _must_be_read(seen: Seen, entry: FileMeta | None, source: FileMeta | None, question: Question) -> bool:
    """Whether nothing can be told of what was seen without its digest; `entry` stood there, `source` became it by a rename."""
    if seen.digest or seen.fingerprint.kind is not FILE:
        return False
    if entry is None or source is not None:
        return question.reads_everything and (source is None or not source.digest)
    if question.reads_everything:
        return True
    is_same = entry.kind is FILE and same_size_and_mtime(entry.fingerprint, seen.fingerprint)
    return is_same and bool(entry.digest)


def _read_some(
    folder: Folder, wanted: Mapping[RelPath, Fingerprint], seen: dict[RelPath, Seen]
) -> tuple[dict[RelPath, Fingerprint], frozenset[RelPath]]:
    """Read small files at once, their digests go into `seen`; what is left to read, and what moved meanwhile."""
    unread = dict(wanted)
    small = [one for one in wanted.items() if one[1].size <= READ_AT_ONCE_BYTES][:READ_AT_ONCE_FILES]
    piece = read_piece(folder, small, bytes_max=READ_AT_ONCE_BYTES)
    if piece.begun is not None:
        piece.begun.close()
    for path, read in piece.read.items():
        seen[path] = Seen(fingerprint=read.fingerprint, digest=read.digest)
    for path in (*piece.read, *piece.moved, *piece.refused):
        del unread[path]
    return unread, piece.moved
