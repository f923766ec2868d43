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
    groups: dict[str, list[RelPath]] = {}
    for path in sorted(set(paths)):
        groups.setdefault(_key(path), []).append(path)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


class Namesakes:
    """All names of a folder as they come and go, and which of them some machine could not tell apart."""

    def __init__(self, paths: Iterable[RelPath] = ()) -> None:
        self._known: dict[str, RelPath | tuple[RelPath, ...]] = {}  # mostly one, and a tuple of one is 48 bytes
        for path in paths:
            self.add(path)

    def add(self, path: RelPath) -> tuple[RelPath, ...]:
        """`path` stands there now; those others that collide with it."""
        key = _key(path)
        known = self._known.setdefault(key, path)
        if known is path:  # as it nearly always is
            return ()
        others = _without(known, path)
        self._known[key] = (*others, path)
        return others

    def discard(self, path: RelPath) -> None:
        """`path` is gone."""
        key = _key(path)
        others = _without(self._known.get(key, ()), path)
        if others:
            self._known[key] = others
        else:
            self._known.pop(key, None)


def _without(known: RelPath | tuple[RelPath, ...], path: RelPath) -> tuple[RelPath, ...]:
    return tuple(other for other in ((known,) if isinstance(known, RelPath) else known) if other != path)


def _key(path: RelPath) -> str:
    """Its directory and what is left of its name; mostly the path itself, which then costs nothing more."""
    if path.isascii() and path.lower() == path:
        return path
    directory, slash, name = path.rpartition("/")
    return directory + slash + _folded(name)


def _folded(name: str) -> str:
    """What is left of a name on a disk that knows neither case nor composition (Unicode, 3.13, D145)."""
    if name.isascii():
        return name.lower()
    return normalize("NFD", normalize("NFD", name).casefold())
