"""What a source may send back for a file, whole and byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.errors import RemoteProtocolError
from gsync.wire.answers import AnswerReader, Ending
from gsync.wire.requests import Edition


def take(reader: AnswerReader, pieces: list[bytes]) -> tuple[bytes, Ending]:
    body = b"".join(bytes(reader.body(memoryview(piece))) for piece in pieces)
    ending, rest = reader.finish()
    return body + bytes(rest), ending


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def reader_for(edition: str) -> AnswerReader:
    return {
        "one": lambda: AnswerReader(Edition.ONE),
        "two": lambda: AnswerReader(Edition.TWO),
        "undecided": AnswerReader.undecided,
    }[edition]()


@pytest.mark.parametrize("cut", [lambda data: [data], bytewise])
@pytest.mark.parametrize(
    ("edition", "sent", "body", "ending"),
    [
        ("one", b"", b"", Ending.NOTHING),
        ("one", b"hello", b"hello", Ending.UNTOLD),
        ("one", b"Content-Length: 2\nhi", b"Content-Length: 2\nhi", Ending.UNTOLD),
        ("two", b"", b"", Ending.NOTHING),
        ("two", b"Content-Length: 5\nhello", b"hello", Ending.WHOLE),
        ("two", b"content-length:5\r\nhello", b"hello", Ending.WHOLE),
        ("two", b"Content-Length: 0\n", b"", Ending.WHOLE),
        ("two", b"Content-Length: 5\nhell", b"hell", Ending.SHORT),
        ("two", b"Content-Length: 5\n", b"", Ending.SHORT),
        ("two", b"Content-Le", b"", Ending.SHORT),
        ("two", b"Content-Length: 9223372036854775807\nx", b"x", Ending.SHORT),
        ("undecided", b"", b"", Ending.NOTHING),
        ("undecided", b"hello", b"hello", Ending.UNTOLD),
        ("undecided", b"Con", b"Con", Ending.UNTOLD),
        ("undecided", b"Content", b"Content", Ending.UNTOLD),
        ("undecided", b"Content is king\n", b"Content is king\n", Ending.UNTOLD),
        ("undecided", b"Content-Length: none\n", b"Content-Length: none\n", Ending.UNTOLD),
        ("undecided", b"Content-Length: 5\nhello", b"hello", Ending.WHOLE),
        ("undecided", b"Content-Length: 5\nhell", b"hell", Ending.SHORT),
        ("undecided", b"Content-Length:" + b" " * 99 + b"5\n", b"Content-Length:" + b" " * 99 + b"5\n", Ending.UNTOLD),
    ],
)
def test_what_an_answer_gives(edition: str, sent: bytes, body: bytes, ending: Ending, cut: object) -> None:
    pieces = [sent] if cut is not bytewise else bytewise(sent)
    assert take(reader_for(edition), pieces) == (body, ending)


@pytest.mark.parametrize(
    "sent",
    [
        b"hello",
        b"\n",
        b"Content-Length: -1\n",
        b"Content-Length: \n",
        b"Content-Length: 5",
        b"Content-Length: " + b"9" * 20,
    ],
)
def test_an_edition_2_answer_without_its_header_is_refused(sent: bytes) -> None:
    for pieces in ([sent + b"x" * 64], bytewise(sent + b"x" * 64)):
        with pytest.raises(RemoteProtocolError, match="Content-Length line should be"):
            take(AnswerReader(Edition.TWO), pieces)


@pytest.mark.parametrize("edition", ["two", "undecided"])
def test_more_than_promised_is_refused(edition: str) -> None:
    with pytest.raises(RemoteProtocolError, match="more than the 2 bytes"):
        take(reader_for(edition), [b"Content-Length: 2\nhi", b"!"])


def test_the_size_is_known_from_the_header_on() -> None:
    reader = AnswerReader(Edition.TWO)
    assert (reader.expected, reader.remaining, reader.edition) == (None, None, None)
    reader.body(memoryview(b"Content-Length: 3\na"))
    assert (reader.expected, reader.remaining, reader.edition) == (3, 2, Edition.TWO)
    reader.body(memoryview(b"bc"))
    assert reader.remaining == 0


@pytest.mark.parametrize(
    ("sent", "edition"), [(b"Content-Length: 0\n", Edition.TWO), (b"raw", Edition.ONE), (b"Con", None)]
)
def test_an_undecided_answer_tells_the_edition(sent: bytes, edition: Edition | None) -> None:
    reader = AnswerReader.undecided()
    reader.body(memoryview(sent))
    assert reader.edition is edition


def test_a_big_body_passes_uncopied() -> None:
    block = memoryview(bytearray(1 << 20))
    for reader in (AnswerReader(Edition.ONE), AnswerReader(Edition.TWO)):
        if reader.edition is None:
            reader.body(memoryview(b"Content-Length: 99999999\n"))
        assert reader.body(block) is block


@given(
    data=st.binary(max_size=120)
    | st.builds(lambda n, b: b"Content-Length: %d\n" % n + b, st.integers(0, 40), st.binary(max_size=40))
)
def test_arbitrary_answers_end_the_same_whole_and_byte_by_byte(data: bytes) -> None:
    for edition in ("one", "two", "undecided"):
        said: list[object] = []
        for pieces in ([data], bytewise(data)):
            try:
                said.append(take(reader_for(edition), pieces))
            except RemoteProtocolError as error:
                said.append(type(error))
        assert said[0] == said[1]
