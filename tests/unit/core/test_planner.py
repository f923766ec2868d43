"""The planner's table, row by row, and what it decides across paths."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from gsync.core.actions import (
    Action,
    Adopt,
    Bury,
    Displaced,
    Fetch,
    MakeDirectory,
    MakeLink,
    Reassert,
    Remove,
)
from gsync.core.model import Entry, FileMeta, Kind, Record, Tombstone
from gsync.core.planner import Policy
from gsync.core.records import record_of
from tests.unit.core.planning import (
    ME,
    NOW,
    directory,
    file,
    gone,
    link,
    offer,
    path,
    planned,
    unread,
    v,
)

P = path("p")
SENDS_ONLY = Policy(now_s=NOW.now_s, author=ME, receives=False)


def fetch(theirs: Entry, here: FileMeta | None = None, displaced: Displaced = Displaced.TRASH, **joined: int) -> Fetch:
    mtime_s = joined.pop("mtime", 0)
    settles = v(mtime_s, **joined) if joined else None
    return Fetch(path=P, offer=offer("p", theirs), expected=here, displaced=displaced, settles=settles)


def adopt(theirs: FileMeta, here: FileMeta, **joined: int) -> Adopt:
    mtime_s = joined.pop("mtime", 0)
    version = v(mtime_s, **joined) if joined else theirs.version
    return Adopt(path=P, version=version, record=record_of(P, theirs), expected=here)


def bury(theirs: Tombstone, **joined: int) -> Bury:
    mtime_s = joined.pop("mtime", 0)
    return Bury(path=P, tombstone=replace(theirs, version=v(mtime_s, **joined)) if joined else theirs)


def remove(theirs: Tombstone, here: FileMeta) -> Remove:
    return Remove(path=P, expected=here, tombstone=theirs)


def make(theirs: FileMeta, here: FileMeta | None = None, displaced: Displaced = Displaced.TRASH) -> Action:
    record = record_of(P, theirs)
    if theirs.kind is Kind.LINK:
        return MakeLink(path=P, record=record, version=theirs.version, expected=here, displaced=displaced)
    return MakeDirectory(path=P, record=record, version=theirs.version, expected=here, displaced=displaced)


OURS = file(v(5, a=1))
EDITED = file(v(6, a=1, b=1), "edited")
OTHER = file(v(7, b=1), "other")


@pytest.mark.parametrize(
    ("here", "theirs", "expected"),
    [
        pytest.param(
            None, gone(v(5, a=1)), bury(gone(v(5, a=1))), id="nothing here: a deletion is remembered for others"
        ),
        pytest.param(None, OURS, fetch(OURS), id="nothing here: a file is fetched"),
        pytest.param(None, directory(v(1, a=1)), make(directory(v(1, a=1))), id="nothing here: a directory is made"),
        pytest.param(None, link(v(1, a=1)), make(link(v(1, a=1))), id="nothing here: a link is made"),
        pytest.param(gone(v(6, a=2)), gone(v(6, a=2)), None, id="deleted on both sides"),
        pytest.param(gone(v(6, a=2)), OURS, None, id="deleted here since: it does not come back"),
        pytest.param(
            gone(v(6, a=2)), gone(v(7, a=3)), bury(gone(v(7, a=3))), id="a later deletion of it takes the place of ours"
        ),
        pytest.param(
            gone(v(4, a=1)),
            EDITED,
            replace(fetch(EDITED), grave=v(4, a=1)),
            id="made again by someone who knew of the deletion",
        ),
        pytest.param(
            gone(v(6, a=2)), gone(v(7, b=1)), bury(gone(v(7, b=1)), a=2, b=1, mtime=7), id="two deletions are joined"
        ),
        pytest.param(gone(v(7, b=1)), gone(v(6, a=2)), None, id="two deletions and ours wins: the others join them"),
        pytest.param(
            gone(v(9, a=2)),
            OTHER,
            replace(fetch(OTHER, a=2, b=1, mtime=9), grave=v(9, a=2)),
            id="edit beats delete: fetched, at the join",
        ),
        pytest.param(unread(v(5, a=1)), EDITED, None, id="what was not read yet is not judged"),
        pytest.param(OURS, OURS, adopt(OURS, OURS), id="the same, and another has it: agreed"),
        pytest.param(EDITED, OURS, None, id="ours is newer: the others fetch it"),
        pytest.param(EDITED, gone(v(5, a=1)), None, id="ours is newer than the deletion"),
        pytest.param(
            file(v(5, a=1), "edited"), EDITED, adopt(EDITED, file(v(5, a=1), "edited")), id="the same content, newer"
        ),
        pytest.param(OURS, gone(v(6, a=2)), remove(gone(v(6, a=2)), OURS), id="deleted by one who had seen it"),
        pytest.param(
            file(v(5)),
            gone(v(6, a=1)),
            remove(gone(v(6, a=1)), file(v(5))),
            id="known by mtime, and it was this content",
        ),
        pytest.param(
            file(v(5), "other"),
            gone(v(6, a=1)),
            Reassert(path=P, version=v(7, a=1, me=1)),
            id="known by mtime, and it was another content: it stays",
        ),
        pytest.param(OURS, EDITED, fetch(EDITED, OURS), id="an edit by one who had seen ours"),
        pytest.param(
            file(v(5)),
            EDITED,
            fetch(EDITED, file(v(5)), Displaced.UNSEEN_TRASH),
            id="later, but who says that they saw ours",
        ),
        pytest.param(
            file(v(5, a=1)),
            file(v(9, a=1), "classic"),
            fetch(file(v(9, a=1), "classic"), file(v(5, a=1)), Displaced.UNSEEN_TRASH),
            id="a later classic edit that others took: a clock does not say that it saw ours",
        ),
        pytest.param(OURS, gone(v(9, b=1)), None, id="a deletion that did not know our edit: the others fetch it"),
        pytest.param(file(v(9, a=1)), OTHER, None, id="a conflict that ours wins: the others keep theirs as a copy"),
        pytest.param(
            OURS,
            OTHER,
            fetch(OTHER, OURS, Displaced.CONFLICT_COPY, a=1, b=1, mtime=7),
            id="a conflict that theirs wins: ours is kept as a conflict copy",
        ),
        pytest.param(
            OURS,
            file(v(7, b=1)),
            adopt(file(v(7, b=1)), OURS, a=1, b=1, mtime=7),
            id="the same made twice is no conflict",
        ),
        pytest.param(file(v(7, b=1)), OURS, None, id="the same made twice and ours wins: the others join"),
        pytest.param(
            directory(v(1, a=1)),
            directory(v(1, b=1)),
            adopt(directory(v(1, b=1)), directory(v(1, a=1)), a=1, b=1, mtime=1),
            id="directories unite",
        ),
        pytest.param(directory(v(1, a=1)), OTHER, None, id="a directory wins over a file"),
        pytest.param(
            OTHER,
            directory(v(1, a=1)),
            MakeDirectory(
                path=P,
                record=record_of(P, directory(v(1, a=1))),
                version=v(7, a=1, b=1),
                expected=OTHER,
                displaced=Displaced.CONFLICT_COPY,
            ),
            id="a file loses to a directory, and is kept",
        ),
        pytest.param(OURS, directory(v(6, a=2)), make(directory(v(6, a=2)), OURS), id="a file became a directory"),
        pytest.param(OURS, link(v(6, a=2)), make(link(v(6, a=2)), OURS), id="a file became a link"),
        pytest.param(link(v(5, a=1)), EDITED, fetch(EDITED, link(v(5, a=1))), id="a link became a file"),
        pytest.param(
            directory(v(5, a=1)),
            EDITED,
            remove(Tombstone(version=v(5, a=1), kind=Kind.DIRECTORY), directory(v(5, a=1))),
            id="an empty directory became a file: it goes first",
        ),
        pytest.param(
            file(v(5, a=1)),
            file(v(5, a=1), mtime_ns=4),
            adopt(file(v(5, a=1), mtime_ns=4), file(v(5, a=1))),
            id="only the mtime differs, and theirs stands",
        ),
        pytest.param(file(v(5, a=1), mtime_ns=4), file(v(5, a=1)), None, id="only the mtime differs, and ours stands"),
    ],
)
def test_the_table(here: Entry | None, theirs: Entry, expected: Action | None) -> None:
    got = planned(here={"p": here} if here else {}, offered={"p": theirs})
    assert got == ((expected,) if expected else ())


@pytest.mark.parametrize(
    ("here", "theirs", "expected"),
    [
        pytest.param(OURS, None, None, id="absence is not deletion"),
        pytest.param(OURS, OURS, None, id="the same everywhere"),
        pytest.param(
            file(v(5), "other"),
            gone(v(6, a=1)),
            remove(gone(v(6, a=1)), file(v(5), "other")),
            id="what was agreed may go",
        ),
        pytest.param(file(v(5)), EDITED, fetch(EDITED, file(v(5))), id="what was agreed may be displaced early"),
    ],
)
def test_what_was_agreed(here: FileMeta, theirs: Entry | None, expected: Action | None) -> None:
    got = planned(here={"p": here}, offered={"p": theirs} if theirs else {}, agreed=["p"])
    assert got == ((expected,) if expected else ())


def test_an_offer_that_nobody_else_has_agrees_nothing_but_is_fetched_all_the_same() -> None:
    assert not planned(here={"p": OURS}, offered={"p": offer("p", OURS, sources=())})
    assert planned(here={}, offered={"p": offer("p", OURS, sources=())})


def test_a_removed_directory_that_was_left_over_stays_left_over() -> None:
    left = Tombstone(version=v(1, a=1), kind=Kind.DIRECTORY, leftover_inode=7)
    (action,) = planned(here={"p": left}, offered={"p": replace(left, version=v(2, a=2), leftover_inode=0)})
    assert action == bury(replace(left, version=v(2, a=2)))


@pytest.mark.parametrize("name", ["notes.txt~", ".notes.txt.swp", ".#notes", "4913", "core.1234", "d/x~"])
def test_an_ignored_name_is_left_alone(name: str) -> None:
    assert not planned(here={}, offered={name: OURS})


def test_so_is_what_a_persons_rules_name() -> None:
    policy = replace(NOW, ignored=lambda path, kind: kind is Kind.DIRECTORY)
    assert not planned(here={}, offered={"p": directory(v(1, a=1))}, policy=policy)
    assert not planned(here={"p": OURS}, offered={"p": gone(v(9, a=9), directory(v(1, a=1)))}, policy=policy)
    assert planned(here={}, offered={"p": OURS, "d/x~": OURS}, policy=policy)


@pytest.mark.parametrize(
    ("here", "theirs"), [(None, OURS), (OURS, EDITED), (OURS, OTHER), (OURS, gone(v(6, a=2))), (None, gone(v(6, a=2)))]
)
def test_who_only_sends_takes_nothing(here: FileMeta | None, theirs: Entry) -> None:
    assert not planned(here={"p": here} if here else {}, offered={"p": theirs}, policy=SENDS_ONLY)


def test_who_only_sends_agrees_where_nothing_would_change_on_its_disk() -> None:
    newer = file(v(6, a=2))
    assert planned(here={"p": OURS}, offered={"p": newer}, policy=SENDS_ONLY) == (adopt(newer, OURS),)
    assert not planned(
        here={"p": OURS}, offered={"p": replace(newer, fingerprint=EDITED.fingerprint)}, policy=SENDS_ONLY
    ) or (EDITED.fingerprint.mtime_ns == OURS.fingerprint.mtime_ns)
    assert not planned(here={"p": OURS}, offered={"p": file(v(6, a=2), mode=0o755)}, policy=SENDS_ONLY)


def test_without_an_author_nothing_is_reasserted() -> None:
    policy = Policy(now_s=NOW.now_s)
    assert not planned(here={"p": file(v(5), "other")}, offered={"p": gone(v(6, a=1))}, policy=policy)


D = directory(v(1, a=1))
D_GONE = gone(v(2, a=2), D)


def kinds(actions: tuple[Action, ...]) -> dict[str, str]:
    return {str(action.path): type(action).__name__ for action in actions}


def test_a_directory_goes_with_all_that_is_in_it() -> None:
    here = {"d": D, "d/e": D, "d/e/f": OURS}
    offered = {"d": D_GONE, "d/e": D_GONE, "d/e/f": gone(v(6, a=2))}
    assert kinds(planned(here=here, offered=offered)) == {"d": "Remove", "d/e": "Remove", "d/e/f": "Remove"}


def test_a_directory_stays_while_something_in_it_stays() -> None:
    here = {"d": D, "d/e": D, "d/e/f": EDITED, "d/g": OURS}
    offered: dict[str, Entry] = {"d": D_GONE, "d/e": D_GONE, "d/e/f": gone(v(6, a=2)), "d/g": gone(v(6, a=2))}
    assert kinds(planned(here=here, offered=offered)) == {"d/g": "Remove"}


def test_a_directory_is_asked_about_again_with_what_was_in_it() -> None:
    offered: dict[str, Entry] = {"d": D_GONE, "d/e": D_GONE, "d/e/f": gone(v(6, a=2))}
    here: dict[str, Entry] = {"d": D, "d/e": D, "d/e/f": gone(v(6, a=2))}
    assert kinds(planned(here=here, offered=offered, asked=["d/e/f"])) == {"d": "Remove", "d/e": "Remove"}


def test_a_directory_that_became_a_file_waits_for_what_is_in_it() -> None:
    here = {"d": D, "d/f": OTHER}
    offered: dict[str, Entry] = {"d": file(v(6, a=2))}
    assert not planned(here=here, offered=offered)


def test_a_file_makes_room_for_a_directory_with_something_in_it() -> None:
    here = {"d": file(v(6, a=2))}
    room = MakeDirectory(
        path=path("d"),
        record=Record(path=path("d"), kind=Kind.DIRECTORY, version=v(7, a=2, me=1), author=ME),
        version=v(7, a=2, me=1),
        expected=here["d"],
        displaced=Displaced.CONFLICT_COPY,
    )
    actions = planned(here=here, offered={**here, "d/e/f": OTHER}, agreed=["d"], asked=["d/e/f"])
    assert actions[0] == room
    assert kinds(actions) == {"d": "MakeDirectory", "d/e/f": "Fetch"}


def test_a_file_that_becomes_a_directory_anyway_makes_no_room_of_its_own() -> None:
    offered: dict[str, Entry] = {"d": directory(v(6, a=2)), "d/f": OTHER}
    actions = planned(here={"d": OURS}, offered=offered)
    assert actions[0] == MakeDirectory(
        path=path("d"), record=record_of(path("d"), directory(v(6, a=2))), version=v(6, a=2), expected=OURS
    )
    assert len(actions) == 2


@pytest.mark.slow
def test_ten_thousand_paths_are_planned_in_a_blink() -> None:
    here = {path(f"d{n % 100}/f{n}"): file(v(5, a=1)) for n in range(10_000)}
    offered = {name: offer(name, file(v(6, a=1, b=1), "edited")) for name in here}
    began = time.process_time()
    assert len(planned(here=here, offered=offered)) == 10_000
    assert time.process_time() - began < 2  # 0.1 s on the machine that it was written on
