"""What this peer says of changes to its tracker: passes them on at once, or keeps them while it is paused."""

from __future__ import annotations

from collections.abc import Iterable

from gsync.core.names import RelPath
from gsync.peer.announcer import Announcer


class Voice:
    """Says nothing before it has an announcer; whoever is met later hears everything anyway."""

    def __init__(self) -> None:
        self.announcer: Announcer | None = None
        self._is_paused = False
        self._kept: dict[RelPath, None] = {}
        self._has_news = False

    @property
    def kept(self) -> int:
        """Of how many paths nobody was told because of the pause."""
        return len(self._kept)

    def tell(self, paths: Iterable[RelPath]) -> None:
        """The entries at `paths` have moved."""
        if self._is_paused:
            self._kept.update(dict.fromkeys(paths))
        elif self.announcer is not None:
            self.announcer.tell(paths)

    def tell_news(self) -> None:
        """A moment is good to tell a classic tracker of what is here."""
        if self._is_paused:
            self._has_news = True
        elif self.announcer is not None:
            self.announcer.tell_news()

    def pause(self) -> None:
        """Keep to oneself what changes from now on."""
        self._is_paused = True

    def resume(self) -> None:
        """Tell what was kept, and go on."""
        self._is_paused = False
        kept, self._kept = self._kept, {}
        if kept:
            self.tell(kept)
        if self._has_news:
            self._has_news = False
            self.tell_news()
