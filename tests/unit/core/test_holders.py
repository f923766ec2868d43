"""How holders are spread over the askers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gsync.core.holders import ALSO_MAX, SLOTS, Holder, HolderRow, PeerId, also_told, first_told, numbers_of
from gsync.core.names import Endpoint


def holder(number: int, *, ours: bool = True) -> Holder:
    return Holder(peer=PeerId(number), endpoint=Endpoint(f"192.0.2.{number}", 9000), speaks_gsync=ours)


ROW = [holder(number) for number in range(40)]


def test_the_slots_are_told_different_holders() -> None:
    assert {first_told(ROW, slot=slot, kept=None).peer.number for slot in range(SLOTS)} == set(range(SLOTS))


def test_a_slot_keeps_what_it_was_told_until_that_leaves() -> None:
    told = first_told(ROW[:2], slot=1, kept=None)
    assert told == ROW[1]
    assert first_told(ROW, slot=1, kept=told.peer) == told
    assert first_told([ROW[0], *ROW[2:]], slot=1, kept=told.peer) == ROW[2]


@given(count=st.integers(1, 20), slot=st.integers(0, SLOTS - 1), foreign=st.sets(st.integers(0, 19)))
def test_further_holders_are_ours_and_others_than_the_first(count: int, slot: int, foreign: set[int]) -> None:
    row = [holder(number, ours=number not in foreign) for number in range(count)]
    first = first_told(row, slot=slot, kept=None)
    also = also_told(row, slot=slot, first=first)
    ours = [other for other in row if other.speaks_gsync and other is not first]
    assert len(also) == len(set(also)) == min(ALSO_MAX, len(ours))
    assert set(also) <= set(ours)


def test_one_more_holder_changes_nothing_once_there_are_enough() -> None:
    enough = 1 + SLOTS * ALSO_MAX
    for slot in range(SLOTS):
        assert also_told(ROW, slot=slot, first=ROW[0]) == also_told(ROW[:enough], slot=slot, first=ROW[0])


def test_many_holders_share_the_work() -> None:
    told = {other for slot in range(SLOTS) for other in also_told(ROW, slot=slot, first=ROW[slot])}
    assert len(told) >= SLOTS * ALSO_MAX - SLOTS


@given(numbers=st.sets(st.integers(0, 200), max_size=60))
def test_a_row_is_its_numbers_and_bits_are_numbers(numbers: set[int]) -> None:
    row = HolderRow()
    for number in numbers:
        row.add(number)
    assert {number for number in range(201) if number in row} == numbers
    assert list(numbers_of(row.bits())) == sorted(numbers)
