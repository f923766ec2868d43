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
        if other.on_demand:
            yield from _complaints_of_a_part(first, other)
            continue
        if first.shown() != other.shown():
            yield f"folders differ: {difference(first.shown(), other.shown())}"
        if _essence(first) != _essence(other):
            yield f"trees differ: {difference(_essence(first), _essence(other))}"
    for machine in machines:
        paths = {*machine.local, *machine.buried, *machine.remote}
        left = [action for action in machine.planned(paths, now_s=now_s) if not isinstance(action, Refuse)]
        if left:
            yield f"{machine.number} would still do {[told(action) for action in left]}"


def _complaints_of_a_part(whole: PlainMachine, part: PlainMachine) -> Iterator[str]:
    """What is wrong with a folder on demand beside a mirrored one: it has less, and nothing that is different."""
    facts = {path: fact for path, fact in whole.shown().items() if path in part.shown()}
    if facts != part.shown():
        yield f"{part.number} has what others have not: {difference(facts, part.shown())}"
    essence, mine = _essence(whole), _essence(part)
    different = {path for path in mine if path in part.local and mine[path] != essence.get(path)}
    different |= {path for path, fact in essence.items() if path in whole.buried and mine.get(path, fact) != fact}
    if different:
        yield f"{part.number} knows otherwise: {[(path, mine.get(path), essence.get(path)) for path in sorted(different)]}"
    if absent := {path for path in part.wishes if path in whole.local and path not in part.local}:
        yield f"{part.number} wanted {sorted(absent)}, which others have"


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
