"""What a scan means: row by row of the table in core/diff.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.diff import Changes, diff, disk_seconds
from gsync.core.model import FileMeta, Fingerprint
from gsync.core.names import RelPath
from gsync.core.versions import MTIME_MAX, Order, Version, compare

A = RelPath.parse("a")
B = RelPath.parse("b")
ME = "00112233aabbccdd"
SECOND = 10**9
PRINT = Fingerprint(size=5, mtime_ns=1000 * SECOND + 7, ctime_ns=1000 * SECOND + 7, inode=1, mode=0o644)
KNOWN = FileMeta(fingerprint=PRINT, version=Version.from_vector({"other": 2, "mtime": 1000}), digest="b3:" + "0" * 64)


def test_an_untouched_file_is_no_change() -> None:
    assert diff({A: KNOWN}, {A: replace(PRINT)}, ME) == Changes(changed={}, gone=frozenset())


@pytest.mark.parametrize("touched", [{"ctime_ns": 9}, {"inode": 9}, {"mode": 0o600}, {"ctime_ns": 9, "inode": 9}])
def test_a_touched_restored_or_copied_file_keeps_its_version_and_digest(touched: dict[str, int]) -> None:
    now = replace(PRINT, **touched)
    assert diff({A: KNOWN}, {A: now}, ME).changed == {A: replace(KNOWN, fingerprint=now)}


@pytest.mark.parametrize("edited", [{"size": 6}, {"mtime_ns": PRINT.mtime_ns + 1}, {"mtime_ns": PRINT.mtime_ns - 1}])
def test_another_size_or_mtime_is_one_more_edit_by_us(edited: dict[str, int]) -> None:
    now = replace(PRINT, **edited)
    meta = diff({A: KNOWN}, {A: now}, ME).changed[A]
    assert meta.version == KNOWN.version.edited_by(ME, 1000)
    assert (meta.fingerprint, meta.digest) == (now, "")
    assert compare(meta.version, KNOWN.version) is Order.NEWER


def test_a_rewritten_file_is_an_edit_although_its_fingerprint_says_nothing() -> None:
    meta = diff({A: KNOWN}, {A: PRINT}, ME, rewritten={A}).changed[A]
    assert meta.version == KNOWN.version.edited_by(ME, 1000)
    assert meta.digest == ""


def test_an_unknown_file_is_known_by_its_mtime_rounded_down() -> None:
    assert diff({}, {A: PRINT}, ME).changed == {A: FileMeta(fingerprint=PRINT, version=Version.from_mtime(1000))}


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


def test_a_file_that_is_not_there_any_more_is_gone() -> None:
    changes = diff({A: KNOWN, B: KNOWN}, {B: PRINT}, ME)
    assert (changes.changed, changes.gone) == ({}, frozenset({A}))


def test_changes_can_leave_paths_out() -> None:
    changes = diff({A: KNOWN}, {B: PRINT}, ME)
    assert changes.without({A, B}) == Changes(changed={}, gone=frozenset())
    assert changes.without(set()) == changes


prints = st.builds(
    Fingerprint,
    size=st.integers(0, 2),
    mtime_ns=st.integers(-2, 2).map(lambda n: n * SECOND // 2),
    ctime_ns=st.integers(0, 2),
    inode=st.integers(1, 3),
    mode=st.sampled_from([0o600, 0o644]),
)
paths = st.sampled_from([RelPath.parse(name) for name in "abcd"])
metas = st.builds(FileMeta, fingerprint=prints, version=st.integers(0, 3).map(Version.from_mtime))


@given(known=st.dictionaries(paths, metas), found=st.dictionaries(paths, prints))
def test_what_was_learnt_is_not_learnt_again(known: dict[RelPath, FileMeta], found: dict[RelPath, Fingerprint]) -> None:
    changes = diff(known, found, ME)
    learnt = {path: meta for path, meta in {**known, **changes.changed}.items() if path not in changes.gone}
    assert {path: meta.fingerprint for path, meta in learnt.items()} == found
    assert diff(learnt, found, ME) == Changes(changed={}, gone=frozenset())


@given(known=st.dictionaries(paths, metas), found=st.dictionaries(paths, prints))
def test_a_version_never_goes_back(known: dict[RelPath, FileMeta], found: dict[RelPath, Fingerprint]) -> None:
    for path, meta in diff(known, found, ME).changed.items():
        if path in known:
            assert compare(meta.version, known[path].version) in {Order.SAME, Order.NEWER}
