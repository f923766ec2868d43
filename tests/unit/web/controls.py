"""A peer that only answers: what it says is set by the test, and what it was told to do is noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gsync.core.copies import CopyState, Mode
from gsync.core.explanation import Explanation
from gsync.core.flood import QUERY_TTL
from gsync.core.hits import CopySeen, FoundCopy, Got, NeighbourSeen, OverlaySeen, Refreshed
from gsync.core.keeping import ConflictWaiting, Keep, Kept
from gsync.core.model import Kind
from gsync.core.names import Endpoint, PeerName, RelPath
from gsync.core.status import (
    Dialect,
    Here,
    ListedEntry,
    LogLine,
    PeerSeen,
    Restored,
    Settled,
    State,
    Status,
    TrackerSeen,
    Trashed,
)
from gsync.core.versions import Version
from gsync.errors import ConfigError, UnknownName

TRACKER = Endpoint("192.0.2.10", 9000)
BEN = Endpoint("192.0.2.20", 42603)


def name(text: str) -> RelPath:
    return RelPath.parse(text)


def status(**changes: object) -> Status:
    facts: dict[str, object] = {
        "folder": "/home/ann/Shared",
        "pid": 4711,
        "name": "ann",
        "serving": Endpoint("0.0.0.0", 40001),
        "tracker": TrackerSeen(endpoint=TRACKER, is_up=True, dialect=Dialect.NATIVE),
        "uptime_s": 3725.0,
        "peers": 2,
        "here": Here(files=3, directories=1, links=1, bytes=2048),
        "offered": 5,
        "in_sync": True,
    }
    return Status(**{**facts, **changes})  # type: ignore[arg-type]


def entry(path: str, state: State = State.SYNCED, **changes: object) -> ListedEntry:
    facts: dict[str, object] = {
        "path": name(path),
        "kind": Kind.FILE,
        "size": 15,
        "mtime_ns": 1_750_000_000_000_000_000,
        "state": state,
        "version": "1a2b3c4d:3",
        "holders": (BEN,),
    }
    return ListedEntry(**{**facts, **changes})  # type: ignore[arg-type]


def found(path: str, holder: str, **changes: object) -> FoundCopy:
    facts: dict[str, object] = {
        "path": name(path),
        "holder": PeerName(holder),
        "size": 15,
        "version": Version(1_750_000_000, (("1a2b3c4d00000000", 3),)),
        "state": CopyState.VALID,
        "hops": 2,
        "ms": 3.4,
    }
    return FoundCopy(**{**facts, **changes})  # type: ignore[arg-type]


def copy(path: str, state: CopyState, **changes: object) -> CopySeen:
    return CopySeen(path=name(path), state=state, **changes)  # type: ignore[arg-type]


OVERLAY = OverlaySeen(
    name=PeerName("ann"),
    mode=Mode.HYBRID,
    ttr_s=120.0,
    topology="random:4",
    neighbours=(
        NeighbourSeen(name=PeerName("ben"), endpoint=BEN, is_up=True),
        NeighbourSeen(name=PeerName("cleo"), reason="nobody knows where it is"),
    ),
    counts={"query sent": 7},
)

COPY = name("notes.conflict-20010909T014640Z-00000000-89abcdef.txt")


class FakeControls:
    """Fulfils `web.controls.Controls`."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.shown = status()
        self.settled_answers: list[Settled] = [Settled(settled=True)]
        self.entries = [entry("a.txt"), entry("photos/b.jpg", State.MISSING)]
        self.lines = [LogLine(time_s=1_750_000_000.25, event="file.fetched", facts={"path": "a.txt", "size": 15})]
        self.conflicting: list[ConflictWaiting] = []
        self.bin = [
            Trashed(box="20261122T060018Z-62c09ab6", path=name("notes.txt"), size=15, since_s=1_795_327_218.0),
        ]
        self.found = [
            found("a.txt", "ann", is_here=True, state=CopyState.OWNED, is_origin=True, hops=0, ms=0.0),
            found("a.txt", "ben"),
        ]
        self.seen_copies: list[CopySeen] = []
        self.overlay_is_off = ""
        self.refreshed = [Refreshed(path=name("a.txt"), state=CopyState.VALID)]
        self.before_answer: Callable[[], None] = lambda: None

    def status(self) -> Status:
        self.before_answer()
        return self.shown

    def settled(self) -> Settled:
        self.told.append("settled")
        return self.settled_answers.pop(0) if len(self.settled_answers) > 1 else self.settled_answers[0]

    def listing(self, *, beneath: RelPath | None = None) -> Iterator[ListedEntry]:
        for one in self.entries:
            self.before_answer()
            if beneath is None or one.path == beneath or one.path.startswith(f"{beneath}/"):
                yield one

    def peers(self) -> Sequence[PeerSeen]:
        return [PeerSeen(endpoint=BEN, dialect=Dialect.NATIVE, offers=5, only=1)]

    def explain(self, path: RelPath) -> Explanation:
        self.before_answer()
        if path not in [one.path for one in self.entries]:
            raise UnknownName(f"nothing is known of {path}", advice="gsync ls")
        return Explanation(path=path, state=State.SYNCED, here="a file", elsewhere="nobody offers it now", agreed="v")

    def log(self, *, last: int) -> Sequence[LogLine]:
        return self.lines[-last:]

    def conflicts(self) -> Sequence[ConflictWaiting]:
        return self.conflicting

    def keep(self, choice: Keep, names: Sequence[RelPath]) -> Iterator[Kept]:
        self.told.append((choice, tuple(names)))
        for one in names:
            if "unknown" in one:
                raise UnknownName(f"{one} has no conflict copy here", advice="gsync conflicts")
            yield Kept(copy=COPY, stands_at=one, trashed=".gsync/trash/box/notes.txt")

    def trashed(self, *, beneath: RelPath | None = None) -> Iterator[Trashed]:
        return (one for one in self.bin if beneath in (None, one.path))

    def restore(self, names: Sequence[RelPath], *, box: str = "") -> Iterator[Restored]:
        self.told.append((tuple(names), box))
        for one in names:
            if one not in [trashed.path for trashed in self.bin]:
                raise UnknownName(f"{one} is not in the trash", advice="gsync restore --list")
            yield Restored(path=one, box=box or self.bin[0].box)

    def search(self, pattern: str, *, ttl: int = QUERY_TTL, wait_s: float = 2.0) -> Iterator[FoundCopy]:
        self._require_overlay()
        self.told.append((pattern, ttl, wait_s))
        for one in self.found:
            self.before_answer()
            yield one

    def get(self, names: Sequence[RelPath], *, holder: PeerName | None = None, output: str = "") -> Iterator[Got]:
        self._require_overlay()
        self.told.append((tuple(names), holder, output))
        for one in names:
            if "unknown" in one:
                yield Got(path=one, reason="nobody who answered has it")
            else:
                yield Got(path=one, holder=holder or PeerName("ben"), size=15, output=output)

    def free(self, names: Sequence[RelPath]) -> Iterator[Got]:
        self._require_overlay()
        for one in names:
            yield Got(path=one, size=15, reason="nobody else has it" if "only" in one else "")

    def refresh(self, names: Sequence[RelPath]) -> Iterator[Refreshed]:
        self._require_overlay()
        self.told.append(tuple(names))
        yield from self.refreshed

    def mark(self, path: RelPath, *, valid: bool) -> Version:
        self._require_overlay()
        if "theirs" in path:
            raise ConfigError(f"{path} is not of this peer's making", advice="mark it where it was made: at ben")
        self.told.append((path, valid))
        return Version(1_750_000_000, (("1a2b3c4d00000000", 4),))

    def set_mode(self, mode: Mode) -> None:
        self._require_overlay()
        self.told.append(mode)

    def set_ttr(self, seconds: float) -> None:
        self._require_overlay()
        self.told.append(seconds)

    def overlay(self) -> OverlaySeen:
        self._require_overlay()
        return OVERLAY

    def copies(self, *, beneath: RelPath | None = None) -> Iterator[CopySeen]:
        for one in self.seen_copies:
            if beneath is None or one.path == beneath or one.path.startswith(f"{beneath}/"):
                yield one

    def _require_overlay(self) -> None:
        if self.overlay_is_off:
            raise ConfigError(self.overlay_is_off)

    def release(self) -> int:
        self.told.append("release")
        return 412

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def scan(self) -> int:
        self.told.append("scan")
        return 2

    def stop(self) -> None:
        self.told.append("stop")
