"""What tests ask of a sweep: all of it."""

from __future__ import annotations

from gsync.core.names import RelPath
from gsync.peer.sweep import Sweep


def swept(sweep: Sweep) -> list[RelPath]:
    """All that is worth a plan, in the order in which it comes."""
    paths = sorted(sweep.moved())
    while not sweep.is_over:
        paths += sweep.take()
    return paths
