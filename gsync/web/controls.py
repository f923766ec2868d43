"""What may be asked of a running peer: the protocol between the local API and the peer that answers.

`get` questions change nothing; orders do. All calls are cooperative and may wait for the disk; each ends by itself. Names
that nobody knows raise `UnknownName`; what cannot be done now raises another `GsyncError`, whose words are shown. Fulfilled by
the peer, faked in tests; called by `web.control` only, one greenlet a request, several at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from gsync.core.copies import Mode
from gsync.core.explanation import Explanation
from gsync.core.flood import QUERY_TTL
from gsync.core.hits import CopySeen, FoundCopy, Got, OverlaySeen, Refreshed
from gsync.core.keeping import ConflictWaiting, Keep, Kept
from gsync.core.names import PeerName, RelPath
from gsync.core.status import ListedEntry, LogLine, PeerSeen, Restored, Settled, Status, Trashed
from gsync.core.versions import Version

SEARCH_WAIT_S: Final = 2.0
"""So long hits of a search are waited for, where nobody says otherwise."""

SEARCH_WAIT_MAX_S: Final = 30.0
"""One search waits at most so long for hits: less than a reader of its answer waits in silence."""

TTR_MIN_S: Final = 0.1
TTR_MAX_S: Final = 86_400.0
"""A copy that is asked about more often is traffic; one that is believed for longer than a day is no copy."""


class OverlayControls(Protocol):
    """The part of it that goes over the overlay; where a peer has none, each raises a `ConfigError` that says why."""

    def search(self, pattern: str, *, ttl: int = QUERY_TTL, wait_s: float = SEARCH_WAIT_S) -> Iterator[FoundCopy]:
        """Copies of this name, or of names that match this pattern, as hits come in; what is here first. Ends after `wait_s`."""
        ...

    def get(self, names: Sequence[RelPath], *, holder: PeerName | None = None, output: str = "") -> Iterator[Got]:
        """Fetch each from the best that has it, or from `holder`; into the folder, or to `output`.

        `output` is absolute: a directory that exists, or, for one name, a file.
        """
        ...

    def free(self, names: Sequence[RelPath]) -> Iterator[Got]:
        """Drop the content of each here, and only here; refused where the folder is not kept on demand."""
        ...

    def refresh(self, names: Sequence[RelPath]) -> Iterator[Refreshed]:
        """Ask now whether these copies, or all if none is named, are still what their origins have."""
        ...

    def mark(self, path: RelPath, *, valid: bool) -> Version:
        """Give what is owned here a new version, so that copies elsewhere are invalid, or valid again; refused elsewhere."""
        ...

    def set_mode(self, mode: Mode) -> None: ...

    def set_ttr(self, seconds: float) -> None: ...

    def overlay(self) -> OverlaySeen: ...

    def copies(self, *, beneath: RelPath | None = None) -> Iterator[CopySeen]:
        """How far the copies here can be believed; nothing, where there is no overlay."""
        ...


class Controls(OverlayControls, Protocol):
    """A running peer, for those who look at it and give it orders."""

    def status(self) -> Status: ...

    def settled(self) -> Settled:
        """Whether an independent comparison of the folders would find them equal now, and why not.

        Only when nothing is pending, the tracker's digest equals ours, a fresh scan of everything found nothing, and all native
        peers hold what this one holds.
        Cheap reasons come first: it is asked again and again.
        """
        ...

    def listing(self, *, beneath: RelPath | None = None) -> Iterator[ListedEntry]:
        """Every path that is known, in path order; or only those in this directory, at any depth, and itself."""
        ...

    def peers(self) -> Sequence[PeerSeen]: ...

    def explain(self, path: RelPath) -> Explanation:
        """What is known of `path` and what will become of it; raises `UnknownName` where nothing is."""
        ...

    def log(self, *, last: int) -> Sequence[LogLine]:
        """The last events, oldest first."""
        ...

    def conflicts(self) -> Sequence[ConflictWaiting]: ...

    def keep(self, choice: Keep, names: Sequence[RelPath]) -> Iterator[Kept]:
        """Settle these conflicts one by one; a name is that of a copy, or of a file with copies, all of which it means."""
        ...

    def trashed(self, *, beneath: RelPath | None = None) -> Iterator[Trashed]:
        """What lies in the trash, newest box first; or only what had this path, or was in this directory."""
        ...

    def restore(self, names: Sequence[RelPath], *, box: str = "") -> Iterator[Restored]:
        """Copy back the newest of each name, or the one in this box, as an edit; a directory's name means what it lacks now."""
        ...

    def release(self) -> int:
        """Let the deletions that are held back travel; how many there were."""
        ...

    def pause(self) -> None:
        """Change nothing in the folder, and tell nobody of changes in it, until `resume`."""
        ...

    def resume(self) -> None: ...

    def scan(self) -> int:
        """Look at the whole folder now; how many paths had changed."""
        ...

    def stop(self) -> None:
        """End in order, soon after this has returned."""
        ...
