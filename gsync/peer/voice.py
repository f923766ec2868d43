"""What this peer says of changes to its tracker: passes them on at once, or keeps them while it is paused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from gsync.core.names import RelPath
from gsync.peer.announcer import Announcer


class Voice:
    """Says nothing before it has an announcer; whoever is met later hears everything anyway."""

    def __init__(self) -> None:
        self.announcer: Announcer | None = None
        self.neighbours_hear: Callable[[Iterable[RelPath]], None] | None = None
        """Told the same, whether there is a tracker or not."""
        self._is_paused = False
        self._kept: dict[RelPath, None] = {}
        self._has_news = False

    @property
    def kept(self) -> int:
        """Of how many paths nobody was told because of the pause."""
        return len(self._kept)

    def tell(self, paths: Collection[RelPath]) -> None:
        """The entries at `paths` have moved."""
        if self._is_paused:
            self._kept.update(dict.fromkeys(paths))
            return
        if self.announcer is not None:
            self.announcer.tell(paths)
        if self.neighbours_hear is not None:
            self.neighbours_hear(paths)

    def tracker_tells_changes(self) -> bool:
        """Whether a native tracker is there that says at once what changes anywhere."""
        return self.announcer is not None and self.announcer.tells_changes

    def tracker_is_about_to_tell(self) -> bool:
        """Whether one is there that has only begun to say what there is."""
        return self.announcer is not None and self.announcer.is_about_to_tell

    def no_tracker_will_tell(self) -> bool:
        """Whether there is no tracker, or one that has said that it tells names and nothing else."""
        return self.announcer is None or self.announcer.tells_names_only

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
