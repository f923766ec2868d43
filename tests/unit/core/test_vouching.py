"""Who vouches for what: only a connection that was made after a file's end was read, and that gave what it takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gsync.core.names import Endpoint, RelPath
from gsync.core.vouching import Ticket, Vouching

A, B = Endpoint("192.0.2.1", 2000), Endpoint("192.0.2.2", 2000)
P, Q, R = (RelPath.parse(name) for name in "pqr")


def test_a_later_connection_that_gives_a_byte_vouches_for_everything_that_ended_before_it() -> None:
    vouching = Vouching()
    vouching.hold(A, P, empty=False)
    vouching.hold(A, Q, empty=False)
    later = vouching.now()
    vouching.hold(A, R, empty=False)
    assert vouching.gave_bytes(A, later) == (P, Q)
    assert vouching.held(A) == (R,)


def test_a_connection_that_was_made_before_the_end_vouches_for_nothing() -> None:
    vouching = Vouching()
    earlier = vouching.now()
    vouching.hold(A, P, empty=False)
    assert vouching.gave_bytes(A, earlier) == ()
    assert vouching.held(A) == (P,)


def test_one_source_does_not_vouch_for_another() -> None:
    vouching = Vouching()
    vouching.hold(A, P, empty=False)
    assert vouching.gave_bytes(B, vouching.now()) == ()
    assert vouching.held(A) == (P,)


def test_a_byte_does_not_vouch_for_an_empty_file() -> None:
    vouching = Vouching()
    vouching.hold(A, P, empty=True)
    assert vouching.gave_bytes(A, vouching.now()) == ()
    assert vouching.held_empty(A) == (P,)


def test_a_second_empty_answer_to_the_same_name_vouches_for_an_empty_file() -> None:
    vouching = Vouching()
    earlier = vouching.now()
    vouching.hold(A, P, empty=True)
    vouching.hold(A, Q, empty=True)
    assert not vouching.gave_nothing(A, P, earlier)
    assert not vouching.gave_nothing(A, R, vouching.now())
    assert not vouching.gave_nothing(B, P, vouching.now())
    assert vouching.gave_nothing(A, P, vouching.now())
    assert not vouching.gave_nothing(A, P, vouching.now())
    assert vouching.held_empty(A) == (Q,)


def test_an_empty_answer_does_not_vouch_for_a_file_with_content() -> None:
    vouching = Vouching()
    vouching.hold(A, P, empty=False)
    assert not vouching.gave_nothing(A, P, vouching.now())
    assert vouching.held(A) == (P,)


def test_a_source_that_could_not_vouch_loses_everything_that_was_held() -> None:
    vouching = Vouching()
    vouching.hold(A, P, empty=False)
    vouching.hold(A, Q, empty=True)
    vouching.hold(B, R, empty=False)
    assert vouching.drop(A) == (P, Q)
    assert vouching.drop(A) == ()
    assert vouching.sources() == (B,)


def test_what_is_discarded_is_held_no_longer() -> None:
    vouching = Vouching()
    vouching.hold(A, P, empty=False)
    vouching.discard(A, Q)
    vouching.discard(B, P)
    assert vouching.sources() == (A,)
    vouching.discard(A, P)
    assert vouching.sources() == ()


def test_nothing_is_held_for_a_stranger() -> None:
    vouching = Vouching()
    assert (vouching.held(A), vouching.held_empty(A), vouching.sources()) == ((), (), ())


def test_tickets_are_ordered_as_they_were_taken() -> None:
    vouching = Vouching()
    assert vouching.now() < vouching.now() < Ticket(99)


steps = st.lists(
    st.tuples(
        st.sampled_from(["hold", "hold empty", "connect", "byte", "nothing"]), st.integers(0, 1), st.integers(0, 2)
    ),
    max_size=40,
)


@given(steps)
def test_nothing_is_set_free_but_by_what_came_after_its_end(script: list[tuple[str, int, int]]) -> None:
    vouching, ends, connections = (
        Vouching(),
        dict[tuple[Endpoint, RelPath], tuple[int, bool]](),
        list[tuple[int, Endpoint, Ticket]](),
    )
    for now, (what, source, number) in enumerate(script):
        endpoint, path = (A, B)[source], (P, Q, R)[number]
        if what.startswith("hold"):
            if (endpoint, path) not in ends:
                vouching.hold(endpoint, path, empty=what == "hold empty")
                ends[endpoint, path] = (now, what == "hold empty")
        elif what == "connect":
            connections.append((now, endpoint, vouching.now()))
        elif connections:
            made, endpoint, ticket = connections[number % len(connections)]
            if what == "byte":
                free = {p for (e, p), (end, empty) in ends.items() if e == endpoint and end < made and not empty}
                assert set(vouching.gave_bytes(endpoint, ticket)) == free
            else:
                end, empty = ends.get((endpoint, path), (now, False))
                assert vouching.gave_nothing(endpoint, path, ticket) == (empty and end < made)
                free = {path} if empty and end < made else set()
            for freed in free:
                del ends[endpoint, freed]
        for e in (A, B):
            assert {*vouching.held(e), *vouching.held_empty(e)} == {p for other, p in ends if other == e}
        assert set(vouching.sources()) == {e for e, _ in ends}
