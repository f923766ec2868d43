"""Why a path is as it is, in words that a person understands."""

from __future__ import annotations

import pytest
from msgspec.structs import fields

from gsync.core import actions
from gsync.core.actions import Action, Displaced
from gsync.core.explanation import Explanation, explain, planned
from gsync.core.model import FileMeta, Fingerprint, Kind, Offer, Record, Source, Tombstone
from gsync.core.names import Endpoint, RelPath
from gsync.core.status import State
from gsync.core.versions import Version
from tests.unit.core.test_view import BEN, OLD, V1, V2, V2B, P, meta, offer, view

RECORD = Record(path=P, kind=Kind.LINK, version=V2, target="there")
TOMB = Tombstone(version=V2)


def told(seen: object, action: Action | None = None, **more: str) -> Explanation:
    explanation = explain(P, seen, action=action, **more)  # type: ignore[arg-type]
    assert explanation is not None
    return explanation


def test_a_file_that_is_the_same_everywhere() -> None:
    assert told(view(meta(), offer(V1, BEN), V1)) == Explanation(
        path=P,
        state=State.SYNCED,
        here="a file of 5 bytes from 1970-01-01 00:00:00 UTC, b3:11, version aaaaaaaa:1",
        elsewhere="a file of 5 bytes from 1970-01-01 00:00:00 UTC, b3:11, version aaaaaaaa:1, at 192.0.2.20:4001",
        agreed="version aaaaaaaa:1",
        plan="nothing is to be done here",
    )


def test_an_edit_that_lost() -> None:
    action = actions.Fetch(
        path=P, offer=offer(V2B, BEN), expected=meta(V2), displaced=Displaced.CONFLICT_COPY, settles=V2B
    )
    why = told(view(meta(V2), offer(V2B, BEN), V1), action, waiting="no source answers", failure="connection refused")
    assert why.plan == (
        "fetch the version aaaaaaaa:1 bbbbbbbb:1; "
        "what stands here was edited, too, and is kept beside it as a conflict copy"
    )
    assert (why.agreed, why.waiting) == ("version aaaaaaaa:1; edited here since", "no source answers")
    assert why.failure == "connection refused"


def test_what_is_only_elsewhere() -> None:
    many = [Source(endpoint=Endpoint("192.0.2.9", port)) for port in range(2001, 2007)]
    why = told(view(None, Offer(version=Version.from_mtime(50), sources=tuple(many))))
    assert (why.here, why.agreed) == ("nothing", "nothing yet")
    assert why.elsewhere.startswith("version @50 (of classic peers: its mtime alone is known), at 192.0.2.9:2001, ")
    assert why.elsewhere.endswith(" and 2 more")
    assert told(view(None, offer(V1))).elsewhere.endswith("but nobody who has it can be reached now")


def test_a_deletion() -> None:
    buried = Tombstone(version=V2, kind=Kind.DIRECTORY, author="a" * 16, leftover_inode=4)
    why = told(view(None, offer(V2, deleted=True), None, buried))
    assert why.deleted == (
        "a directory was deleted, version aaaaaaaa:2 by aaaaaaaa; things that are not synced keep the directory here"
    )
    assert why.elsewhere == "deleted, version aaaaaaaa:2"


def test_a_deletion_that_is_held_back() -> None:
    why = told(view(None, offer(V1, OLD), V1, held={P}), waiting="no source answers")
    assert (why.state, why.deleted) == (State.HELD, "it vanished together with many others")
    assert why.waiting == "held back until `gsync release`"


def test_a_name_that_a_rule_leaves_alone_even_where_nothing_is() -> None:
    why = told(view(ignored_by=lambda *_: "*.txt in .gsyncignore"))
    assert (why.state, why.ignored_by, why.plan) == (State.IGNORED, "*.txt in .gsyncignore", "")
    assert why.here == "not looked at"  # it may well stand there


def test_a_name_that_nobody_knows_has_no_explanation() -> None:
    assert explain(P, view(), action=None) is None


def test_what_a_disk_says_of_time_is_shown_whatever_it_is() -> None:
    print_ = Fingerprint(size=1, mtime_ns=10**30, ctime_ns=1, inode=1, mode=0o644)
    assert "second 1000000000000000000000" in told(view(FileMeta(fingerprint=print_, version=V1))).here


def test_of_a_link_elsewhere_nobody_is_told_to_have_it() -> None:
    why = told(view(None, Offer(version=V2, sources=(), record=RECORD)))
    assert why.elsewhere == "a link to 'there', version aaaaaaaa:2, as the tracker tells"


def test_links_and_unread_files_and_renames_are_told() -> None:
    print_ = Fingerprint(size=1, mtime_ns=0, ctime_ns=1, inode=1, mode=0o777, kind=Kind.LINK)
    link = FileMeta(fingerprint=print_, version=V1, target="a\nb", moved_from=RelPath.parse("old.txt"))
    assert told(view(link)).here == "a link to 'a\\nb', version aaaaaaaa:1, renamed from 'old.txt'"
    assert "not read whole yet" in told(view(meta(digest=""))).here


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (None, "nothing is to be done here"),
        (actions.Fetch(path=P, offer=offer(V2, BEN)), "fetch the version aaaaaaaa:2"),
        (
            actions.Fetch(path=P, offer=offer(V2, BEN), expected=meta(), displaced=Displaced.UNSEEN_TRASH),
            "fetch the version aaaaaaaa:2; what stands here was never agreed with anybody, and goes to the trash "
            "for the full time",
        ),
        (
            actions.MakeDirectory(path=P, record=RECORD, version=V2, expected=meta()),
            "make a directory; what stands here goes to the trash",
        ),
        (actions.MakeLink(path=P, record=RECORD, version=V2), "make a link to 'there'"),
        (
            actions.Remove(path=P, expected=meta(), tombstone=TOMB),
            "move it to the trash: it was deleted elsewhere",
        ),
        (
            actions.Remove(path=P, expected=meta(kind=Kind.DIRECTORY), tombstone=TOMB),
            "remove the directory, once nothing is left in it: it was deleted elsewhere",
        ),
        (actions.Bury(path=P, tombstone=TOMB), "remember the deletion, to tell others of it"),
        (actions.Adopt(path=P, version=V2), "note that both sides have the same already"),
        (
            actions.Reassert(path=P, version=V2),
            "keep it, and tell the others so: whoever deleted it had not seen this version",
        ),
        (
            actions.Relocate(path=P, source=RelPath.parse("old"), entries={}),
            "rename it from 'old', as was done elsewhere",
        ),
        (
            actions.Refuse(path=P, version=V2, reason="its mtime is 3600 s ahead"),
            "leave the others' version alone: its mtime is 3600 s ahead",
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_each_action_is_told_in_words(action: Action | None, words: str) -> None:
    assert planned(action) == words


def test_every_field_is_a_sentence() -> None:
    assert {field.type for field in fields(Explanation)} == {RelPath, State, str}
