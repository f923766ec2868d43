"""Who has to go when the house is full: the oldest that has said nothing, never one that has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.admission import UNPROVEN_PER_ADDRESS, Admission


def test_a_full_house_drops_the_oldest_that_has_said_nothing() -> None:
    house: Admission[int] = Admission(limit=3)
    for number in range(3):
        assert house.enter(number, f"192.0.2.{number}") == ()
    house.prove(0)
    assert house.enter(3, "192.0.2.3") == (1,)
    assert house.enter(4, "192.0.2.4") == (2,)
    assert len(house) == 3


def test_a_house_full_of_guests_that_have_spoken_turns_the_newcomer_away() -> None:
    house: Admission[int] = Admission(limit=2)
    for number in range(2):
        house.enter(number, "192.0.2.1")
        house.prove(number)
    assert house.enter(2, "192.0.2.2") == (2,)
    assert len(house) == 2


@pytest.mark.parametrize(
    ("already", "dropped"),
    [(UNPROVEN_PER_ADDRESS - 2, ()), (UNPROVEN_PER_ADDRESS - 1, ()), (UNPROVEN_PER_ADDRESS, (0,))],
)
def test_one_address_holds_only_so_many_that_have_said_nothing(already: int, dropped: tuple[int, ...]) -> None:
    house: Admission[int] = Admission(limit=512)
    for number in range(already):
        house.enter(number, "192.0.2.1")
    assert house.enter(already, "192.0.2.1") == dropped


def test_those_that_have_spoken_do_not_count_against_their_address() -> None:
    house: Admission[int] = Admission(limit=512, per_address=1)
    for number in range(10):
        assert house.enter(number, "192.0.2.1") == ()
        house.prove(number)


def test_an_exempt_address_may_hold_any_number_up_to_the_limit() -> None:
    house: Admission[int] = Admission(limit=3, per_address=1)
    assert [house.enter(number, "127.0.0.1", exempt=True) for number in range(4)] == [(), (), (), (0,)]


def test_whoever_has_left_makes_room() -> None:
    house: Admission[int] = Admission(limit=1)
    house.enter(0, "192.0.2.1")
    house.leave(0)
    assert house.enter(1, "192.0.2.1") == ()


def test_one_that_was_dropped_proves_nothing_any_more() -> None:
    house: Admission[int] = Admission(limit=1)
    house.enter(0, "192.0.2.1")
    assert house.enter(1, "192.0.2.2") == (0,)
    house.prove(0)
    assert len(house) == 1
    house.leave(0)
    assert len(house) == 1


steps = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "prove", "leave"]), st.integers(0, 30), st.integers(0, 2), st.booleans()
    )
)


@given(steps, st.integers(1, 6), st.integers(1, 3))
def test_the_books_balance_whatever_happens(
    script: list[tuple[str, int, int, bool]], limit: int, per_address: int
) -> None:
    house: Admission[int] = Admission(limit=limit, per_address=per_address)
    inside: dict[int, tuple[int, bool, bool]] = {}  # address, exempt, proven
    for key, (what, pick, address, exempt) in enumerate(script):
        if what == "enter":
            dropped = house.enter(key, f"192.0.2.{address}", exempt=exempt)
            inside[key] = (address, exempt, False)
            assert len(set(dropped)) == len(dropped)
            for gone in dropped:
                assert not inside.pop(gone)[2], "one that has spoken was dropped"
        elif inside:
            chosen = sorted(inside)[pick % len(inside)]
            if what == "prove":
                house.prove(chosen)
                inside[chosen] = (*inside[chosen][:2], True)
            else:
                house.leave(chosen)
                del inside[chosen]
        assert len(house) == len(inside) <= limit
        for place in range(3):
            assert sum(a == place and not e and not p for a, e, p in inside.values()) <= per_address
