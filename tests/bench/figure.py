"""What was measured: `Measure` (the samples of one thing), `Goal` (what they should be), `Figure` (both, for one subject)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The samples of one thing, in the order in which they were taken."""

    name: str
    unit: str
    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """Half of the samples are below; what counts unless a goal says otherwise."""
        return median(self.samples)

    @property
    def worst(self) -> float:
        """The largest one, for what must never be exceeded."""
        return max(self.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """`value` should be at least, or at most, `bound`."""

    what: str
    value: float
    bound: float
    is_floor: bool

    @property
    def is_met(self) -> bool:
        """Whether it is."""
        return self.value >= self.bound if self.is_floor else self.value <= self.bound


def at_least(bound: float, value: float, what: str) -> Goal:
    """The more, the better."""
    return Goal(what=what, value=value, bound=bound, is_floor=True)


def at_most(bound: float, value: float, what: str) -> Goal:
    """The less, the better."""
    return Goal(what=what, value=value, bound=bound, is_floor=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One subject at one place; `failures` say what did not sync, which no speed makes good."""

    name: str
    place: str
    what: str
    ours: tuple[Measure, ...] = ()
    against: tuple[Measure, ...] = ()
    goals: tuple[Goal, ...] = ()
    failures: tuple[str, ...] = ()
    remark: str = ""

    def line(self) -> dict[str, Any]:
        """The figure as one JSON object."""
        return {
            "v": 1,
            "figure": self.name,
            "place": self.place,
            "what": self.what,
            "ours": [_plain(measure) for measure in self.ours],
            "against": [_plain(measure) for measure in self.against],
            "goals": [{**asdict(goal), "is_met": goal.is_met} for goal in self.goals],
            "failures": list(self.failures),
            "remark": self.remark,
        }


def _plain(measure: Measure) -> dict[str, Any]:
    return {
        "name": measure.name,
        "unit": measure.unit,
        "median": round(measure.median, 4),
        "samples": [round(sample, 4) for sample in measure.samples],
    }
