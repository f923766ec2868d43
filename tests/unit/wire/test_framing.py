"""The splitter gives the same objects however the bytes are cut, and nothing but our error on anything else."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gsync.errors import RemoteProtocolError
from gsync.wire import framing
from gsync.wire.framing import NESTING_MAX, JsonSplitter

LIMIT = 4096

leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=12)
flat = st.dictionaries(st.text(max_size=6), leaves, max_size=4)
messages = st.dictionaries(st.text(max_size=6), leaves | flat | st.lists(flat, max_size=3), max_size=4)
whitespace = st.text(alphabet=" \t\r\n", max_size=4)


def split(data: bytes, *, cuts: tuple[int, ...] = (), limit: int = LIMIT) -> list[bytes]:
    splitter = JsonSplitter(limit)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [found for a, b in itertools.pairwise(edges) for found in splitter.feed(data[a:b])]


def outcome(data: bytes, pieces: list[bytes]) -> tuple[list[bytes], bool]:
    splitter, found = JsonSplitter(LIMIT), []
    for piece in pieces:
        try:
            found += splitter.feed(piece)
        except RemoteProtocolError:
            return found, True
    return found, False


@given(
    values=st.lists(messages, max_size=4), gaps=st.lists(whitespace, min_size=5, max_size=5), ascii_only=st.booleans()
)
def test_glued_objects_come_out_one_by_one_and_unchanged(
    values: list[dict[str, object]], gaps: list[str], ascii_only: bool
) -> None:
    texts = [json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") for value in values]
    run = b"".join(gap.encode() + text for gap, text in zip(gaps, texts, strict=False)) + gaps[-1].encode()
    assert split(run, limit=1 << 20) == texts


@given(values=st.lists(messages, min_size=1, max_size=3), cuts=st.lists(st.integers(0, 10_000), max_size=9))
@example(values=[{'a\\"{[': "}]"}], cuts=list(range(40)))
def test_cuts_anywhere_change_nothing(values: list[dict[str, object]], cuts: list[int]) -> None:
    texts = [json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") for value in values]
    assert split(b"".join(texts), cuts=tuple(cuts), limit=1 << 20) == texts


@given(data=st.binary(max_size=200) | st.text(alphabet='{}[]"\\ \n,:a', max_size=200).map(str.encode))
def test_arbitrary_bytes_end_the_same_whole_and_byte_by_byte(data: bytes) -> None:
    found, failed = outcome(data, [data])
    slowly, failed_slowly = outcome(data, [data[i : i + 1] for i in range(len(data))])
    assert failed == failed_slowly
    assert failed or found == slowly


def test_a_long_string_may_span_many_windows() -> None:
    text = json.dumps({"a": '\\"{[é' * 60_000}, ensure_ascii=False).encode()
    assert split(text, limit=1 << 20) == [text]
    assert split(text, cuts=(65_536, 65_537, 131_072, 200_001), limit=1 << 20) == [text]


@pytest.mark.parametrize(
    "junk", [b"[]", b"1", b"x", b"\0", b"}", b'"a"', b"{} x", b"{}]", b"\xef\xbb\xbf{}", b"GET / HTTP/1.1"]
)
def test_anything_but_an_object_at_the_top_level_is_refused_at_once(junk: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="object should begin"):
        split(junk)


def test_nesting_is_taken_up_to_its_limit() -> None:
    within = b'{"a":' * NESTING_MAX + b"1" + b"}" * NESTING_MAX
    assert split(within) == [within]
    with pytest.raises(RemoteProtocolError, match="deeper"):
        split(b'{"a":' * NESTING_MAX + b"[")


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(("size", "taken"), [(LIMIT - 1, True), (LIMIT, True), (LIMIT + 1, False)])
def test_a_message_may_be_as_long_as_the_limit(size: int, taken: bool, step: int) -> None:
    message = b'{"a":"' + b"x" * (size - 8) + b'"}'
    splitter = JsonSplitter(LIMIT)
    pieces = [message[i : i + step] for i in range(0, size, step)]
    if taken:
        assert [found for piece in pieces for found in splitter.feed(piece)] == [message]
        return
    with pytest.raises(RemoteProtocolError, match="longer than 4096 bytes"):
        [splitter.feed(piece) for piece in pieces]


def test_an_endless_message_holds_no_more_than_the_limit() -> None:
    splitter = JsonSplitter(LIMIT)
    with pytest.raises(RemoteProtocolError):
        [splitter.feed(b'{"a":"' + b"x" * 100) for _ in range(1000)]
    assert splitter.pending <= LIMIT


def test_pending_counts_the_unfinished_object_only() -> None:
    splitter = JsonSplitter(LIMIT)
    assert splitter.feed(b'{"a":1}  {"b"') == [b'{"a":1}']
    assert splitter.pending == 4
    assert splitter.feed(b":2}\n") == [b'{"b":2}']
    assert splitter.pending == 0


def test_whitespace_without_end_holds_nothing() -> None:
    splitter = JsonSplitter(LIMIT)
    for _ in range(10):
        assert splitter.feed(b" \n" * 10_000) == []
    assert splitter.pending == 0


@pytest.mark.parametrize("step", [1, 100, 8192])
def test_the_matcher_sees_each_byte_a_bounded_number_of_times(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear time, told by counting: a splitter that looked again at what it holds would see 40 times as much."""
    seen = 0

    def counting(pattern: re.Pattern[bytes], data: bytes, position: int, stop: int) -> int:
        nonlocal seen
        end = end_of_match(pattern, data, position, stop)
        seen += end - position
        return end

    end_of_match = framing._end
    monkeypatch.setattr(framing, "_end", counting)
    text = json.dumps({f"file-{i}\\": {"ip": "::1", "mtime": i} for i in range(800)}).encode()
    splitter = JsonSplitter(1 << 20)
    assert [found for i in range(0, len(text), step) for found in splitter.feed(text[i : i + step])] == [text]
    assert seen <= len(text)
