"""What is said to be at rest is so: the plan of all paths is the plan of the others."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from gsync.core.at_rest import AtRest
from gsync.core.model import Entry, FileMeta, Tombstone
from gsync.core.names import RelPath
from gsync.core.planner import plan
from gsync.core.versions import Version
from tests.unit.core.planning import NOW, directory, file, gone, offer, path, v
from tests.unit.core.test_planner_properties import NAMES, agreed, trees

A, B = path("a"), path("b")
names = st.sampled_from(NAMES)
moves = st.dictionaries(names, names, max_size=3)


def moved(tree: dict[RelPath, Entry], moves: dict[RelPath, RelPath]) -> dict[RelPath, Entry]:
    """With entries that name an old path."""
    return {
        name: replace(entry, moved_from=moves[name])
        if isinstance(entry, FileMeta) and moves.get(name, name) != name
        else entry
        for name, entry in tree.items()
    }


@given(here=trees, other=trees, synced=agreed, moves=moves, same=st.sets(names), alone=st.sets(names))
@example(
    here={path("d"): directory(v(5, x=1))},
    other={path("d"): gone(v(6, x=2), directory(v(5, x=1)))},
    synced={path("d"): v(5, x=1)},
    moves={},
    same=set(),
    alone=set(),
)
def test_what_is_at_rest_need_not_be_planned(
    *,
    here: dict[RelPath, Entry],
    other: dict[RelPath, Entry],
    synced: dict[RelPath, Version],
    moves: dict[RelPath, RelPath],
    same: set[RelPath],
    alone: set[RelPath],
) -> None:
    here = moved(here, moves)
    there = {**moved(other, moves), **{name: here[name] for name in same if name in here}}
    local = {name: entry for name, entry in here.items() if isinstance(entry, FileMeta)}
    buried = {name: entry for name, entry in here.items() if isinstance(entry, Tombstone)}
    remote = {
        name: offer(name, entry, sources=()) if name in alone else offer(name, entry) for name, entry in there.items()
    }
    rest = AtRest(local=local, buried=buried, remote=remote, synced=synced)
    still = {name for name in NAMES if rest.is_ahead(name) or (name in remote and rest.is_settled(name, remote[name]))}
    asked = {name for name in NAMES if name not in still} | {above for name in still for above in name.ancestors[-1:]}
    every, some = (
        plan(which, local=local, buried=buried, remote=remote, synced=synced, policy=NOW) for which in (NAMES, asked)
    )
    assert some == every


@pytest.mark.parametrize(
    ("mine", "theirs", "is_ahead"),
    [
        (file(v(6, x=2)), file(v(5, x=1)), True),
        (gone(v(6, x=2)), file(v(5, x=1)), True),
        (file(v(5, x=1)), file(v(5, x=1)), False),
        (file(v(5, y=1)), file(v(5, x=1)), False),
        (file(v(5, x=1)), gone(v(6, x=2)), False),
        (file(v(5, x=1)), None, True),
        (None, file(v(5, x=1)), False),
    ],
)
def test_what_is_newer_than_all_that_others_offer_is_ahead(
    mine: Entry | None, theirs: Entry | None, is_ahead: bool
) -> None:
    rest = AtRest(
        local={A: mine} if isinstance(mine, FileMeta) else {},
        buried={A: mine} if isinstance(mine, Tombstone) else {},
        remote={A: offer("a", theirs)} if theirs else {},
        synced={},
    )
    assert rest.is_ahead(A) is is_ahead


def test_what_was_renamed_is_ahead_only_if_its_old_name_is() -> None:
    remote = {B: offer("b", file(v(5, y=1), "edited"))}
    entries = {A: file(v(5, x=1), was="b")}
    for stone, is_ahead in ((v(6, x=2), False), (v(6, x=2, y=1), True)):
        rest = AtRest(local=entries, buried={B: gone(stone)}, remote=remote, synced={})
        assert rest.is_ahead(A) is is_ahead


def test_what_was_renamed_is_settled_when_its_old_name_is() -> None:
    here = file(v(5, x=1), was="b")
    told = offer("a", here)
    for stone, is_settled in ((v(6, x=2), True), (v(7, x=3), False)):
        rest = AtRest(
            local={A: here},
            buried={B: gone(v(6, x=2))},
            remote={A: told, B: offer("b", gone(stone))},
            synced={A: here.version},
        )
        assert rest.is_settled(A, told) is is_settled
