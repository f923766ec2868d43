"""All paths of which anything is claimed, each in a row of its own: so that all of them can be told in pieces while they change.

A row keeps its number as long as its path is claimed; one that is free is used again. Pure; owned by the registry.
"""

from __future__ import annotations

from gsync.core.claims import UNSEEN, Claims
from gsync.core.names import RelPath


class Claimed:
    """The claims by path, and by row."""

    def __init__(self) -> None:
        self.by_path: dict[RelPath, Claims] = {}
        self._rows: list[Claims | None] = []
        self._free: list[int] = []

    @property
    def rows(self) -> int:
        """How many rows there are, free ones too."""
        return len(self._rows)

    def at(self, row: int) -> Claims | None:
        """The claims in this row; None where it is free."""
        return self._rows[row]

    def new(self, path: RelPath) -> Claims:
        """A row for a path of which nothing is claimed yet."""
        row = self._free.pop() if self._free else len(self._rows)
        claims = self.by_path[path] = Claims(b"", 0, UNSEEN, False, False, path, row)
        self._rows[row : row + 1] = [claims]
        return claims

    def drop(self, claims: Claims) -> None:
        """Nothing is claimed of this path any more."""
        del self.by_path[claims.path]
        self._rows[claims.row] = None
        self._free.append(claims.row)
