"""Says which names of the folder are left alone, and why: once each, until they are gone and come again. Owned by `scanning`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from gsync.peer.events import Events, NamesSkipped
from gsync.storage.filesystem import Skipped

log = logging.getLogger(__name__)

SHOWN_PER_REASON: Final = 5
"""Names that are told with a reason; of the rest only how many there are."""


class SkippedNames:
    """What the last look at everything left alone."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._told: set[tuple[str, str]] = set()

    def tell(self, found: Sequence[Skipped]) -> None:
        """This is all that is left alone now: tell what of it is new, an event a reason."""
        fresh: dict[str, list[str]] = {}
        for skipped in found:
            if (skipped.name, skipped.reason) not in self._told:
                fresh.setdefault(skipped.reason, []).append(skipped.name)
        self._told = {(skipped.name, skipped.reason) for skipped in found}
        for reason, names in fresh.items():
            log.info("scan.skipped reason=%s names=%r", reason, names[:SHOWN_PER_REASON])
            self._events.tell(NamesSkipped(reason=reason, names=tuple(names[:SHOWN_PER_REASON]), count=len(names)))
