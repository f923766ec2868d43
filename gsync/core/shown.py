"""What classic askers see of native peers: the files at the top of the folder, of whoever holds one. Called by the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gsync.core.holders import PeerId
from gsync.core.members import Members
from gsync.core.names import RelPath


class Shown(Protocol):
    """Where classic askers see what native peers hold; a `Directory`."""

    def hold(self, peer: PeerId, path: RelPath, mtime_s: int) -> bool: ...

    def withdraw(self, peer: PeerId, path: RelPath, mtime_s: int) -> None: ...


def show(shown: Shown, members: Members, path: RelPath, before: Mapping[int, int], now: Mapping[int, int]) -> None:
    """Show what is to be seen `now`, holders as bits by mtime, and not before; first what is new, so that a name does not vanish
    between."""
    for mtime_s, bits in now.items():
        for member in members.of(bits & ~before.get(mtime_s, 0)):
            shown.hold(member.peer, path, mtime_s)
    for mtime_s, bits in before.items():
        for member in members.of(bits & ~now.get(mtime_s, 0)):
            shown.withdraw(member.peer, path, mtime_s)
