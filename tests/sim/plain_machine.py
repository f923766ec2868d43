"""A machine of the planner simulation: a disk in a dictionary, the trees, and what is planned.

Nothing here waits, reads or writes: what the engine does with workers, sockets and transactions is one plain call each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from gsync.core.actions import (
    Action,
    Fetch,
    MakeDirectory,
    MakeLink,
    Relocate,
    Remove,
)
from gsync.core.demand import unknowing
from gsync.core.diff import Seen, diff
from gsync.core.ignore import is_ignored
from gsync.core.model import Entry, FileMeta, Fingerprint, Kind, Offer, Record, Tombstone
from gsync.core.moves import paired
from gsync.core.names import RelPath
from gsync.core.planner import Policy, plan
from gsync.core.records import record_of
from gsync.core.versions import Version

EXECUTABLE: Final = 0o755
PLAIN: Final = 0o644


class Node(NamedTuple):
    """What stands at a path of a disk; `token` is its content, or where it leads."""

    shown: Fingerprint
    token: str = ""

    @property
    def kind(self) -> Kind:
        return self.shown.kind


class Failed(Exception):
    """This action cannot be carried out now; the path is planned again."""


def digest_of(token: str) -> str:
    """A digest that can be read in a trace."""
    return f"b3:{token:0>8}" + "0" * 56


class PlainMachine:
    """One folder; `number` tells it from others, `skew_s` is what its clock is ahead. One `on_demand` brings what it `wishes`."""

    def __init__(self, number: int, *, skew_s: int = 0, on_demand: bool = False) -> None:
        self.number = number
        self.skew_s = skew_s
        self.on_demand = on_demand
        self.wishes: set[RelPath] = set()
        self.disk: dict[RelPath, Node] = {}
        self.trash: set[str] = set()
        self.is_online = True
        self._inode = 0
        self._lives = 0
        self.remote: dict[RelPath, Offer] = {}
        self.lose_index()

    def lose_index(self) -> None:
        """As after a damaged index: a new author id, and nothing is known but what the disk shows."""
        self._lives += 1
        self.author = f"{self.number}{'abcdefgh'[self._lives % 8]}{self._lives}"
        self.local: dict[RelPath, FileMeta] = {}
        self.buried: dict[RelPath, Tombstone] = {}
        self.synced: dict[RelPath, Version] = {}
        self.has_history = False
        self.dirty: set[RelPath] = set(self.remote)
        self.untold: set[RelPath] = set()
        self.queue: dict[RelPath, Action] = {}
        self.in_flight: list[Action] = []
        """Begun, and carried out whatever is planned meanwhile, as far as the disk still shows what was planned for."""

    # The disk

    def new_inode(self) -> int:
        self._inode += 1
        return self._inode

    def node(self, kind: Kind, token: str, *, mtime_ns: int, mode: int = PLAIN) -> Node:
        """Something new."""
        shown = Fingerprint(
            size=len(token), mtime_ns=mtime_ns, ctime_ns=mtime_ns, inode=self.new_inode(), mode=mode, kind=kind
        )
        return Node(shown, token)

    def beneath(self, directory: RelPath) -> list[RelPath]:
        return sorted(path for path in self.disk if path.is_beneath(directory))

    def can_hold(self, path: RelPath) -> bool:
        """Whether nothing but directories stands above `path`."""
        return all(above not in self.disk or self.disk[above].kind is Kind.DIRECTORY for above in path.ancestors)

    def put(self, path: RelPath, node: Node) -> None:
        """Let `node` stand at `path`, its parents with it."""
        if not self.can_hold(path):
            raise Failed(f"{path} lies in a file")
        for above in path.ancestors:
            if above not in self.disk:
                self.disk[above] = self.node(Kind.DIRECTORY, "", mtime_ns=0, mode=EXECUTABLE)
        self.disk[path] = node

    def move(self, source: RelPath, target: RelPath) -> None:
        """Rename, with all that is in it."""
        for path in [source, *self.beneath(source)]:
            node = self.disk.pop(path)
            self.put(path.moved(source=source, target=target), node)

    def sweep(self, path: RelPath) -> None:
        """A person reads that a directory which others do not have any more is in the way, and clears it."""
        there = self.disk.get(path)
        inner = self.beneath(path)
        is_left_over = path in self.buried and all(is_ignored(one) or one in self.buried for one in inner)
        if there is not None and there.kind is Kind.DIRECTORY and is_left_over:
            for one in [path, *inner]:
                del self.disk[one]

    def shown(self) -> dict[RelPath, tuple[str, str, int, bool]]:
        """What a person sees who compares folders: all but ignored names and the directories that only stay for those."""
        dead = {path for path in self.disk if path in self.buried and path not in self.local}
        return {path: fact for path, fact in self.written().items() if path not in dead}

    def written(self) -> dict[RelPath, tuple[str, str, int, bool]]:
        """The same where no directory only stays: all but ignored names."""
        facts: dict[RelPath, tuple[str, str, int, bool]] = {}
        for path, node in self.disk.items():
            if not is_ignored(path):
                is_file = node.kind is Kind.FILE
                mtime_ns = node.shown.mtime_ns if is_file else 0
                facts[path] = (node.kind.value, node.token, mtime_ns, is_file and node.shown.is_executable)
        return facts

    # What the indexer does

    def scan(self, *, unread: frozenset[RelPath] = frozenset()) -> bool:
        """Look at the disk; what changed there since is `unread` at these paths. Whether anything was new."""
        found = {
            path: Seen(
                fingerprint=node.shown,
                target=node.token if node.kind is Kind.LINK else "",
                digest=digest_of(node.token) if node.kind is Kind.FILE and path not in unread else "",
            )
            for path, node in self.disk.items()
            if not is_ignored(path)
        }
        changes = diff(
            self.local,
            found,
            author=self.author,
            has_history=self.has_history,
            buried=self.buried,
            moved=paired(self.local, found),
        )
        if self.on_demand:
            trees = {"local": self.local, "buried": self.buried, "remote": self.remote, "synced": self.synced}
            changes = unknowing(changes, author=self.author, **trees)  # type: ignore[arg-type]
        self.has_history = True
        for path, meta in changes.changed.items():
            self.know(path, meta)
        for path, tombstone in changes.buried.items():
            self.know(path, tombstone)
        return bool(changes.changed or changes.buried)

    def know(self, path: RelPath, entry: Entry) -> None:
        """This is what stands, or was deleted, at `path` now."""
        before = self.local.get(path)
        if before is not None and before.moved_from is not None:
            self.dirty.add(before.moved_from)
        if isinstance(entry, FileMeta):
            self.local[path] = entry
            self.buried.pop(path, None)
        else:
            self.local.pop(path, None)
            self.buried[path] = entry
        self.dirty.add(path)
        self.untold.add(path)

    def free(self, path: RelPath) -> None:
        """Let go what stands at `path`, here and only here."""
        del self.disk[path], self.local[path]
        self.wishes.discard(path)
        self.dirty.add(path)
        self.untold.add(path)

    # What the announcer does

    def record(self, path: RelPath) -> Record | None:
        """What there is to announce of `path`."""
        entry: Entry | None = self.local.get(path) or self.buried.get(path)
        if entry is None or (isinstance(entry, FileMeta) and entry.kind is Kind.FILE and not entry.digest):
            return None
        return record_of(path, entry)

    def hear(self, offers: Mapping[RelPath, Offer | None]) -> None:
        for path, offer in offers.items():
            before = self.remote.get(path)
            if before == offer:
                continue
            if before is not None and before.record is not None and before.record.moved_from is not None:
                self.dirty.add(before.record.moved_from)
            if offer is None:
                self.remote.pop(path)
            else:
                self.remote[path] = offer
            self.dirty.add(path)

    # What the syncer does

    def plan(self, *, now_s: int) -> None:
        """Plan what changed; what was planned for it before is void."""
        dirty, self.dirty = self.dirty, set()
        for action in list(self.queue.values()):
            if not dirty.isdisjoint(touched(action)):
                del self.queue[action.path]
                dirty.update(touched(action))
        for action in self.planned(dirty, now_s=now_s):
            self.queue[action.path] = action

    def planned(self, paths: set[RelPath], *, now_s: int) -> tuple[Action, ...]:
        wanted = {path for wish in self.wishes for path in (wish, *wish.ancestors)}
        wants = wanted.__contains__ if self.on_demand else None
        policy = Policy(now_s=now_s + self.skew_s, author=self.author, wants=wants)
        return plan(
            paths, local=self.local, buried=self.buried, remote=self.remote, synced=self.synced, policy=policy
        ).actions

    def ready(self) -> list[Action]:
        """What may be carried out next: parents before what is in them when making, after it when removing."""
        making = [a.path for a in self.queue.values() if isinstance(a, MakeDirectory | Relocate)]
        making += [path for path in self.dirty if path not in self.disk]
        removing = [a.path for a in self.queue.values() if isinstance(a, Remove)]
        return [
            action
            for path, action in sorted(self.queue.items())
            if not (isinstance(action, Remove) and any(inner.is_beneath(path) for inner in removing))
            and not (
                isinstance(action, MakeDirectory | MakeLink | Fetch | Relocate)
                and any(path.is_beneath(d) for d in making)
            )
        ]


def touched(action: Action) -> set[RelPath]:
    """The paths that must be planned again when `action` is not carried out."""
    if isinstance(action, Relocate):
        return {action.path, *action.entries, *action.buried}
    return {action.path}
