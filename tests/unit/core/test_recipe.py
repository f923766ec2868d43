"""Which blocks have to come, and where else they may be: an old file seen from its start and from its end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.blocks import BLOCK_BYTES, ContentHasher, block_digest
from gsync.core.recipe import Missing, end_grid, start_grid

MIB = BLOCK_BYTES


def pattern(blocks: int, rest: int = 0) -> bytes:
    """Blocks that all differ, and no two parts of which are alike."""
    body = b"".join(number.to_bytes(8, "big") for number in range((blocks * MIB + rest) // 8 + 1))
    return body[: blocks * MIB + rest]


def digests(content: bytes) -> bytes:
    hasher = ContentHasher()
    hasher.update(content)
    return b"".join(hasher.blocks())


def fetched(old: bytes, new: bytes) -> list[int]:
    """The blocks of `new` that are not found in `old`."""
    missing = Missing(digests(new), size=len(new))
    for spots in (start_grid(old_size=len(old)), end_grid(old_size=len(old), size=len(new))):
        for spot in spots:
            piece = old[spot.offset : spot.offset + spot.count]
            assert len(piece) == spot.count
            for number in missing.wanting(block_digest(piece)):
                at = missing.spot(number)
                assert new[at.offset : at.offset + at.count] == piece
                missing.found(number)
    return list(missing)


OLD = pattern(6, 1000)


@pytest.mark.parametrize(
    ("change", "new", "left"),
    [
        ("nothing", OLD, []),
        ("a byte at the start", b"x" + OLD, [0]),
        ("a byte less at the start", OLD[1:], []),
        ("a MiB at the start", bytes(MIB) + OLD, [0]),
        ("a MiB at the end", OLD + OLD[:MIB], [6, 7]),
        ("a byte at the end", OLD + b"x", [6]),
        ("one block in place", OLD[: 2 * MIB] + b"x" * MIB + OLD[3 * MIB :], [2]),
        ("one byte in place", OLD[: 2 * MIB] + b"x" + OLD[2 * MIB + 1 :], [2]),
        ("a byte in the middle", OLD[: 2 * MIB + 5] + b"x" + OLD[2 * MIB + 5 :], [2]),
        ("shorter by blocks", OLD[: 3 * MIB], []),
        ("shorter by bytes", OLD[: 3 * MIB - 5], [2]),
        ("the front cut away", OLD[2 * MIB + 77 :], []),
        ("something else", pattern(9)[8 * MIB :] * 3, [0, 1, 2]),
        ("empty", b"", []),
    ],
)
def test_what_an_edit_leaves_is_not_fetched(change: str, new: bytes, left: list[int]) -> None:
    assert fetched(OLD, new) == left


def test_an_empty_old_file_gives_nothing() -> None:
    assert fetched(b"", OLD) == list(range(7))


def test_a_block_that_stands_at_several_places_is_found_at_all_of_them() -> None:
    assert fetched(OLD[:MIB], OLD[:MIB] * 3) == []


def test_blocks_of_zeros_are_known_without_a_look() -> None:
    content = bytes(2 * MIB) + OLD[:MIB] + bytes(MIB) + bytes(5)
    missing = Missing(digests(content), size=len(content))
    assert missing.zeros() == [0, 1, 3]
    missing.found(1)
    assert missing.zeros() == [0, 3]
    assert 1 not in missing
    assert len(missing) == 4


@given(st.integers(0, 4 * MIB), st.integers(0, 4 * MIB))
def test_no_spot_reaches_beyond_its_file(old_size: int, size: int) -> None:
    for spot in (*start_grid(old_size=old_size), *end_grid(old_size=old_size, size=size)):
        assert spot.count > 0
        assert 0 <= spot.offset <= spot.offset + spot.count <= old_size


@given(st.integers(0, 4 * MIB), st.integers(0, 2**40))
def test_both_grids_cost_no_more_than_two_looks(old_size: int, size: int) -> None:
    looks = sum(spot.count for spot in end_grid(old_size=old_size, size=min(size, 2**30)))
    assert looks <= old_size
    assert sum(spot.count for spot in start_grid(old_size=old_size)) == old_size
