"""When so much is gone at once that a person should say whether it was meant.

A wrong path in a script, a half mounted disk, a `mv` to elsewhere: all look like thousands of deletions. They are held at
their origin, where the mistake can still be seen, until a person releases them. Pure; asked by the indexer, after moves
are paired, so that a renamed directory is never held.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gsync.core.names import RelPath

HOLD_MIN: Final = 100
"""So many may always go: a small folder is emptied without a question."""

HOLD_SHARE: Final = 0.25
"""Of a large folder, this share may go at once (`--max-delete`)."""


def held_back(gone: Collection[RelPath], *, known_files: int, share: float = HOLD_SHARE) -> bool:
    """Whether the deletion of `gone`, out of `known_files` that stood before, waits for a person."""
    return len(gone) > max(HOLD_MIN, share * known_files)
