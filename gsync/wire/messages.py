"""The classic messages as frozen values: what peers and trackers say, apart from how it is spelt.

`wire/classic.py` turns them into bytes and back. Values in here are already judged: names are `RelPath`, mtimes lie in
0..MTIME_MAX; what was refused on the way in stands beside them as `Refusal`s, so that whoever receives can say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from gsync.core.model import Offer
from gsync.core.names import RelPath

SPEAKS_CLASSIC: Final = 0
SPEAKS_GSYNC: Final = 1
SPEAKS_NATIVE: Final = 2
"""How our trackers mark a peer: edition 1 of classic; one of ours, so edition 2; native, too."""


class Refusal(Struct, frozen=True, kw_only=True):
    """An entry that was left out: what it called itself (for `%r`, cut to 80 characters), and which rule it breaks."""

    name: str
    reason: str


class Initial(Struct, frozen=True, kw_only=True):
    """peer -> tracker, first: the serving port, and the mtime in whole seconds of each file of the folder.

    `knows_gsync` is true when the object began with one tab or more: a peer of ours; `knows_native` when with two or more.
    `port` is None when what stood there was no port: such a peer is answered, but nobody can fetch from it.
    """

    port: int | None
    files: Mapping[RelPath, int]
    knows_gsync: bool = False
    knows_native: bool = False
    refused: tuple[Refusal, ...] = ()


class Keepalive(Struct, frozen=True, kw_only=True):
    """peer -> tracker, each 5 s; its port says nothing that the connection does not (some programs send a constant)."""


class DirectoryResponse(Struct, frozen=True, kw_only=True):
    """tracker -> peer, one for each message: for each name the latest version and who has it.

    `from_gsync` is true when the object began with a tab: a tracker of ours, which takes further Initials. `from_native` is true
    when it began with two: it waits for the NUL after which both sides speak native.
    """

    offers: Mapping[RelPath, Offer]
    from_gsync: bool = False
    from_native: bool = False
    refused: tuple[Refusal, ...] = ()


PeerMessage = Initial | Keepalive
