"""How often a fault test does what it does: small in CI, or as often as `make faults N=...` says, where that is more."""

from __future__ import annotations

import os


def times(small: int) -> int:
    """`small`, or the number in the environment variable GSYNC_FAULTS_N if that is more."""
    return max(small, int(os.environ.get("GSYNC_FAULTS_N") or 0))


def limit_s(small: int) -> int:
    """How many seconds a test may take: `small`, or an hour where the environment says how often."""
    return 3600 if os.environ.get("GSYNC_FAULTS_N") else small
