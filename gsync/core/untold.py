"""The paths of which a tracker has something to tell, and those whose news wait for the rest of what they were announced with.

A rename is a deletion and a record under another path. Who hears one without the other deletes, and fetches again; so what one peer
announces together is told together, however long it takes to come. Only the paths that it speaks of wait: what others announce
meanwhile is told, of these paths too. Each path stands in one place, in the order in which it came there. Pure; owned by the
registry.
"""

from __future__ import annotations

from collections import OrderedDict

from gsync.core.holders import PeerId
from gsync.core.names import RelPath


class Untold:
    """`ready` may be told now."""

    def __init__(self) -> None:
        # An OrderedDict: a dict finds its first key slowly once many are taken out.
        self.ready: OrderedDict[RelPath, None] = OrderedDict()
        self._begun: dict[PeerId, OrderedDict[RelPath, None]] = {}

    def __bool__(self) -> bool:
        """Whether anything is to be told, now or later."""
        return bool(self.ready or self._begun)

    def __contains__(self, path: RelPath) -> bool:
        return path in self.ready or any(path in paths for paths in self._begun.values())

    def add(self, path: RelPath, waits_for: PeerId | None = None) -> None:
        """There is something to tell of `path`: now, or when the announcement of this peer is complete."""
        if waits_for is None and not self._begun:  # as it mostly is
            self.ready[path] = None
            return
        place = self.ready if waits_for is None else self._begun.setdefault(waits_for, OrderedDict())
        if path not in place:
            for other in (self.ready, *self._begun.values()):
                other.pop(path, None)
            place[path] = None

    def complete(self, peer: PeerId) -> bool:
        """What this peer announces is complete, or its rest is not waited for any more; whether something waited for it."""
        waited = self._begun.pop(peer, None)
        if waited is None:
            return False
        if self.ready:
            self.ready.update(waited)
        else:
            self.ready = waited
        return True
