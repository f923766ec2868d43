"""Why a folder may differ from the others': the nearest cause first."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gsync.core.status import Pending, behind

NOTHING = Pending(tracker_is_up=True, same_directory=True)

IN_ORDER = [
    (
        {"has_tracker": True, "tracker_is_up": False},
        "the tracker does not answer, so nobody knows what the others have",
    ),
    ({"has_tracker": True, "has_heard": False}, "the tracker has not told yet what the others have"),
    ({"held": 412}, "412 deletions held back until `gsync release`"),
    ({"paused": True}, "paused until `gsync resume`"),
    ({"to_look_at": 1}, "1 name to look at"),
    ({"to_hash": 2}, "2 names to read whole"),
    ({"to_fetch": 3}, "3 names to fetch"),
    ({"to_publish": 1}, "1 name on the way into the folder"),
    ({"to_announce": 1}, "1 name to announce"),
    (
        {"refused": 1, "refusal": "'a': it is from the future"},
        "1 version of others not taken ('a': it is from the future); see all: `gsync ls --state=stale`",
    ),
    ({"unusable": 1, "refusal": "'..': no name"}, "1 name of others that no file here may have ('..': no name)"),
    ({"kept_back": 2}, "2 edits here that a receive-only peer tells nobody"),
    ({"untold": 2}, "2 names here of which a classic tracker can tell nobody"),
    ({"has_tracker": False}, "without a tracker nobody knows what the others have"),
    ({"same_directory": False}, "the tracker's directory differs from this folder"),
]


def test_nothing_pending_is_no_reason() -> None:
    assert NOTHING.reason == ""
    assert replace(NOTHING, same_directory=None).reason == ""


@pytest.mark.parametrize(("change", "reason"), IN_ORDER, ids=lambda value: value if isinstance(value, str) else "")
def test_each_cause_is_told_in_words(change: dict[str, object], reason: str) -> None:
    assert replace(NOTHING, **change).reason == reason  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"refused": 1}, {"unusable": 1}, {"kept_back": 1}, {"untold": 1}, {"has_tracker": False}], ids=str
)
def test_what_no_waiting_mends_is_stuck_once_nothing_else_goes_on(change: dict[str, int]) -> None:
    assert replace(NOTHING, **change).is_stuck  # type: ignore[arg-type]
    assert not replace(NOTHING, **change, to_fetch=1).is_stuck  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{}, {"held": 1}, {"paused": True}, {"to_fetch": 1}, {"same_directory": False}], ids=str
)
def test_all_else_is_worth_waiting_for(change: dict[str, object]) -> None:
    assert not replace(NOTHING, **change).is_stuck  # type: ignore[arg-type]


def test_the_nearest_cause_is_told_first() -> None:
    everything = NOTHING
    for change, reason in reversed(IN_ORDER):
        everything = replace(everything, **{"refusal": "", **change})  # type: ignore[arg-type]
        assert everything.reason == reason


@pytest.mark.parametrize(
    ("laggard", "leaves_something_out", "is_stuck", "reason"),
    [
        ("ben", False, False, "ben does not have all of it, or has something else"),
        ("ben", True, False, "ben does not have all of it, or has something else"),
        ("", False, False, "the tracker did not know yet of all that is here"),
        ("", True, True, "not all that others have is taken here: by this peer's role, or its rules"),
    ],
)
def test_to_wait_is_of_no_use_only_where_this_peer_leaves_something_out(
    laggard: str, leaves_something_out: bool, is_stuck: bool, reason: str
) -> None:
    said = behind(laggard, leaves_something_out=leaves_something_out)
    assert (said.settled, said.stuck) == (False, is_stuck)
    assert said.reason.startswith(reason)
