"""What happened, for whoever watches: the command line, the log, later the dashboard.

Each event is a frozen value with a stable `name`; the same names stand in `--json`, in the log and in the docs. `Events` calls
its observers in order, on the greenlet that tells; an observer must be short and must not raise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import ClassVar, Final, get_args

from msgspec import Struct

from gsync.core.names import Endpoint, RelPath


class Cause(StrEnum):
    """Why a file was not fetched, in one word; `peer.causes` says which error is which."""

    REFUSED = "refused"
    """No connection came about: nobody listens there, or there is no way to it."""

    TIMEOUT = "timeout"
    """Nobody answered the dial in time."""

    STALLED = "stalled"
    """The source was connected, and then sent nothing, or too slowly."""

    RESET = "reset"
    """The connection broke."""

    SHORT = "short"
    """The source ended before all the bytes that it had promised."""

    GONE = "gone"
    """The source has not this file, or cannot serve it now."""

    UNVOUCHED = "unvouched"
    """The source told no size, and could not show afterwards that it had been there to the end."""

    EMPTY = "empty"
    """It came empty where a file with content stands; it is asked for once more."""

    NONSENSE = "nonsense"
    """The source said what the protocol does not allow."""

    DISK = "disk"
    """Our own disk refused."""

    UNWANTED = "unwanted"
    """The planner refused the version; nobody was asked for it."""


class PeerServing(Struct, frozen=True, kw_only=True, gc=False):
    """This peer listens for requests."""

    name: ClassVar[str] = "peer.serving"
    endpoint: Endpoint
    files: int


class TrackerUp(Struct, frozen=True, kw_only=True, gc=False):
    """The tracker answered."""

    name: ClassVar[str] = "tracker.up"
    tracker: Endpoint
    names: int


class TrackerDown(Struct, frozen=True, kw_only=True, gc=False):
    """The tracker cannot be reached, or the connection to it ended; another try comes in `retry_s`."""

    name: ClassVar[str] = "tracker.down"
    tracker: Endpoint
    reason: str
    retry_s: float


class FileStale(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody has a file that is not here, or a newer one."""

    name: ClassVar[str] = "file.stale"
    path: RelPath


class FileFetching(Struct, frozen=True, kw_only=True, gc=False):
    """A fetch begins."""

    name: ClassVar[str] = "file.fetching"
    path: RelPath
    source: Endpoint


class FileFetched(Struct, frozen=True, kw_only=True, gc=False):
    """A file stands in the folder, whole and durable; times count from the dial, `first_byte_s` to the end if it is empty."""

    name: ClassVar[str] = "file.fetched"
    path: RelPath
    source: Endpoint
    size: int
    seconds: float
    first_byte_s: float


class FileSkipped(Struct, frozen=True, kw_only=True, gc=False):
    """A file was not fetched now; `again` tells whether it will be tried again by itself."""

    name: ClassVar[str] = "file.skipped"
    path: RelPath
    source: Endpoint | None
    cause: Cause
    reason: str
    again: bool


class NamesSkipped(Struct, frozen=True, kw_only=True, gc=False):
    """`count` things in the folder are left alone for one `reason`; `names` shows the first few."""

    name: ClassVar[str] = "scan.skipped"
    reason: str
    names: tuple[str, ...]
    count: int


class FileConflict(Struct, frozen=True, kw_only=True, gc=False):
    """An edit made here lost against another one and is kept under `kept_as`."""

    name: ClassVar[str] = "file.conflict"
    path: RelPath
    kept_as: RelPath


class FileDeleted(Struct, frozen=True, kw_only=True, gc=False):
    """Something was deleted elsewhere, and is gone here, too; a file is in the trash."""

    name: ClassVar[str] = "file.deleted"
    path: RelPath


class FileMoved(Struct, frozen=True, kw_only=True, gc=False):
    """Something was renamed elsewhere, and is renamed here, too."""

    name: ClassVar[str] = "file.moved"
    path: RelPath
    moved_from: RelPath


class FileMade(Struct, frozen=True, kw_only=True, gc=False):
    """A directory or a link (`kind`) was made elsewhere, and stands here, too."""

    name: ClassVar[str] = "file.made"
    path: RelPath
    kind: str


class Progress(Struct, frozen=True, kw_only=True, gc=False):
    """How far the fetching is, bytes of unfinished files included; told four times a second while something is pending.

    How many bytes are left nobody knows: the classic dialect tells no sizes.
    """

    name: ClassVar[str] = "sync.progress"
    files_left: int
    files_done: int
    bytes_done: int
    bytes_per_s: float


class SyncDone(Struct, frozen=True, kw_only=True, gc=False):
    """Everything that the directory offers is here; told once after a time with work."""

    name: ClassVar[str] = "sync.done"
    fetched: int
    bytes: int
    seconds: float


class Stats(Struct, frozen=True, kw_only=True, gc=False):
    """How the peer itself is doing, each second and at the end, with `--stats`.

    Counts are since the start: `failed` has every fetch that failed, also those that no event told because the last try of the
    path had failed likewise; `late` has the timeouts that struck although bytes were here, none of which cost the source
    anything. `lag_ms` tells how late the loop was at each look since the last Stats.
    """

    name: ClassVar[str] = "peer.stats"
    bytes_received: int
    failed: Mapping[Cause, int]
    late: int
    greenlets: int
    lag_ms: tuple[float, ...]


class WatchIncomplete(Struct, frozen=True, kw_only=True, gc=False):
    """The system tells not all that changes in the folder, or nothing: looks at all of it find the rest, every few seconds."""

    name: ClassVar[str] = "watch.incomplete"
    reason: str
    advice: str


class Trouble(Struct, frozen=True, kw_only=True, gc=False):
    """A person should act; gsync goes on as far as it can."""

    name: ClassVar[str] = "error"
    what: str
    advice: str = ""


Event = (
    PeerServing
    | TrackerUp
    | TrackerDown
    | FileStale
    | FileFetching
    | FileFetched
    | FileSkipped
    | NamesSkipped
    | FileConflict
    | FileDeleted
    | FileMoved
    | FileMade
    | Progress
    | SyncDone
    | Stats
    | WatchIncomplete
    | Trouble
)

KINDS: Final[frozenset[type[Event]]] = frozenset(get_args(Event))

Observer = Callable[[Event], None]

Hold = Callable[[bool], None]
"""True: many events come now, one after the other; False: that was all of them."""


class Events:
    """Where a peer's loops tell what happened."""

    def __init__(self) -> None:
        self._observers: dict[type[Event], list[Observer]] = {kind: [] for kind in KINDS}
        self._holds: list[Hold] = []

    def subscribe(self, observer: Observer, *, but: Collection[type[Event]] = (), hold: Hold | None = None) -> None:
        """From now on `observer` is called with every event, `but` those of these kinds; `hold` hears of what is told together."""
        for kind in KINDS.difference(but):
            self._observers[kind].append(observer)
        if hold is not None:
            self._holds.append(hold)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is told until its end is told in one go: an observer may be done with it only then. Nobody may wait within."""
        for hold in self._holds:
            hold(True)
        try:
            yield
        finally:
            for hold in self._holds:
                hold(False)

    def tell(self, event: Event) -> None:
        """Call every observer with `event`."""
        for observer in self._observers[type(event)]:
            observer(event)
