"""How often a fault test does what it does: small in CI, or as often as `make faults N=...` says."""

from __future__ import annotations

import os


def times(small: int) -> int:
    """`small`, or the number in the environment variable GSYNC_FAULTS_N."""
    return int(os.environ.get("GSYNC_FAULTS_N") or small)


def limit_s(small: int) -> int:
    """How many seconds a test may take: `small`, or an hour where the environment says how often."""
    return 3600 if os.environ.get("GSYNC_FAULTS_N") else small
