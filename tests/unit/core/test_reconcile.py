"""Two ledgers, however they differ, learn of exactly that, in messages that are bounded."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.names import RelPath
from gsync.core.reconcile import (
    LIST_MAX,
    SPANS_MAX,
    STEP_PATHS,
    STEPS_MAX,
    WAITING_MAX,
    Answer,
    Comparison,
    Ledger,
    Span,
)
from gsync.errors import RemoteProtocolError
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


def asked_by(one: Marks, other: Marks) -> tuple[set[RelPath], set[RelPath], int]:
    """What `one`, who asks step by step, tells and wants; and how many steps that took."""
    mine, theirs = Ledger(one), Ledger(other)
    comparison, told, wanted, steps = Comparison(), set[RelPath](), set[RelPath](), 0
    while (step := comparison.next(mine)) is not None:
        steps += 1
        assert all(
            type(text) is str for span in step.spans for text in (span.start, span.end)
        )  # msgspec takes no other
        assert len(step.tell) <= STEP_PATHS <= MARKS_MAX
        assert len(step.wants) <= STEP_PATHS
        assert len(step.spans) <= SPANS_MAX
        told.update(step.tell)
        wanted.update(step.wants)
        answers = theirs.answers(step.spans)
        assert len(answers) <= 2
        for answer in answers:
            comparison.hear(mine, answer)
    return told, wanted, steps


@pytest.mark.parametrize(("count", "changes"), [(10, 0), (10, 3), (1100, 5), (5000, 0), (5000, 40)])
def test_who_asks_learns_and_tells_of_all_that_differs(count: int, changes: int) -> None:
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
    told, wanted, steps = asked_by(one, other)
    different = {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}
    assert (told, wanted) == (different & one.keys(), different & other.keys())
    assert steps <= 2 + 2 * changes


@pytest.mark.parametrize("count", [0, 999, 1001, 5000])
def test_who_has_nothing_wants_everything_in_bites_and_who_asks_him_tells_it(count: int) -> None:
    marks = {path: 1 + at for at, path in enumerate(paths(count))}
    told, wanted, steps = asked_by({}, marks)
    assert (told, wanted) == (set(), set(marks))
    assert steps <= 10 + 2 * count // STEP_PATHS
    told, wanted, steps = asked_by(marks, {})
    assert (told, wanted) == (set(marks), set())
    assert steps <= 2 + count // STEP_PATHS


def test_answers_that_only_grow_end_the_comparison() -> None:
    comparison, ledger = Comparison(), Ledger({})
    comparison.next(ledger)
    lies = Answer(spans=tuple(Span(start=f"{number:03}", digest="x", count=5000) for number in range(SPANS_MAX)))
    for _ in range(WAITING_MAX // SPANS_MAX - 1):
        comparison.hear(ledger, lies)
    comparison.hear(ledger, Answer(spans=lies.spans[1:]))
    with pytest.raises(RemoteProtocolError, match="grows"):
        comparison.hear(ledger, Answer(spans=lies.spans[:2]))


def test_answers_that_say_the_same_for_ever_end_the_comparison() -> None:
    comparison, ledger = Comparison(), Ledger({})
    lie = Answer(spans=(Span(digest="x", count=5000),))
    for _ in range(STEPS_MAX):
        assert comparison.next(ledger) is not None
        comparison.hear(ledger, lie)
    with pytest.raises(RemoteProtocolError, match="end"):
        comparison.next(ledger)


def test_a_long_ledger_is_made_in_bites() -> None:
    breaths: list[int] = []
    marks = dict.fromkeys(paths(50_000), 1)
    ledger = Ledger(marks, pause=lambda: breaths.append(1))
    assert len(breaths) > 100
    assert ledger.whole() == Ledger(dict(reversed(marks.items()))).whole()
