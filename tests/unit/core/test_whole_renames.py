"""A directory that was renamed is planned the same, whether it is recognised as a whole or path by path."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gsync.core import planner
from gsync.core.actions import Action, Relocate
from gsync.core.model import Entry, FileMeta, Tombstone
from gsync.core.names import RelPath
from gsync.core.picture import Picture
from gsync.core.versions import Version
from gsync.core.whole_renames import whole_renames
from tests.unit.core.planning import NOW, directory, file, gone, link, offer, path, v
from tests.unit.core.test_planner_properties import agreed, trees

OLD: Mapping[RelPath, FileMeta] = {
    path("d"): directory(v(5, x=1)),
    path("d/a"): file(v(5, x=1), "one"),
    path("d/b"): link(v(5, x=1)),
    path("d/c"): directory(v(5, x=1)),
    path("d/c/e"): file(v(5, x=1), "two"),
}
STONES = {name: gone(v(6, x=2), meta) for name, meta in OLD.items()}
NEW = {path(f"n{name[1:]}"): replace(meta, moved_from=name) for name, meta in OLD.items()}
AGREED = {name: meta.version for name, meta in OLD.items()}
NAMES = sorted([*OLD, *NEW])

entries = trees.map(lambda tree: {path(name.replace("e", "n")): entry for name, entry in tree.items()})


def picture(
    here: Mapping[RelPath, Entry], offered: Mapping[RelPath, Entry], synced: Mapping[RelPath, Version]
) -> Picture:
    return Picture(
        local={name: entry for name, entry in here.items() if isinstance(entry, FileMeta)},
        buried={name: entry for name, entry in here.items() if isinstance(entry, Tombstone)},
        remote={name: offer(name, entry) for name, entry in offered.items()},
        synced=synced,
    )


def planned(seen: Picture) -> tuple[Action, ...]:
    return planner.plan(
        {*NAMES, *seen.local, *seen.buried, *seen.remote},
        local=seen.local,
        buried=seen.buried,
        remote=seen.remote,
        synced=seen.synced,
        policy=NOW,
    ).actions


def path_by_path(seen: Picture) -> tuple[Action, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "whole_renames", lambda *_: iter(()))
        return planned(seen)


def found(seen: Picture) -> list[Relocate]:
    return [rename for rename, _ in whole_renames(NAMES, seen, NOW.ignored)]


def test_a_renamed_directory_is_one_rename_of_all_that_is_in_it() -> None:
    seen = picture(OLD, {**STONES, **NEW}, AGREED)
    (rename,) = found(seen)
    assert (rename.path, rename.source) == ("n", "d")
    assert (rename.entries.keys(), rename.buried) == (NEW.keys(), STONES)
    assert planned(seen) == path_by_path(seen) == (rename,)


def test_one_that_was_renamed_back_is_one_too() -> None:
    back = {name: gone(v(4, x=0, y=1), meta) for name, meta in NEW.items()}
    newer = {name: replace(meta, version=v(6, x=1, y=1)) for name, meta in NEW.items()}
    seen = picture({**OLD, **back}, {**STONES, **newer}, AGREED)
    assert [rename.path for rename in found(seen)] == ["n"]
    assert planned(seen) == path_by_path(seen)


@pytest.mark.parametrize(
    ("here", "offered"),
    [
        ({"n/z": file(v(5, x=1))}, {}),
        ({"d/z": file(v(5, x=1))}, {}),
        ({"d/a": file(v(7, me=1), "edited")}, {}),
        ({"d/a": replace(OLD[path("d/a")], digest="")}, {}),
        ({}, {"d/a": file(v(7, x=1, y=1), "edited")}),
        ({}, {"n/a": file(v(7, x=2), "edited", was="d/a")}),
        ({}, {"n/a": file(v(5, x=1), "one")}),
        ({}, {"n/a": gone(v(6, x=2), "one")}),
    ],
)
def test_where_anything_in_it_is_not_quite_so_it_is_not_renamed_as_a_whole(
    here: dict[str, Entry], offered: dict[str, Entry]
) -> None:
    there = {**STONES, **NEW, **{path(name): entry for name, entry in offered.items()}}
    seen = picture({**OLD, **{path(name): entry for name, entry in here.items()}}, there, AGREED)
    assert "n" not in [rename.path for rename in found(seen)]
    assert planned(seen) == path_by_path(seen)


def test_of_two_new_names_of_one_directory_one_is_taken() -> None:
    twice = {path(f"m{name[1:]}"): meta for name, meta in NEW.items()}
    seen = picture(OLD, {**STONES, **NEW, **twice}, AGREED)
    both = [*NAMES, *twice]
    assert [rename.path for rename, _ in whole_renames(both, seen, NOW.ignored)] == ["m"]
    assert planned(seen) == path_by_path(seen)


@given(entries, entries, agreed, st.booleans())
def test_the_plan_is_the_same_as_path_by_path_whatever_else_there_is(
    here: dict[RelPath, Entry], offered: dict[RelPath, Entry], synced: dict[RelPath, Version], is_agreed: bool
) -> None:
    seen = picture({**OLD, **here}, {**STONES, **NEW, **offered}, {**(AGREED if is_agreed else {}), **synced})
    assert planned(seen) == path_by_path(seen)


@given(entries, st.sets(st.sampled_from(NAMES), max_size=2))
def test_and_where_little_of_it_is_not_quite_so(other: dict[RelPath, Entry], missing: set[RelPath]) -> None:
    offered = {name: entry for name, entry in {**STONES, **NEW}.items() if name not in missing}
    for some in ({name: entry} for name, entry in other.items()):
        for here, there in ((some, {}), ({}, some)):
            seen = picture({**OLD, **here}, {**offered, **there}, AGREED)
            assert planned(seen) == path_by_path(seen)
