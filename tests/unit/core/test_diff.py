"""What a scan means: row by row of the table in core/diff.py."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gsync.core.blocks import digest_of_bytes
from gsync.core.diff import Changes, Seen, diff, disk_seconds
from gsync.core.model import BuriedTree, FileMeta, Fingerprint, Kind, LocalTree, Tombstone
from gsync.core.names import RelPath
from gsync.core.versions import MTIME_MAX, Order, Version, compare_vectors

A = RelPath.parse("a")
B = RelPath.parse("b")
D = RelPath.parse("d")
ME = "00112233aabbccdd"
SECOND = 10**9
D1, D2 = "b3:" + "1" * 64, "b3:" + "2" * 64
PRINT = Fingerprint(size=5, mtime_ns=1000 * SECOND + 7, ctime_ns=1000 * SECOND + 7, inode=1, mode=0o644)
KNOWN = FileMeta(
    fingerprint=PRINT,
    version=Version.from_vector({"other": 2, "mtime": 1000}),
    digest=D1,
    author="other",
    moved_from=RelPath.parse("before"),
)
DIRECTORY = replace(KNOWN, fingerprint=replace(PRINT, kind=Kind.DIRECTORY, mode=0o755), digest="")
LINK = replace(
    KNOWN, fingerprint=replace(PRINT, kind=Kind.LINK, mode=0o777), target="there", digest=digest_of_bytes(b"there")
)
EDITED = KNOWN.version.edited_by(ME, 1000)
NEW = Version.from_mtime(0).edited_by(ME, 1000)
BURIED = Tombstone(version=Version.from_vector({"other": 3, "mtime": 1500}), digest=D1, author="other")


def seen(shown: Fingerprint | FileMeta, **also: str) -> Seen:
    if isinstance(shown, FileMeta):
        return Seen(fingerprint=shown.fingerprint, target=shown.target, **also)
    return Seen(fingerprint=shown, **also)


def look(
    known: LocalTree,
    found: Mapping[RelPath, Seen],
    *,
    buried: BuriedTree | None = None,
    moved: Mapping[RelPath, RelPath] | None = None,
    has_history: bool = True,
    rewritten: frozenset[RelPath] = frozenset(),
) -> Changes:
    return diff(
        known,
        found,
        author=ME,
        buried=buried or {},
        moved=moved or {},
        has_history=has_history,
        rewritten=rewritten,
    )


NOTHING = Changes(changed={})


@pytest.mark.parametrize("entry", [KNOWN, DIRECTORY, LINK, replace(KNOWN, digest="")])
def test_what_is_untouched_is_no_change(entry: FileMeta) -> None:
    assert look({A: entry}, {A: seen(replace(entry, fingerprint=replace(entry.fingerprint)))}) == NOTHING


@pytest.mark.parametrize("touched", [{"ctime_ns": 9}, {"inode": 9}, {"mode": 0o600}, {"ctime_ns": 9, "inode": 9}])
def test_a_touched_restored_or_copied_file_keeps_its_version_and_all_else(touched: dict[str, int]) -> None:
    now = replace(PRINT, **touched)
    assert look({A: KNOWN}, {A: seen(now)}).changed == {A: replace(KNOWN, fingerprint=now)}


@pytest.mark.parametrize("edited", [{"size": 6}, {"mtime_ns": PRINT.mtime_ns + 1}, {"mtime_ns": PRINT.mtime_ns - 1}])
def test_another_size_or_mtime_is_one_more_edit_by_us(edited: dict[str, int]) -> None:
    now = replace(PRINT, **edited)
    assert look({A: KNOWN}, {A: seen(now)}).changed == {A: FileMeta(fingerprint=now, version=EDITED, author=ME)}


def test_the_exec_bit_is_an_edit_that_keeps_the_content() -> None:
    now = replace(PRINT, mode=0o744)
    expected = FileMeta(fingerprint=now, version=EDITED, digest=D1, author=ME)
    assert look({A: KNOWN}, {A: seen(now)}).changed == {A: expected}


def test_a_later_mtime_of_the_same_content_is_an_edit_with_the_same_digest() -> None:
    now = replace(PRINT, mtime_ns=2000 * SECOND)
    meta = look({A: KNOWN}, {A: seen(now, digest=D1)}).changed[A]
    assert (meta.digest, meta.version) == (D1, KNOWN.version.edited_by(ME, 2000))


def test_a_rewritten_file_is_an_edit_although_its_fingerprint_says_nothing() -> None:
    meta = look({A: KNOWN}, {A: seen(PRINT)}, rewritten=frozenset({A})).changed[A]
    assert (meta.version, meta.digest) == (EDITED, "")


def test_another_digest_is_an_edit_although_the_fingerprint_says_nothing() -> None:
    assert look({A: KNOWN}, {A: seen(PRINT, digest=D2)}).changed[A] == FileMeta(
        fingerprint=PRINT, version=EDITED, digest=D2, author=ME
    )


def test_a_digest_is_learnt_without_a_step_of_the_version() -> None:
    unread = replace(KNOWN, digest="")
    assert look({A: unread}, {A: seen(PRINT, digest=D1)}).changed == {A: KNOWN}


def test_the_times_and_size_of_a_directory_say_nothing() -> None:
    now = replace(DIRECTORY.fingerprint, size=9, mtime_ns=9, ctime_ns=9, mode=0o700)
    assert look({D: DIRECTORY}, {D: seen(now)}) == NOTHING


def test_another_inode_of_a_directory_is_remembered() -> None:
    now = replace(DIRECTORY.fingerprint, inode=9)
    assert look({D: DIRECTORY}, {D: seen(now)}).changed == {D: replace(DIRECTORY, fingerprint=now)}


def test_a_link_is_edited_only_by_another_target() -> None:
    now = replace(LINK.fingerprint, mtime_ns=9, inode=9)
    assert look({A: LINK}, {A: seen(now, target="there")}).changed == {A: replace(LINK, fingerprint=now)}
    meta = look({A: LINK}, {A: seen(now, target="elsewhere")}).changed[A]
    assert (meta.version, meta.target, meta.digest) == (
        LINK.version.edited_by(ME, 0),
        "elsewhere",
        digest_of_bytes(b"elsewhere"),
    )


@pytest.mark.parametrize(("before", "after"), [(KNOWN, DIRECTORY), (DIRECTORY, LINK), (LINK, KNOWN)])
def test_another_kind_is_an_edit(before: FileMeta, after: FileMeta) -> None:
    meta = look({A: before}, {A: seen(after)}).changed[A]
    assert (meta.kind, meta.version, meta.author) == (
        after.kind,
        before.version.edited_by(ME, disk_seconds(after.fingerprint)),
        ME,
    )


def test_without_history_an_unknown_file_is_known_by_its_mtime_rounded_down() -> None:
    expected = FileMeta(fingerprint=PRINT, version=Version.from_mtime(1000))
    assert look({}, {A: seen(PRINT)}, has_history=False).changed == {A: expected}


def test_without_history_a_directory_is_as_old_as_can_be() -> None:
    """So nothing depends on a time that changes with each name in it."""
    assert look({}, {D: seen(DIRECTORY)}, has_history=False).changed[D].version == Version.from_mtime(0)


def test_with_history_an_unknown_file_is_a_first_edit() -> None:
    expected = FileMeta(fingerprint=PRINT, version=NEW, digest=D1, author=ME)
    assert look({}, {A: seen(PRINT, digest=D1)}).changed == {A: expected}
    assert NEW.vector() == {ME: 1, "mtime": 1000}


@pytest.mark.parametrize("has_history", [True, False])
def test_what_comes_back_is_one_more_edit_of_its_deletion(*, has_history: bool) -> None:
    meta = look({}, {A: seen(PRINT)}, buried={A: BURIED}, has_history=has_history).changed[A]
    assert meta.version == BURIED.version.edited_by(ME, 1000)
    assert compare_vectors(meta.version, BURIED.version) is Order.NEWER


@pytest.mark.parametrize("entry", [KNOWN, DIRECTORY, LINK])
def test_what_is_not_there_any_more_leaves_a_tombstone_that_keeps_what_it_was(entry: FileMeta) -> None:
    changes = look({A: entry, B: KNOWN}, {B: seen(PRINT)})
    tombstone = Tombstone(version=entry.version.edited_by(ME, 0), kind=entry.kind, digest=entry.digest, author=ME)
    assert changes == Changes(changed={}, buried={A: tombstone})
    assert changes.gone == {A}


def test_what_was_renamed_keeps_its_digest_and_says_where_it_was() -> None:
    changes = look({A: KNOWN}, {B: seen(PRINT)}, moved={B: A})
    assert changes.changed == {B: FileMeta(fingerprint=PRINT, version=NEW, digest=D1, author=ME, moved_from=A)}
    assert changes.gone == {A}


def test_a_rename_to_where_something_was_deleted_is_newer_than_that_deletion() -> None:
    meta = look({A: KNOWN}, {B: seen(PRINT)}, moved={B: A}, buried={B: BURIED}).changed[B]
    assert meta.version == BURIED.version.edited_by(ME, 1000)


def test_what_was_renamed_over_a_known_name_is_an_edit_of_that_with_the_digest_it_had() -> None:
    """Also where size and mtime are the same, so that the fingerprint alone would say: restored."""
    other = replace(KNOWN, fingerprint=replace(PRINT, inode=2), digest=D2)
    changes = look({A: KNOWN, B: other}, {A: seen(other)}, moved={A: B})
    assert changes.changed == {
        A: FileMeta(fingerprint=other.fingerprint, version=EDITED, digest=D2, author=ME, moved_from=B)
    }
    assert changes.gone == {B}


def test_the_same_content_renamed_over_itself_is_no_edit() -> None:
    other = replace(KNOWN, fingerprint=replace(PRINT, inode=2))
    changes = look({A: KNOWN, B: other}, {A: seen(other)}, moved={A: B})
    assert changes.changed == {A: replace(KNOWN, fingerprint=other.fingerprint)}


LEFT_OVER = Tombstone(version=BURIED.version, kind=Kind.DIRECTORY, leftover_inode=1)


def test_a_removed_directory_that_still_holds_what_is_not_synced_stays_deleted() -> None:
    assert look({}, {D: seen(DIRECTORY)}, buried={D: LEFT_OVER}) == NOTHING


def test_so_does_one_whose_only_other_content_is_another_one() -> None:
    inner = RelPath.parse("d/inner")
    found = {D: seen(DIRECTORY), inner: seen(replace(DIRECTORY.fingerprint, inode=2))}
    assert look({}, found, buried={D: LEFT_OVER, inner: replace(LEFT_OVER, leftover_inode=2)}) == NOTHING


def test_it_comes_back_with_what_is_synced_in_it() -> None:
    inner = RelPath.parse("d/inner")
    deep = RelPath.parse("d/inner/file")
    found = {D: seen(DIRECTORY), inner: seen(replace(DIRECTORY.fingerprint, inode=2)), deep: seen(PRINT)}
    changes = look({}, found, buried={D: LEFT_OVER, inner: replace(LEFT_OVER, leftover_inode=2)})
    assert changes.changed.keys() == {D, inner, deep}
    assert changes.changed[D].version == BURIED.version.edited_by(ME, 0)


@pytest.mark.parametrize(
    "now", [seen(replace(DIRECTORY.fingerprint, inode=2)), seen(PRINT)], ids=["another directory", "a file"]
)
def test_anything_else_in_its_place_is_new(now: Seen) -> None:
    assert look({}, {D: now}, buried={D: LEFT_OVER}).changed.keys() == {D}


@pytest.mark.parametrize(
    ("mtime_ns", "seconds"),
    [
        (-1, 0),
        (0, 0),
        (SECOND - 1, 0),
        (SECOND, 1),
        (MTIME_MAX * SECOND - 1, MTIME_MAX - 1),
        (MTIME_MAX * SECOND, MTIME_MAX),
        ((MTIME_MAX + 1) * SECOND, MTIME_MAX),
        (2**80, MTIME_MAX),
    ],
)
def test_an_mtime_that_cannot_be_announced_is_moved_into_range(mtime_ns: int, seconds: int) -> None:
    assert disk_seconds(replace(PRINT, mtime_ns=mtime_ns)) == seconds


def test_changes_can_leave_paths_out() -> None:
    changes = look({A: KNOWN}, {B: seen(PRINT)})
    assert changes.without({A, B}) == NOTHING
    assert changes.without(set()) == changes


prints = st.builds(
    Fingerprint,
    size=st.integers(0, 2),
    mtime_ns=st.integers(-2, 2).map(lambda n: n * SECOND // 2),
    ctime_ns=st.integers(0, 2),
    inode=st.integers(1, 3),
    mode=st.sampled_from([0o600, 0o644, 0o755]),
    kind=st.sampled_from(Kind),
)
paths = st.sampled_from([RelPath.parse(name) for name in ("a", "b", "d", "d/a", "d/b")])
metas = st.builds(FileMeta, fingerprint=prints, version=st.integers(0, 3).map(Version.from_mtime))
sights = st.builds(Seen, fingerprint=prints, digest=st.sampled_from(["", D1, D2]))
tombstones = st.builds(
    Tombstone,
    version=st.integers(0, 3).map(Version.from_mtime),
    kind=st.sampled_from(Kind),
    leftover_inode=st.integers(0, 3),
)
trees = st.dictionaries(paths, metas)
graves = st.dictionaries(paths, tombstones)


def learnt(
    known: LocalTree, buried: BuriedTree, changes: Changes
) -> tuple[dict[RelPath, FileMeta], dict[RelPath, Tombstone]]:
    """What an index that took `changes` over knows."""
    local = {path: meta for path, meta in {**known, **changes.changed}.items() if path not in changes.gone}
    return local, {path: entry for path, entry in {**buried, **changes.buried}.items() if path not in local}


@given(known=trees, graves=graves, found=st.dictionaries(paths, sights), has_history=st.booleans())
def test_what_was_learnt_is_not_learnt_again(
    known: LocalTree, graves: BuriedTree, found: Mapping[RelPath, Seen], *, has_history: bool
) -> None:
    buried = {path: tombstone for path, tombstone in graves.items() if path not in known}
    local, buried = learnt(known, buried, look(known, found, buried=buried, has_history=has_history))
    assert local.keys() <= found.keys() <= local.keys() | buried.keys()
    assert look(local, found, buried=buried) == NOTHING


@given(known=trees, graves=graves, found=st.dictionaries(paths, sights))
def test_a_version_never_goes_back(known: LocalTree, graves: BuriedTree, found: Mapping[RelPath, Seen]) -> None:
    buried = {path: tombstone for path, tombstone in graves.items() if path not in known}
    changes = look(known, found, buried=buried)
    for path, entry in {**changes.changed, **changes.buried}.items():
        before = known.get(path) or buried.get(path)
        if before is not None:
            assert compare_vectors(entry.version, before.version) in {Order.SAME, Order.NEWER}
