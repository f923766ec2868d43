"""What a person is shown of the overlay: copies that a search found, what became of orders about copies, who is a neighbour.

Values only, made for whoever asks and kept by nobody. How a query spreads is `core.flood`, how far a copy can be believed
`core.freshness`. Made by whoever fulfils `web.controls.Controls`; shown by `cli/`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from gsync.core.copies import CopyState, Mode
from gsync.core.model import Kind
from gsync.core.names import Endpoint, PeerName, RelPath
from gsync.core.versions import Version


class FoundCopy(Struct, frozen=True, kw_only=True):
    """A copy that answered a search: `hops` links away, after `ms` milliseconds; `ttr_s` is how long it can still be believed."""

    path: RelPath
    holder: PeerName
    is_here: bool = False
    """Whether it is this peer's own copy."""
    kind: Kind = Kind.FILE
    size: int
    version: Version
    digest: str = ""
    mtime_ns: int = 0
    state: CopyState
    is_origin: bool = False
    origin: PeerName | None = None
    ttr_s: float = 0
    load: int = 0
    hops: int = 0
    ms: float = 0


class Got(Struct, frozen=True, kw_only=True):
    """What became of one name that was to be got or freed; `reason` is why it was not, "" when it was.

    `output` is the file that was written instead of the one in the folder; `holder` None is this peer itself, or nobody.
    """

    path: RelPath
    holder: PeerName | None = None
    size: int = 0
    output: str = ""
    reason: str = ""


class Refreshed(Struct, frozen=True, kw_only=True):
    """How a copy stands after its origin, or whoever knows more, was asked: EXPIRED when nobody answered."""

    path: RelPath
    state: CopyState
    reason: str = ""


class Marked(Struct, frozen=True, kw_only=True):
    """A copy that was given a new version at its origin, and that version."""

    path: RelPath
    version: Version


class CopySeen(Struct, frozen=True, kw_only=True):
    """How far the copy at `path` can be believed, why, and since when (wall clock; 0 where nobody knows).

    `ttr_s` is what is left of the time for which it is believed without asking; 0 where no such time is set.
    """

    path: RelPath
    state: CopyState
    reason: str = ""
    since_s: float = 0
    ttr_s: float = 0
    origin: PeerName | None = None


class NeighbourSeen(Struct, frozen=True, kw_only=True):
    """A neighbour in the overlay: where it is, None while nobody knows; whether the link to it stands, and if not, why."""

    name: PeerName
    endpoint: Endpoint | None = None
    is_up: bool = False
    reason: str = ""


class OverlaySeen(Struct, frozen=True, kw_only=True):
    """This peer in the overlay; `counts` are the messages so far, by their kind."""

    name: PeerName
    mode: Mode
    ttr_s: float
    topology: str = ""
    neighbours: tuple[NeighbourSeen, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
