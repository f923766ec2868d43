"""How far the copies here can be believed."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

POLL_MAX: Final = 1024
"""Copies asked about in one poll."""

TTR_S: Final = 120.0
"""So long a copy is believed after its origin was heard of, where nobody says otherwise."""


class Mode(StrEnum):
    """How a peer keeps its copies honest."""

    PUSH = "push"
    PULL = "pull"
    LAZY = "lazy"
    HYBRID = "hybrid"
    PASSIVE = "passive"


class CopyState(StrEnum):
    """How far a copy can be believed."""

    OWNED = "OWNED"
    VALID = "VALID"
    EXPIRED = "EXPIRED"
    INVALID = "INVALID"
    FETCHING = "FETCHING"
    CONFLICT = "CONFLICT"
    DELETED = "DELETED"
