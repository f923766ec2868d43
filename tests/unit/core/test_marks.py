"""A digest tells whether two sides know the same records, in whatever order they came."""

from __future__ import annotations

from typing import Any

import msgspec.structs
import pytest

from gsync.core.marks import digest_text, record_mark
from gsync.core.model import Kind, Record
from gsync.core.names import RelPath
from gsync.core.versions import Version

RECORD = Record(path=RelPath.parse("a"), kind=Kind.FILE, version=Version.from_vector({"x": 1, "y": 2, "mtime": 5}))

OTHERS: list[dict[str, Any]] = [
    {"path": RelPath.parse("b")},
    {"kind": Kind.LINK},
    {"version": Version.from_vector({"x": 1, "y": 2, "mtime": 6})},
    {"version": Version.from_vector({"x": 1, "y": 3, "mtime": 5})},
    {"version": Version.from_vector({"x": 1, "mtime": 5})},
    {"digest": "b3:"},
    {"size": 1},
    {"mtime_ns": 1},
    {"executable": True},
    {"deleted": True},
    {"target": "x"},
    {"author": "x"},
    {"moved_from": RelPath.parse("x")},
]


@pytest.mark.parametrize("other", OTHERS)
def test_records_that_differ_in_anything_have_different_marks(other: dict[str, Any]) -> None:
    assert record_mark(msgspec.structs.replace(RECORD, **other)) != record_mark(RECORD)
    assert record_mark(msgspec.structs.replace(RECORD)) == record_mark(RECORD)


def test_a_mark_is_64_bits_and_the_same_on_every_machine() -> None:
    assert digest_text(record_mark(RECORD)) == "63445163a6f11210"
    assert digest_text(0) == "0" * 16


def test_a_record_is_taken_out_as_it_was_put_in() -> None:
    marks = [record_mark(msgspec.structs.replace(RECORD, size=size)) for size in range(5)]
    there = marks[0] ^ marks[1] ^ marks[2]
    back = marks[4] ^ marks[2] ^ marks[0] ^ marks[4] ^ marks[1]
    assert digest_text(there) == digest_text(back) != digest_text(there ^ marks[3])
