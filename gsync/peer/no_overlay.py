"""What a peer without an overlay answers to whoever asks for it: nothing is known, nothing can be done, and why.

The part of a peer's controls that goes over the overlay, where there is none. It must never pretend: an order that came to
nothing raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

from gsync.core.copies import Mode
from gsync.core.flood import QUERY_TTL
from gsync.core.hits import CopySeen, FoundCopy, Got, OverlaySeen, Refreshed
from gsync.core.names import PeerName, RelPath
from gsync.core.versions import Version
from gsync.errors import ConfigError


class NoOverlay:
    """Refuses everything that needs neighbours."""

    def search(self, pattern: str, *, ttl: int = QUERY_TTL, wait_s: float = 2.0) -> Iterator[FoundCopy]:
        """Refused."""
        self._refuse()

    def get(self, names: Sequence[RelPath], *, holder: PeerName | None = None, output: str = "") -> Iterator[Got]:
        """Refused."""
        self._refuse()

    def free(self, names: Sequence[RelPath]) -> Iterator[Got]:
        """Refused."""
        self._refuse()

    def refresh(self, names: Sequence[RelPath]) -> Iterator[Refreshed]:
        """Refused."""
        self._refuse()

    def mark(self, path: RelPath, *, valid: bool) -> Version:
        """Refused."""
        self._refuse()

    def set_mode(self, mode: Mode) -> None:
        """Refused."""
        self._refuse()

    def set_ttr(self, seconds: float) -> None:
        """Refused."""
        self._refuse()

    def overlay(self) -> OverlaySeen:
        """Refused."""
        self._refuse()

    def copies(self, *, beneath: RelPath | None = None) -> Iterator[CopySeen]:
        """None."""
        return iter(())

    def _refuse(self) -> NoReturn:
        raise ConfigError("this gsync has no neighbours to ask: it was not started with an overlay")
