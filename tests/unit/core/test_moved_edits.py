"""Edited here, renamed there: the edit follows."""

from __future__ import annotations

from msgspec.structs import replace

from gsync.core.actions import Action, Bury, Fetch, MakeLink, Relocate, Relocated
from gsync.core.model import FileMeta, Offer, Tombstone
from gsync.core.versions import Order, compare_vectors
from tests.unit.core.planning import NOW, SOURCES, file, gone, link, offer, path, planned, v

BEFORE = v(5, a=1)
GRAVE = gone(v(6, a=2), "content", author="a")
NEW = file(v(5, a=1), "content", was="old")
EDIT = file(v(7, a=1, b=1), "edited")
STEP = v(7, a=1, me=1)


def the_edit(entry: FileMeta = EDIT) -> Offer:
    """The offer of the edit, as it is brought to the new name: it says from where it came."""
    offered = offer("old", entry)
    assert offered.record is not None
    return replace(offered, record=replace(offered.record, moved_from=path("old")))


def kinds(actions: tuple[Action, ...]) -> dict[str, str]:
    return {str(action.path): type(action).__name__ for action in actions}


def test_who_renamed_brings_the_edit_to_the_new_name() -> None:
    actions = planned(here={"old": GRAVE, "new": NEW}, offered={"old": EDIT, "new": NEW}, agreed=["new"])
    assert actions == (Fetch(path=path("new"), offer=the_edit(), expected=NEW, settles=STEP),)


def test_whichever_end_is_asked_about() -> None:
    for asked in ("old", "new"):
        actions = planned(here={"old": GRAVE, "new": NEW}, offered={"old": EDIT, "new": NEW}, asked=[asked])
        assert kinds(actions) == {"new": "Fetch"}


def test_who_knows_of_the_rename_but_has_nothing_yet_brings_the_edit_at_once() -> None:
    actions = planned(here={"old": GRAVE}, offered={"old": EDIT, "new": NEW})
    assert actions == (Fetch(path=path("new"), offer=the_edit(), settles=STEP),)


def test_once_it_is_there_the_old_name_is_buried_at_the_join() -> None:
    here = {"old": GRAVE, "new": replace(file(STEP, "edited", was="old"))}
    grave = Tombstone(version=v(7, a=2, b=1), digest=EDIT.digest, author="a")
    assert planned(here=here, offered={"old": EDIT}) == (Bury(path=path("old"), tombstone=grave),)


def test_who_edited_renames_with_the_edit() -> None:
    actions = planned(here={"old": EDIT}, offered={"old": GRAVE, "new": NEW})
    assert actions == (
        Relocate(
            path=path("new"),
            source=path("old"),
            entries={path("new"): Relocated(source=path("old"), expected=EDIT, version=STEP)},
            buried={path("old"): Tombstone(version=v(7, a=2, b=1), digest=EDIT.digest, author="a")},
        ),
    )


def test_a_link_follows_as_well() -> None:
    grave, new = gone(v(6, a=2), link(BEFORE), author="a"), link(v(5, a=1), was="old")
    edit = link(v(7, a=1, b=1), "elsewhere")
    (action,) = planned(here={"old": grave, "new": new}, offered={"old": edit, "new": new}, agreed=["new"])
    assert isinstance(action, MakeLink)
    assert (action.path, action.record.target, action.record.moved_from) == ("new", "elsewhere", "old")
    assert (action.version, action.expected) == (STEP, new)


def test_a_counter_of_the_old_name_is_none_of_the_new_one() -> None:
    """Else the edit would include what its author wrote under the new name, which whoever brings it has not seen."""
    (action,) = planned(here={"old": GRAVE, "new": NEW}, offered={"old": EDIT})
    assert isinstance(action, Fetch)
    assert compare_vectors(action.version, v(6, a=1, b=1)) is Order.CONCURRENT


def test_who_has_no_name_of_his_own_lets_the_edit_win_at_the_old_one() -> None:
    policy = replace(NOW, author="")
    assert kinds(planned(here={"old": GRAVE, "new": NEW}, offered={"old": EDIT}, policy=policy)) == {"old": "Fetch"}


def test_the_edit_wins_at_the_old_name_where_it_does_not_know_what_was_renamed() -> None:
    grave = gone(v(7, a=3), "content", author="a")  # edited once more by a before it was renamed
    assert kinds(planned(here={"old": grave, "new": NEW}, offered={"old": EDIT})) == {"old": "Fetch"}
    assert kinds(planned(here={"old": EDIT}, offered={"old": grave, "new": NEW})) == {"new": "Fetch"}


def test_what_was_renamed_to_the_old_name_is_no_edit_of_what_was_there() -> None:
    taken = file(v(7, a=1, b=1), "edited", was="elsewhere")
    assert kinds(planned(here={"old": GRAVE, "new": NEW}, offered={"old": taken})) == {"old": "Fetch"}
    assert kinds(planned(here={"old": taken}, offered={"old": GRAVE, "new": NEW})) == {"new": "Fetch"}


def test_the_edit_wins_at_the_old_name_where_its_author_has_written_under_the_new_one() -> None:
    new = file(v(6, a=1, b=1), "content", was="old")
    assert kinds(planned(here={"old": GRAVE, "new": new}, offered={"old": EDIT})) == {"old": "Fetch"}


def test_the_edit_wins_at_the_old_name_where_there_is_no_new_one() -> None:
    assert kinds(planned(here={"old": GRAVE}, offered={"old": EDIT})) == {"old": "Fetch"}
    two = {"new": NEW, "newer": NEW}
    assert kinds(planned(here={"old": GRAVE, **two}, offered={"old": EDIT})) == {"old": "Fetch"}


def test_the_edit_wins_at_the_old_name_where_the_new_one_was_edited_too() -> None:
    edited_there = file(v(8, a=2), "edited there", was="old")
    assert kinds(planned(here={"old": GRAVE, "new": edited_there}, offered={"old": EDIT})) == {"old": "Fetch"}
    no_more_a_rename = replace(edited_there, moved_from=None)
    assert kinds(planned(here={"old": GRAVE, "new": no_more_a_rename}, offered={"old": EDIT})) == {"old": "Fetch"}


def test_the_edit_wins_at_the_old_name_where_it_became_another_kind() -> None:
    edit = link(v(7, a=1, b=1))
    assert kinds(planned(here={"old": GRAVE, "new": NEW}, offered={"old": edit})) == {"old": "MakeLink"}


def test_a_newer_version_of_the_new_name_comes_first() -> None:
    newer = file(STEP, "edited", was="old")
    actions = planned(here={"old": GRAVE, "new": NEW}, offered={"old": EDIT, "new": newer})
    assert actions == (Fetch(path=path("new"), offer=offer("new", newer, sources=SOURCES), expected=NEW),)


def test_what_was_not_read_yet_goes_nowhere() -> None:
    actions = planned(here={"old": replace(EDIT, digest="")}, offered={"old": GRAVE, "new": NEW})
    assert kinds(actions) == {"new": "Fetch"}


def test_what_is_here_and_gone_at_one_version_comes_back_under_the_old_name_for_to_bury_it_would_end_nothing() -> None:
    both = v(7, a=2, b=1)
    here = {"old": gone(both, "edited", author="a"), "new": file(STEP, "edited", was="old")}
    offered = {"old": file(both, "edited"), "new": file(STEP, "edited", was="old")}
    actions = planned(here=here, offered=offered, asked=["old"])
    assert actions == (Fetch(path=path("old"), offer=offer("old", offered["old"]), grave=both),)
