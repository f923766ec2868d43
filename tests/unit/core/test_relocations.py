"""Renames elsewhere become renames here."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import pytest

from gsync.core.actions import Action, Relocate, Relocated
from gsync.core.model import Entry, FileMeta, Tombstone
from tests.unit.core.planning import directory, file, gone, link, path, planned, v


def kinds(actions: Iterable[Action]) -> dict[str, str]:
    return {str(action.path): type(action).__name__ for action in actions}


def renamed(tree: Mapping[str, FileMeta], old: str, new: str) -> dict[str, Entry]:
    """What is offered once somebody renamed `old`, with all that is in it."""
    offered: dict[str, Entry] = {}
    for name, entry in tree.items():
        target = new + name[len(old) :] if name == old or name.startswith(old + "/") else ""
        if target:
            made = {"directory": directory, "link": link}.get(entry.kind)
            moved = made(v(1, b=1), was=name) if made else file(v(9, b=1), was=name)
            offered |= {name: gone(v(8, a=1, b=1), entry), target: moved}
    return offered


A_FILE = {"old": file(v(5, a=1))}
TREE = {"d": directory(v(1, a=1)), "d/e": directory(v(1, a=1)), "d/e/f": file(v(5, a=1)), "d/l": link(v(5, a=1))}


def test_a_renamed_file_is_renamed_here() -> None:
    (action,) = planned(here=A_FILE, offered=renamed(A_FILE, "old", "new"), agreed=["old"])
    assert action == Relocate(
        path=path("new"),
        source=path("old"),
        entries={path("new"): Relocated(source=path("old"), expected=A_FILE["old"], version=v(9, b=1))},
        buried={path("old"): Tombstone(version=v(8, a=1, b=1), digest=A_FILE["old"].digest)},
    )


def test_a_renamed_directory_is_one_rename_with_all_that_is_in_it() -> None:
    actions = planned(here=TREE, offered=renamed(TREE, "d", "x/y"), agreed=TREE)
    (action,) = actions
    assert isinstance(action, Relocate)
    assert (action.path, action.source) == ("x/y", "d")
    assert {str(new): str(entry.source) for new, entry in action.entries.items()} == {
        "x/y": "d",
        "x/y/e": "d/e",
        "x/y/e/f": "d/e/f",
        "x/y/l": "d/l",
    }
    assert action.buried.keys() == TREE.keys()


def test_what_is_asked_of_it_brings_the_whole_rename() -> None:
    offered = renamed(TREE, "d", "x")
    assert planned(here=TREE, offered=offered, asked=["x/e/f"]) == planned(here=TREE, offered=offered)


def test_what_cannot_go_as_one_goes_entry_by_entry_whatever_of_it_was_asked_about() -> None:
    here = {**TREE, "d/mine": file(v(7, me=1), "mine")}
    offered = renamed(TREE, "d", "x")
    assert planned(here=here, offered=offered, asked=["x"]) == planned(here=here, offered=offered)


def test_what_came_into_the_directory_since_is_fetched_into_it() -> None:
    offered = {**renamed(TREE, "d", "x"), "x/more": file(v(9, b=1), "more")}
    assert kinds(planned(here=TREE, offered=offered)) == {"x": "Relocate", "x/more": "Fetch"}


def test_a_directory_with_an_edit_in_it_is_renamed_entry_by_entry() -> None:
    here = {**TREE, "d/l": link(v(6, a=2), "edited")}
    offered = renamed(TREE, "d", "x")
    actions = kinds(planned(here=here, offered={**offered, "d/l": here["d/l"]}))
    assert actions == {"d/l": "Adopt", "x": "MakeDirectory", "x/e": "Relocate", "x/l": "MakeLink"}


def test_a_directory_with_something_new_in_it_stays_for_that() -> None:
    here = {**TREE, "d/mine": file(v(7, me=1), "mine")}
    actions = kinds(planned(here=here, offered=renamed(TREE, "d", "x")))
    assert actions == {"x": "MakeDirectory", "x/e": "Relocate", "x/l": "Relocate"}


def test_where_something_stands_nothing_is_renamed_to() -> None:
    here = {**A_FILE, "new": file(v(3), "mine")}
    assert kinds(planned(here=here, offered=renamed(A_FILE, "old", "new"))) == {"new": "Fetch", "old": "Remove"}
    tree = {**TREE, "x/e/f": file(v(3), "mine")}
    actions = kinds(planned(here=tree, offered=renamed(TREE, "d", "x")))
    assert actions["x"] == "MakeDirectory"
    assert actions["x/e/f"] == "Fetch"


def test_what_is_not_at_the_old_place_any_more_is_fetched() -> None:
    assert kinds(planned(here={}, offered=renamed(A_FILE, "old", "new"))) == {"new": "Fetch", "old": "Bury"}


def test_another_content_mtime_or_exec_bit_is_no_plain_rename() -> None:
    for other in (
        file(v(9, b=1), "edited", was="old"),
        file(v(9, b=1), was="old", mtime_ns=6),
        file(v(9, b=1), was="old", mode=0o755),
    ):
        offered = {**renamed(A_FILE, "old", "new"), "new": other}
        assert kinds(planned(here=A_FILE, offered=offered)) == {"new": "Fetch", "old": "Remove"}


def test_one_file_renamed_twice_is_renamed_once_and_fetched_once() -> None:
    offered = {**renamed(A_FILE, "old", "new"), "newer": file(v(9, c=1), was="old")}
    assert kinds(planned(here=A_FILE, offered=offered)) == {"new": "Relocate", "newer": "Fetch"}


def test_a_copy_whose_original_still_stands_is_no_rename() -> None:
    offered: dict[str, Entry] = {"old": A_FILE["old"], "new": file(v(9, b=1), was="old")}
    assert kinds(planned(here=A_FILE, offered=offered, agreed=["old"])) == {"new": "Fetch"}


def test_a_record_that_names_its_own_inside_is_not_believed() -> None:
    for new in ("d/inner", "d"):
        offered = {"d": gone(v(2, a=2), TREE["d"]), new: directory(v(3, a=3), was="d")}
        assert "Relocate" not in kinds(planned(here={"d": TREE["d"]}, offered=offered)).values()


@pytest.mark.slow
def test_a_directory_of_ten_thousand_entries_is_one_rename_in_a_blink() -> None:
    tree = {"d": directory(v(1, a=1)), **{f"d/{n}": directory(v(1, a=1)) for n in range(100)}}
    tree |= {f"d/{n % 100}/f{n}": file(v(5, a=1)) for n in range(10_000)}
    offered = renamed(tree, "d", "x")
    began = time.process_time()
    (action,) = planned(here=tree, offered=offered)
    assert time.process_time() - began < 5  # 0.3 s on the machine that it was written on
    assert isinstance(action, Relocate)
    assert len(action.entries) == len(tree) == 10_101
