"""Names that some machines cannot tell apart: equal but for case, or for how Unicode composes their letters.

On a disk that folds them, one would take the place of the other. Linux keeps them apart, so they are synced and a person is
warned. Pure; asked by whoever shows warnings.
"""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import normalize

from gsync.core.names import RelPath


def collisions(paths: Iterable[RelPath]) -> tuple[tuple[RelPath, ...], ...]:
    """Groups of two and more of `paths` in one directory whose names differ only so; in path order."""
    groups: dict[tuple[str, str], list[RelPath]] = {}
    for path in sorted(set(paths)):
        directory, _, name = path.rpartition("/")
        groups.setdefault((directory, _folded(name)), []).append(path)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _folded(name: str) -> str:
    """What is left of a name on a disk that knows neither case nor composition (Unicode, 3.13, D145)."""
    if name.isascii():
        return name.lower()
    return normalize("NFD", normalize("NFD", name).casefold())
