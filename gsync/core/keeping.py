"""Settling conflicts: which file a conflict copy belongs to, and under which plain name it may stay beside it.

A copy's name tells the name of the file, unless that was too long to carry the mark (conflicts.py cuts the stem): then the one
file beside the copy that begins and ends alike is meant. Pure; called by whoever fulfils `web.controls.Controls`, and by
`storage.keeping`, which carries a choice out.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from enum import StrEnum
from itertools import count
from typing import Final

from msgspec import Struct

from gsync.core.conflicts import EXTENSION_MAX_BYTES, is_conflict_copy, plain_name
from gsync.core.model import LocalTree
from gsync.core.names import COMPONENT_MAX_BYTES, RelPath
from gsync.errors import UnknownName

NAMES_TRIED: Final = 1000
"""`x (copy).txt`, `x (copy 2).txt`, ...: after so many taken names a person is asked to tidy up."""

_CUT_FROM_BYTES: Final = COMPONENT_MAX_BYTES - 3
"""A copy's name this long may have lost a part of its stem: a cut falls up to three bytes short, at a character's border."""


class Keep(StrEnum):
    """What a person wants to have of a conflict."""

    MINE = "mine"
    """The copy's content takes the file's name."""

    THEIRS = "theirs"
    """The file stays as it is; the copy goes to the trash."""

    BOTH = "both"
    """The file stays as it is; the copy gets a plain name beside it."""


class ConflictWaiting(Struct, frozen=True, kw_only=True):
    """A conflict copy, and the file that it lost against, if that still stands."""

    copy: RelPath
    path: RelPath
    stands: bool
    size: int
    mtime_ns: int
    against_size: int = 0
    against_mtime_ns: int = 0


class Kept(Struct, frozen=True, kw_only=True):
    """A conflict that a person has settled: what stands where now, and where the other content is."""

    copy: RelPath
    stands_at: RelPath | None = None
    """Where the copy's content stands now; None: it went to the trash."""
    trashed: str = ""
    """What went to the trash, by its name there, relative to the folder."""


def waiting(copies: Iterable[RelPath], local: LocalTree) -> Iterator[ConflictWaiting]:
    """What a person is told about each of these conflict copies, which stand in `local`."""
    for copy in copies:
        path = original_of(copy, local)
        mine, against = local[copy].fingerprint, local.get(path)
        yield ConflictWaiting(
            copy=copy,
            path=path,
            stands=against is not None,
            size=mine.size,
            mtime_ns=mine.mtime_ns,
            against_size=against.fingerprint.size if against else 0,
            against_mtime_ns=against.fingerprint.mtime_ns if against else 0,
        )


def original_of(copy: RelPath, local: Iterable[RelPath]) -> RelPath:
    """The file that this conflict copy belongs to; looks through `local` only where the name had to be cut."""
    plain = plain_name(copy)
    if len(copy.name.encode("utf-8")) < _CUT_FROM_BYTES:
        return plain
    stem, extension = _split(plain.name)
    folder = copy.rpartition("/")[0]
    alike = [
        path
        for path in local
        if path.rpartition("/")[0] == folder
        and not is_conflict_copy(path)
        and path.name.startswith(stem)
        and path.name.endswith(extension)
    ]
    return alike[0] if len(alike) == 1 else plain


def copies_meant(names: Iterable[RelPath], local: LocalTree) -> list[RelPath]:
    """The conflict copies that `names` mean: copies by themselves, and files with copies. Raises `UnknownName`."""
    of_file: dict[RelPath, list[RelPath]] = {}
    for copy in sorted(path for path in local if is_conflict_copy(path)):
        of_file.setdefault(original_of(copy, local), []).append(copy)
    meant: dict[RelPath, None] = {}
    for name in names:
        found = [name] if name in local and is_conflict_copy(name) else of_file.get(name)
        if not found:
            raise UnknownName(f"{name} has no conflict copy here", advice="gsync conflicts")
        meant.update(dict.fromkeys(found))
    return list(meant)


def free_names(path: RelPath, *, taken: Container[RelPath] = frozenset()) -> Iterator[RelPath]:
    """Plain names beside `path` for a second version of it, the simplest first; those in `taken` are left out."""
    stem, extension = _split(path.name)
    for number in count(1):
        mark = " (copy)" if number == 1 else f" (copy {number})"
        room = COMPONENT_MAX_BYTES - len((mark + extension).encode("utf-8"))
        cut = stem.encode("utf-8")[:room].decode("utf-8", errors="ignore")
        name = path.with_name(cut + mark + extension)
        if name not in taken:
            yield name
        if number >= NAMES_TRIED:
            return


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    if not stem or len((dot + extension).encode("utf-8")) > EXTENSION_MAX_BYTES:
        return name, ""
    return stem, dot + extension
