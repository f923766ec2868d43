"""What came of a run, as one frozen value that becomes a table for people or one JSON object for programs."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from gsync.lab.churn import Growth
from gsync.lab.tally import Quantiles


class Report(Struct, frozen=True, kw_only=True):
    """The figures of a run; `failed` and `late` count fetches that were tried again and cost nothing else.

    `reasons` has what peers said about failures most often; they say it once for each path, not at each try.
    """

    peers: int
    bad_peers: int
    files: int
    bytes: int
    classic: bool
    killed: int
    makespan_s: float
    arrivals: int
    arrived_bytes: int
    file_s: Quantiles
    first_byte_s: Quantiles
    failed: Mapping[str, int]
    reasons: Mapping[str, int]
    late: int
    cpu_s: Mapping[str, float]
    rss_peak: Mapping[str, int]
    descriptors_peak: Mapping[str, int]
    lag_ms: Quantiles
    growth: Mapping[str, Growth] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def files_per_s(self) -> float:
        """Arrivals in each second of the makespan, over all peers."""
        return self.arrivals / self.makespan_s if self.makespan_s else 0.0

    @property
    def bytes_per_s(self) -> float:
        """What the arrivals amount to in each second of the makespan, over all peers."""
        return self.arrived_bytes / self.makespan_s if self.makespan_s else 0.0

    @property
    def is_flat(self) -> bool:
        """Whether nothing grew that must not; true of a run that did not look."""
        return all(growth.is_flat for growth in self.growth.values())
