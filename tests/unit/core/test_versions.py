"""The one order between versions: its table, and the laws that it obeys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.versions import MTIME_MAX, Order, Version, clamp_mtime, compare, compare_vectors, join


def v(mtime_s: int, **counters: int) -> Version:
    return Version.from_vector({**counters, "mtime": mtime_s})


MIRRORED = {
    Order.SAME: Order.SAME,
    Order.OLDER: Order.NEWER,
    Order.NEWER: Order.OLDER,
    Order.CONCURRENT: Order.CONCURRENT,
}


@pytest.mark.parametrize(
    ("a", "b", "order"),
    [
        pytest.param(v(5), v(5), Order.SAME, id="classic: the same second"),
        pytest.param(v(6), v(5), Order.NEWER, id="classic: the latest mtime wins"),
        pytest.param(v(5, a=1), v(5, a=1), Order.SAME, id="the same vector"),
        pytest.param(v(6, a=2), v(5, a=1), Order.NEWER, id="one more edit by the same author"),
        pytest.param(v(6, a=1, b=1), v(5, a=1), Order.NEWER, id="one more edit by another author"),
        pytest.param(v(6, a=1), v(6, b=1), Order.CONCURRENT, id="two authors who knew nothing of each other"),
        pytest.param(v(6, a=2), v(7, a=1, b=1), Order.CONCURRENT, id="both edited since"),
        pytest.param(v(9, a=1), v(6, a=2), Order.CONCURRENT, id="more edits but an earlier mtime"),
        pytest.param(v(6, a=1), v(5, a=1), Order.NEWER, id="the same edits and a later mtime"),
        pytest.param(v(7, a=9), v(8), Order.OLDER, id="a classic edit of a file of ours: by mtime alone"),
        pytest.param(v(8, a=1), v(8), Order.SAME, id="a classic peer that took our edit"),
        pytest.param(v(9, a=1), v(8), Order.NEWER, id="our edit of a classic file"),
    ],
)
def test_the_table(a: Version, b: Version, order: Order) -> None:
    assert compare(a, b) is order
    assert compare(b, a) is MIRRORED[order]


versions = st.builds(
    lambda mtime_s, counters: Version.from_vector({**{a: n for a, n in counters.items() if n}, "mtime": mtime_s}),
    st.integers(0, 5),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)),
)
edited = versions.filter(lambda version: not version.is_mtime_only)


@given(versions)
def test_a_version_is_the_same_as_itself(a: Version) -> None:
    assert compare(a, a) is Order.SAME


@given(versions, versions)
def test_the_order_looks_the_same_from_both_sides(a: Version, b: Version) -> None:
    assert compare(b, a) is MIRRORED[compare(a, b)]


@given(edited, edited)
def test_two_edited_versions_are_the_same_only_when_they_are_equal(a: Version, b: Version) -> None:
    assert (compare(a, b) is Order.SAME) == (a == b)


@given(edited, edited, edited)
def test_among_edited_versions_newer_than_newer_is_newer(a: Version, b: Version, c: Version) -> None:
    if compare(a, b) is Order.NEWER and compare(b, c) is Order.NEWER:
        assert compare(a, c) is Order.NEWER


@given(versions)
def test_a_vector_spells_its_version(a: Version) -> None:
    assert Version.from_vector(a.vector()) == a


def test_only_the_mtime_is_known_of_what_nobody_of_ours_edited() -> None:
    assert Version.from_mtime(5) == v(5)
    assert Version.from_mtime(5).is_mtime_only
    assert not v(5, a=1).is_mtime_only


@given(versions, st.sampled_from("abc"), st.integers(-5, 10))
def test_an_edit_is_newer_than_what_it_edits(a: Version, author: str, disk_s: int) -> None:
    after = a.edited_by(author, disk_s)
    assert compare(after, a) is Order.NEWER
    assert after.mtime_s == max(disk_s, a.mtime_s + 1)
    assert after.vector()[author] == a.vector().get(author, 0) + 1


@pytest.mark.parametrize("start_s", [MTIME_MAX - 1, MTIME_MAX])
def test_an_edit_at_the_end_of_time_still_counts(start_s: int) -> None:
    after = v(start_s, a=1).edited_by("a", 2**70)
    assert after.mtime_s == MTIME_MAX
    assert compare(after, v(start_s, a=1)) is Order.NEWER


@pytest.mark.parametrize(
    ("given_s", "clamped_s"),
    [
        (-(2**70), 0),
        (-1, 0),
        (0, 0),
        (1, 1),
        (MTIME_MAX - 1, MTIME_MAX - 1),
        (MTIME_MAX, MTIME_MAX),
        (MTIME_MAX + 1, MTIME_MAX),
    ],
)
def test_an_announced_mtime_lies_within_its_limits(given_s: int, clamped_s: int) -> None:
    assert clamp_mtime(given_s) == clamped_s


@pytest.mark.parametrize(
    ("a", "b", "order"),
    [
        pytest.param(v(5), v(5), Order.SAME, id="the same mtime and nothing else"),
        pytest.param(v(6), v(5), Order.NEWER, id="a later mtime"),
        pytest.param(v(5, a=1), v(5), Order.NEWER, id="an edit of it"),
        pytest.param(v(5, a=1), v(6), Order.CONCURRENT, id="an edit, and a later mtime without it"),
        pytest.param(v(6, a=1), v(5, a=2), Order.CONCURRENT, id="a later mtime with fewer edits"),
        pytest.param(v(6, a=1, b=1), v(6, a=1), Order.NEWER, id="one author more"),
        pytest.param(v(6, a=1), v(6, b=1), Order.CONCURRENT, id="two authors"),
    ],
)
def test_as_vectors_the_mtime_is_a_counter_like_any_other(a: Version, b: Version, order: Order) -> None:
    assert compare_vectors(a, b) is order
    assert compare_vectors(b, a) is MIRRORED[order]


@given(versions, versions, versions)
def test_vectors_are_in_a_partial_order_also_where_only_mtimes_are_known(a: Version, b: Version, c: Version) -> None:
    assert compare_vectors(b, a) is MIRRORED[compare_vectors(a, b)]
    assert (compare_vectors(a, b) is Order.SAME) == (a == b)
    if compare_vectors(a, b) is Order.NEWER and compare_vectors(b, c) is Order.NEWER:
        assert compare_vectors(a, c) is Order.NEWER
    assert compare_vectors(join([a, b]), a) in (Order.SAME, Order.NEWER)


@given(st.lists(versions, max_size=4))
def test_no_version_is_newer_than_the_join_it_is_part_of(parts: list[Version]) -> None:
    joined = join(parts)
    assert all(compare(part, joined) in (Order.SAME, Order.OLDER) for part in parts)


@given(versions, versions, versions)
def test_a_join_does_not_depend_on_order_grouping_or_repetition(a: Version, b: Version, c: Version) -> None:
    assert join([a, b]) == join([b, a])
    assert join([join([a, b]), c]) == join([a, join([b, c])]) == join([a, b, c])
    assert join([a, a]) == a


def test_the_join_of_nothing_is_older_than_everything() -> None:
    assert join([]) == Version.from_mtime(0)
