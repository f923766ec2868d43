"""A folder on demand: what a plan leaves out of what a mirrored folder would do, and what it never leaves out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from gsync.core.actions import Action, Bury, Fetch, MakeDirectory, Relocate, Remove
from gsync.core.demand import beside
from gsync.core.model import Entry, FileMeta, Offer
from gsync.core.names import RelPath
from gsync.core.planner import plan
from gsync.core.versions import Order, compare_vectors
from tests.unit.core.planning import NOW, SOURCES, directory, file, gone, link, offer, v

OLD, NEW = file(v(5, a=1)), file(v(6, a=2), "new")


def planned(
    here: Mapping[str, Entry], there: Mapping[str, Entry], *, wants: tuple[str, ...] = (), agreed: bool = True
) -> list[Action]:
    local = {RelPath(name): entry for name, entry in here.items() if isinstance(entry, FileMeta)}
    buried = {RelPath(name): entry for name, entry in here.items() if not isinstance(entry, FileMeta)}
    made = plan(
        {RelPath(name) for name in (*here, *there)},
        local=local,
        buried=buried,  # type: ignore[arg-type]
        remote={RelPath(name): offer(name, entry) for name, entry in there.items()},
        synced={path: entry.version for path, entry in local.items()} if agreed else {},
        policy=replace(NOW, wants={RelPath(name) for name in wants}.__contains__),
    )
    return list(made.actions)


@pytest.mark.parametrize("theirs", [OLD, directory(v(1, a=1)), link(v(1, a=1))])
def test_what_is_not_here_and_not_wanted_does_not_come(theirs: FileMeta) -> None:
    assert planned({}, {"a": theirs}) == []
    (action,) = planned({}, {"a": theirs}, wants=("a",))
    assert action.path == "a"


def test_what_is_wanted_comes_with_the_directories_above_it() -> None:
    actions = planned(
        {}, {"d": directory(v(1, a=1)), "d/e": directory(v(1, a=1)), "d/e/x": OLD, "d/y": OLD}, wants=("d/e/x",)
    )
    assert [(type(action), action.path) for action in actions] == [
        (MakeDirectory, "d"),
        (MakeDirectory, "d/e"),
        (Fetch, "d/e/x"),
    ]


def test_what_is_here_is_updated_and_deleted_as_anywhere() -> None:
    (fetch,) = planned({"a": OLD}, {"a": NEW})
    assert isinstance(fetch, Fetch)
    (remove,) = planned({"a": OLD}, {"a": gone(v(6, a=2))})
    assert isinstance(remove, Remove)


def test_a_deletion_of_what_is_not_here_is_remembered() -> None:
    (bury,) = planned({}, {"a": gone(v(6, a=2))})
    assert isinstance(bury, Bury)


def test_what_was_renamed_elsewhere_is_renamed_here() -> None:
    here = {"old": OLD}
    there = {"old": gone(v(6, a=2), OLD), "new": replace(file(v(1, a=1), was="old"), digest=OLD.digest)}
    (action,) = planned(here, there)
    assert isinstance(action, Relocate)
    assert (action.source, action.path) == ("old", "new")


def test_what_was_deleted_here_and_edited_elsewhere_comes_back() -> None:
    (action,) = planned({"a": gone(v(6, a=1, me=1))}, {"a": file(v(7, a=2), "edited")})
    assert isinstance(action, Fetch)
    assert planned({"a": gone(v(6, a=1, me=1))}, {"a": file(v(7, a=2, me=1), "made anew")}) == []


def test_what_classic_peers_made_after_a_deletion_here_comes_back() -> None:
    path, grave = RelPath("a"), gone(v(6, a=1, me=1))
    for buried in ({path: grave}, {}):
        made = plan(
            [path],
            local={},
            buried=buried,
            remote={path: Offer(version=v(9), sources=SOURCES)},
            synced={},
            policy=replace(NOW, wants=frozenset[RelPath]().__contains__),
        )
        assert [type(action) for action in made.actions] == ([Fetch] if buried else [])


def test_a_directory_that_was_deleted_here_comes_back_while_others_have_something_in_it() -> None:
    grave = gone(v(2, a=1, me=1), directory(v(1, a=1)), author="me")
    (action,) = planned({"d": grave}, {"d": grave, "d/x": OLD})
    assert isinstance(action, MakeDirectory)
    assert compare_vectors(action.version, grave.version) is Order.NEWER
    assert action.grave == grave.version  # else nobody would carry it out
    assert planned({"d": grave}, {"d": grave, "d/x": gone(v(6, a=2))})[0].path == "d/x"
    link_once = gone(v(2, a=1, me=1), link(v(1, a=1)), author="me")
    assert [type(action) for action in planned({"d": link_once}, {"d": link_once, "d/x": OLD})] == [MakeDirectory]


def test_a_directory_that_another_deleted_stays_away_whatever_was_not_heard_of_what_was_in_it() -> None:
    grave = gone(v(2, a=2), directory(v(1, a=1)), author="a")
    assert planned({"d": grave}, {"d": grave, "d/x": OLD}) == []


def test_what_is_wanted_waits_while_its_author_is_known_to_have_deleted_a_directory_above_it() -> None:
    grave, his = gone(v(2, a=2), directory(v(1, a=1)), author="a"), replace(OLD, author="a")
    assert planned({"d": grave}, {"d": grave, "d/x": his}, wants=("d/x",)) == []
    assert [action.path for action in planned({}, {"d": grave, "d/x": his}, wants=("d/x",))] == ["d"]  # buried
    (fetch,) = planned({"d": grave}, {"d": grave, "d/x": replace(OLD, author="b")}, wants=("d/x",))
    assert isinstance(fetch, Fetch)
    again = directory(v(3, a=3))
    assert [action.path for action in planned({"d": grave}, {"d": again, "d/x": his}, wants=("d", "d/x"))] == [
        "d",
        "d/x",
    ]


def test_a_file_makes_room_for_what_others_have_in_a_directory_of_its_name() -> None:
    (action,) = planned({"d": file(v(9, me=1), "mine")}, {"d/x": OLD}, agreed=False)
    assert isinstance(action, MakeDirectory)
    assert action.expected is not None


@pytest.mark.parametrize("other", [v(9, a=3), v(9, me=3), v(9), v(9, a=1, me=7)])
@pytest.mark.parametrize("seconds", [1, 9, 10**9])
def test_what_is_made_beside_something_is_neither_newer_nor_older(other: object, seconds: int) -> None:
    made = beside(other, "me", seconds)  # type: ignore[arg-type]
    assert compare_vectors(made, other) is Order.CONCURRENT  # type: ignore[arg-type]
