"""Classic messages in our spelling and in other people's."""

from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gsync.core.holders import ALSO_MAX
from gsync.core.model import Offer, Source
from gsync.core.names import Endpoint, RelPath
from gsync.core.pausing import PAUSE_EVERY
from gsync.core.versions import MTIME_MAX, Version
from gsync.errors import NameRefused, RemoteProtocolError
from gsync.wire.classic import (
    READER_BLOCK_BYTES,
    encode_initial,
    encode_keepalive,
    ended,
    parse_directory,
    parse_peer_message,
    refusal,
)
from gsync.wire.framing import JsonSplitter
from gsync.wire.messages import Initial, Keepalive, Refusal

OUT_OF_RANGE = f"an mtime lies in 0..{MTIME_MAX}"
NO_NUMBER = "an mtime is a number, not "

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def _is_name(text: str) -> bool:
    try:
        RelPath.parse_flat(text)
    except NameRefused:
        return False
    return True


names = st.text(min_size=1, max_size=8).filter(_is_name).map(RelPath.parse)


def path(name: str) -> RelPath:
    return RelPath.parse(name)


def initial(text: str | bytes) -> Initial:
    message = parse_peer_message(text.encode() if isinstance(text, str) else text)
    assert isinstance(message, Initial)
    return message


def offer(mtime: int, *sources: tuple[str, int, bool], native: bool = False) -> Offer:
    return Offer(
        version=Version.from_mtime(mtime),
        sources=tuple(
            Source(endpoint=Endpoint(ip, port), speaks_gsync=ours, speaks_native=native) for ip, port, ours in sources
        ),
    )


# What we say


@given(
    port=st.integers(1, 65535),
    files=st.dictionaries(names, st.integers(0, MTIME_MAX), max_size=5),
    ours=st.booleans(),
)
def test_an_initial_comes_back_as_it_was(port: int, files: dict[RelPath, int], ours: bool) -> None:
    said = encode_initial(port, files, knows_gsync=ours)
    [message] = JsonSplitter(1 << 20).feed(said)
    assert parse_peer_message(message) == Initial(port=port, files=files, knows_gsync=ours)


def test_an_initial_has_only_port_and_files_in_ascii() -> None:
    said = encode_initial(9000, {path("käse"): 7}, knows_gsync=False)
    assert said == b'{"port":9000,"files":[{"name":"k\\u00e4se","mtime":7}]}\n'


def test_an_initial_of_ours_begins_with_a_tab() -> None:
    assert encode_initial(9000, {}, knows_gsync=True) == b'{\t"port":9000,"files":[]}\n'


def test_a_keepalive_has_only_a_port() -> None:
    assert encode_keepalive(9000) == b'{"port":9000}\n'


@pytest.mark.parametrize("blocks", [1, 3])
def test_no_message_is_as_long_as_a_multiple_of_a_readers_block(blocks: int) -> None:
    bare = len(encode_initial(9000, {path("x"): 1}, knows_gsync=True))
    for length in (-1, 0, 1):
        files = {path("x"): 1}
        missing = blocks * READER_BLOCK_BYTES + length - bare
        while missing > 300:
            files[path(f"{len(files):03}" + "f" * 97)] = 1
            missing = blocks * READER_BLOCK_BYTES + length - len(encode_initial(9000, files, knows_gsync=True))
        files[path("l" * (missing - len(',{"name":"","mtime":1}')))] = 1
        said = encode_initial(9000, files, knows_gsync=True)
        assert len(said) == blocks * READER_BLOCK_BYTES + (length or 1)
        assert said.endswith(b" \n" if length == 0 else b"]}\n")


def test_an_ended_message_has_one_newline() -> None:
    assert ended(b"{}") == b"{}\n"
    assert ended(b"x" * (READER_BLOCK_BYTES - 1)) == b"x" * (READER_BLOCK_BYTES - 1) + b" \n"


# What peers say


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ('{"port": 9, "files": []}', {}),
        ('{"files": [{"mtime": 5, "name": "a"}], "port": 9}', {"a": 5}),
        ('{"port": 9, "files": [{"name": "a", "mtime": 5, "size": 3, "x": {}}], "version": 2}', {"a": 5}),
        ('{"port": 9, "files": [{"name": "a", "mtime": 5.99}]}', {"a": 5}),
        ('{"port": 9, "files": [{"name": "a", "mtime": 1.7e9}]}', {"a": 1_700_000_000}),
        ('{"port": 9, "files": [{"name": "a", "mtime": -0.0}]}', {"a": 0}),
        ('{"port": 9, "files": [{"name": "a", "mtime": 4102444800}]}', {"a": MTIME_MAX}),
        ('{"port": 9, "files": [{"name": "a", "mtime": 5}, {"name": "a", "mtime": 9}]}', {"a": 9}),
        ('{"port": 9, "files": [{"name": "a", "mtime": 9}, {"name": "a", "mtime": 5}]}', {"a": 9}),
        ('{"port": 1, "port": 9, "files": [1], "files": [{"name": "a", "name": "b", "mtime": 5}]}', {"b": 5}),
        ('\n{ "port":\t9,\r\n"files":[ ] }', {}),
        ('{"port": 9, "files": [{"name": "\\u65e5\\ud83d\\ude00", "mtime": 5}]}', {"日😀": 5}),
    ],
)
def test_what_an_initial_says(text: str, files: dict[str, int]) -> None:
    assert initial(text) == Initial(port=9, files={path(name): mtime for name, mtime in files.items()})


@pytest.mark.parametrize(
    ("entry", "name", "reason"),
    [
        ('{"name": "b", "mtime": true}', "b", NO_NUMBER + "true or false"),
        ('{"name": "b", "mtime": "5"}', "b", NO_NUMBER + "text"),
        ('{"name": "b", "mtime": null}', "b", NO_NUMBER + "null"),
        ('{"name": "b", "mtime": [5]}', "b", NO_NUMBER + "a list"),
        ('{"name": "b"}', "b", NO_NUMBER + "null"),
        ('{"name": "b", "mtime": NaN}', "b", OUT_OF_RANGE),
        ('{"name": "b", "mtime": -Infinity}', "b", OUT_OF_RANGE),
        ('{"name": "b", "mtime": -1}', "b", OUT_OF_RANGE),
        ('{"name": "b", "mtime": -0.5}', "b", OUT_OF_RANGE),
        ('{"name": "b", "mtime": 4102444801}', "b", OUT_OF_RANGE),
        ('{"name": "b", "mtime": 1e308}', "b", OUT_OF_RANGE),
        ('{"name": "b", "mtime": 1e999}', "b", OUT_OF_RANGE),
        ('{"name": "b", "mtime": 9223372036854775808}', "b", OUT_OF_RANGE),
        ('{"name": "b", "mtime": ' + "1" * 300 + "}", "b", OUT_OF_RANGE),
        ('{"name": "b", "mtime": ' + "1" * 5000 + "}", "b", OUT_OF_RANGE),
        ('{"name": "b", "mtime": -' + "1" * 5000 + "}", "b", OUT_OF_RANGE),
        ('{"name": "b", "mtime": 1.' + "1" * 5000 + "e400}", "b", OUT_OF_RANGE),
        ('{"name": "\\ud800", "mtime": 5}', "\ud800", "not valid UTF-8"),
        ('{"name": "a/b", "mtime": 5}', "a/b", "a separator in a bare file name"),
        ('{"name": "..", "mtime": 5}', "..", "'..' is not a name"),
        ('{"name": "a\\u0000", "mtime": 5}', "a\0", "a control character"),
        ('{"name": "a\nb", "mtime": 5}', "a\nb", "a control character"),
        ('{"name": "", "mtime": 5}', "", "an empty component"),
        ('{"name": 7, "mtime": 5}', "a number", "a name is text, not int"),
        ('{"mtime": 5}', "null", "a name is text, not NoneType"),
        ("7", "a number", "a file is an object, not a number"),
        ("null", "null", "a file is an object, not null"),
        ('["b", 5]', "a list", "a file is an object, not a list"),
    ],
)
def test_a_bad_file_is_refused_alone(entry: str, name: str, reason: str) -> None:
    said = initial('{"port": 9, "files": [{"name": "a", "mtime": 1}, ' + entry + ', {"name": "c", "mtime": 2}]}')
    assert said.files == {"a": 1, "c": 2}
    assert said.refused == (Refusal(name=name, reason=reason),)
    assert said.port == 9


def test_a_name_that_is_no_utf8_is_refused_alone() -> None:
    said = initial(b'{"port":9,"files":[{"name":"k\xe4se","mtime":1},{"name":"b","mtime":2}]}')
    assert said.files == {"b": 2}
    assert [refused.reason for refused in said.refused] == ["not valid UTF-8"]


@pytest.mark.parametrize("port", ["0", "65536", "-1", "true", '"9000"', "9000.5", "null", "1e308", "[]", "9" * 300])
def test_an_initial_without_a_port_is_still_one(port: str) -> None:
    said = initial('{"port": ' + port + ', "files": [{"name": "a", "mtime": 1}]}')
    assert said.port is None
    assert said.files == {"a": 1}
    assert [refused.name for refused in said.refused] == ["port"]


@pytest.mark.parametrize("files", ["null", "{}", '"a"', "7"])
def test_files_that_are_no_list_are_none(files: str) -> None:
    said = initial('{"port": 9, "files": ' + files + "}")
    assert said.files == {}
    assert [refused.name for refused in said.refused] == ["files"]


@pytest.mark.parametrize("text", ["{}", '{"port":9}', '{"port":"x"}', '{"port":NaN,"now":1}', '{"port":true}'])
def test_an_object_without_files_is_a_keepalive(text: str) -> None:
    assert parse_peer_message(text.encode()) == Keepalive()


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ('{"port":9,"files":[]}', False),
        ('{ \t"port":9,"files":[]}', False),
        ('{\t"port":9,"files":[]}', True),
        ('{\t\t"port":9,"files":[]}', True),
        ('{\t"port":NaN,"files":[]}', True),
    ],
)
def test_a_peer_of_ours_is_known_by_its_tab(text: str, ours: bool) -> None:
    assert initial(text).knows_gsync is ours
    assert initial(text).knows_native is text.startswith("{\t\t")


def test_an_initial_of_one_who_speaks_native_begins_with_two_tabs() -> None:
    said = encode_initial(9000, {}, knows_gsync=True, knows_native=True)
    assert said == b'{\t\t"port":9000,"files":[]}\n'
    assert parse_peer_message(said) == Initial(port=9000, files={}, knows_gsync=True, knows_native=True)


NOT_OBJECTS = [b"", b"[]", b"7", b"{", b"{]", b'{"a":}', b"null", b"\xff", b"{}{}", b"[" * 100_000, b'{"a":' * 100_000]


@pytest.mark.parametrize("message", NOT_OBJECTS)
def test_what_is_no_json_object_is_a_protocol_error(message: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_peer_message(message)
    with pytest.raises(RemoteProtocolError):
        parse_directory(message)


@pytest.mark.parametrize("spelt", ["1" * 1_000_000, "1." + "1" * 1_000_000, "0." + "0" * 1_000_000 + "1"])
def test_a_number_as_long_as_a_message_does_not_hang(spelt: str) -> None:
    message = '{"port": 9, "files": [{"name": "a", "mtime": ' + spelt + '}, {"name": "b", "mtime": NaN}]}'
    assert [refused.reason for refused in initial(message).refused] == [OUT_OF_RANGE] * 2


# What trackers say


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('{"ip":"192.0.2.7","port":9000,"mtime":5}', offer(5, ("192.0.2.7", 9000, False))),
        ('{"ip":"192.0.2.7","port":1024,"mtime":5.9,"size":1}', offer(5, ("192.0.2.7", 1024, False))),
        ('{"ip":"127.0.0.1","port":9000,"mtime":5}', offer(5, ("127.0.0.1", 9000, False))),
        ('{"ip":"2001:DB8::0:1","port":9000,"mtime":5}', offer(5, ("2001:db8::1", 9000, False))),
        ('{"ip":"192.0.2.7","port":9000,"mtime":5,"gsync":1}', offer(5, ("192.0.2.7", 9000, True))),
        ('{"ip":"192.0.2.7","port":9000,"mtime":5,"gsync":2}', offer(5, ("192.0.2.7", 9000, True), native=True)),
        ('{"ip":"192.0.2.7","port":9000,"mtime":5,"gsync":3}', offer(5, ("192.0.2.7", 9000, True), native=True)),
        ('{"ip":"192.0.2.7","port":9000,"mtime":5,"gsync":-1}', offer(5, ("192.0.2.7", 9000, False))),
        ('{"ip":"192.0.2.7","port":9000,"mtime":5,"gsync":0}', offer(5, ("192.0.2.7", 9000, False))),
        ('{"ip":"192.0.2.7","port":9000,"mtime":5,"gsync":"yes","also":7}', offer(5, ("192.0.2.7", 9000, False))),
        (
            '{"ip":"192.0.2.7","port":9000,"mtime":5,"gsync":1,"also":"192.0.2.8:9001 [2001:db8::2]:9002"}',
            offer(5, ("192.0.2.7", 9000, True), ("192.0.2.8", 9001, True), ("2001:db8::2", 9002, True)),
        ),
        (
            '{"ip":"192.0.2.7","port":9000,"mtime":5,"also":"'
            + " ".join(f"192.0.2.{n}:{2000 + n}" for n in range(10, 20))
            + '"}',
            offer(5, ("192.0.2.7", 9000, False), *((f"192.0.2.{n}", 2000 + n, True) for n in range(10, 10 + ALSO_MAX))),
        ),
        (
            '{"ip":"192.0.2.7","port":9000,"mtime":5,"also":"x 192.0.2.7:9000 192.0.2.1:22"}',
            offer(5, ("192.0.2.7", 9000, False)),
        ),
        ('{"ip":"192.0.2.7","port":9000,"mtime":5,"also":": :x ²:²"}', offer(5, ("192.0.2.7", 9000, False))),
    ],
)
def test_what_an_entry_says(entry: str, expected: Offer) -> None:
    for rest in ("}", ',"bad":0}'):  # read by msgspec, and by the lenient reader
        assert parse_directory(('{"a":' + entry + rest).encode()).offers == {"a": expected}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ('{"ip":"192.0.2.7","port":1023,"mtime":5}', "port 1023 is below 1024"),
        ('{"ip":"192.0.2.7","port":65536,"mtime":5}', "a port lies in 1..65535"),
        ('{"ip":"192.0.2.7","port":true,"mtime":5}', "a port is a whole number, not true or false"),
        ('{"ip":"192.0.2.7","port":"9000","mtime":5}', "a port is a whole number, not text"),
        ('{"ip":"192.0.2.7","mtime":5}', "a port is a whole number, not null"),
        ('{"ip":"peer.example","port":9000,"mtime":5}', "not a numeric IP address"),
        ('{"ip":3221225991,"port":9000,"mtime":5}', "an address is text, not int"),
        ('{"ip":["192.0.2.7"],"port":9000,"mtime":5}', "an address is text, not list"),
        ('{"ip":"224.0.0.1","port":9000,"mtime":5}', "a multicast address"),
        ('{"ip":"ff02::1","port":9000,"mtime":5}', "a multicast address"),
        ('{"ip":"::ffff:224.0.0.1","port":9000,"mtime":5}', "a multicast address"),
        ('{"ip":"0.0.0.0","port":9000,"mtime":5}', "an address that names nobody"),
        ('{"ip":"::","port":9000,"mtime":5}', "an address that names nobody"),
        ('{"ip":"255.255.255.255","port":9000,"mtime":5}', "the broadcast address"),
        (
            '{"ip":"fe80::1%eth0","port":9000,"mtime":5}',
            "an address with a zone, which means something on one machine only",
        ),
        ('{"ip":"192.0.2.7","port":9000,"mtime":-1}', OUT_OF_RANGE),
        ('{"ip":"192.0.2.7","port":9000,"mtime":NaN}', OUT_OF_RANGE),
        ('{"ip":"192.0.2.7","port":9000}', NO_NUMBER + "null"),
        ('"gone"', "an entry is an object, not text"),
        ("[]", "an entry is an object, not a list"),
    ],
)
def test_a_bad_entry_is_refused_alone(entry: str, reason: str) -> None:
    good = '{"ip":"192.0.2.7","port":9000,"mtime":5}'
    said = parse_directory(f'{{"a":{good},"bad":{entry},"c":{good}}}'.encode())
    assert list(said.offers) == ["a", "c"]
    assert said.refused == (Refusal(name="bad", reason=reason),)


def test_entries_may_be_called_like_parts_of_messages() -> None:
    said = parse_directory(
        b'{"files":{"ip":"192.0.2.7","port":9000,"mtime":5},"port":{"ip":"192.0.2.7","port":9000,"mtime":5}}'
    )
    assert list(said.offers) == ["files", "port"]


@pytest.mark.parametrize(
    ("text", "ours"),
    [(b"{}", False), (b"{\t}", True), (b'{\t"a":0}', True), (b'{ "a":0}', False), (b"{\t\t}", True)],
)
def test_a_tracker_of_ours_is_known_by_its_tab(text: bytes, ours: bool) -> None:
    assert parse_directory(text).from_gsync is ours
    assert parse_directory(text).from_native is text.startswith(b"{\t\t")


def test_a_refused_name_is_cut() -> None:
    assert refusal("n" * 1000, "why").name == "n" * 80


def test_a_long_message_is_judged_with_pauses() -> None:
    pauses: list[None] = []
    files = {path(f"f{i}"): i for i in range(3000)}
    parse_peer_message(encode_initial(9, files, knows_gsync=True), pause=lambda: pauses.append(None))
    assert len(pauses) == 3000 // PAUSE_EVERY


@given(value=st.dictionaries(st.text(max_size=5) | st.sampled_from(["port", "files"]), json_values, max_size=4))
@example(value={"port": 9, "files": [{"name": "a", "mtime": math.nan}]})
@example(value={"port": [], "files": [[]]})
def test_any_object_is_a_message(value: dict[str, object]) -> None:
    said = parse_peer_message(json.dumps(value).encode())
    assert isinstance(said, Initial) == ("files" in value)


@given(
    value=st.dictionaries(
        st.text(max_size=5),
        json_values
        | st.fixed_dictionaries(
            {},
            optional={
                "ip": json_values,
                "port": json_values,
                "mtime": json_values,
                "gsync": json_values,
                "also": json_values,
            },
        ),
    )
)
def test_any_object_is_a_directory(value: dict[str, object]) -> None:
    said = parse_directory(json.dumps(value).encode())
    assert len(said.offers) + len(said.refused) == len(value)


@given(message=st.binary(max_size=80) | st.text(alphabet='{}[]",:\\ué0.e-n', max_size=60).map(str.encode))
def test_nothing_but_our_error_escapes(message: bytes) -> None:
    for parse in (parse_peer_message, parse_directory):
        with contextlib.suppress(RemoteProtocolError):
            parse(message)
