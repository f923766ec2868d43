"""Each member has a bit of its own, the lowest that is free, and nobody who left is counted."""

from __future__ import annotations

from gsync.core.holders import PeerId
from gsync.core.members import Members


def members(*numbers: int) -> Members:
    found = Members()
    for number in numbers:
        found.enter(PeerId(number))
    return found


def numbers(found: Members, bits: int) -> list[int]:
    return [member.peer.number for member in found.of(bits)]


def test_each_gets_the_lowest_bit_that_is_free() -> None:
    found = members(5, 6, 7)
    assert [found.known(PeerId(number)).bit for number in (5, 6, 7)] == [1, 2, 4]
    found.leave(PeerId(6))
    found.enter(PeerId(8))
    found.enter(PeerId(9))
    assert [found.known(PeerId(number)).bit for number in (8, 9)] == [2, 8]


def test_who_left_is_nobody() -> None:
    found = members(5, 6)
    found.leave(PeerId(5))
    assert found.get(PeerId(5)) is None
    assert numbers(found, 0b11) == [6]


def test_turns_begin_with_another_one_each_and_miss_nobody() -> None:
    found = members(*range(10))
    turns = [[member.peer.number for member in found.from_turn(0b1111111111, turn)] for turn in range(10)]
    assert [turn[0] for turn in turns] == list(range(10))
    assert all(sorted(turn) == list(range(10)) for turn in turns)
    assert list(found.from_turn(0, 3)) == []
