"""What a swarm is put through: how many peers, which files, and what goes wrong on purpose. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from msgspec import Struct

KIB: Final = 1024
MIB: Final = 1024 * KIB


class Share(Struct, frozen=True, kw_only=True):
    """`count` files of `size` bytes each."""

    size: int
    count: int


class Spread(Enum):
    """Where the files are at first."""

    DEALT = auto()
    """Each peer has its part, and wants those of all others."""

    ONE_SOURCE = auto()
    """The first peer has all of them."""


class Load(Struct, frozen=True, kw_only=True):
    """What is asked of a swarm.

    After `seconds` whatever has not arrived is missing; a load that `churns` is edited and killed for so long, and gets
    time to settle after it. `kill_percent` of the peers are killed in the middle and started again, when it churns again
    and again. `bad_percent` of the peers only pretend to have the files.
    """

    peers: int = 4
    shares: tuple[Share, ...] = (Share(size=4 * KIB, count=1000),)
    fetches: int = 16
    seconds: float = 120.0
    stall_s: float = 10.0
    kill_percent: float = 0.0
    bad_percent: float = 0.0
    spread: Spread = Spread.DEALT
    restarts_tracker: bool = False
    churns: bool = False
    classic: bool = False
    uplink: int | None = None
    """Bytes a second that each peer may send."""

    @property
    def files(self) -> int:
        """How many files there are."""
        return sum(share.count for share in self.shares)

    @property
    def bytes(self) -> int:
        """What the files amount to."""
        return sum(share.count * share.size for share in self.shares)

    @property
    def bad(self) -> int:
        """How many of the peers are bad."""
        return round(self.peers * self.bad_percent / 100)

    @property
    def good(self) -> int:
        """How many of the peers are ours, with folders that must become equal."""
        return self.peers - self.bad

    @property
    def killed(self) -> int:
        """How many peers are killed at a time; with any percentage at least one."""
        return max(1, round(self.good * self.kill_percent / 100)) if self.kill_percent else 0


SCENARIOS: Final[Mapping[str, Load]] = MappingProxyType(
    {
        "flash": Load(
            peers=9,
            spread=Spread.ONE_SOURCE,
            shares=(Share(size=64 * KIB, count=200), Share(size=8 * MIB, count=4)),
        ),
        "disjoint": Load(peers=4),
        "churn": Load(peers=10, kill_percent=10, shares=(Share(size=4 * KIB, count=500), Share(size=MIB, count=20))),
        "tracker": Load(restarts_tracker=True),
        "bad": Load(peers=12, bad_percent=50, shares=(Share(size=4 * KIB, count=200), Share(size=MIB, count=8))),
        "giant": Load(peers=3, shares=(Share(size=1024 * MIB, count=1), Share(size=4 * KIB, count=2000))),
        "soak": Load(
            churns=True,
            kill_percent=25,
            seconds=1800.0,
            shares=(Share(size=4 * KIB, count=500), Share(size=MIB, count=20)),
        ),
    }
)
"""Each must hold: nothing missing, nothing different, nobody crashed. Without a name the load is that of `disjoint`."""
