"""The digest of a content is one, in whatever pieces it comes, holes included."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gsync.core.blocks import (
    BLOCK_BYTES,
    BLOCK_DIGEST_BYTES,
    CONTENT_MAX_BYTES,
    ContentHasher,
    block_count,
    block_digest,
    digest_of_blocks,
    digest_of_bytes,
    is_zeros,
    zeros_digest,
)
from gsync.peer.native_fetcher import LIST_MAX_BYTES

MIB = BLOCK_BYTES

PIECES = st.lists(
    st.tuples(st.booleans(), st.sampled_from([1, 1000, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 5])), max_size=5
)


@given(PIECES)
@example([(True, MIB), (True, MIB), (False, 1)])
@example([(False, MIB), (True, 2 * MIB)])
def test_zeros_that_are_told_count_like_zeros_that_are_read(pieces: list[tuple[bool, int]]) -> None:
    told, read = ContentHasher(), ContentHasher()
    for is_hole, count in pieces:
        if is_hole:
            told.update_zeros(count)
        else:
            told.update(b"x" * count)
        read.update((b"\0" if is_hole else b"x") * count)
    assert told.blocks() == read.blocks()
    assert (told.digest(), told.size) == (read.digest(), read.size)


def test_a_tebibyte_of_zeros_has_a_digest_at_once() -> None:
    hasher = ContentHasher()
    hasher.update_zeros(2**40)
    assert len(set(hasher.blocks())) == 1
    assert hasher.digest() == digest_of_blocks([zeros_digest(MIB)] * 2**20)


@pytest.mark.parametrize("count", [1, 5, MIB - 1, MIB])
def test_a_block_of_zeros_has_the_digest_of_its_bytes(count: int) -> None:
    assert zeros_digest(count) == block_digest(bytes(count))
    assert digest_of_bytes(bytes(count)) == "b3:" + zeros_digest(count).hex()


@pytest.mark.parametrize(
    ("data", "zeros"),
    [(b"", False), (b"\0", True), (bytes(MIB), True), (b"\0x\0", False), (b"\0" * 9 + b"x", False), (b"x\0", False)],
)
def test_zeros_are_known_for_what_they_are(data: bytes, zeros: bool) -> None:
    assert is_zeros(data) == is_zeros(memoryview(data)) == zeros


def test_the_longest_content_has_the_longest_block_list_that_is_fetched() -> None:
    assert block_count(CONTENT_MAX_BYTES) * BLOCK_DIGEST_BYTES == LIST_MAX_BYTES
