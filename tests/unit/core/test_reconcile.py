"""Two ledgers, however they differ, learn of exactly that, in messages that are bounded."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.names import RelPath
from gsync.core.reconcile import LIST_MAX, SPANS_MAX, Answer, Ledger, Span
from gsync.wire.overlay import MARKS_MAX, RANGES_MAX

Marks = dict[RelPath, int]


def paths(count: int) -> list[RelPath]:
    return [RelPath.parse(f"d{number % 7}/n{number:06}") for number in range(count)]


def compared(
    one: Marks, other: Marks
) -> tuple[tuple[set[RelPath], set[RelPath]], tuple[set[RelPath], set[RelPath]], int]:
    """What each tells and wants once `one` has begun, and how many messages that took."""
    ledgers = (Ledger(one), Ledger(other))
    told: tuple[set[RelPath], set[RelPath]] = (set(), set())
    wanted: tuple[set[RelPath], set[RelPath]] = (set(), set())
    on_their_way = [(1, Answer(spans=(ledgers[0].whole(),)))]
    messages = 0
    while on_their_way:
        to, answer = on_their_way.pop(0)
        messages += 1
        assert len(answer.spans) <= SPANS_MAX <= RANGES_MAX
        assert len(answer.listed) <= SPANS_MAX
        assert len(answer.marks) <= LIST_MAX <= MARKS_MAX
        on_their_way += [(1 - to, said) for said in ledgers[to].answers(answer.spans)]
        difference = ledgers[to].difference(answer.listed, answer.marks)
        told[to].update(difference.tell)
        wanted[to].update(difference.want)
        assert messages < 10_000
    return (told[0], wanted[0]), (told[1], wanted[1]), messages


def check(one: Marks, other: Marks) -> int:
    (told_by_one, wanted_by_one), (told_by_other, wanted_by_other), messages = compared(one, other)
    different = {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}
    assert (told_by_one | wanted_by_other) == different & one.keys()
    assert (told_by_other | wanted_by_one) == different & other.keys()
    return messages


def test_who_knows_the_same_says_so_in_one_message() -> None:
    marks = {path: 7 + at for at, path in enumerate(paths(5000))}
    assert check(marks, dict(marks)) == 1
    assert check({}, {}) == 1


marks_of_few = st.dictionaries(st.sampled_from(paths(12)), st.integers(0, 3), max_size=12).map(
    lambda versions: {path: Random(f"{path} {version}").getrandbits(64) for path, version in versions.items()}
)


@pytest.mark.slow
@given(marks_of_few, marks_of_few)
def test_short_ledgers_are_compared_path_by_path(one: Marks, other: Marks) -> None:
    assert check(one, other) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("count", [900, 1100, 20_000])
@pytest.mark.parametrize("changes", [0, 1, 3, 500])
def test_long_ledgers_are_compared_by_ranges(count: int, changes: int) -> None:
    rng = Random(f"{count} {changes}")
    one = {path: rng.getrandbits(64) for path in paths(count)}
    other = dict(one)
    for path in rng.sample(list(one), changes):
        match rng.randrange(3):
            case 0:
                del other[path]
            case 1:
                other[path] = rng.getrandbits(64)
            case _:
                del one[path]
    messages = check(one, other)
    assert messages <= 2 + 2 * changes
    assert check(other, one) <= 2 + 2 * changes


@pytest.mark.slow
def test_who_knows_nothing_is_told_everything() -> None:
    marks = {path: 1 + at for at, path in enumerate(paths(20_000))}
    assert check(marks, {}) == 2
    assert check({}, marks) < 100


@pytest.mark.slow
@given(st.lists(st.builds(Span, start=st.text(max_size=3), end=st.text(max_size=3), digest=st.text(max_size=3))))
def test_ranges_that_make_no_sense_do_no_harm(spans: list[Span]) -> None:
    ledger = Ledger(dict.fromkeys(paths(50), 1))
    for answer in ledger.answers(spans):
        assert len(answer.marks) <= LIST_MAX
    ledger.difference(spans, [])


def test_ranges_that_overlap_are_told_once() -> None:
    ledger = Ledger(dict.fromkeys(paths(50), 1))
    assert ledger.difference([Span(), Span(start="d3"), Span(end="d4")], []).tell == tuple(sorted(paths(50)))
