"""A record means the same on both ends, and what breaks a rule costs that record only."""

from __future__ import annotations

from typing import Any

import msgspec
import msgspec.structs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsync.core.blocks import digest_of_bytes
from gsync.core.model import Kind, Record
from gsync.core.names import PATH_MAX_BYTES, RelPath
from gsync.core.versions import MTIME, MTIME_MAX, Version
from gsync.errors import NameRefused
from gsync.wire.records import (
    AUTHORS_MAX,
    COUNTER_MAX,
    MTIME_NS_MAX,
    SIZE_MAX,
    WireRecord,
    parse_digest,
    parse_paths,
    parse_record,
    parse_records,
    says,
    wire_record,
)

DIGEST = digest_of_bytes(b"content")
PATHS = st.sampled_from([RelPath.parse(text) for text in ("a", "b/c", "Grüße/ü", "x" * 255)])
VERSIONS = st.builds(
    lambda mtime, counters: Version.from_vector({**counters, MTIME: mtime}),
    st.integers(0, MTIME_MAX),
    st.dictionaries(st.text("0123456789abcdef", min_size=16, max_size=16), st.integers(1, COUNTER_MAX), max_size=3),
)
FILES = st.builds(
    Record,
    path=PATHS,
    kind=st.just(Kind.FILE),
    version=VERSIONS,
    digest=st.sampled_from(["", DIGEST]),
    size=st.integers(0, SIZE_MAX),
    mtime_ns=st.integers(0, MTIME_NS_MAX),
    executable=st.booleans(),
    author=st.sampled_from(["", "0123456789abcdef"]),
    moved_from=st.none() | PATHS,
)
LINKS = st.builds(
    Record,
    path=PATHS,
    kind=st.just(Kind.LINK),
    version=VERSIONS,
    digest=st.just(DIGEST),
    target=st.sampled_from(["../x", "/etc", "ü" * 2047]),
)
DIRECTORIES = st.builds(
    Record, path=PATHS, kind=st.just(Kind.DIRECTORY), version=VERSIONS, moved_from=st.none() | PATHS
)
TOMBSTONES = st.builds(
    Record,
    path=PATHS,
    kind=st.sampled_from([Kind.FILE, Kind.LINK]),
    version=VERSIONS,
    digest=st.sampled_from(["", DIGEST]),
    deleted=st.just(True),
)


def wire(**fields: Any) -> WireRecord:
    return WireRecord(**{"p": "a", "v": {MTIME: 5}, **fields})


@given(record=FILES | LINKS | DIRECTORIES | TOMBSTONES)
def test_a_record_means_the_same_on_both_ends(record: Record) -> None:
    spelled = msgspec.json.encode(wire_record(record))
    assert parse_record(msgspec.json.decode(spelled, type=WireRecord)) == record


@given(said=FILES | LINKS | DIRECTORIES | TOMBSTONES, other=FILES | LINKS | DIRECTORIES | TOMBSTONES)
def test_a_spelled_record_says_that_record_and_no_other(said: Record, other: Record) -> None:
    assert says(wire_record(other), other)
    assert not says(wire_record(said), other) or parse_record(wire_record(said)) == other


CHANGES: list[dict[str, Any]] = [
    {"p": "b"}, {"v": {MTIME: 6}}, {"v": {MTIME: 5, "b": 1}}, {"v": {MTIME: 5, "a": 1, "b": 1}}, {"d": DIGEST[:-1] + "x"},
    {"k": "link"}, {"s": 8}, {"mtime_ns": 8}, {"executable": True}, {"to": "x"}, {"by": "b"}, {"gone": True}, {"was": "b"},
]  # fmt: skip


@pytest.mark.parametrize("changed", CHANGES)
def test_one_that_differs_in_anything_is_another(changed: dict[str, Any]) -> None:
    version = Version.from_vector({MTIME: 5, "a": 1})
    record = Record(
        path=RelPath.parse("a"), kind=Kind.FILE, version=version, digest=DIGEST, size=7, mtime_ns=7, author="a"
    )
    assert says(wire_record(record), record)
    assert not says(msgspec.structs.replace(wire_record(record), **changed), record)


def test_what_is_as_usual_is_left_out() -> None:
    record = Record(path=RelPath.parse("a"), kind=Kind.FILE, version=Version.from_mtime(5), digest=DIGEST, size=7)
    assert msgspec.json.encode(wire_record(record)).decode() == f'{{"p":"a","v":{{"mtime":5}},"d":"{DIGEST}","s":7}}'


@pytest.mark.parametrize("mtime_ns", [-1, MTIME_NS_MAX + 1])
def test_an_mtime_that_cannot_be_told_is_moved_to_one_that_can(mtime_ns: int) -> None:
    record = Record(path=RelPath.parse("a"), kind=Kind.FILE, version=Version.from_mtime(0), mtime_ns=mtime_ns)
    told = parse_record(wire_record(record))
    assert told == msgspec.structs.replace(record, mtime_ns=0 if mtime_ns < 0 else MTIME_NS_MAX)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"p": "../a"}, "'..' is not a name"),
    ({"p": "/a"}, "an empty component"),
    ({"p": ""}, "an empty component"),
    ({"p": "a\0"}, "a control character"),
    ({"p": ".gsync/index"}, "the name of gsync's own folder"),
    ({"was": "../a"}, "'..' is not a name"),
    ({"v": {MTIME: MTIME_MAX + 1}}, f"an mtime lies in 0..{MTIME_MAX}"),
    ({"v": {"author": 0, MTIME: 5}}, "an author who made no edit"),
    ({"d": "x"}, "a digest is b3: and 64 hex digits"),
    ({"d": "../../etc"}, "a digest is b3: and 64 hex digits"),
    ({"d": DIGEST.upper()}, "a digest is b3: and 64 hex digits"),
    ({"d": DIGEST + "\n"}, "a digest is b3: and 64 hex digits"),
    ({"k": "directory", "d": DIGEST}, "a directory with a digest"),
    ({"k": "directory", "to": "x"}, "a directory with a target"),
    ({"to": "x"}, "a file with a target"),
    ({"k": "link"}, "a link that leads nowhere"),
    ({"k": "link", "to": "a\0b"}, "a link to a name with a NUL"),
    ({"k": "link", "to": "ü" * 2048}, f"a link to a name longer than {PATH_MAX_BYTES} bytes"),
]


@pytest.mark.parametrize(("fields", "reason"), REFUSED)
def test_a_record_that_breaks_a_rule_is_refused_and_the_others_are_taken(fields: dict[str, Any], reason: str) -> None:
    good, refused = parse_records([wire(p="x"), wire(**fields), wire(p="y")])
    assert [record.path for record in good] == ["x", "y"]
    assert [refusal.reason for refusal in refused] == [reason]


@pytest.mark.parametrize(
    ("authors", "is_taken"), [(AUTHORS_MAX - 1, True), (AUTHORS_MAX, True), (AUTHORS_MAX + 1, False)]
)
def test_a_version_has_at_most_1024_authors(authors: int, is_taken: bool) -> None:
    vector = {f"author-{number}": 1 for number in range(authors - 1)} | {MTIME: 5}
    good, refused = parse_records([wire(v=vector)])
    assert (len(good), len(refused)) == ((1, 0) if is_taken else (0, 1))


@pytest.mark.parametrize("fields", [{"gone": True}, {"k": "directory"}, {"k": "link", "to": "x"}])
def test_size_mtime_and_exec_bit_of_what_is_no_file_mean_nothing(fields: dict[str, Any]) -> None:
    said = parse_record(wire(s=7, mtime_ns=8, executable=True, **fields))
    assert (said.size, said.mtime_ns, said.executable) == (0, 0, False)


def test_a_deletion_of_a_link_need_not_say_where_it_led() -> None:
    assert parse_record(wire(k="link", gone=True)).target == ""


def test_a_refused_name_is_cut_for_the_log() -> None:
    _, (refusal,) = parse_records([wire(p="x" * 4000)])
    assert refusal.name == "x" * 80


def test_of_a_list_of_paths_the_names_are_taken() -> None:
    assert parse_paths(["a", "../b", "c/d", ""]) == ["a", "c/d"]


@pytest.mark.parametrize("text", ["", "b3:", "b3:" + "g" * 64, "b3:" + "a" * 63, "b3:" + "a" * 65, " " + DIGEST])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(NameRefused):
        parse_digest(text)
    assert parse_digest(DIGEST) == DIGEST
