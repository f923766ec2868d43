"""Who is asked for which block; sources are letters, time is a number that the tests turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.swarm import ASKERS_MAX, OVERDUE_S, STEAL_MIN, Swarm


def claims(swarm: Swarm[str], source: str, count: int, now: float = 0.0) -> list[int | None]:
    return [swarm.claim(source, now=now) for _ in range(count)]


def test_one_source_is_asked_for_all_in_order() -> None:
    swarm: Swarm[str] = Swarm([3, 1, 2])
    assert claims(swarm, "a", 4) == [1, 2, 3, None]
    for block in (1, 2, 3):
        assert not swarm.is_done
        swarm.done(block)
    assert swarm.is_done


def test_nothing_missing_is_nothing_to_do() -> None:
    swarm: Swarm[str] = Swarm([])
    assert swarm.is_done
    assert swarm.claim("a", now=0.0) is None
    assert swarm.overdue_at("a") is None


def test_a_second_source_takes_the_back_half_and_a_third_a_half_of_what_is_left() -> None:
    swarm: Swarm[str] = Swarm(range(100))
    assert claims(swarm, "a", 4) == [0, 1, 2, 3]
    assert claims(swarm, "b", 2) == [52, 53]
    assert claims(swarm, "c", 2) == [28, 29]
    assert claims(swarm, "a", 2) == [4, 5]


def test_the_next_block_of_its_own_stretch_can_be_claimed_along_with_another_one() -> None:
    swarm: Swarm[str] = Swarm([0, 1, 5, 6])
    assert not swarm.claims_too("a", 0, now=0.0)
    assert swarm.claim("a", now=0.0) == 0
    assert not swarm.claims_too("b", 1, now=0.0)
    assert not swarm.claims_too("a", 5, now=0.0)
    assert swarm.claims_too("a", 1, now=0.0)
    assert not swarm.claims_too("a", 1, now=0.0)
    assert not swarm.claims_too("a", 2, now=0.0)
    assert claims(swarm, "b", 3, now=OVERDUE_S) == [5, 6, 0]
    swarm.leave("a")
    assert claims(swarm, "b", 2, now=OVERDUE_S) == [1, None]


def test_gaps_are_given_to_whoever_comes_before_anything_is_shared() -> None:
    swarm: Swarm[str] = Swarm([0, 1, 10, 11])
    assert swarm.claim("a", now=0.0) == 0
    assert swarm.claim("b", now=0.0) == 10
    assert claims(swarm, "a", 2) == [1, None]


def test_little_is_not_worth_a_second_source() -> None:
    swarm: Swarm[str] = Swarm(range(STEAL_MIN))
    assert swarm.claim("a", now=0.0) == 0
    assert swarm.claim("b", now=0.0) is None


def test_what_a_source_that_leaves_had_goes_to_others() -> None:
    swarm: Swarm[str] = Swarm(range(20))
    assert claims(swarm, "a", 3) == [0, 1, 2]
    assert claims(swarm, "b", 1) == [11]
    swarm.done(1)
    swarm.leave("a")
    rest = [block for block in claims(swarm, "b", 25) if block is not None]
    assert sorted(rest) == [0, *range(2, 11), *range(12, 20)]


def test_a_block_that_does_not_come_is_asked_of_another_one_but_not_of_everybody() -> None:
    swarm: Swarm[str] = Swarm([0, 1])
    assert claims(swarm, "slow", 2) == [0, 1]
    assert swarm.claim("a", now=OVERDUE_S / 2) is None
    assert swarm.overdue_at("a") == OVERDUE_S
    assert claims(swarm, "a", 3, now=OVERDUE_S) == [0, 1, None]
    assert swarm.overdue_at("a") is None
    assert claims(swarm, "b", 1, now=10 * OVERDUE_S) == [None]
    assert ASKERS_MAX == 2
    swarm.done(0)
    swarm.leave("slow")
    assert claims(swarm, "b", 2, now=20 * OVERDUE_S) == [1, None]
    swarm.done(1)
    assert swarm.is_done


def test_what_a_slow_source_was_not_asked_for_yet_is_taken_from_it_first() -> None:
    swarm: Swarm[str] = Swarm(range(6))
    assert claims(swarm, "slow", 2) == [0, 1]
    assert claims(swarm, "a", 5, now=OVERDUE_S) == [2, 3, 4, 5, 0]
    assert swarm.claim("slow", now=OVERDUE_S) is None


@pytest.mark.slow
@given(
    st.sets(st.integers(0, 60)),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["claim", "done", "leave", "wait"])), max_size=300),
)
def test_every_block_is_had_in_the_end_and_none_is_asked_of_one_source_twice(
    blocks: set[int], steps: list[tuple[str, str]]
) -> None:
    swarm: Swarm[str] = Swarm(blocks)
    now, asked, here = 0.0, dict[str, list[int]](), set[int]()
    for source, step in steps:
        theirs = asked.setdefault(source, [])
        if step == "claim":
            block = swarm.claim(source, now=now)
            if block is not None:
                assert block in blocks
                assert block not in here
                assert block not in theirs
                theirs.append(block)
        elif step == "done" and theirs:
            here.add(theirs[0])
            swarm.done(theirs.pop(0))
        elif step == "leave":
            swarm.leave(source)
            theirs.clear()
        else:
            now += 1.5
        assert swarm.is_done == (here == blocks)
    for source in "abc":
        swarm.leave(source)
    while (block := swarm.claim("d", now=now)) is not None:
        swarm.done(block)
    assert swarm.is_done
