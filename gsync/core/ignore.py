"""Which names are never synced: what editors and crashes leave behind.

The short list of `docs/PROTOCOL.md`; nothing else is ignored unasked. Pure; asked by the indexer (never announced) and by
the planner (never fetched), so that both sides of a swarm agree.
"""

from __future__ import annotations

import re
from typing import Final

from gsync.core.names import RelPath

DEFAULT_PATTERNS: Final = ("core.[0-9]* (at the top)", "*~", ".*.sw?", ".#*", "4913")
"""The list in a person's words; 4913 is the name with which vim tries whether a folder is writable."""

_IGNORED: Final = re.compile(r"(?:.*~|\..*\.sw.|\.#.*|4913)", re.DOTALL)
_IGNORED_AT_TOP: Final = re.compile(r"core\.[0-9].*", re.DOTALL)


def is_ignored(path: RelPath) -> bool:
    """Whether the regular file `path` is left alone: not announced, not fetched, not removed."""
    if _IGNORED.fullmatch(path.name):
        return True
    return "/" not in path and _IGNORED_AT_TOP.fullmatch(path) is not None
