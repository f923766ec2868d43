"""Which blocks have to come, and where else they may be: an old file seen from its start and from its end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.blocks import BLOCK_BYTES, ContentHasher, block_digest, zeros_digest
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
        ("a MiB of zeros at the start", bytes(MIB) + OLD, []),
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
    assert missing.zero_runs == (range(2), range(3, 4), range(4, 5))
    assert list(missing) == [2]
    assert 1 not in missing


@pytest.mark.parametrize("blocks", [1023, 1024, 1025, 2048, 3000])
def test_a_long_run_of_zeros_is_one(blocks: int) -> None:
    hasher = ContentHasher()
    hasher.update(b"x" * MIB)
    hasher.update_zeros(blocks * MIB)
    hasher.update(b"x")
    missing = Missing(b"".join(hasher.blocks()), size=hasher.size)
    assert missing.zero_runs == (range(1, blocks + 1),)
    assert list(missing) == [0, blocks + 1]


def test_a_short_last_block_with_the_digest_of_a_whole_one_is_not_believed() -> None:
    missing = Missing(zeros_digest(MIB) * 2, size=MIB + 5)
    assert missing.zero_runs == (range(1),)
    assert list(missing) == [1]


def in_holes(content: bytes) -> Callable[[int], int]:
    """What a file would say that stores no pages of zeros."""

    def data_at(offset: int) -> int:
        while offset < len(content) and not content[offset : offset // 4096 * 4096 + 4096].strip(b"\0"):
            offset = min(len(content), offset // 4096 * 4096 + 4096)
        return offset

    return data_at


PAGES = st.lists(st.sampled_from([(1, 300), (0, 300), (1, 3), (0, 70), (0, 1000)]), max_size=6)


@given(PAGES, st.integers(0, 3 * MIB), st.integers(1, 4095))
def test_holes_are_passed_over_and_nothing_else_is(pages: list[tuple[int, int]], size: int, rest: int) -> None:
    content = b"".join(bytes([byte]) * (4096 * count) for byte, count in pages) + b"x" * rest
    for some, all_ in (
        (start_grid(old_size=len(content), data_at=in_holes(content)), start_grid(old_size=len(content))),
        (
            end_grid(old_size=len(content), size=size, data_at=in_holes(content)),
            end_grid(old_size=len(content), size=size),
        ),
    ):
        looked_at = list(some)
        passed_over = [spot for spot in all_ if spot not in looked_at]
        assert all(not content[spot.offset : spot.offset + spot.count].strip(b"\0") for spot in passed_over)
        assert all(content[spot.offset : spot.offset + spot.count].strip(b"\0") for spot in looked_at)


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
