"""What a requester may send to the serving port, and what is understood."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gsync.core.names import RelPath
from gsync.wire.requests import (
    REQUEST_LIMIT_BYTES,
    Edition,
    NativeStart,
    Reading,
    Request,
    RequestReader,
    SortedNames,
    Unfinished,
    Unservable,
)

OURS = ("a", "a.txt", "readme", '"quoted"', "käse.txt", "x y", "日本", "dir/inner")
NAMES = SortedNames(RelPath.parse(name) for name in OURS)


def read(*pieces: bytes) -> Reading:
    reader = RequestReader(NAMES)
    said: Reading = Unfinished.NEED_MORE
    for piece in pieces:
        said = reader.feed(piece)
        if not isinstance(said, Unfinished):
            break
    return said


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def one(name: str) -> Request:
    return Request(path=RelPath.parse(name), edition=Edition.ONE)


def two(name: str) -> Request:
    return Request(path=RelPath.parse(name), edition=Edition.TWO)


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        (b"readme", one("readme")),
        (b"readm", Unfinished.NEED_MORE),
        (b"nosuch", Unfinished.NEED_MORE),
        (b"", Unfinished.NEED_MORE),
        (b"a", Unfinished.WAIT),
        (b"a.txt", one("a.txt")),
        ("日本".encode(), one("日本")),
        ("日本".encode()[:-1], Unfinished.NEED_MORE),
        (b"dir/inner", one("dir/inner")),
        (b"readme\n", two("readme")),
        (b"readme\r\n", two("readme")),
        (b"a\n", two("a")),
        (b"readme\nmore", two("readme")),
        (b'"readme"', one("readme")),
        (b'"readme"\n', two("readme")),
        (b'"k\\u00e4se.txt"', one("käse.txt")),
        (b'"quoted"', one('"quoted"')),
        (b'"quoted"\n', two('"quoted"')),
        (b"readme\r", Unfinished.NEED_MORE),
        (b"\n", Unservable(reason="an empty request")),
        (b"\r\n", Unservable(reason="an empty request")),
        (b"nosuch\n", Unservable(reason="no such file here")),
        (b"../a\n", Unservable(reason="'..' is not a name")),
        (b"/etc/passwd\n", Unservable(reason="an empty component")),
        (b'"../a"\n', Unservable(reason="no such file here")),
        (b"a\tb", Unservable(reason="a control character")),
        (b"a\0", Unservable(reason="a control character")),
        (b"\xff\xfe", Unservable(reason="not valid UTF-8")),
        (b"\xff\n", Unservable(reason="not valid UTF-8")),
        (b".gsync\n", Unservable(reason="the name of gsync's own folder")),
        (b"\0\0\0\x10", NativeStart(rest=b"\0\0\x10")),
        (b'{"name": "a"}\n', Unservable(reason="no such file here")),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Unservable(reason="no such file here")),
    ],
)
def test_what_bytes_ask_for(sent: bytes, understood: Reading) -> None:
    assert read(sent) == understood


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_edition_2_request_byte_by_byte_asks_for_a_file_that_its_bytes_name(name: str, end: bytes) -> None:
    """A name is answered as soon as it is whole, so a newline that comes later finds the answer under way."""
    whole = read(name.encode() + end)
    assert whole == two(name)
    piecemeal = read(*bytewise(name.encode() + end))
    assert isinstance(piecemeal, Request)
    assert piecemeal.path == name


def test_a_name_that_begins_a_longer_one_waits_and_settles() -> None:
    reader = RequestReader(NAMES)
    assert reader.feed(b"a") is Unfinished.WAIT
    assert reader.settle() == one("a")


def test_a_longer_name_that_comes_in_two_pieces_is_understood() -> None:
    assert read(b"a", b".t", b"xt") == one("a.txt")


def test_settling_on_nothing_reads_on() -> None:
    reader = RequestReader(NAMES)
    reader.feed(b"nos")
    assert reader.settle() is Unfinished.NEED_MORE


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        (b"", Unservable(reason="an empty request")),
        (b"a", one("a")),
        (b'"readme"', one("readme")),
        (b"nosuch", Unservable(reason="no such file here")),
        ("日本".encode()[:-1], Unservable(reason="not valid UTF-8")),
    ],
)
def test_what_was_asked_for_when_the_requester_ends_its_sending(sent: bytes, understood: Reading) -> None:
    reader = RequestReader(NAMES)
    reader.feed(sent)
    assert reader.end() == understood


@pytest.mark.parametrize(
    ("size", "taken"), [(REQUEST_LIMIT_BYTES - 1, True), (REQUEST_LIMIT_BYTES, True), (REQUEST_LIMIT_BYTES + 1, False)]
)
def test_a_request_may_be_as_long_as_its_limit(size: int, taken: bool) -> None:
    assert (read(b"n" * size) is Unfinished.NEED_MORE) == taken
    assert isinstance(read(b"n" * (size - 1) + b"\n"), Unservable)
    assert (read(*bytewise(b"n" * size)) is Unfinished.NEED_MORE) == taken


@given(
    pieces=st.lists(
        st.binary(max_size=20) | st.sampled_from([name.encode() for name in OURS] + [b"\n", b'"', b"\r\n", b"\\u00"]),
        max_size=6,
    )
)
@example(pieces=[b'"\\ud800"\n'])
@example(pieces=[b'"' + b"1" * 20 + b'"', b"\n"])
def test_only_files_of_ours_are_ever_asked_for(pieces: list[bytes]) -> None:
    reader = RequestReader(NAMES)
    for piece in pieces:
        said = reader.feed(piece)
        if isinstance(said, Request):
            assert said.path in OURS
        if not isinstance(said, Unfinished):
            return
        assert isinstance(reader.settle(), Unfinished | Request)
    assert isinstance(reader.end(), Request | Unservable)


@given(
    names=st.sets(st.text(alphabet="ab.", min_size=1, max_size=4), max_size=12),
    prefix=st.text(alphabet="ab.", max_size=4),
)
def test_sorted_names_know_members_and_prefixes(names: set[str], prefix: str) -> None:
    kept = [name for name in names if name not in {".", ".."}]
    view = SortedNames()
    for name in kept:
        view.add(RelPath.parse(name))
        view.add(RelPath.parse(name))
    assert len(view) == len(kept)
    assert (prefix in view) == (prefix in kept)
    assert view.has_longer(prefix) == any(name != prefix and name.startswith(prefix) for name in kept)
    for name in kept:
        view.discard(RelPath.parse(name))
        view.discard(RelPath.parse(name))
    assert len(view) == 0
    assert 1 not in view
