"""Downloads that were interrupted and can be gone on with: which of them are worth their room, and which is whose.

Kept in staging, for a week, the newest first. Nothing says which of their bytes are good: whoever goes on with one reads it
again first. Pure memory; the publisher keeps the journal rows and the files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

PARTIAL_KEEP_S: Final = 7 * 24 * 3600
"""How long after its last byte an interrupted download is kept."""

PARTIALS_MAX_BYTES: Final = 16 * 1024**3
"""Room of all of them together; the newest one stays whatever its size, for large files gain most."""

PARTIALS_MAX: Final = 256


class Partial(Struct, frozen=True, kw_only=True):
    """A staged file that holds some of the content with `digest`; `since_s` is when it was last written, by the wall clock."""

    name: str
    digest: str
    inode: int
    size: int
    since_s: float


class Partials:
    """Those that nobody is working on."""

    def __init__(self) -> None:
        self._kept: list[Partial] = []

    def keep(self, partials: Iterable[Partial], *, now_s: float) -> list[Partial]:
        """Keep these beside the others; returns those that have to go."""
        everything = [*self._kept, *partials]
        self._kept = spared(everything, now_s=now_s)
        names = {partial.name for partial in self._kept}
        return [partial for partial in everything if partial.name not in names]

    def take(self, digest: str) -> Partial | None:
        """The largest one of this content, which is the taker's now."""
        found = max((one for one in self._kept if one.digest == digest), key=lambda one: one.size, default=None)
        if found is not None:
            self._kept.remove(found)
        return found


def spared(partials: Iterable[Partial], *, now_s: float) -> list[Partial]:
    """Those that are worth their room, the newest first."""
    room = PARTIALS_MAX_BYTES
    kept: list[Partial] = []
    for partial in sorted(partials, key=lambda one: (one.since_s, one.name), reverse=True):
        room -= partial.size
        if len(kept) == PARTIALS_MAX or now_s - partial.since_s > PARTIAL_KEEP_S or (room < 0 and kept):
            break
        kept.append(partial)
    return kept
