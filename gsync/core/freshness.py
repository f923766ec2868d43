"""How far the copies here can be believed."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

POLL_MAX: Final = 1024
"""Copies asked about in one poll."""


class CopyState(StrEnum):
    """How far a copy can be believed."""

    OWNED = "OWNED"
    VALID = "VALID"
    EXPIRED = "EXPIRED"
    INVALID = "INVALID"
    FETCHING = "FETCHING"
    CONFLICT = "CONFLICT"
    DELETED = "DELETED"
