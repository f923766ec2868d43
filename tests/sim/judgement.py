"""What must hold in the planner simulation, and how it is said when it does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gsync.core.actions import Action, Refuse
from gsync.core.names import RelPath
from tests.sim.plain_machine import PlainMachine


class Violation(AssertionError):
    """What must hold does not."""


def tokens_of(machine: PlainMachine) -> set[str]:
    """What can be read in its folder."""
    return {node.token for node in machine.disk.values()}


def unkept(owed: set[str], machines: Iterable[PlainMachine]) -> set[str]:
    """Those of `owed` that are in no folder and in no trash."""
    left = set(owed)
    for machine in machines:
        left -= tokens_of(machine)
        left -= machine.trash
    return left


def complaints(machines: Sequence[PlainMachine], *, now_s: int) -> Iterator[str]:
    """What is wrong with machines that have come to rest: their folders, their trees, and what they would still do."""
    first = machines[0]
    for other in machines[1:]:
        if first.shown() != other.shown():
            yield f"folders differ: {difference(first.shown(), other.shown())}"
        if _essence(first) != _essence(other):
            yield f"trees differ: {difference(_essence(first), _essence(other))}"
    for machine in machines:
        paths = {*machine.local, *machine.buried, *machine.remote}
        left = [action for action in machine.planned(paths, now_s=now_s) if not isinstance(action, Refuse)]
        if left:
            yield f"{machine.number} would still do {[told(action) for action in left]}"


def told(action: Action) -> str:
    """An action in a trace."""
    version = getattr(action, "version", None) or getattr(getattr(action, "tombstone", None), "version", None)
    return f"{type(action).__name__} {action.path} {version.vector() if version else ''}"


def _essence(machine: PlainMachine) -> dict[RelPath, object]:
    trees: dict[RelPath, object] = {path: ("gone", grave.version) for path, grave in machine.buried.items()}
    trees |= {path: ("live", meta.version, meta.digest) for path, meta in machine.local.items()}
    return trees


def difference(mine: Mapping[RelPath, object], theirs: Mapping[RelPath, object]) -> str:
    """Where two trees are not equal; "" where they are."""
    paths = sorted(path for path in {*mine, *theirs} if mine.get(path) != theirs.get(path))
    return "; ".join(f"{path}: {mine.get(path)} | {theirs.get(path)}" for path in paths)
