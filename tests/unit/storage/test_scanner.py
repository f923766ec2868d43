"""One look at the folder, and the files that only reading can judge."""

from __future__ import annotations

import pytest

from gsync.core.blocks import digest_of_bytes
from gsync.core.diff import Seen, diff
from gsync.core.model import FileMeta, Fingerprint, Kind
from gsync.core.names import RelPath
from gsync.core.versions import Version
from gsync.storage.filesystem import Skipped
from gsync.storage.memory import MemoryFolder
from gsync.storage.scanner import SETTLED_NS, Scan, look_at, may_hide_a_change, scan

A = RelPath.parse("a")
NOW_NS = 1_700_000_100 * 10**9


@pytest.fixture
def folder() -> MemoryFolder:
    return MemoryFolder(wall_clock=lambda: 1_700_000_000.0)


def shown(folder: MemoryFolder) -> Fingerprint:
    fingerprint = folder.fingerprint(A)
    assert fingerprint is not None
    return fingerprint


def known(folder: MemoryFolder, content: bytes = b"") -> dict[RelPath, FileMeta]:
    return {
        A: FileMeta(
            fingerprint=shown(folder),
            version=Version.from_mtime(5),
            digest=digest_of_bytes(content) if content else "",
        )
    }


def prints(found: Scan) -> dict[RelPath, Fingerprint]:
    return {path: one.fingerprint for path, one in found.files.items()}


def seen(found: Scan) -> dict[RelPath, Seen]:
    return {path: Seen(fingerprint=one.fingerprint) for path, one in found.files.items()}


def reads(folder: MemoryFolder) -> list[str]:
    calls: list[str] = []
    folder.on_call = calls.append
    return calls


def test_a_scan_shows_every_file_and_what_was_skipped(folder: MemoryFolder) -> None:
    folder.put("a", b"content")
    folder.obstruct("pipe", "a FIFO")
    found = scan(folder, {}, now_ns=NOW_NS)
    assert prints(found) == {A: shown(folder)}
    assert found.skipped == (Skipped(name="pipe", reason="a FIFO"),)


def test_nothing_is_read(folder: MemoryFolder) -> None:
    folder.put("a", b"content", mtime_ns=77)
    before = known(folder, b"content")
    folder.put("a", b"CONTENT", mtime_ns=77)
    calls = reads(folder)
    assert prints(scan(folder, before, now_ns=NOW_NS)) == {A: shown(folder)}
    assert "open" not in calls


@pytest.mark.parametrize(
    ("age_ns", "unsettled"),
    [(-SETTLED_NS, False), (1 - SETTLED_NS, True), (0, True), (SETTLED_NS - 1, True), (SETTLED_NS, False)],
)
def test_a_file_that_changed_within_the_last_tick_is_looked_at_again(
    folder: MemoryFolder, age_ns: int, unsettled: bool
) -> None:
    folder.put("a", b"content")
    found = scan(folder, {}, now_ns=shown(folder).ctime_ns + age_ns)
    assert (A in found.unsettled) == unsettled
    assert (A in found.files) != unsettled


def test_an_unsettled_file_is_shown_as_it_was_known(folder: MemoryFolder) -> None:
    folder.put("a", b"content")
    before = known(folder)
    folder.edit("a", b"edited")
    found = scan(folder, before, now_ns=shown(folder).ctime_ns)
    assert prints(found) == {A: before[A].fingerprint}
    assert not diff(before, seen(found), author="me", has_history=False).changed


def test_two_edits_within_one_tick_of_the_disk_are_not_taken_for_one(folder: MemoryFolder) -> None:
    folder.put("a", b"1st")
    first = shown(folder)
    early = scan(folder, {}, now_ns=first.ctime_ns + SETTLED_NS - 1)
    node = folder.disk.names["a"]
    node.content, node.mtime_ns, node.ctime_ns = b"2nd", first.mtime_ns, first.ctime_ns
    assert A not in early.files
    assert scan(folder, {}, now_ns=first.ctime_ns + SETTLED_NS).files[A].fingerprint == shown(folder)


def entry(folder: MemoryFolder, path: RelPath, *, digest: str = "") -> FileMeta:
    there = folder.look(path)
    assert there is not None
    return FileMeta(fingerprint=there.fingerprint, version=Version.from_mtime(5), digest=digest, target=there.target)


def tree(folder: MemoryFolder) -> dict[RelPath, FileMeta]:
    """All that stands in the folder, as it would be known."""
    return {path: entry(folder, path) for path in map(RelPath.parse, folder.tree())}


def test_a_scan_shows_directories_and_links_at_any_depth(folder: MemoryFolder) -> None:
    folder.put("a/b/file", b"x")
    folder.mkdir("a/empty")
    folder.link("a/link", "b/file")
    found = scan(folder, {}, now_ns=NOW_NS)
    assert {path: one.fingerprint.kind for path, one in found.files.items()} == {
        "a": Kind.DIRECTORY,
        "a/b": Kind.DIRECTORY,
        "a/b/file": Kind.FILE,
        "a/empty": Kind.DIRECTORY,
        "a/link": Kind.LINK,
    }
    assert found.files[RelPath.parse("a/link")].target == "b/file"


@pytest.mark.parametrize(
    ("ctime_ms", "until_ms", "may"),
    [
        (-10, 0, False),
        (-9, 0, True),
        (0, 0, True),
        (9, 0, True),
        (10, 0, False),
        (-10, 5000, False),
        (10, 5000, True),
        (4000, 5000, True),
        (5009, 5000, True),
        (5010, 5000, False),
    ],
    ids=[
        "a tick before the look",
        "within a tick",
        "at the look",
        "a little later",
        "from a clock that was set",
        "a tick before a long look",
        "just after a long look began",
        "in the midst of it",
        "at its end",
        "later than its end: from a clock that was set",
    ],
)
def test_what_changed_just_before_or_during_a_look_may_change_again(ctime_ms: int, until_ms: int, may: bool) -> None:
    clock_ns = None if not until_ms else lambda: NOW_NS + until_ms * 1_000_000
    assert may_hide_a_change(NOW_NS + ctime_ms * 1_000_000, now_ns=NOW_NS, clock_ns=clock_ns) == may


def test_a_file_that_is_saved_while_a_long_look_goes_on_is_shown_as_it_was_known(folder: MemoryFolder) -> None:
    folder.put("a", b"whole")
    before = {A: entry(folder, A)}
    folder.put("a", b"")
    ctime_ns = shown_at(folder, "a").ctime_ns
    began_ns, clock_ns = ctime_ns - 10**9, lambda: ctime_ns + 10**9
    for found in (
        scan(folder, before, now_ns=began_ns, clock_ns=clock_ns),
        look_at(folder, [A], before, now_ns=began_ns, clock_ns=clock_ns),
    ):
        assert found.unsettled == {A}
        assert found.files[A].fingerprint == before[A].fingerprint


def test_a_directory_is_never_unsettled_and_a_link_is(folder: MemoryFolder) -> None:
    folder.mkdir("d")
    folder.link("link", "d")
    now_ns = shown_at(folder, "link").ctime_ns
    found = scan(folder, {}, now_ns=now_ns)
    assert set(found.files) == {"d"}
    assert found.unsettled == {"link"}


def shown_at(folder: MemoryFolder, name: str) -> Fingerprint:
    fingerprint = folder.fingerprint(RelPath.parse(name))
    assert fingerprint is not None
    return fingerprint


def test_what_became_another_kind_is_not_read(folder: MemoryFolder) -> None:
    folder.put("a", b"1234", mtime_ns=77)
    before = known(folder, b"1234")
    folder.link("a", "4321")
    folder.disk.names["a"].mtime_ns = 77
    calls = reads(folder)
    found = scan(folder, before, now_ns=NOW_NS)
    assert "open" not in calls
    assert found.files[A].fingerprint.kind is Kind.LINK


def test_what_cannot_be_seen_is_shown_as_it_was_known(folder: MemoryFolder) -> None:
    for name in ("a/b/file", "a/other", "a2", "c/file", "secret"):
        folder.put(name, b"x")
    before = tree(folder)
    folder.hide("a")
    folder.hide("secret")
    folder.remove("c")
    found = scan(folder, before, now_ns=NOW_NS)
    assert found.hidden == {"a", "a/b", "a/b/file", "a/other", "secret"}
    assert {path: one.fingerprint for path, one in found.files.items()} == {
        path: before[path].fingerprint for path in (*found.hidden, RelPath.parse("a2"))
    }
    assert sorted(one.name for one in found.skipped) == ["a", "secret"]
    folder.show("a")
    folder.show("secret")
    assert scan(folder, before, now_ns=NOW_NS).hidden == frozenset()


def test_what_is_odd_has_taken_the_place_of_what_was_known(folder: MemoryFolder) -> None:
    folder.put("a", b"x")
    before = tree(folder)
    folder.obstruct("a", "a FIFO")
    found = scan(folder, before, now_ns=NOW_NS)
    assert (found.files, found.hidden) == ({}, frozenset())


def test_a_scan_leaves_out_what_it_is_told_to_skip(folder: MemoryFolder) -> None:
    folder.put("keep/file", b"x")
    folder.put("leave/file", b"x")
    found = scan(folder, {}, now_ns=NOW_NS, skip=lambda path, kind: path == "leave")
    assert set(found.files) == {"keep", "keep/file"}


def test_a_scan_beneath_a_path_shows_that_part(folder: MemoryFolder) -> None:
    folder.put("a/b/file", b"x")
    folder.put("other", b"x")
    assert set(scan(folder, {}, now_ns=NOW_NS, beneath=A).files) == {"a", "a/b", "a/b/file"}


def test_a_look_at_some_paths_shows_them_and_what_is_in_them(folder: MemoryFolder) -> None:
    for name in ("a/b/file", "c/d", "e", "f"):
        folder.put(name, b"x")
    folder.obstruct("pipe", "a FIFO")
    asked = [RelPath.parse(one) for one in ("a", "a/b/file", "a/b", "c", "e", "gone", "no/such", "e/beneath", "pipe")]
    found = look_at(folder, asked, {}, now_ns=NOW_NS)
    assert set(found.files) == {"a", "a/b", "a/b/file", "c", "c/d", "e"}
    assert [one.name for one in found.skipped] == ["pipe"]


def test_a_look_asks_the_disk_for_no_path_twice(folder: MemoryFolder) -> None:
    folder.put("a/b/file", b"x")
    calls = reads(folder)
    look_at(folder, [RelPath.parse("a/b/file"), A, A, RelPath.parse("a/b")], {}, now_ns=NOW_NS)
    assert calls == ["listing"]


def test_a_look_at_what_is_hidden_says_so(folder: MemoryFolder) -> None:
    folder.put("a/b/file", b"x")
    before = tree(folder)
    folder.hide("a")
    path = RelPath.parse("a/b")
    found = look_at(folder, [path], before, now_ns=NOW_NS)
    assert found.hidden == {"a/b", "a/b/file"}
    assert set(found.files) == found.hidden


def test_a_look_judges_as_a_scan_does(folder: MemoryFolder) -> None:
    folder.put("a", b"content", mtime_ns=77)
    before = known(folder, b"content")
    folder.put("a", b"CONTENT", mtime_ns=77)
    assert look_at(folder, [A], before, now_ns=NOW_NS) == scan(folder, before, now_ns=NOW_NS)
    assert look_at(folder, [A], {}, now_ns=shown(folder).ctime_ns).unsettled == {A}
    assert look_at(folder, [A], {}, now_ns=NOW_NS, skip=lambda path, kind: True).files == {}
