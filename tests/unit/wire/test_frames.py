"""Frames come out the same however the bytes are cut, bodies pass by untouched, and no length makes us hold much."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.errors import RemoteProtocolError
from gsync.wire.frames import HEADER_MAX_BYTES, LENGTH_BYTES, NATIVE_START, FrameSplitter, frame

headers = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


def split(data: bytes, *, cuts: tuple[int, ...] = ()) -> list[bytes]:
    splitter, found = FrameSplitter(), []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        splitter.feed(data[start:end])
        found += iter(splitter.next, None)
    return found


@given(headers=headers, cuts=st.lists(st.integers(0, 10_000), max_size=9))
def test_headers_come_out_one_by_one_wherever_the_bytes_are_cut(headers: list[bytes], cuts: list[int]) -> None:
    data = b"".join(map(frame, headers))
    assert split(data) == split(data, cuts=tuple(cuts)) == split(data, cuts=tuple(range(len(data)))) == headers


def test_a_frame_is_a_big_endian_length_and_the_header() -> None:
    assert frame(b"{}") == b"\0\0\0\x02{}"


def test_native_begins_with_a_byte_that_is_no_text() -> None:
    assert NATIVE_START == b"\0"


@pytest.mark.parametrize(
    ("length", "is_taken"), [(99, True), (100, True), (101, False), (0, False), (2**32 - 1, False)]
)
def test_a_header_may_be_as_long_as_its_limit(length: int, is_taken: bool) -> None:
    splitter = FrameSplitter(header_max_bytes=100)
    splitter.feed(length.to_bytes(LENGTH_BYTES, "big"))
    if not is_taken:
        with pytest.raises(RemoteProtocolError, match=rf"of {length} bytes \(1 to 100\)"):
            splitter.next()
        return
    assert splitter.next() is None
    splitter.feed(b"x" * length)
    assert splitter.next() == b"x" * length


@pytest.mark.parametrize(("beyond", "is_taken"), [(-1, True), (0, True), (1, False)])
def test_a_header_is_at_most_1_mib(beyond: int, is_taken: bool) -> None:
    assert HEADER_MAX_BYTES == 1024 * 1024
    data = frame(b"x" * (HEADER_MAX_BYTES + beyond))
    if is_taken:
        assert split(data) == [data[LENGTH_BYTES:]]
        return
    with pytest.raises(RemoteProtocolError):
        split(data)


def test_a_length_that_is_too_long_is_refused_before_the_header_comes() -> None:
    splitter = FrameSplitter()
    splitter.feed(b"\xff\xff\xff")
    assert splitter.next() is None
    splitter.feed(b"\xff")
    with pytest.raises(RemoteProtocolError):
        splitter.next()


def test_a_body_is_given_as_far_as_it_is_here_and_the_next_header_after_it() -> None:
    body = bytes(range(256))
    data = frame(b"head") + body + frame(b"next")
    for first in range(len(data) + 1):
        splitter = FrameSplitter()
        splitter.feed(data[:first])
        came = b""
        if (header := splitter.next()) is not None:
            came = splitter.body(len(body))
        splitter.feed(data[first:])
        header = header or splitter.next()
        came += splitter.body(len(body) - len(came))
        assert (header, came, splitter.next(), splitter.pending) == (b"head", body, b"next", 0)


def test_it_says_how_many_bytes_the_header_still_needs() -> None:
    splitter = FrameSplitter()
    wanted = [splitter.wants]
    for byte in frame(b"{}"):
        splitter.feed(bytes([byte]))
        wanted.append(splitter.wants)
    assert wanted == [4, 3, 2, 1, 2, 1, 0]
    assert splitter.pending == LENGTH_BYTES + 2


@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_end_the_same_whole_and_byte_by_byte(data: bytes) -> None:
    assert outcome(data, cuts=()) == outcome(data, cuts=tuple(range(len(data))))


def outcome(data: bytes, *, cuts: tuple[int, ...]) -> list[bytes] | str:
    try:
        return split(data, cuts=cuts)
    except RemoteProtocolError as error:
        return str(error)
