"""What the loser of a conflict is called.

The name comes from the losing entry alone, so that every machine which keeps that loser gives it the same name:
`stem.conflict-<its mtime, UTC>-<author, 8 hex>-<digest, 8 hex>.ext`, beside it, or at the top of the folder where a path as long
as that cannot be. Pure; called where a displaced file finds its place.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from gsync.core.names import COMPONENT_MAX_BYTES, PATH_MAX_BYTES, RelPath
from gsync.core.versions import Version
from gsync.errors import NameRefused

EXTENSION_MAX_BYTES: Final = 16
"""The last dot and what follows are an extension only up to this length; a longer one is part of the stem."""

NO_AUTHOR: Final = "00000000"
"""Stands for the author of a version that only classic peers, or a scan without history, know."""

_NO_HEX: Final = re.compile(r"[^0-9a-f]")
_OLD_CONFLICT: Final = re.compile(r"\.conflict-\d{8}T\d{6}Z-[0-9a-f]{8}-[0-9a-f]{8}")


def conflict_name(path: RelPath, *, version: Version, digest: str) -> RelPath:
    """The name beside `path` under which its losing `version` with content `digest` ("b3:" + hex) is kept.

    What others say in a version's author ids is hostile: nothing of it but hex digits gets into a name.
    """
    stem, extension = _split(_OLD_CONFLICT.sub("", path.name))
    when = datetime.fromtimestamp(version.mtime_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    mark = f".conflict-{when}-{_author(version)}-{digest.removeprefix('b3:')[:8]}"
    tail_bytes = len((mark + extension).encode("utf-8"))
    directory, _, _ = path.rpartition("/")
    room = min(COMPONENT_MAX_BYTES, PATH_MAX_BYTES - len(f"{directory}/".encode())) - tail_bytes
    if room > 0:
        return path.with_name(_cut(stem, room) + mark + extension)
    return RelPath.parse(_cut(stem, COMPONENT_MAX_BYTES - tail_bytes) + mark + extension)


def is_conflict_copy(path: RelPath) -> bool:
    """Whether `path` is named like the loser of a conflict."""
    return _OLD_CONFLICT.search(path.name) is not None


def plain_name(path: RelPath) -> RelPath:
    """The name without the mark of a conflict; `path` itself where it has none, or where nothing that is a name would be left.

    Where the mark left no room for the whole stem, this is the cut one.
    """
    try:
        return path.with_name(_OLD_CONFLICT.sub("", path.name))
    except NameRefused:
        return path


def _author(version: Version) -> str:
    """Who made the last step: the author with the highest counter, the last in order among equals."""
    if version.is_mtime_only:
        return NO_AUTHOR
    author, _ = max(version.counters, key=lambda pair: (pair[1], pair[0]))
    return _NO_HEX.sub("0", author)[:8].ljust(8, "0")


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    if not stem or len((dot + extension).encode("utf-8")) > EXTENSION_MAX_BYTES:
        return name, ""
    return stem, dot + extension


def _cut(text: str, max_bytes: int) -> str:
    return text.encode("utf-8")[:max_bytes].decode("utf-8", errors="ignore")
